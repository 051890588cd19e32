//! The ledger of one lane: finds sequence gaps at the first frame after them. Pure.
//!
//! It keeps a few kilobytes for each of the last cameras, and nothing beyond the end of a lane. Gaps where a partition
//! changed hands are found by the account, from the topics alone.

use everyframe_types::ranges::Ranges;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// How many cameras are remembered: keys come from outside, and must not fill the memory.
const CAMERAS: usize = 1000;
/// How many sessions of a camera: an agent has one at a time, and one more while an old spool empties.
const SESSIONS: usize = 8;
/// How many ranges of a session. Beyond it the oldest gap is forgotten: what still comes for it counts as repeated.
const RANGES: usize = 32;

/// What a frame's sequence number says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceCheck {
    /// It is the next one, or the first one known of its session.
    InOrder,
    /// It came after a higher one.
    Late,
    /// The number came before.
    Repeated,
    /// It came after a gap: these numbers are missing, and no agent refused them.
    Gap(Vec<RangeInclusive<u64>>),
}

/// The sessions of the cameras of one partition, whose frames come in the order of their offsets.
#[derive(Debug, Default)]
pub struct LiveLedger {
    cameras: HashMap<Arc<str>, Camera>,
    /// Grows with every record: tells which camera was heard of last.
    clock: u64,
}

#[derive(Debug, Default)]
struct Camera {
    /// The one heard of last at the end.
    sessions: Vec<Session>,
    heard: u64,
}

#[derive(Debug)]
struct Session {
    name: Arc<str>,
    seen: Ranges,
    refused: Ranges,
}

impl LiveLedger {
    /// Records a frame that an agent numbered. Returns what its number says.
    pub fn record_frame(&mut self, camera: &Arc<str>, session: &Arc<str>, number: u64) -> SequenceCheck {
        let session = self.session(camera, session);
        let number = number.min(u64::MAX - 1);
        let highest = session.seen.last();
        let is_new = session.seen.insert(number);
        let checks = match highest {
            _ if !is_new => SequenceCheck::Repeated,
            Some(highest) if number < highest => SequenceCheck::Late,
            Some(highest) if number > highest + 1 => {
                let mut jumped = Ranges::default();
                jumped.insert_all(highest + 1..=number - 1);
                let missing = jumped.without(&session.refused);
                match missing.is_empty() {
                    true => SequenceCheck::InOrder,
                    false => {
                        SequenceCheck::Gap(missing.into_iter().map(|gap| gap.start..=gap.end - 1).collect())
                    }
                }
            }
            _ => SequenceCheck::InOrder,
        };
        while session.seen.len() > RANGES {
            session.seen.fill_first_gap();
        }
        checks
    }

    /// Records frames that an agent refused. Returns how many of them were neither there nor refused before.
    pub fn record_refusal(
        &mut self,
        camera: &Arc<str>,
        session: &Arc<str>,
        numbers: RangeInclusive<u64>,
    ) -> u64 {
        let session = self.session(camera, session);
        let mut known = session.refused.clone();
        known.insert_all(numbers.clone());
        let news = known.without(&session.refused);
        let mut new = Ranges::default();
        news.into_iter().for_each(|range| new.insert_all(range.start..=range.end - 1));
        let count = new.without(&session.seen).into_iter().map(|range| range.end - range.start).sum();
        session.refused = known;
        while session.refused.len() > RANGES {
            session.refused.remove_first();
        }
        count
    }

    fn session(&mut self, camera: &Arc<str>, name: &Arc<str>) -> &mut Session {
        if !self.cameras.contains_key(camera) && self.cameras.len() >= CAMERAS {
            self.forget_half();
        }
        self.clock += 1;
        let camera = self.cameras.entry(camera.clone()).or_default();
        camera.heard = self.clock;
        let sessions = &mut camera.sessions;
        let session = match sessions.iter().rposition(|session| session.name == *name) {
            Some(at) if at + 1 == sessions.len() => None,
            Some(at) => Some(sessions.remove(at)),
            None => {
                if sessions.len() >= SESSIONS {
                    sessions.remove(0);
                }
                Some(Session { name: name.clone(), seen: Ranges::default(), refused: Ranges::default() })
            }
        };
        sessions.extend(session);
        let last = sessions.len() - 1;
        &mut sessions[last]
    }

