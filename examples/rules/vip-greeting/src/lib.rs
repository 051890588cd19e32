//! A greeting when somebody important arrives.

use everyframe_rule::{Alert, AlertRule, Frame, HOUR, Host, Problems, Rule, Severity, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The rule, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct VipGreeting {
    /// Who is greeted, by their ids, and how: `{name}` stands for their name.
    people: BTreeMap<String, String>,
    /// Away for longer than this, and they are greeted again; in ms.
    away_ms: u64,
}

everyframe_rule::export_alert_rule!(VipGreeting);

impl Default for VipGreeting {
    fn default() -> Self {
        VipGreeting { people: BTreeMap::new(), away_ms: HOUR }
    }
}

impl Rule for VipGreeting {
    const ABOUT: &str = "Raises an alert with a greeting when somebody important arrives.";

    fn check(&self, problems: &mut Problems) {
        if self.people.is_empty() {
            problems
                .error("people", "nobody is greeted: give ids and greetings, anna = \"Welcome, {name}!\"");
        }
        for (person, _) in self.people.iter().filter(|(_, greeting)| greeting.trim().is_empty()) {
            problems.error(format!("people.{person}"), "the greeting is empty: write one");
        }
    }
}

impl AlertRule for VipGreeting {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for subject in subjects {
            let Some((person, greeting)) = subject.person().and_then(|id| self.people.get_key_value(id))
            else {
                continue;
            };
            if host.begins_visit(frame, person, self.away_ms) {
                let text = greeting.replace("{name}", &host.name_of(person));
                alerts.push(frame.alert(Severity::Info, "vip", person, text).about(&subject.face));
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
    fn they_are_greeted_by_name_when_they_arrive() {
        let mut trial = Trial::<VipGreeting>::new(r#"{"people": {"anna": "Welcome, {name}!"}}"#);
        trial.host.enrol("anna", "Anna Blum");
        assert_eq!(trial.at("10:00").judge([unknown(), known("anna")])[0].text, "Welcome, Anna Blum!");
        assert_eq!(trial.at("10:30").judge([known("anna"), known("ben")]), []);
        assert_eq!(trial.at("13:00").judge([known("anna")]).len(), 1);
    }

    #[test]
    fn a_greeting_without_words_is_refused() {
        assert_eq!(problems::<VipGreeting>(r#"{"people": {"anna": " "}}"#)[0].key, "people.anna");
        assert_eq!(problems::<VipGreeting>("{}")[0].key, "people");
    }
}
