//! Anybody at all, known or not, outside opening hours.

use everyframe_rule::{Alert, AlertRule, Frame, HOUR, Host, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AfterHours {
    /// The schedule of opening hours. With a name that no schedule has it is never open: better to hear of that.
    open: String,
}

everyframe_rule::export_alert_rule!(AfterHours);

impl Default for AfterHours {
    fn default() -> Self {
        AfterHours { open: "opening-hours".into() }
    }
}

impl Rule for AfterHours {
    const ABOUT: &str = "Raises an alert for anybody seen outside opening hours, once an hour and camera.";
}

impl AlertRule for AfterHours {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let is_open = frame.is_during(&self.open);
        if is_open || subjects.is_empty() || !host.first_in(HOUR, "alerted") {
            return Vec::new();
        }
        let people =
            if subjects.len() == 1 { "Somebody".into() } else { format!("{} people", subjects.len()) };
        let text = format!("{people} in sight at {} after hours", frame.camera);
        let alert = frame.alert(Severity::Critical, "after-hours", &frame.camera, text);
        vec![Alert { dedup_key: format!("after-hours/{}", frame.camera), ..alert }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::testing::{Trial, known, unknown};

    #[test]
    fn nobody_is_told_of_people_during_the_day() {
        let mut trial = Trial::<AfterHours>::new("{}");
        assert_eq!(trial.during(&["summer", "opening-hours"]).judge([known("anna"), unknown()]), []);
    }

    #[test]
    fn outside_of_the_hours_there_is_an_alert_an_hour() {
        let mut trial = Trial::<AfterHours>::new("{}");
        assert_eq!(trial.at("18:00").judge([]), [], "nobody is here");
        let alerts = trial.at("18:01").judge([known("anna"), unknown()]);
        assert_eq!(alerts[0].text, "2 people in sight at gate after hours");
        assert_eq!(trial.at("19:00").judge([unknown()]), []);
        assert_eq!(trial.at("19:01").judge([unknown()]).len(), 1);
    }
}
