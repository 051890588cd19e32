//! The ledger: for each camera, which frames there are and what became of them. Pure.

use super::Ranges;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// One camera's counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CameraCount {
    /// Frames in the frames topic.
    pub sent: u64,
    /// Of these, with a result.
    pub results: u64,
    /// Of these, parked in the dead letters and without a result.
    pub dead_letters: u64,
    /// Of these, committed by the group but with neither: lost.
    pub missing: u64,
    /// Of these, not committed yet, and with neither: still to come.
    pub waiting: u64,
    /// Results and dead letters beyond the first of a frame.
    pub repeated: u64,
    /// Sequence numbers that the agent gave and that never reached the topic.
    pub gaps: u64,
}

/// What the topics say, as far as they were read: first results and dead letters, then frames.
#[derive(Debug, Default)]
pub struct Ledger {
    results: HashMap<i32, Ranges>,
    dead_letters: HashMap<i32, Ranges>,
    cameras: BTreeMap<String, CameraCount>,
    repeats: HashMap<i32, BTreeMap<u64, u64>>,
    sequences: HashMap<(String, String), Ranges>,
    missing: BTreeMap<String, Vec<String>>,
}

/// The whole account.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// By camera.
    pub cameras: BTreeMap<String, CameraCount>,
    /// All cameras together.
    pub total: CameraCount,
    /// By camera, where the missing frames stand (partition/offset), the first hundred.
    pub missing: BTreeMap<String, Vec<String>>,
}

/// How many missing frames of a camera are named.
const NAMED: usize = 100;

impl Ledger {
    /// A result stands for this frame.
    pub fn result(&mut self, partition: i32, offset: u64) {
        if !self.results.entry(partition).or_default().insert(offset) {
            self.repeat(partition, offset);
        }
    }

    /// A dead letter stands for this frame.
    pub fn dead_letter(&mut self, partition: i32, offset: u64) {
        if !self.dead_letters.entry(partition).or_default().insert(offset) {
            self.repeat(partition, offset);
        }
    }

    fn repeat(&mut self, partition: i32, offset: u64) {
        *self.repeats.entry(partition).or_default().entry(offset).or_default() += 1;
    }

    /// The frame itself. `committed` is the group's offset in the partition, as it was before anything was read;
    /// `sequence` is the agent's session and number, if there was an agent.
    pub fn frame(
        &mut self,
        partition: i32,
        offset: u64,
        camera: &str,
        committed: u64,
        sequence: Option<(&str, u64)>,
    ) {
        let has = |ranges: &HashMap<i32, Ranges>| ranges.get(&partition).is_some_and(|r| r.contains(offset));
        let (result, dead_letter) = (has(&self.results), has(&self.dead_letters));
        let count = self.cameras.entry(camera.to_owned()).or_default();
        count.sent += 1;
        count.results += u64::from(result);
        count.dead_letters += u64::from(dead_letter && !result);
        count.repeated += u64::from(dead_letter && result);
        count.repeated += self.repeats.get(&partition).and_then(|of| of.get(&offset)).copied().unwrap_or(0);
        if !result && !dead_letter {
            if offset < committed {
                count.missing += 1;
                let named = self.missing.entry(camera.to_owned()).or_default();
                if named.len() < NAMED {
                    named.push(format!("{partition}/{offset}"));
                }
            } else {
                count.waiting += 1;
            }
        }
        if let Some((session, number)) = sequence {
            self.sequences.entry((camera.to_owned(), session.to_owned())).or_default().insert(number);
        }
    }

    /// Closes the account.
    pub fn report(mut self) -> Report {
        for ((camera, _), numbers) in &self.sequences {
            if let Some(count) = self.cameras.get_mut(camera) {
                count.gaps += numbers.gaps().map(|gap| gap.end - gap.start).sum::<u64>();
            }
        }
        let mut total = CameraCount::default();
        for count in self.cameras.values() {
            total.sent += count.sent;
            total.results += count.results;
            total.dead_letters += count.dead_letters;
            total.missing += count.missing;
            total.waiting += count.waiting;
            total.repeated += count.repeated;
            total.gaps += count.gaps;
        }
        Report { cameras: self.cameras, total, missing: self.missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_a_result_a_dead_letter_missing_or_waiting() {
        let mut ledger = Ledger::default();
        ledger.result(0, 0);
        ledger.dead_letter(0, 1);
        for offset in 0..4 {
            ledger.frame(0, offset, "gate", 3, Some(("s", offset)));
        }
        let report = ledger.report();
        let expected = CameraCount {
            sent: 4,
            results: 1,
            dead_letters: 1,
            missing: 1,
            waiting: 1,
            ..Default::default()
        };
        assert_eq!(report.total, expected);
        assert_eq!(report.missing["gate"], ["0/2"]);
    }

    #[test]
    fn what_was_done_twice_is_repeated_not_lost() {
        let mut ledger = Ledger::default();
        ledger.result(0, 0);
        ledger.result(0, 0);
        ledger.result(0, 1);
        ledger.dead_letter(0, 1);
        ledger.frame(0, 0, "gate", 2, None);
        ledger.frame(0, 1, "gate", 2, None);
        let total = ledger.report().total;
        assert_eq!((total.results, total.dead_letters, total.missing, total.repeated), (2, 0, 0, 2));
    }

    #[test]
    fn a_hole_in_a_session_is_a_gap_and_a_new_session_is_not() {
        let mut ledger = Ledger::default();
        for (offset, (session, number)) in [("a", 0), ("a", 1), ("a", 4), ("b", 0)].into_iter().enumerate() {
            ledger.frame(0, offset as u64, "gate", 0, Some((session, number)));
        }
        assert_eq!(ledger.report().total.gaps, 2);
    }
}