    fn forget_half(&mut self) {
        let mut heard: Vec<u64> = self.cameras.values().map(|camera| camera.heard).collect();
        let median = *heard.select_nth_unstable(CAMERAS / 2).1;
        self.cameras.retain(|_, camera| camera.heard > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(ledger: &mut LiveLedger, session: &str, number: u64) -> SequenceCheck {
        ledger.record_frame(&"gate".into(), &session.into(), number)
    }

    fn refused(ledger: &mut LiveLedger, numbers: RangeInclusive<u64>) -> u64 {
        ledger.record_refusal(&"gate".into(), &"a".into(), numbers)
    }

    #[test]
    fn a_gap_is_found_at_the_first_frame_after_it() {
        let mut ledger = LiveLedger::default();
        let checks = [0, 1, 4, 5].map(|number| frame(&mut ledger, "a", number));
        assert_eq!(
            checks,
            [
                SequenceCheck::InOrder,
                SequenceCheck::InOrder,
                SequenceCheck::Gap(vec![2..=3]),
                SequenceCheck::InOrder
            ]
        );
        assert_eq!(frame(&mut ledger, "b", 70), SequenceCheck::InOrder);
        assert_eq!(frame(&mut ledger, "a", 7), SequenceCheck::Gap(vec![6..=6]), "the old one goes on");
    }

    #[test]
    fn late_and_repeated_numbers_are_told_apart() {
        let mut ledger = LiveLedger::default();
        let checks = [5, 9, 7, 7, 3, 9].map(|number| frame(&mut ledger, "a", number));
        let expected =
            [SequenceCheck::Late, SequenceCheck::Repeated, SequenceCheck::Late, SequenceCheck::Repeated];
        assert_eq!(checks[2..], expected);
    }

    #[test]
    fn refused_numbers_are_not_missing_and_count_once() {
        let mut ledger = LiveLedger::default();
        frame(&mut ledger, "a", 0);
        assert_eq!(refused(&mut ledger, 2..=4), 3);
        assert_eq!(refused(&mut ledger, 0..=5), 2, "0 is there, 2 to 4 were refused");
        assert_eq!(frame(&mut ledger, "a", 8), SequenceCheck::Gap(vec![6..=7]));
        assert_eq!(refused(&mut ledger, 9..=9), 1);
        assert_eq!(frame(&mut ledger, "a", 10), SequenceCheck::InOrder);
    }

    #[test]
    fn the_greatest_numbers_do_no_harm() {
        let mut ledger = LiveLedger::default();
        frame(&mut ledger, "a", 0);
        assert_eq!(frame(&mut ledger, "a", u64::MAX), SequenceCheck::Gap(vec![1..=u64::MAX - 2]));
        assert_eq!(frame(&mut ledger, "a", u64::MAX), SequenceCheck::Repeated);
        refused(&mut ledger, 0..=u64::MAX);
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut ledger = LiveLedger::default();
        for number in 0..5000u64 {
            let name: Arc<str> = number.to_string().into();
            ledger.record_frame(&name, &name, 0);
            ledger.record_frame(&"gate".into(), &name, number);
            ledger.record_frame(&"gate".into(), &"odd".into(), 2 * number);
            ledger.record_refusal(&"gate".into(), &"odd".into(), 2 * number + 1..=2 * number + 1);
        }
        assert!(ledger.cameras.len() <= CAMERAS);
        let gate = &ledger.cameras["gate"];
        assert!(gate.sessions.len() <= SESSIONS);
        assert!(gate.sessions.iter().all(|of| of.seen.len() <= RANGES && of.refused.len() <= RANGES));
    }

    fn any_number() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..8, (u64::MAX - 4)..=u64::MAX, any::<u64>()]
    }

    proptest! {
        #[test]
        fn any_numbers_leave_the_ledger_in_order(
            words in proptest::collection::vec((any_number(), proptest::option::of(any_number())), 0..60),
        ) {
            let mut ledger = LiveLedger::default();
            for (number, to) in words {
                match to {
                    Some(to) => {
                        let count = refused(&mut ledger, number..=to);
                        prop_assert!(u128::from(count) <= (u128::from(to) + 1).saturating_sub(number.into()));
                    }
                    None => {
                        if let SequenceCheck::Gap(missing) = frame(&mut ledger, "a", number) {
                            prop_assert!(missing.iter().all(|gap| !gap.is_empty() && *gap.end() < number));
                        }
                        prop_assert_ne!(frame(&mut ledger, "a", number), SequenceCheck::InOrder);
                    }
                }
            }
        }

        /// Every number is seen, noticed as missing, or before the first.
        #[test]
        fn gaps_less_late_frames_are_what_is_not_there(numbers in proptest::collection::vec(0u64..40, 1..60)) {
            let mut ledger = LiveLedger::default();
            let (mut missing, mut late) = (0, 0);
            let first = numbers[0];
            for number in &numbers {
                match frame(&mut ledger, "a", *number) {
                    SequenceCheck::Gap(ranges) => missing += ranges.iter().map(|r| r.end() - r.start() + 1).sum::<u64>(),
                    SequenceCheck::Late if *number > first => late += 1,
                    _ => {}
                }
            }
            let there: std::collections::BTreeSet<u64> = numbers.iter().copied().filter(|n| *n >= first).collect();
            let last = *there.last().unwrap();
            prop_assert_eq!(missing - late, last - first + 1 - there.len() as u64);
        }
    }
}
