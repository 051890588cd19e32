//! People and strangers who should not be here.

use everyframe_rule::{Alert, AlertRule, Frame, Host, MINUTE, Problems, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DenyList {
    /// Who should not be here: people of the gallery and strangers, by their ids.
    denied: Vec<String>,
    /// How long it is silent about one of them after an alert, in ms.
    cooldown_ms: u64,
}

everyframe_rule::export_alert_rule!(DenyList);

impl Default for DenyList {
    fn default() -> Self {
        DenyList { denied: Vec::new(), cooldown_ms: MINUTE }
    }
}

impl Rule for DenyList {
    const ABOUT: &str = "Raises a critical alert when somebody of a list is seen.";

    fn check(&self, problems: &mut Problems) {
        if self.denied.is_empty() {
            problems.warning("denied", "nobody is on the list: give the ids of people or of strangers");
        }
    }
}

impl AlertRule for DenyList {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for subject in subjects {
            let Some(id) = subject.id().filter(|id| self.denied.iter().any(|denied| denied == id)) else {
                continue;
            };
            if host.first_in(self.cooldown_ms, &format!("told/{id}")) {
                let text = format!("{}, who should not be here, seen at {}", host.name_of(id), frame.camera);
                alerts.push(frame.alert(Severity::Critical, "denied", id, text).about(&subject.face));
            }
        }
        alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::testing::{Trial, known, problems, stranger, unknown};

    #[test]
    fn those_of_the_list_are_critical_once_a_minute() {
        let mut trial = Trial::<DenyList>::new(r#"{"denied": ["mallory", "s-1"]}"#);
        let alerts = trial.at("10:00").judge([known("anna"), known("mallory"), stranger("s-1"), unknown()]);
        assert_eq!(alerts.iter().map(|alert| alert.face).collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert!(alerts.iter().all(|alert| alert.severity == Severity::Critical));
        assert_eq!(trial.at("10:00:59").judge([known("mallory")]), []);
        assert_eq!(trial.at("10:01").judge([known("mallory")]).len(), 1);
    }

    #[test]
    fn a_list_of_nobody_is_mentioned() {
        assert_eq!(problems::<DenyList>("{}")[0].key, "denied");
    }
}
