//! A set of numbers that come mostly in order: kept as ranges, so that millions take the memory of a few.

use std::collections::BTreeMap;

/// Disjoint, non-adjacent, half-open ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds a number; false if it was there.
    pub fn insert(&mut self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| number < end) {
            return false;
        }
        let start = match before {
            Some((start, end)) if end == number => start,
            _ => number,
        };
        let end = self.0.remove(&(number + 1)).unwrap_or(number + 1);
        self.0.insert(start, end);
        true
    }

    /// True if the number is there.
    pub fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    /// The holes between the first and the last number.
    pub fn gaps(&self) -> impl Iterator<Item = std::ops::Range<u64>> + '_ {
        self.0.values().zip(self.0.keys().skip(1)).map(|(end, start)| *end..*start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_in_order_are_one_range() {
        let mut ranges = Ranges::default();
        assert!((0..1_000_000).all(|number| ranges.insert(number)));
        assert_eq!(ranges.0.len(), 1);
        assert!(!ranges.insert(77));
    }

    proptest! {
        #[test]
        fn it_is_a_set(numbers in proptest::collection::vec(0u64..60, 0..200)) {
            let mut ranges = Ranges::default();
            let mut set = std::collections::BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(ranges.insert(number), set.insert(number));
            }
            for number in 0..61 {
                prop_assert_eq!(ranges.contains(number), set.contains(&number));
            }
            let holes: u64 = ranges.gaps().map(|gap| gap.end - gap.start).sum();
            let (first, last) = (set.first().copied().unwrap_or(0), set.last().map_or(0, |last| last + 1));
            prop_assert_eq!(holes, last - first - set.len() as u64);
        }
    }
}
