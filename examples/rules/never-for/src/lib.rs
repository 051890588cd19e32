//! Everybody but some, about whom there is never an alert.

use everyframe_rule::{Alert, AlertRule, Frame, Host, MINUTE, Problems, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct NeverFor {
    /// About whom there is never an alert: people of the gallery and strangers, by their id.
    never: Vec<String>,
    /// How long it is silent about everybody else after an alert, in ms.
    cooldown_ms: u64,
}

everyframe_rule::export_alert_rule!(NeverFor);

impl Default for NeverFor {
    fn default() -> Self {
        NeverFor { never: Vec::new(), cooldown_ms: 5 * MINUTE }
    }
}

impl Rule for NeverFor {
    const ABOUT: &str = "Raises an alert for everybody but the people that it is told never to speak of.";

    fn check(&self, problems: &mut Problems) {
        if self.never.is_empty() {
            problems.warning("never", "nobody is left out: name the ids of people or of strangers");
        }
    }
}

impl AlertRule for NeverFor {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for subject in subjects {
            // Undecided faces have no id: one of them may be somebody who is never to be told of.
            let Some(id) = subject.id() else { continue };
            let is_left_out = self.never.iter().any(|never| never == id);
            if !is_left_out && host.first_in(self.cooldown_ms, &format!("told/{id}")) {
                let text = format!("{} seen at {}", host.name_of(id), frame.camera);
                alerts.push(frame.alert(Severity::Info, "seen", id, text).about(&subject.face));
            }
        }
        alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::testing::{Trial, known, problems, stranger, undecided};

    #[test]
    fn there_is_never_an_alert_for_those_who_are_named() {
        let mut trial = Trial::<NeverFor>::new(r#"{"never": ["viktor", "s-1"]}"#);
        assert_eq!(trial.judge([known("viktor"), stranger("s-1"), undecided("too small")]), []);
    }

    #[test]
    fn everybody_else_is_told_of() {
        let mut trial = Trial::<NeverFor>::new(r#"{"never": ["viktor"]}"#);
        let told: Vec<_> = trial.at("10:00").judge([known("viktor"), known("anna"), stranger("s-1")]);
        assert_eq!(told.iter().map(|alert| alert.subject.as_str()).collect::<Vec<_>>(), ["anna", "s-1"]);
        assert_eq!(trial.at("10:04:59").judge([known("anna")]), []);
        assert_eq!(trial.at("10:05").judge([known("anna")]).len(), 1);
    }

    #[test]
    fn a_rule_that_leaves_nobody_out_is_mentioned() {
        assert_eq!(problems::<NeverFor>("{}")[0].key, "never");
    }
}
