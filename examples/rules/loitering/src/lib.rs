//! Whoever stays in a zone for too long, known or not.

use everyframe_rule::{Alert, AlertRule, DAY, Frame, Host, MINUTE, Problems, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Loitering {
    /// How long is too long, in ms.
    after_ms: u64,
    /// Out of sight for longer than this, and it is a new visit; in ms.
    away_ms: u64,
    /// Where: the name of a zone; empty for everywhere.
    zone: String,
    /// Whether people of the gallery may stay.
    known_may: bool,
}

everyframe_rule::export_alert_rule!(Loitering);

impl Default for Loitering {
    fn default() -> Self {
        Loitering { after_ms: 2 * MINUTE, away_ms: MINUTE / 2, zone: String::new(), known_may: true }
    }
}

impl Rule for Loitering {
    const ABOUT: &str = "Raises an alert for whoever stays in a zone for too long, once a visit.";

    fn check(&self, problems: &mut Problems) {
        if self.away_ms < 1000 {
            problems.error("away_ms", "shorter than the pause between frames: give 1000 or more");
        }
    }
}

impl AlertRule for Loitering {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for subject in subjects.iter().filter(|subject| subject.face.is_in(&self.zone)) {
            let may_stay = self.known_may && subject.person().is_some();
            let Some(id) = subject.id().filter(|_| !may_stay) else { continue };
            let began = host.visit(frame, &format!("visit/{id}"), self.away_ms);
            let here = frame.since(began);
            // The visit's beginning is in the key: the next visit is another thing to tell.
            if here >= self.after_ms && host.first_in(DAY, &format!("told/{id}/{began}")) {
                let text = format!("{} has stayed {} s at {}", host.name_of(id), here / 1000, frame.camera);
                alerts.push(frame.alert(Severity::Warning, "loitering", id, text).about(&subject.face));
            }
        }
        alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::testing::{Shown, Trial, known, stranger};

    /// The seconds, of those from `from` to `to`, at which there is an alert while `shown` is there.
    fn alerts(trial: &mut Trial<Loitering>, from: u64, to: u64, shown: &Shown) -> Vec<u64> {
        let ten = everyframe_rule::testing::time("10:00");
        let alerts_at = |at: &u64| !trial.at_ms(ten + *at as i64 * 1000).judge([shown.clone()]).is_empty();
        (from..to).filter(alerts_at).collect()
    }

    #[test]
    fn who_stays_too_long_is_told_of_once_a_visit() {
        let mut trial = Trial::<Loitering>::new("{}");
        assert_eq!(alerts(&mut trial, 0, 500, &stranger("s-1")), [120]);
        assert_eq!(alerts(&mut trial, 600, 800, &stranger("s-1")), [720]);
    }

    #[test]
    fn people_of_the_gallery_may_stay_unless_they_may_not() {
        assert_eq!(alerts(&mut Trial::new("{}"), 0, 200, &known("anna")), [0; 0]);
        assert_eq!(alerts(&mut Trial::new(r#"{"known_may": false}"#), 0, 200, &known("anna")), [120]);
    }

    #[test]
    fn only_time_in_the_zone_counts() {
        let mut trial = Trial::new(r#"{"zone": "door"}"#);
        assert_eq!(alerts(&mut trial, 0, 200, &stranger("s-1")), [0; 0]);
        assert_eq!(alerts(&mut trial, 200, 400, &stranger("s-1").in_zone("door")), [320]);
    }
}
