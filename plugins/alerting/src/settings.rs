//! The settings of the alert rule: which sights raise an alert, for whom, how severe and how often.

use everyframe_rule::{self as types, Problems, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings of the alert rule.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Alerts about people of the gallery; default severity `info`.
    pub known: Choice,
    /// Alerts about strangers, by event.
    pub unknown: Unknown,
    /// Alerts about certain people of the gallery, by id. These settings override `known`.
    pub people: BTreeMap<String, Choice>,
    /// Ids of people and strangers who raise a critical alert whenever they are seen.
    pub deny: Vec<String>,
    /// Ids of people and strangers who never raise an alert.
    pub allow: Vec<String>,
    /// After an alert, the pause before another one of the same kind about the same person at the same camera, in
    /// ms. 0: an alert with every frame.
    pub cooldown_ms: u64,
}

/// Whether to raise an alert, and its severity.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// The severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Severity")]
    pub severity: Option<Severity>,
    /// Whether to raise an alert; default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub enabled: Option<bool>,
}

/// Alerts about strangers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unknown {
    /// Never seen before; default severity `warning`.
    pub first_seen: Choice,
    /// Seen before, and away in between; default severity `info`.
    pub returned: Choice,
    /// Stayed for longer than `loiter_after_ms` of the unknown-person rule; default severity `warning`.
    pub loitering: Choice,
    /// Several strangers proved to be one; default severity `info`.
    pub merged: Choice,
}

/// The severity of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For information.
    Info,
    /// Needs attention within the day.
    Warning,
    /// Needs attention now.
    Critical,
}

impl From<Severity> for types::Severity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => types::Severity::Info,
            Severity::Warning => types::Severity::Warning,
            Severity::Critical => types::Severity::Critical,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            known: Choice::default(),
            unknown: Unknown::default(),
            people: BTreeMap::new(),
            deny: Vec::new(),
            allow: Vec::new(),
            cooldown_ms: 60_000,
        }
    }
}

impl Settings {
    /// The severity of an alert about this person of the gallery; `None` for no alert.
    pub fn about_person(&self, person: &str) -> Option<Severity> {
        let own = self.people.get(person);
        let enabled = own.and_then(|own| own.enabled).or(self.known.enabled);
        let severity = own.and_then(|own| own.severity).or(self.known.severity);
        enabled.unwrap_or(true).then_some(severity.unwrap_or(Severity::Info))
    }

    /// The severity of an alert about this event of a stranger; `None` for no alert.
    pub fn about_event(&self, event: types::Event) -> Option<Severity> {
        let (choice, usual) = match event {
            types::Event::FirstSeen => (&self.unknown.first_seen, Severity::Warning),
            types::Event::Returned => (&self.unknown.returned, Severity::Info),
            types::Event::Loitering => (&self.unknown.loitering, Severity::Warning),
            types::Event::Merged => (&self.unknown.merged, Severity::Info),
        };
        choice.enabled.unwrap_or(true).then_some(choice.severity.unwrap_or(usual))
    }
}

impl Rule for Settings {
    const ABOUT: &str = "Raises alerts about people and strangers, with lists and a cool-down.";

    fn check(&self, problems: &mut Problems) {
        for (place, subject) in self.allow.iter().enumerate() {
            if self.deny.contains(subject) {
                problems.error(
                    format!("allow[{place}]"),
                    format!("`{subject}` is on the deny list as well: remove it from one of them"),
                );
            }
        }
        for person in self.people.keys() {
            for (list, name) in [(&self.allow, "allow"), (&self.deny, "deny")] {
                if list.contains(person) {
                    problems.warning(
                        format!("people.{person}"),
                        format!("it has no effect, for `{name}` names them: remove one of the two"),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> Vec<(String, String)> {
        let (_, problems) = everyframe_rule::settings::read::<Settings>(json);
        problems.into_iter().map(|problem| (problem.key, problem.message)).collect()
    }

    #[test]
    fn one_field_of_an_entry_keeps_the_other_default() {
        let (settings, _) = everyframe_rule::settings::read::<Settings>(
            r#"{"unknown": {"loitering": {"severity": "critical"}, "returned": {"enabled": false}},
                "known": {"severity": "warning"}, "people": {"anna": {"enabled": false}, "ben": {"severity": "info"}}}"#,
        );
        let settings = settings.unwrap();
        assert_eq!(settings.about_event(types::Event::Loitering), Some(Severity::Critical));
        assert_eq!(settings.about_event(types::Event::Returned), None);
        assert_eq!(settings.about_event(types::Event::FirstSeen), Some(Severity::Warning));
        assert_eq!(settings.about_person("anna"), None);
        assert_eq!(settings.about_person("ben"), Some(Severity::Info));
        assert_eq!(settings.about_person("cara"), Some(Severity::Warning));
    }

    #[test]
    fn one_person_may_raise_alerts_when_others_do_not() {
        let (settings, _) = everyframe_rule::settings::read::<Settings>(
            r#"{"known": {"enabled": false}, "people": {"anna": {"enabled": true}}}"#,
        );
        let settings = settings.unwrap();
        assert_eq!(settings.about_person("anna"), Some(Severity::Info));
        assert_eq!(settings.about_person("ben"), None);
    }

    #[test]
    fn a_mistake_is_found_in_every_table() {
        assert_eq!(
            problems(r#"{"unknown": {"loitering": {"severity_": "info"}}}"#)[0].0,
            "unknown.loitering.severity_"
        );
        assert_eq!(problems(r#"{"known": {"severity": "urgent"}}"#)[0].0, "known.severity");
        assert_eq!(problems(r#"{"cooldown_ms": "1m"}"#)[0].0, "cooldown_ms");
    }

    #[test]
    fn contradicting_settings_are_refused() {
        assert_eq!(problems(r#"{"allow": ["anna"], "deny": ["anna"]}"#)[0].0, "allow[0]");
    }

    #[test]
    fn a_setting_without_effect_is_reported() {
        let (settings, problems) =
            everyframe_rule::settings::read::<Settings>(r#"{"deny": ["anna"], "people": {"anna": {}}}"#);
        assert!(settings.is_some());
        assert_eq!(problems.into_iter().next().unwrap().key, "people.anna");
    }
}
