//! Stores templates in blocks of rows.

use crate::kernels::{LANES, dot_product, dot_rows, prefetch, sum_codes};
use crate::sign_code::{Rotation, Selection};
use std::sync::Arc;
use zeroize::{Zeroize as _, Zeroizing};

/// The rows of a block. A change copies one block if a published index still has it: 0.7 MB with 128 numbers a row.
pub(super) const ROWS: usize = 1024;
/// More than the rounding errors of similarities in 32-bit floats.
const ROUNDING: f32 = 1e-5;

/// Templates, each in three forms: exact, in 8-bit numbers, and as a sign code. Memory of templates is overwritten with zeros
/// when a row is cleared and when the block is dropped.
#[derive(Clone)]
pub(super) struct Block {
    /// `[rows]`: the person's id; none for a row that is free.
    owners: Vec<Option<Arc<str>>>,
    /// A bit for each row: 1 if it has an owner. A search looks at it much more often than it needs the owner.
    used: [u64; ROWS / 64],
    /// `[ROWS, dimension]`, unit vectors.
    values: Zeroizing<Vec<f32>>,
    /// `[ROWS, dimension]`: the same in whole steps of `steps`.
    numbers: Zeroizing<Vec<i8>>,
    /// `[ROWS]`: the 8-bit forms' precision.
    precisions: Vec<Precision>,
    /// `[ROWS / LANES, code bytes, LANES]`
    codes: Zeroizing<Vec<u8>>,
}

impl Block {
    pub fn new(dimension: usize, rotation: &Rotation) -> Self {
        Self {
            owners: Vec::with_capacity(ROWS),
            used: [0; ROWS / 64],
            values: Zeroizing::new(vec![0.0; ROWS * dimension]),
            numbers: Zeroizing::new(vec![0; ROWS * dimension]),
            precisions: vec![Precision::default(); ROWS],
            codes: Zeroizing::new(vec![0; ROWS * rotation.code_bytes()]),
        }
    }

    /// The rows in use, and those that were.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Sets a row; `row` is at most [`Block::len`].
    pub fn set(&mut self, row: usize, owner: &Arc<str>, values: &[f32], rotation: &Rotation) {
        let numbers = &mut self.numbers[row * values.len()..][..values.len()];
        self.precisions[row] = quantise(values, numbers);
        self.values[row * values.len()..][..values.len()].copy_from_slice(values);
        let group = LANES * rotation.code_bytes();
        rotation.write_code(values, &mut self.codes[row / LANES * group..][..group], row % LANES);
        if row == self.owners.len() {
            self.owners.push(None);
        }
        self.owners[row] = Some(owner.clone());
        self.used[row / 64] |= 1 << (row % 64);
    }

    /// Gives a row that is in use to another person.
    pub fn set_owner(&mut self, row: usize, owner: &Arc<str>) {
        self.owners[row] = Some(owner.clone());
    }

    /// Overwrites a row with zeros and frees it.
    pub fn clear(&mut self, row: usize) {
        let (dimension, code_bytes) = (self.values.len() / ROWS, self.codes.len() / ROWS);
        self.values[row * dimension..][..dimension].zeroize();
        self.numbers[row * dimension..][..dimension].zeroize();
        self.precisions[row] = Precision::default();
        let group = &mut self.codes[row / LANES * LANES * code_bytes..][..LANES * code_bytes];
        group.iter_mut().skip(row % LANES).step_by(LANES).for_each(|byte| byte.zeroize());
        self.owners[row] = None;
        self.used[row / 64] &= !(1 << (row % 64));
    }

    /// The template of a row and the id of its person; none for a free row.
    pub fn template(&self, row: usize) -> Option<(&Arc<str>, &[f32])> {
        let dimension = self.values.len() / ROWS;
        Some((self.owners.get(row)?.as_ref()?, &self.values[row * dimension..][..dimension]))
    }

