//! One person, in one part of the picture, at some hours.

use everyframe_rule::{
    Alert, AlertRule, Frame, Host, MINUTE, Problems, Rule, Severity, Subject, Zone, schedule,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML. A second person or zone is a second rule of this component.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PersonZoneSchedule {
    /// Who, by their id.
    person: String,
    /// Where: the corners of a polygon in pixels of the full-size frame; none for everywhere.
    zone: Zone,
    /// When; none for always.
    schedule: Vec<schedule::Window>,
    /// How far the schedule's clock is ahead of UTC, in minutes.
    utc_offset_minutes: i32,
    /// How long it is silent after an alert, in ms.
    cooldown_ms: u64,
}

everyframe_rule::export_alert_rule!(PersonZoneSchedule);

impl Default for PersonZoneSchedule {
    fn default() -> Self {
        PersonZoneSchedule {
            person: String::new(),
            zone: Zone::default(),
            schedule: Vec::new(),
            utc_offset_minutes: 0,
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
        self.zone.check("zone", problems);
        for (place, window) in self.schedule.iter().enumerate() {
            window.check(&format!("schedule[{place}]"), problems);
        }
    }
}

impl AlertRule for PersonZoneSchedule {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let is_here =
            |it: &&Subject| it.person() == Some(self.person.as_str()) && self.zone.contains(&it.face.bounds);
        let Some(subject) = subjects.iter().find(is_here) else { return Vec::new() };
        let is_time = schedule::is_open(&self.schedule, frame.captured_at, self.utc_offset_minutes);
        if !is_time || !host.first_in(self.cooldown_ms, "told") {
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

    const LEFT_AT_NIGHT: &str = r#"{
        "person": "viktor",
        "zone": [[0, 0], [640, 0], [640, 720], [0, 720]],
        "schedule": [{"days": ["mon"], "from": "20:00", "to": "06:00"}]
    }"#;

    #[test]
    fn person_place_and_time_have_all_to_be_right() {
        let mut trial = Trial::<PersonZoneSchedule>::new(LEFT_AT_NIGHT);
        let left = |who: everyframe_rule::testing::Shown| who.bounds(100.0, 100.0, 80.0, 100.0);
        let right = |who: everyframe_rule::testing::Shown| who.bounds(900.0, 100.0, 80.0, 100.0);
        assert_eq!(trial.at("19:59").judge([left(known("viktor"))]), [], "too early");
        assert_eq!(trial.at("20:00").judge([right(known("viktor"))]), [], "not there");
        assert_eq!(trial.at("20:00").judge([left(known("anna")), left(unknown())]), [], "somebody else");
        assert_eq!(trial.at("20:01").judge([left(unknown()), left(known("viktor"))])[0].face, Some(1));
        assert_eq!(trial.at("20:05").judge([left(known("viktor"))]), [], "told four minutes ago");
    }

    #[test]
    fn settings_without_a_person_or_with_half_a_zone_are_refused() {
        assert_eq!(problems::<PersonZoneSchedule>("{}")[0].key, "person");
        let half = r#"{"person": "viktor", "zone": [[0, 0], [5, 5]]}"#;
        assert_eq!(problems::<PersonZoneSchedule>(half)[0].key, "zone");
    }
}
