//! Anybody at all, known or not, outside opening hours.

use everyframe_rule::{Alert, AlertRule, Frame, HOUR, Host, Problems, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AfterHours {
    /// The full hour, UTC, from which people may be here.
    opens: u64,
    /// The full hour, UTC, from which nobody may.
    closes: u64,
}

everyframe_rule::export_alert_rule!(AfterHours);

impl Default for AfterHours {
    fn default() -> Self {
        AfterHours { opens: 8, closes: 18 }
    }
}

impl Rule for AfterHours {
    const ABOUT: &str = "Raises an alert for anybody seen outside opening hours, once an hour and camera.";

    fn check(&self, problems: &mut Problems) {
        if self.opens > self.closes {
            problems.error("closes", "it is before `opens`: give two hours of one day");
        }
    }
}

impl AlertRule for AfterHours {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let hour = frame.captured_at.rem_euclid(24 * HOUR as i64) as u64 / HOUR;
        let is_open = (self.opens..self.closes).contains(&hour);
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
    use everyframe_rule::testing::{Trial, known, problems, unknown};

    #[test]
    fn nobody_is_told_of_people_during_the_day() {
        let mut trial = Trial::<AfterHours>::new("{}");
        assert_eq!(trial.at("08:00").judge([known("anna"), unknown()]), []);
        assert_eq!(trial.at("17:59:59.999").judge([unknown()]), []);
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

    #[test]
    fn hours_the_wrong_way_round_are_refused() {
        assert_eq!(problems::<AfterHours>(r#"{"opens": 18, "closes": 8}"#)[0].key, "closes");
    }
}
