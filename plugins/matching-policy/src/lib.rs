//! The shipped matching policy: decides whether a face is a person of the gallery (known), nobody of it (unknown), or
//! undecided.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod policy;
mod settings;

use everyframe_rule::{Frame, Host, MatchingPolicy, Probe, Verdict};
use settings::Settings;

everyframe_rule::export_matching_policy!(Settings);

impl MatchingPolicy for Settings {
    fn decide(&self, _frame: &Frame, probes: &[Probe], host: &mut dyn Host) -> Vec<Verdict> {
        let verdict = |probe: &Probe| {
            let face = probe.face.index;
            let decision = policy::decide(self, probe, || host.embedding(face).is_some());
            Verdict { face, decision }
        };
        probes.iter().map(verdict).collect()
    }
}
