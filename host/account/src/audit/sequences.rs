//! The numbers that agents gave to their frames: which are not there, and which the agent said it would not send.

use everyframe_types::ranges::Ranges;
use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

/// How many sessions of a camera are kept open. A producer that begins a session with every frame would otherwise make
/// the account grow with the frames; beyond this, those not heard of for longest are closed.
const OPEN: usize = 1000;

/// The sessions of one camera.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    open: HashMap<String, Session>,
    /// Grows with every number: tells which session was heard of last.
    clock: u64,
    closed: Closed,
}

#[derive(Debug, Default)]
struct Session {
    seen: Ranges,
    refused: Ranges,
    /// By partition, the highest number so far: between partitions there is no order.
    highest: Vec<(i32, u64)>,
    heard: u64,
}

/// What a camera's sessions came to.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// Numbers that are neither there nor refused.
    pub gaps: Numbers,
    /// Numbers that were refused, and are not there.
    pub refused: Numbers,
}

/// How many numbers, and which: the first ranges of them by session.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub count: u64,
    pub ranges: Vec<(String, Range<u64>)>,
    /// Ranges that are not named.
    pub more: u64,
}

impl Sequences {
    /// A frame with this number; true if it is new, and came after a higher one.
    pub fn frame(&mut self, partition: i32, session: &str, number: u64) -> bool {
        let session = self.session(session);
        let is_new = session.seen.insert(number);
        match session.highest.iter_mut().find(|(of, _)| *of == partition) {
            Some((_, highest)) if number < *highest => is_new,
            Some((_, highest)) => {
                *highest = number;
                false
            }
            None => {
                session.highest.push((partition, number));
                false
            }
        }
    }

    /// The agent refused these.
    pub fn refused(&mut self, session: &str, numbers: RangeInclusive<u64>) {
        self.session(session).refused.insert_all(numbers);
    }

    fn session(&mut self, name: &str) -> &mut Session {
        if !self.open.contains_key(name) && self.open.len() >= OPEN {
            self.close_half();
        }
        self.clock += 1;
        let session = self.open.entry(name.to_owned()).or_default();
        session.heard = self.clock;
        session
    }

    fn close_half(&mut self) {
        let mut heard: Vec<u64> = self.open.values().map(|session| session.heard).collect();
        heard.sort_unstable();
        let median = heard[heard.len() / 2];
        let quiet: Vec<String> = self
            .open
            .iter()
            .filter(|(_, session)| session.heard < median)
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
        match self.ranges.len() < super::NAMED {
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
            sequences.frame(0, session, *number);
        }
        for (session, numbers) in refused {
            sequences.refused(session, numbers.clone());
        }
        sequences.close()
    }

    #[test]
    fn a_hole_in_a_session_is_a_gap_and_a_new_session_is_not() {
        let gaps = closed(&[("a", 0), ("a", 1), ("a", 4), ("b", 0)], &[]).gaps;
        assert_eq!((gaps.count, gaps.ranges), (2, vec![("a".to_owned(), 2..4)]));
    }

    #[test]
    fn what_the_agent_refused_is_no_gap_and_what_came_all_the_same_is_not_refused() {
        let closed = closed(&[("a", 0), ("a", 2), ("a", 9)], &[("a", 1..=4), ("a", 10..=11)]);
        assert_eq!(closed.refused.count, 5);
        assert_eq!(closed.refused.ranges[0], ("a".to_owned(), 1..2));
        assert_eq!((closed.gaps.count, closed.gaps.ranges), (4, vec![("a".to_owned(), 5..9)]));
    }

    #[test]
    fn a_number_is_late_once_and_in_its_own_partition() {
        let mut sequences = Sequences::default();
        let mut late = |partition, number| sequences.frame(partition, "a", number);
        assert!(!late(0, 5));
        assert!(late(0, 3));
        assert!(!late(0, 3), "it was there");
        assert!(!late(1, 1), "another partition is read in its own time");
        assert!(!late(0, 6));
    }

    #[test]
    fn sessions_without_end_are_closed_one_after_the_other() {
        let mut sequences = Sequences::default();
        for number in 0..10_000 {
            let session = number.to_string();
            sequences.frame(0, &session, 0);
            sequences.frame(0, &session, 2);
        }
        assert!(sequences.open.len() <= OPEN);
        let gaps = sequences.close().gaps;
        assert_eq!((gaps.count, gaps.more), (10_000, 10_000 - super::super::NAMED as u64));
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