    /// Compares a probe with all rows.
    pub fn compare_all<'a>(&'a self, probe: &Probe<'_>, best: &mut Best<'a>) {
        const STEP: usize = 16;
        let (mut sums, mut highest) = ([0; ROWS], [0.0; ROWS]);
        let (sums, highest) = (&mut sums[..self.len()], &mut highest[..self.len()]);
        dot_rows(&self.numbers, &probe.numbers, sums);
        for ((highest, sum), precision) in highest.iter_mut().zip(&*sums).zip(&self.precisions) {
            *highest = probe.highest_similarity(*sum, *precision);
        }
        for (first, highest) in (0..).step_by(STEP).zip(highest.chunks(STEP)) {
            let least = best.least();
            // One decision for 16 rows, of which few are among the best; `any` would make one for each.
            if !highest.iter().fold(false, |any, highest| any | (*highest >= least)) {
                continue;
            }
            for (row, highest) in (first..).zip(highest) {
                if *highest >= best.least() {
                    self.compare_exactly(probe, row, best);
                }
            }
        }
    }

    /// Loads a row for [`Block::compare_one`] into the caches.
    pub fn prefetch(&self, row: usize) {
        let dimension = self.values.len() / ROWS;
        prefetch(&self.numbers[row * dimension..][..dimension]);
        prefetch(&self.precisions[row..=row]);
    }

    /// Compares a probe with one row.
    pub fn compare_one<'a>(&'a self, probe: &Probe<'_>, row: usize, best: &mut Best<'a>) {
        let mut sum = [0];
        let dimension = probe.values.len();
        dot_rows(&self.numbers[row * dimension..][..dimension], &probe.numbers, &mut sum);
        if probe.highest_similarity(sum[0], self.precisions[row]) >= best.least() {
            self.compare_exactly(probe, row, best);
        }
    }

    fn compare_exactly<'a>(&'a self, probe: &Probe<'_>, row: usize, best: &mut Best<'a>) {
        if let Some((owner, values)) = self.template(row) {
            best.offer(owner, dot_product(values, probe.values));
        }
    }

    /// Adds the rows, numbered from `first` on, to a selection by sign code.
    pub fn select(&self, tables: &[crate::kernels::Table], first: u32, selection: &mut Selection) {
        let mut sums = [0; ROWS];
        let groups = self.len().div_ceil(LANES);
        sum_codes(&self.codes[..groups * LANES * tables.len() / 2], tables, &mut sums);
        selection.add(&sums, first, &self.used);
    }
}

/// How precise an 8-bit form is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Precision {
    /// The size of one step.
    step: f32,
    /// The length of the difference to the exact form.
    error: f32,
}

/// Writes `values` as whole steps.
fn quantise(values: &[f32], numbers: &mut [i8]) -> Precision {
    let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let step = largest / f32::from(i8::MAX);
    let mut squares = 0.0f32;
    for (number, value) in numbers.iter_mut().zip(values) {
        *number = (value / step).round() as i8;
        squares += (value - step * f32::from(*number)).powi(2);
    }
    Precision { step, error: squares.sqrt() }
}

/// A face that is searched for.
pub(super) struct Probe<'a> {
    values: &'a [f32],
    /// The values in whole steps.
    numbers: Vec<i8>,
    precision: Precision,
}

impl<'a> Probe<'a> {
    pub fn new(values: &'a [f32]) -> Self {
        let mut numbers = vec![0; values.len()];
        let precision = quantise(values, &mut numbers);
        Self { values, numbers, precision }
    }

    /// No row with this product of the 8-bit forms and this precision has a higher similarity.
    #[inline]
    fn highest_similarity(&self, product: i32, row: Precision) -> f32 {
        let Precision { step, error } = self.precision;
        // By Cauchy and Schwarz: the probe is 1 long, and the 8-bit form of a row at most `1 + row.error`.
        product as f32 * (step * row.step) + row.error + error * (1.0 + row.error) + ROUNDING
    }
}

/// The most similar people so far, best first, equal ones by id.
pub(super) struct Best<'a> {
    count: usize,
    people: Vec<(f32, &'a Arc<str>)>,
}

impl<'a> Best<'a> {
    pub fn new(count: usize) -> Self {
        Self { count, people: Vec::new() }
    }

    /// A similarity below this one changes nothing.
    fn least(&self) -> f32 {
        if self.people.len() < self.count {
            return f32::NEG_INFINITY;
        }
        self.people.last().map_or(f32::INFINITY, |(similarity, _)| *similarity)
    }

    fn offer(&mut self, owner: &'a Arc<str>, similarity: f32) {
        if let Some(place) = self.people.iter().position(|(_, known)| *known == owner) {
            if self.people[place].0 >= similarity {
                return;
            }
            self.people.remove(place);
        }
        let is_better =
            |(known, id): &(f32, &Arc<str>)| similarity.total_cmp(known).then((*id).cmp(owner)).is_lt();
        let place = self.people.partition_point(is_better);
        self.people.insert(place, (similarity, owner));
        self.people.truncate(self.count);
    }

    /// The people's ids and similarities, best first.
    pub fn finish(self) -> impl Iterator<Item = (&'a Arc<str>, f32)> {
        self.people.into_iter().map(|(similarity, owner)| (owner, similarity))
    }
}

#[cfg(test)]
impl Block {
    /// True unless all memory of a row's template is zero.
    pub fn holds_anything_of(&self, row: usize) -> bool {
        let (dimension, code_bytes) = (self.values.len() / ROWS, self.codes.len() / ROWS);
        let codes = self.codes[row / LANES * LANES * code_bytes..][..LANES * code_bytes].iter();
        self.values[row * dimension..][..dimension].iter().any(|value| *value != 0.0)
            || self.numbers[row * dimension..][..dimension].iter().any(|number| *number != 0)
            || codes.skip(row % LANES).step_by(LANES).any(|byte| *byte != 0)
            || self.precisions[row] != Precision::default()
    }
}
