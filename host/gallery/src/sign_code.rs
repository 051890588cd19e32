//! Sign codes: one bit for each number of a template. A search among many templates compares the codes first.
//!
//! A template is rotated by a fixed rotation, which spreads its information evenly over all numbers. Its code holds the sign
//! of each rotated number. The scalar product of a rotated probe with these signs estimates the cosine similarity; with 128 numbers
//! the standard error is about 0.05.

use crate::kernels::{LANES, MAX_ENTRY, Table, mark_at_least};
use zeroize::Zeroizing;

/// The fewest rotated numbers: the tables of 64 fill one step of the kernel.
const MIN_LENGTH: usize = 64;
/// Bits that select from one table.
const BITS: usize = 4;

/// A fixed rotation of vectors of one length: signs flipped by a fixed pattern, then a Hadamard transform. It depends on nothing
/// but the length.
#[derive(Debug)]
pub(super) struct Rotation {
    /// 1 or −1 for each number. A shorter vector is continued with zeros.
    flips: Vec<f32>,
}

impl Rotation {
    pub fn new(dimension: usize) -> Self {
        let length = dimension.next_power_of_two().max(MIN_LENGTH);
        let flip = |place: usize| if mix(place as u64) & 1 == 0 { 1.0 } else { -1.0 };
        Self { flips: (0..length).map(flip).collect() }
    }

    /// Bytes of one code.
    pub fn code_bytes(&self) -> usize {
        self.flips.len() / 8
    }

    /// Sets the code of row `lane` in `codes`, which holds the codes of `LANES` rows as `[code_bytes, LANES]`.
    pub fn write_code(&self, values: &[f32], codes: &mut [u8], lane: usize) {
        for (numbers, bytes) in self.rotate(values).chunks_exact(8).zip(codes.chunks_exact_mut(LANES)) {
            bytes[lane] = numbers.iter().rev().fold(0, |byte, number| byte << 1 | u8::from(*number > 0.0));
        }
    }

    /// The tables of a probe: the entry of a nibble is the sum of four of the probe's numbers with the nibble's signs, in whole
    /// steps from the least possible sum.
    pub fn tables(&self, values: &[f32]) -> Vec<Table> {
        let rotated = self.rotate(values);
        let groups = || rotated.chunks_exact(BITS);
        let widest = groups().map(span).fold(f32::MIN_POSITIVE, f32::max);
        let step = widest / f32::from(MAX_ENTRY);
        let table = |group: &[f32]| {
            std::array::from_fn(|nibble| {
                let signed = group.iter().enumerate().map(|(bit, number)| match nibble >> bit & 1 {
                    1 => *number,
                    _ => -number,
                });
                let entry = (signed.sum::<f32>() + span(group) / 2.0) / step;
                (entry.round() as u8).min(MAX_ENTRY)
            })
        };
        groups().map(table).collect()
    }

    fn rotate(&self, values: &[f32]) -> Zeroizing<Vec<f32>> {
        let values = values.iter().copied().chain(std::iter::repeat(0.0));
        let mut numbers = Zeroizing::new(
            self.flips.iter().zip(values).map(|(flip, value)| flip * value).collect::<Vec<_>>(),
        );
        let mut half = 1;
        while half < numbers.len() {
            for pair in numbers.chunks_exact_mut(2 * half) {
                let (left, right) = pair.split_at_mut(half);
                for (a, b) in left.iter_mut().zip(right) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
        numbers
    }
}

/// The difference of the largest and the least sum that a group's signs can give.
fn span(group: &[f32]) -> f32 {
    2.0 * group.iter().map(|number| number.abs()).sum::<f32>()
}

/// The output function of SplitMix64.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Collects the rows whose sums are at least `floor`.
pub(super) struct Selection {
    floor: i16,
    rows: Vec<(i16, u32)>,
}

impl Selection {
    pub fn new(floor: i16) -> Self {
        Self { floor, rows: Vec::new() }
    }

    /// Takes the sums of the rows from `first` on, `[groups * LANES]`. `used` has a bit for each row: rows with 0 are left out.
    pub fn add(&mut self, sums: &[i16], first: u32, used: &[u64]) {
        let (groups, _) = sums.as_chunks::<LANES>();
        for ((first, sums), used) in (first..).step_by(LANES).zip(groups).zip(used) {
            let mut marks = mark_at_least(sums, self.floor) & used;
            while marks != 0 {
                let lane = marks.trailing_zeros();
                self.rows.push((sums[lane as usize], first + lane));
                marks &= marks - 1;
            }
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The sum of the row in place `wanted` from the highest; `floor` if there are fewer rows.
    pub fn nth_highest(&self, wanted: usize) -> i16 {
        let mut counts: Vec<usize> = Vec::new();
        for (sum, _) in &self.rows {
            let sum = usize::from(sum.unsigned_abs());
            if counts.len() <= sum {
                counts.resize(sum + 1, 0);
            }
            counts[sum] += 1;
        }
        let mut above = 0;
        let place = counts.iter().rposition(|count| {
            above += count;
            above >= wanted
        });
        place.and_then(|sum| i16::try_from(sum).ok()).unwrap_or(self.floor)
    }

    /// The rows whose sums are at least that of the row in place `wanted`, those of the highest `first` sums first. Which rows
    /// these are does not depend on the order in which they came.
    pub fn finish(self, wanted: usize, first: usize) -> impl Iterator<Item = u32> {
        let (least, high) = (self.nth_highest(wanted), self.nth_highest(first.min(wanted)));
        let rows = |range: std::ops::RangeInclusive<i16>| {
            self.rows.iter().filter(move |(sum, _)| range.contains(sum)).map(|(_, row)| *row)
        };
        let rows: Vec<u32> = rows(high..=i16::MAX).chain(rows(least..=high - 1)).collect();
        rows.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn a_rotation_keeps_angles() {
        let rotation = Rotation::new(5);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let (a, b) = ([0.1, -0.5, 0.3, 0.0, 0.8], [0.4, 0.4, -0.2, 0.7, 0.1]);
        let (x, y) = (rotation.rotate(&a), rotation.rotate(&b));
        let cosine = |a: &[f32], b: &[f32]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        assert!((cosine(&a, &b) - cosine(&x, &y)).abs() < 1e-5);
    }

    proptest! {
        #[test]
        fn a_selection_does_not_depend_on_the_order(sums in vec(0i16..40, 1..300), wanted in 1usize..40) {
            let select = |sums: &[i16], step: usize| {
                let mut selection = Selection::new(0);
                for (part, sums) in sums.chunks(step).enumerate() {
                    let mut group = [0; LANES];
                    group[..sums.len()].copy_from_slice(sums);
                    selection.add(&group, (part * step) as u32, &[u64::MAX >> (LANES - sums.len())]);
                }
                let mut rows: Vec<usize> = selection.finish(wanted, 3).map(|row| row as usize).collect();
                rows.sort_unstable();
                rows
            };
            let mut sorted = sums.clone();
            sorted.sort_by(|a, b| b.cmp(a));
            let floor = sorted.get(wanted - 1).copied().unwrap_or(0);
            let expected: Vec<usize> = (0..sums.len()).filter(|row| sums[*row] >= floor).collect();
            prop_assert_eq!(select(&sums, 17), &expected[..]);
            prop_assert_eq!(select(&sums, 64), &expected[..]);
        }
    }
}
