//! People of the gallery, once a visit, however long it lasts.

use everyframe_rule::{Alert, AlertRule, Frame, Host, MINUTE, Problems, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct OncePerVisit {
    /// Away for longer than this, and the next sight begins a new visit; in ms.
    away_ms: u64,
    /// About whom; none for everybody of the gallery.
    people: Vec<String>,
}

everyframe_rule::export_alert_rule!(OncePerVisit);

impl Default for OncePerVisit {
    fn default() -> Self {
        OncePerVisit { away_ms: 5 * MINUTE, people: Vec::new() }
    }
}

impl Rule for OncePerVisit {
    const ABOUT: &str = "Raises an alert for people of the gallery, once a visit.";

    fn check(&self, problems: &mut Problems) {
        if self.away_ms < 1000 {
            problems.error("away_ms", "shorter than the pause between frames: give 1000 or more");
        }
    }
}

impl AlertRule for OncePerVisit {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for subject in subjects {
            let Some(person) = subject.person() else { continue };
            let is_wanted = self.people.is_empty() || self.people.iter().any(|wanted| wanted == person);
            if is_wanted && host.begins_visit(frame, person, self.away_ms) {
                let text = format!("{} has come to {}", host.name_of(person), frame.camera);
                alerts.push(frame.alert(Severity::Info, "visit", person, text).about(&subject.face));
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
    fn a_visit_is_told_once_however_long_it_is() {
        let mut trial = Trial::<OncePerVisit>::new("{}");
        trial.host.enrol("viktor", "Viktor Blum");
        assert_eq!(trial.at("10:00").judge([known("viktor")])[0].text, "Viktor Blum has come to gate");
        for minute in 1..59 {
            assert_eq!(trial.at(&format!("10:{minute}")).judge([known("viktor")]), []);
        }
        assert_eq!(trial.at("11:30").judge([known("viktor")]).len(), 1, "a new visit");
    }

    #[test]
    fn two_faces_of_one_person_are_one_visit() {
        assert_eq!(Trial::<OncePerVisit>::new("{}").judge([known("viktor"), known("viktor")]).len(), 1);
    }

    #[test]
    fn others_may_be_left_out() {
        let mut trial = Trial::<OncePerVisit>::new(r#"{"people": ["viktor"]}"#);
        assert_eq!(trial.judge([known("anna"), unknown()]), []);
        assert_eq!(trial.judge([known("viktor")]).len(), 1);
    }

    #[test]
    fn an_absence_between_two_frames_is_refused() {
        assert_eq!(problems::<OncePerVisit>(r#"{"away_ms": 10}"#)[0].key, "away_ms");
    }
}
