//! What this host has done since it started.

use crate::event::Timings;
use crate::publish::Outcome;
use std::sync::Mutex;

/// Counts and sums, for the closing line and for `everyframe bench`.
#[derive(Debug, Default)]
pub struct Totals(Mutex<Snapshot>);

/// The totals at one moment.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    /// Frames taken in.
    pub taken_in: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Frames judged.
    pub judged: u64,
    /// Frames parked.
    pub parked: u64,
    /// Faces in the frames judged.
    pub faces: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Milliseconds of each stage, added up over the frames judged.
    pub timings: Timings,
}

impl Totals {
    /// The totals now.
    pub fn now(&self) -> Snapshot {
        super::lanes::locked(&self.0).clone()
    }

    pub(super) fn taken_in(&self, bytes: usize) {
        let mut totals = super::lanes::locked(&self.0);
        totals.taken_in += 1;
        totals.bytes += bytes as u64;
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        let mut totals = super::lanes::locked(&self.0);
        match outcome {
            Outcome::Parked(parked) => {
                totals.parked += 1;
                tracing::warn!(
                    reason = parked.reason,
                    stage = parked.stage,
                    "frame parked: {}",
                    parked.message
                );
            }
            Outcome::Judged { judgement, timings, .. } => {
                totals.judged += 1;
                totals.faces += judgement.subjects.len() as u64;
                totals.alerts += judgement.alerts.len() as u64;
                totals.timings.decode_ms += timings.decode_ms;
                totals.timings.detect_ms += timings.detect_ms;
                totals.timings.embed_ms += timings.embed_ms;
                totals.timings.rules_ms += timings.rules_ms;
            }
        }
    }
}
