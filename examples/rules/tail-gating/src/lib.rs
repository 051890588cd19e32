//! A stranger who slips in beside somebody known.

use everyframe_rule::{Alert, AlertRule, DAY, Frame, Host, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct TailGating {
    /// How close together the two pass, in ms.
    within_ms: u64,
    /// How old a track is before its face counts as unknown, in ms: at first sight most people are.
    sure_after_ms: u64,
}

everyframe_rule::export_alert_rule!(TailGating);

impl Default for TailGating {
    fn default() -> Self {
        TailGating { within_ms: 3000, sure_after_ms: 500 }
    }
}

impl Rule for TailGating {
    const ABOUT: &str = "Raises an alert when a stranger passes within seconds of somebody known.";
}

/// Somebody who passed a moment ago, as kept in the state.
#[derive(Deserialize, Serialize)]
struct Passed {
    track: u64,
    /// Nobody for a stranger.
    person: Option<String>,
}

impl AlertRule for TailGating {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        for subject in subjects {
            let face = &subject.face;
            let is_sure = frame.since(face.track_started_at) >= self.sure_after_ms;
            let key = match subject.person() {
                Some(_) => "known",
                None if subject.is_unknown() && is_sure => "unknown",
                None => continue,
            };
            let person = subject.person().map(String::from);
            host.set(key, &Passed { track: face.track, person }, self.within_ms);
        }
        let (Some(known), Some(unknown)) = (host.get::<Passed>("known"), host.get::<Passed>("unknown"))
        else {
            return Vec::new();
        };
        // Both on one track are one person, whom the policy knew in some frames only.
        let is_one = known.track == unknown.track;
        if is_one || !host.first_in(DAY, &format!("told/{}/{}", frame.session, unknown.track)) {
            return Vec::new();
        }
        let person = known.person.unwrap_or_default();
        let text = format!("A stranger passed {} together with {}", frame.camera, host.name_of(&person));
        vec![frame.alert(Severity::Critical, "tail-gating", &person, text)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::testing::{Trial, known, time, unknown};

    #[test]
    fn a_stranger_right_behind_somebody_known_is_told_of_once() {
        let mut trial = Trial::<TailGating>::new("{}");
        let behind = || unknown().track(2).track_since(time("10:00:01"));
        assert_eq!(trial.at("10:00:00").judge([known("anna")]), []);
        assert_eq!(trial.at("10:00:01").judge([behind()]), [], "too new to be sure");
        assert_eq!(trial.at("10:00:02").judge([behind()])[0].subject, "anna");
        assert_eq!(trial.at("10:00:02.500").judge([behind(), known("ben")]), []);
    }

    #[test]
    fn a_stranger_ahead_of_somebody_known_counts_as_well() {
        let mut trial = Trial::<TailGating>::new("{}");
        trial.at("10:00:02").judge([unknown().track_since(time("10:00:00"))]);
        assert_eq!(trial.at("10:00:04.900").judge([known("anna").track(2)]).len(), 1);
    }

    #[test]
    fn seconds_apart_or_alone_they_may_pass() {
        let mut trial = Trial::<TailGating>::new("{}");
        trial.at("10:00:00").judge([known("anna"), known("ben")]);
        let late = unknown().track(2).track_since(time("10:00:02"));
        assert_eq!(trial.at("10:00:03").judge([late]), []);
    }

    #[test]
    fn somebody_known_in_some_frames_only_is_no_stranger() {
        let mut trial = Trial::<TailGating>::new("{}");
        trial.at("10:00:00").judge([known("anna").track(1)]);
        assert_eq!(trial.at("10:00:01").judge([unknown().track(1)]), []);
    }
}
