//! Strangers, and nobody else.

use everyframe_rule::{Alert, AlertRule, Frame, Host, MINUTE, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct StrangersOnly {
    /// How long it is silent about a stranger after an alert, in ms.
    cooldown_ms: u64,
}

everyframe_rule::export_alert_rule!(StrangersOnly);

impl Default for StrangersOnly {
    fn default() -> Self {
        StrangersOnly { cooldown_ms: 10 * MINUTE }
    }
}

impl Rule for StrangersOnly {
    const ABOUT: &str = "Raises an alert for strangers, and for nobody of the gallery.";
}

impl AlertRule for StrangersOnly {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for subject in subjects.iter().filter(|subject| subject.is_unknown()) {
            // Until the unknown-person rule has named a stranger, it may be a flicker of somebody known.
            let Some(id) = subject.id() else { continue };
            if host.first_in(self.cooldown_ms, &format!("told/{id}")) {
                let text = format!("Stranger {id} seen at {}", frame.camera);
                alerts.push(frame.alert(Severity::Warning, "stranger", id, text).about(&subject.face));
            }
        }
        alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::testing::{Trial, known, stranger, undecided, unknown};

    #[test]
    fn a_stranger_is_told_of_once_in_ten_minutes() {
        let mut trial = Trial::<StrangersOnly>::new("{}");
        assert_eq!(trial.at("10:00").judge([known("anna"), stranger("s-1")])[0].face, Some(1));
        assert_eq!(trial.at("10:09").judge([stranger("s-1")]), []);
        assert_eq!(trial.at("10:09").judge([stranger("s-2")]).len(), 1, "somebody else");
        assert_eq!(trial.at("10:10").judge([stranger("s-1")]).len(), 1);
    }

    #[test]
    fn nobody_else_is_told_of() {
        let mut trial = Trial::<StrangersOnly>::new("{}");
        assert_eq!(trial.judge([known("anna"), undecided("too small"), unknown()]), []);
    }
}
