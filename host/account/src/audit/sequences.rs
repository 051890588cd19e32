//! The sequence numbers of agents: gaps, and numbers that an agent refused.

use everyframe_types::ranges::Ranges;
use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

/// The most open sessions of a camera. Beyond this, the least recent ones are closed. Otherwise a producer that starts a session
/// with every frame would make the ledger grow with the frames.
const MAX_OPEN: usize = 1000;

/// The sessions of one camera.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    open: HashMap<String, Session>,
    /// Increases with every number, to find the least recent sessions.
    clock: u64,
    closed: Closed,
}

#[derive(Debug, Default)]
struct Session {
    seen: Ranges,
    refused: Ranges,
    /// By partition, the highest number so far: between partitions there is no order.
    highest: Vec<(i32, u64)>,
    /// `clock` at the last number.
    last_used: u64,
}

/// How a frame's number came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// After lower numbers, or first of its session.
    InOrder,
    /// After a higher number of its partition.
    Late,
    /// It came before.
    Repeated,
}

/// The result of a camera's sessions.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// Numbers that neither arrived nor were refused.
    pub gaps: Numbers,
    /// Numbers that were refused and did not arrive.
    pub refused: Numbers,
}

/// A count of numbers, with the first ranges of them by session.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub count: u64,
    pub ranges: Vec<(String, Range<u64>)>,
    /// The number of ranges that are not listed.
    pub more: u64,
}

impl Sequences {
    /// Adds the number of a frame, and says how it came.
    pub fn add_frame(&mut self, partition: i32, session: &str, number: u64) -> Arrival {
        let session = self.session(session);
        if !session.seen.insert(number) {
            return Arrival::Repeated;
        }
        match session.highest.iter_mut().find(|(of, _)| *of == partition) {
            Some((_, highest)) if number < *highest => return Arrival::Late,
            Some((_, highest)) => *highest = number,
            None => session.highest.push((partition, number)),
        }
        Arrival::InOrder
    }

    /// Adds refused numbers.
    pub fn add_refusal(&mut self, session: &str, numbers: RangeInclusive<u64>) {
        self.session(session).refused.insert_all(numbers);
    }

    fn session(&mut self, name: &str) -> &mut Session {
        if !self.open.contains_key(name) && self.open.len() >= MAX_OPEN {
            self.close_half();
        }
        self.clock += 1;
        let session = self.open.entry(name.to_owned()).or_default();
        session.last_used = self.clock;
        session
    }

    fn close_half(&mut self) {
        let mut last_used: Vec<u64> = self.open.values().map(|session| session.last_used).collect();
        last_used.sort_unstable();
        let median = last_used[last_used.len() / 2];
        let quiet: Vec<String> = self
            .open
            .iter()
            .filter(|(_, session)| session.last_used < median)
            .map(|(name, _)| name.clone())
            .collect();
        for name in quiet {
            if let Some(session) = self.open.remove(&name) {
                self.closed.add(&name, session);
            }
        }
    }

    /// Closes all sessions.
    pub fn close(mut self) -> Closed {
        let mut open: Vec<(String, Session)> = self.open.drain().collect();
        open.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, session) in open {
            self.closed.add(&name, session);
        }
        self.closed
    }
}

impl Closed {
    fn add(&mut self, name: &str, session: Session) {
        for range in session.refused.without(&session.seen) {
            self.refused.add(name, range);
        }
        let mut known = session.seen;
        for range in session.refused.without(&known) {
            known.insert_all(range.start..=range.end - 1);
        }
        for gap in known.gaps() {
            self.gaps.add(name, gap);
        }
    }
}

impl Numbers {
    fn add(&mut self, session: &str, range: Range<u64>) {
        self.count = self.count.saturating_add(range.end - range.start);
        match self.ranges.len() < super::MAX_LISTED {
            true => self.ranges.push((session.to_owned(), range)),
            false => self.more += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn closed(numbers: &[(&str, u64)], refused: &[(&str, RangeInclusive<u64>)]) -> Closed {
        let mut sequences = Sequences::default();
        for (session, number) in numbers {
            sequences.add_frame(0, session, *number);
        }
        for (session, numbers) in refused {
            sequences.add_refusal(session, numbers.clone());
        }
        sequences.close()
    }

    #[test]
    fn a_hole_in_a_session_is_a_gap_and_a_new_session_is_not() {
        let gaps = closed(&[("a", 0), ("a", 1), ("a", 4), ("b", 0)], &[]).gaps;
        assert_eq!((gaps.count, gaps.ranges), (2, vec![("a".to_owned(), 2..4)]));
    }

    #[test]
    fn refused_numbers_are_no_gaps() {
        let closed = closed(&[("a", 0), ("a", 2), ("a", 9)], &[("a", 1..=4), ("a", 10..=11)]);
        assert_eq!(closed.refused.count, 5);
        assert_eq!(closed.refused.ranges[0], ("a".to_owned(), 1..2));
        assert_eq!((closed.gaps.count, closed.gaps.ranges), (4, vec![("a".to_owned(), 5..9)]));
    }

    #[test]
    fn a_number_is_late_once_and_in_its_partition() {
        let mut sequences = Sequences::default();
        let mut arrival = |partition, number| sequences.add_frame(partition, "a", number);
        assert_eq!(arrival(0, 5), Arrival::InOrder);
        assert_eq!(arrival(0, 3), Arrival::Late);
        assert_eq!(arrival(0, 3), Arrival::Repeated);
        assert_eq!(arrival(1, 1), Arrival::InOrder, "partitions have no common order");
        assert_eq!(arrival(0, 6), Arrival::InOrder);
    }

    #[test]
    fn the_least_recent_sessions_are_closed() {
        let mut sequences = Sequences::default();
        for number in 0..10_000 {
            let session = number.to_string();
            sequences.add_frame(0, &session, 0);
            sequences.add_frame(0, &session, 2);
        }
        assert!(sequences.open.len() <= MAX_OPEN);
        let gaps = sequences.close().gaps;
        assert_eq!((gaps.count, gaps.more), (10_000, 10_000 - super::super::MAX_LISTED as u64));
    }

    fn any_number() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..8, (u64::MAX - 4)..=u64::MAX, any::<u64>()]
    }

    proptest! {
        #[test]
        fn no_number_is_both_a_gap_and_refused(
            numbers in proptest::collection::vec(any_number(), 0..30),
            refused in proptest::collection::vec((any_number(), any_number()), 0..10),
        ) {
            let numbers: Vec<(&str, u64)> = numbers.into_iter().map(|number| ("a", number)).collect();
            let refused: Vec<_> = refused.into_iter().map(|(from, to)| ("a", from..=to)).collect();
            let Closed { gaps, refused } = closed(&numbers, &refused);
            for (_, gap) in &gaps.ranges {
                prop_assert!(gap.start < gap.end);
                let overlaps = |other: &Range<u64>| gap.start < other.end && other.start < gap.end;
                prop_assert!(!refused.ranges.iter().any(|(_, other)| overlaps(other)));
                prop_assert!(!numbers.iter().any(|(_, number)| gap.contains(number)));
            }
            let sum = |ranges: &[(String, Range<u64>)]| {
                ranges.iter().fold(0u64, |sum, (_, range)| sum.saturating_add(range.end - range.start))
            };
            prop_assert_eq!((gaps.count, refused.count), (sum(&gaps.ranges), sum(&refused.ranges)));
        }
    }
}
