//! A set of offsets with at most one bit for each. Results of one partition are read from several partitions of the results
//! topic in any order, so ranges would not be compact.

use std::collections::BTreeMap;

/// Offsets in one chunk.
const CHUNK: u64 = 4096;
const WORDS: usize = (CHUNK / 64) as usize;

/// A set of offsets. A million dense offsets take a few kilobytes; scattered ones, an eighth of a megabyte.
#[derive(Debug, Clone, Default)]
pub struct Offsets(BTreeMap<u64, Chunk>);

/// A part of the set. A chunk with all its offsets needs no bits.
#[derive(Debug, Clone)]
enum Chunk {
    Full,
    Part { count: u64, bits: Box<[u64; WORDS]> },
}

impl Offsets {
    /// Adds an offset; false if the set contained it.
    pub fn insert(&mut self, offset: u64) -> bool {
        let empty = || Chunk::Part { count: 0, bits: Box::new([0; WORDS]) };
        let chunk = self.0.entry(offset / CHUNK).or_insert_with(empty);
        let Chunk::Part { count, bits } = chunk else { return false };
        let (word, bit) = place(offset);
        if bits[word] & bit != 0 {
            return false;
        }
        bits[word] |= bit;
        *count += 1;
        if *count == CHUNK {
            *chunk = Chunk::Full;
        }
        true
    }

    /// True if the set contains the offset.
    pub fn contains(&self, offset: u64) -> bool {
        match self.0.get(&(offset / CHUNK)) {
            Some(Chunk::Full) => true,
            Some(Chunk::Part { bits, .. }) => {
                let (word, bit) = place(offset);
                bits[word] & bit != 0
            }
            None => false,
        }
    }
}

/// The index of the word in its chunk, and the bit in the word.
fn place(offset: u64) -> (usize, u64) {
    ((offset % CHUNK / 64) as usize, 1 << (offset % 64))
}

/// Offsets that occur more often than this are counted in a map.
const LAYERS: usize = 4;

/// Counts how often each offset occurs: the sets of offsets that occur at least once, at least twice and so on, in `LAYERS` sets;
/// beyond that, a number for each offset.
#[derive(Debug, Clone, Default)]
pub struct OffsetCounts {
    layers: Vec<Offsets>,
    more: BTreeMap<u64, u64>,
}

impl OffsetCounts {
    /// Counts an offset.
    pub fn add(&mut self, offset: u64) {
        if self.layers.iter_mut().any(|layer| layer.insert(offset)) {
            return;
        }
        if self.layers.len() < LAYERS {
            let mut layer = Offsets::default();
            layer.insert(offset);
            self.layers.push(layer);
        } else {
            let more = self.more.entry(offset).or_default();
            *more = more.saturating_add(1);
        }
    }

    /// How often the offset occurred.
    pub fn count(&self, offset: u64) -> u64 {
        let few = self.layers.iter().take_while(|layer| layer.contains(offset)).count() as u64;
        few.saturating_add(self.more.get(&offset).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dense_offsets_keep_no_bits_in_any_order() {
        let mut offsets = Offsets::default();
        assert!((0..10 * CHUNK).step_by(2).chain((1..10 * CHUNK).step_by(2)).all(|o| offsets.insert(o)));
        assert!(offsets.0.values().all(|chunk| matches!(chunk, Chunk::Full)));
        assert!(!offsets.insert(77) && offsets.contains(77) && !offsets.contains(10 * CHUNK));
    }

    proptest! {
        #[test]
        fn every_offset_is_counted(offsets in proptest::collection::vec(prop_oneof![0u64..20, 4090u64..4100, (u64::MAX - 3)..=u64::MAX], 0..200)) {
            let mut times = OffsetCounts::default();
            for offset in &offsets {
                times.add(*offset);
            }
            for offset in (0..21).chain(4089..4101).chain((u64::MAX - 4)..=u64::MAX) {
                let expected = offsets.iter().filter(|other| **other == offset).count() as u64;
                prop_assert_eq!(times.count(offset), expected);
            }
        }
    }
}
