//! Parses a rule's settings. Every problem names its key, what is wrong and what to do.

use crate::Rule;
use crate::explain::explain_error;
use serde::Serializer;
use std::ops::RangeInclusive;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The rule runs with these settings.
    Warning,
    /// The rule cannot run with these settings.
    Error,
}

/// A problem of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The dotted key: `unknown.loitering.severity`; empty if no single key is at fault.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// The problems found so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds an error: the rule cannot run with this setting.
    pub fn error(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { severity: Severity::Error, key: key.into(), message: message.into() });
    }

    /// Adds a warning: the author probably did not intend this setting.
    pub fn warning(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { severity: Severity::Warning, key: key.into(), message: message.into() });
    }

    /// Adds an error if `value` is outside of `range`. A number too large for an `f32` is infinite here, and therefore outside
    /// as well.
    pub fn check_range(&mut self, key: &str, value: f32, range: RangeInclusive<f32>) {
        if !range.contains(&value) {
            let (from, to) = (range.start(), range.end());
            self.error(key, format!("{value} is out of range: give a number from {from} to {to}"));
        }
    }

    /// True if the rule cannot run with these settings.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Parses settings from a JSON object. Returns settings if and only if no problem is an error.
pub fn read<R: Rule>(json: &str) -> (Option<R>, Problems) {
    let mut problems = Problems::default();
    // serde would also accept a list, and fill the struct's fields in order.
    if !json.trim_start().starts_with('{') {
        problems.error("", "the settings must be a table of keys and values");
        return (None, problems);
    }
    match serde_json::from_str::<R>(json) {
        Ok(settings) => {
            settings.check(&mut problems);
            let settings = if problems.has_errors() { None } else { Some(settings) };
            (settings, problems)
        }
        // Only wrong settings pay for the second pass, which finds the key.
        Err(_) => {
            let (key, message) = explain_error::<R>(json);
            problems.error(key, message);
            (None, problems)
        }
    }
}

/// The JSON Schema of a rule's settings.
pub fn schema<R: Rule>() -> String {
    schemars::schema_for!(R).as_value().to_string()
}

/// Serialises an `f32` as a person would write it: 0.05, where serde widens it to 0.05000000074505806. For defaults in the
/// schema: `#[serde(serialize_with = "everyframe_rule::settings::short")]`.
///
/// # Errors
///
/// Those of the serialiser.
pub fn short<S: Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(number.to_string().parse().unwrap_or_else(|_| f64::from(*number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Lamp {
        #[serde(serialize_with = "short")]
        brightness: f32,
        after_ms: u64,
        bulbs: Vec<Bulb>,
    }

    impl Default for Lamp {
        fn default() -> Self {
            Lamp { brightness: 0.05, after_ms: 100, bulbs: Vec::new() }
        }
    }

    #[derive(Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Bulb {
        watts: u32,
    }

    impl Rule for Lamp {
        const ABOUT: &str = "Lights the way.";

        fn check(&self, problems: &mut Problems) {
            problems.check_range("brightness", self.brightness, 0.0..=1.0);
            if self.after_ms == 0 {
                problems.warning("after_ms", "the lamp will never be dark");
            }
        }
    }

    fn only_problem(json: &str) -> Problem {
        let (settings, problems) = read::<Lamp>(json);
        assert_eq!(settings, None);
        let problems: Vec<_> = problems.into_iter().collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].severity, Severity::Error);
        problems[0].clone()
    }

    #[test]
    fn empty_settings_are_the_defaults() {
        assert_eq!(read::<Lamp>("{}"), (Some(Lamp::default()), Problems::default()));
    }

    #[test]
    fn an_unknown_key_suggests_the_closest_key() {
        let problem = only_problem(r#"{"brightnes": 0.2}"#);
        assert_eq!(problem.key, "brightnes");
        assert!(problem.message.contains("did you mean `brightness`?"), "{}", problem.message);
    }

    #[test]
    fn an_unknown_key_without_a_close_one_lists_all_keys() {
        let problem = only_problem(r#"{"colour": "red"}"#);
        assert_eq!(problem.key, "colour");
        assert!(problem.message.contains("`brightness`, `after_ms`, `bulbs`"), "{}", problem.message);
    }

    #[test]
    fn a_wrong_type_is_explained_in_plain_words() {
        let problem = only_problem(r#"{"after_ms": -1}"#);
        assert_eq!(problem.key, "after_ms");
        assert!(problem.message.contains("expected a whole number, 0 or more"), "{}", problem.message);
        let problem = only_problem(r#"{"brightness": "high"}"#);
        assert!(problem.message.contains("expected a number"), "{}", problem.message);
    }

    #[test]
    fn a_key_inside_a_list_has_its_index() {
        assert_eq!(only_problem(r#"{"bulbs": [{"watts": 5}, {"watts": "x"}]}"#).key, "bulbs[1].watts");
    }

    #[test]
    fn a_number_out_of_range_names_the_range() {
        let problem = only_problem(r#"{"brightness": 1.5}"#);
        assert_eq!(problem.message, "1.5 is out of range: give a number from 0 to 1");
        assert_eq!(only_problem(r#"{"brightness": 1e300}"#).key, "brightness");
    }

    #[test]
    fn a_value_that_is_not_an_object_has_no_key() {
        assert_eq!(only_problem("[1]").key, "");
        assert_eq!(only_problem("not json").key, "");
        assert_eq!(only_problem("").key, "");
    }

    #[test]
    fn positions_in_the_generated_json_are_not_shown() {
        assert!(!only_problem(r#"{"after_ms": "x"}"#).message.contains("line 1"));
    }

    #[test]
    fn a_warning_leaves_the_settings_usable() {
        let (settings, problems) = read::<Lamp>(r#"{"after_ms": 0}"#);
        assert!(settings.is_some());
        assert_eq!(problems.into_iter().next().map(|p| p.severity), Some(Severity::Warning));
    }

    #[test]
    fn the_schema_has_defaults_as_a_person_writes_them() {
        assert!(schema::<Lamp>().contains(r#""default":0.05,"#), "{}", schema::<Lamp>());
    }

    #[test]
    fn the_schema_names_every_key() {
        let schema = schema::<Lamp>();
        for key in ["brightness", "after_ms", "bulbs", "watts"] {
            assert!(schema.contains(key), "{schema}");
        }
    }
}
