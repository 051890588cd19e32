//! One person, in one part of the picture, at some hours.

use everyframe_rule::{Alert, AlertRule, Frame, Host, MINUTE, Problems, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML. A second person or zone is a second rule of this component.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PersonZoneSchedule {
    /// Who, by their id.
    person: String,
    /// Where: the name of a zone; empty for everywhere.
    zone: String,
    /// When: the name of a schedule; empty for always.
    schedule: String,
    /// How long it is silent after an alert, in ms.
    cooldown_ms: u64,
}

everyframe_rule::export_alert_rule!(PersonZoneSchedule);

impl Default for PersonZoneSchedule {
    fn default() -> Self {
        PersonZoneSchedule {
            person: String::new(),
            zone: String::new(),
            schedule: String::new(),
            cooldown_ms: 5 * MINUTE,
        }
    }
}

impl Rule for PersonZoneSchedule {
    const ABOUT: &str = "Raises an alert for one person in one zone at some hours.";

    fn check(&self, problems: &mut Problems) {
        if self.person.is_empty() {
            problems.error("person", "it is missing: give the id of somebody of the gallery");
        }
    }
}

impl AlertRule for PersonZoneSchedule {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let is_here = |it: &&Subject| it.person() == Some(&self.person) && it.face.is_in(&self.zone);
        let Some(subject) = subjects.iter().find(is_here) else { return Vec::new() };
        if !frame.is_during(&self.schedule) || !host.first_in(self.cooldown_ms, "told") {
            return Vec::new();
        }
        let text = format!("{} is in the zone at {}", host.name_of(&self.person), frame.camera);
        vec![frame.alert(Severity::Warning, "in-zone", &self.person, text).about(&subject.face)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::testing::{Trial, known, problems, unknown};

    const VAULT_AT_NIGHT: &str = r#"{"person": "viktor", "zone": "vault", "schedule": "night"}"#;

    #[test]
    fn person_place_and_time_have_all_to_be_right() {
        let mut trial = Trial::<PersonZoneSchedule>::new(VAULT_AT_NIGHT);
        let there = |who: &str| known(who).in_zone("vault");
        assert_eq!(trial.at("19:59").judge([there("viktor")]), [], "too early");
        trial.during(&["night"]);
        assert_eq!(trial.at("20:00").judge([known("viktor").in_zone("door")]), [], "not there");
        assert_eq!(trial.at("20:00").judge([there("anna"), unknown()]), [], "somebody else");
        assert_eq!(trial.at("20:01").judge([unknown(), there("viktor")])[0].face, Some(1));
        assert_eq!(trial.at("20:05").judge([there("viktor")]), [], "told four minutes ago");
    }

    #[test]
    fn settings_without_a_person_are_refused() {
        assert_eq!(problems::<PersonZoneSchedule>("{}")[0].key, "person");
    }
}
