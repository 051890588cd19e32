//! A set of mostly consecutive numbers, stored as ranges: millions of numbers take the memory of a few ranges.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

/// Disjoint, non-adjacent, half-open ranges. `u64::MAX` is stored as `u64::MAX - 1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds a number; false if the set contained it.
    pub fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        self.insert_all(number..=number);
        true
    }

    /// Adds all of these numbers; none if the first is greater than the last.
    pub fn insert_all(&mut self, numbers: RangeInclusive<u64>) {
        if numbers.is_empty() {
            return;
        }
        let (first, end) = (*numbers.start(), numbers.end().saturating_add(1));
        let (mut start, mut stop) = (first.min(end - 1), end);
        // Ranges that overlap or touch it are merged into it.
        while let Some((from, to)) = self.0.range(..=stop).next_back().map(|(from, to)| (*from, *to)) {
            if to < start {
                break;
            }
            self.0.remove(&from);
            (start, stop) = (start.min(from), stop.max(to));
        }
        self.0.insert(start, stop);
    }

    /// True if the set contains the number.
    pub fn contains(&self, number: u64) -> bool {
        let number = number.min(u64::MAX - 1);
        self.0.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    /// The greatest number.
    pub fn last(&self) -> Option<u64> {
        self.0.last_key_value().map(|(_, end)| end - 1)
    }

    /// The number of ranges.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the numbers between the first two ranges, which merges them.
    pub fn fill_first_gap(&mut self) {
        let first = self.gaps().next();
        if let Some(gap) = first {
            self.insert_all(gap.start..=gap.end - 1);
        }
    }

    /// Removes the first range.
    pub fn remove_first(&mut self) {
        self.0.pop_first();
    }

    /// The gaps between the first and the last number.
    pub fn gaps(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.values().zip(self.0.keys().skip(1)).map(|(end, start)| *end..*start)
    }

    /// The ranges of numbers that are in this set and not in the other.
    pub fn without(&self, other: &Self) -> Vec<Range<u64>> {
        let mut left = Vec::new();
        for (start, end) in &self.0 {
            let mut from = *start;
            let before = other.0.range(..=from).next_back();
            for (taken, until) in before.into_iter().chain(other.0.range(from.saturating_add(1)..*end)) {
                if from < *taken {
                    left.push(from..*taken);
                }
                from = from.max(*until);
            }
            if from < *end {
                left.push(from..*end);
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_in_order_are_one_range() {
        let mut ranges = Ranges::default();
        assert!((0..1_000_000).all(|number| ranges.insert(number)));
        assert_eq!(ranges.0.len(), 1);
        assert!(!ranges.insert(77));
    }

    #[test]
    fn the_greatest_numbers_are_accepted() {
        let mut ranges = Ranges::default();
        ranges.insert_all(0..=u64::MAX);
        assert!(!ranges.insert(u64::MAX) && ranges.contains(5));
        let mut ranges = Ranges::default();
        ranges.insert(u64::MAX);
        ranges.insert(1);
        assert!(ranges.contains(u64::MAX));
        assert_eq!(ranges.gaps().count(), 1);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "a header may contain it")]
    fn a_range_that_ends_before_it_begins_has_no_numbers() {
        let mut ranges = Ranges::default();
        ranges.insert_all(5..=3);
        ranges.insert_all(u64::MAX..=0);
        assert!(ranges.is_empty());
    }

    /// Numbers around the ends of what there is.
    fn any_number() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..8, (u64::MAX - 8)..=u64::MAX, any::<u64>()]
    }

    proptest! {
        #[test]
        fn ranges_stay_disjoint_for_any_input(
            numbers in proptest::collection::vec((any_number(), any_number()), 0..40),
            others in proptest::collection::vec((any_number(), any_number()), 0..40),
        ) {
            let build = |numbers: &[(u64, u64)]| {
                let mut ranges = Ranges::default();
                for (first, last) in numbers {
                    ranges.insert_all(*first..=*last);
                    ranges.insert(*last);
                    assert!(ranges.contains(*last));
                }
                ranges
            };
            let (mut ranges, other) = (build(&numbers), build(&others));
            for (start, end) in &ranges.0 {
                prop_assert!(start < end, "{start}..{end}");
            }
            prop_assert!(ranges.0.iter().zip(ranges.0.keys().skip(1)).all(|((_, end), next)| end < next));
            for left in ranges.without(&other) {
                prop_assert!(left.start < left.end);
                prop_assert!(ranges.contains(left.start) && !other.contains(left.start));
                prop_assert!(ranges.contains(left.end - 1) && !other.contains(left.end - 1));
            }
            let before = ranges.len();
            ranges.fill_first_gap();
            prop_assert!(ranges.len() <= before);
        }

        #[test]
        fn ranges_behave_like_a_set(
            numbers in proptest::collection::vec((0u64..60, 0u64..5), 0..60),
            others in proptest::collection::vec((0u64..60, 0u64..5), 0..60),
        ) {
            let build = |numbers: &[(u64, u64)]| {
                let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
                for (number, more) in numbers {
                    if *more == 0 {
                        assert_eq!(ranges.insert(*number), set.insert(*number));
                    } else {
                        ranges.insert_all(*number..=number + more);
                        set.extend(*number..=number + more);
                    }
                }
                (ranges, set)
            };
            let ((ranges, set), (other, others)) = (build(&numbers), build(&others));
            for number in 0..66 {
                prop_assert_eq!(ranges.contains(number), set.contains(&number));
            }
            let holes: u64 = ranges.gaps().map(|gap| gap.end - gap.start).sum();
            let (first, last) = (set.first().copied().unwrap_or(0), set.last().map_or(0, |last| last + 1));
            prop_assert_eq!(holes, last - first - set.len() as u64);
            let without: Vec<u64> = ranges.without(&other).into_iter().flatten().collect();
            let expected: Vec<u64> = set.difference(&others).copied().collect();
            prop_assert_eq!(without, expected);
        }
    }
}
