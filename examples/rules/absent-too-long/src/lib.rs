//! Somebody who should be seen regularly, and is not.

use everyframe_rule::{Alert, AlertRule, Frame, HOUR, Host, Problems, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML. What counts is each camera for itself.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AbsentTooLong {
    /// Who should be seen, by their ids.
    people: Vec<String>,
    /// How long they may be away, in ms.
    after_ms: u64,
}

everyframe_rule::export_alert_rule!(AbsentTooLong);

impl Default for AbsentTooLong {
    fn default() -> Self {
        AbsentTooLong { people: Vec::new(), after_ms: 12 * HOUR }
    }
}

impl Rule for AbsentTooLong {
    const ABOUT: &str = "Raises an alert when somebody who should be seen regularly is not, once an absence.";

    fn check(&self, problems: &mut Problems) {
        if self.people.is_empty() {
            problems.error("people", "it is missing: give the ids of those who should be seen");
        }
    }
}

/// What is kept of each of them.
#[derive(Deserialize, Serialize)]
struct Presence {
    seen_at: i64,
    is_told: bool,
}

impl AlertRule for AbsentTooLong {
    // Frames without faces come here too: they are the clock.
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let now = frame.captured_at;
        let mut alerts = Vec::new();
        for person in &self.people {
            let is_here = subjects.iter().any(|subject| subject.person() == Some(person));
            // Who was never seen is away since the rule's first frame.
            let Some(presence) = host.get::<Presence>(person) else {
                host.set(person, &Presence { seen_at: now, is_told: false }, None);
                continue;
            };
            let away = frame.since(presence.seen_at);
            if is_here && (presence.is_told || away >= 1000) {
                // Once a second is enough to write.
                host.set(person, &Presence { seen_at: now, is_told: false }, None);
            } else if !is_here && !presence.is_told && away >= self.after_ms {
                host.set(person, &Presence { is_told: true, ..presence }, None);
                let text = format!(
                    "{} was not seen at {} for {} min",
                    host.name_of(person),
                    frame.camera,
                    away / 60_000
                );
                alerts.push(frame.alert(Severity::Warning, "absent", person, text));
            }
        }
        alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::testing::{Trial, known, problems, unknown};

    #[test]
    fn who_is_away_for_too_long_is_missed_once() {
        let mut trial = Trial::<AbsentTooLong>::new(r#"{"people": ["viktor"], "after_ms": 3600000}"#);
        assert_eq!(trial.at("08:00").judge([known("viktor")]), []);
        assert_eq!(trial.at("08:59:59").judge([unknown()]), []);
        assert_eq!(trial.at("09:00").judge([])[0].text, "viktor was not seen at gate for 60 min");
        assert_eq!(trial.at("10:30").judge([]), []);
        assert_eq!(trial.at("11:00").judge([known("viktor")]), []);
        assert_eq!(trial.at("12:00").judge([known("anna")]).len(), 1, "away again");
    }

    #[test]
    fn who_never_came_is_missed_too() {
        let mut trial = Trial::<AbsentTooLong>::new(r#"{"people": ["viktor"], "after_ms": 3600000}"#);
        assert_eq!(trial.at("08:00").judge([]), []);
        assert_eq!(trial.at("09:00").judge([]).len(), 1);
    }

    #[test]
    fn a_rule_that_misses_nobody_is_refused() {
        assert_eq!(problems::<AbsentTooLong>("{}")[0].key, "people");
    }
}
