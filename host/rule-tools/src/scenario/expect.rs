//! A rule's output as scenarios write it: entries of named fields, for the expected and for the actual output.

use super::{format_time, parse_time};
use everyframe_config::RuleKind;
use everyframe_rules::RuleOutput;
use everyframe_types::judgement::{Decision, StrangerEvent};
use std::fmt;

/// Two numbers that differ by at most this are equal: scenarios write them with three digits.
const TOLERANCE: f64 = 6e-4;

/// One alert, decision or stranger: the names and values of its fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry(Vec<(&'static str, Value)>);

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `"known-person"`
    Text(String),
    /// `0.9`; a whole number without the point.
    Number(f64),
    /// `true`
    Truth(bool),
}

impl Value {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// True if the actual value is the expected one. `undecided = true` matches any reason.
    fn matches(&self, got: &Value) -> bool {
        match (self, got) {
            (Self::Number(expected), Self::Number(got)) => (expected - got).abs() <= TOLERANCE,
            (Self::Truth(true), Self::Text(_)) => true,
            _ => self == got,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{}", toml::Value::String(text.clone())),
            Self::Number(number) => write!(f, "{number}"),
            Self::Truth(truth) => write!(f, "{truth}"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name} = {value}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl Entry {
    /// The fields, in their order.
    pub fn fields(&self) -> &[(&'static str, Value)] {
        &self.0
    }

    /// True if every field of this expected entry matches the same field of `got`.
    pub(super) fn matches(&self, got: &Entry) -> bool {
        self.0.iter().all(|(name, value)| got.field(name).is_some_and(|got| value.matches(got)))
    }

    /// The fields of `got` that this entry has too; all fields if this entry has one that `got` does not have.
    pub(super) fn select_fields(&self, got: &Entry) -> Entry {
        if self.0.is_empty() || self.0.iter().any(|(name, _)| got.field(name).is_none()) {
            return got.clone();
        }
        let named = got.0.iter().filter(|(name, _)| self.field(name).is_some());
        Entry(named.cloned().collect())
    }

    /// Replaces the index of the entry's face.
    pub(super) fn map_face(mut self, new_index: impl Fn(u32) -> Option<u32>) -> Self {
        for (name, value) in &mut self.0 {
            if let ("face", Value::Number(face)) = (*name, &mut *value) {
                *face = new_index(*face as u32).map_or(*face, f64::from);
            }
        }
        self
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// Reads an expected entry for a kind of rule.
    ///
    /// # Errors
    ///
    /// The key, and what is wrong with it.
    pub(super) fn read(kind: RuleKind, table: &toml::Table) -> Result<Self, (String, String)> {
        let names = field_names(kind);
        let mut entry = Entry::default();
        for (key, value) in table {
            let Some(name) = names.iter().find(|name| *name == key) else {
                let known = names.join("`, `");
                return Err((key.clone(), format!("unknown field `{key}`, expected one of `{known}`")));
            };
            let value = read_value(name, value).map_err(|message| (key.clone(), message))?;
            entry.0.push((name, value));
        }
        let position = |name: &str| names.iter().position(|it| *it == name);
        entry.0.sort_by_key(|(name, _)| position(name));
        if kind == RuleKind::MatchingPolicy {
            let decided = ["known", "unknown", "undecided"].iter().filter(|name| entry.field(name).is_some());
            if decided.count() != 1 {
                let message = "give one of `known = \"ID\"`, `unknown = true`, `undecided = \"WHY\"`";
                return Err((String::new(), message.into()));
            }
        }
        Ok(entry)
    }

    /// The entries of a rule's output, with all fields.
    pub(super) fn from_output(output: &RuleOutput) -> Vec<Self> {
        match output {
            RuleOutput::Decisions(decisions) => {
                decisions.iter().map(|(_, decision)| decision_entry(decision)).collect()
            }
            RuleOutput::Strangers(strangers) => {
                let entry = |(face, stranger): &(u32, everyframe_types::judgement::Stranger)| {
                    Entry(vec![
                        ("face", Value::Number(f64::from(*face))),
                        ("id", Value::text(&stranger.id)),
                        ("event", Value::text(stranger.event.map_or(NO_EVENT, StrangerEvent::as_str))),
                        ("visits", Value::Number(f64::from(stranger.visits))),
                        ("dwell_ms", Value::Number(stranger.dwell as f64)),
                        ("first_seen_at", Value::Text(format_time(stranger.first_seen_at))),
                    ])
                };
                strangers.iter().map(entry).collect()
            }
            RuleOutput::Alerts(alerts) => {
                let entry = |alert: &everyframe_types::judgement::Alert| {
                    let mut fields = vec![
                        ("severity", Value::text(alert.severity.as_str())),
                        ("kind", Value::text(&alert.kind)),
                        ("subject", Value::text(&alert.subject)),
                        ("dedup_key", Value::text(&alert.dedup_key)),
                        ("text", Value::text(&alert.text)),
                    ];
                    fields.extend(alert.face.map(|face| ("face", Value::Number(f64::from(face)))));
                    Entry(fields)
                };
                alerts.iter().map(entry).collect()
            }
        }
    }
}

/// The value of `event` for a stranger without an event.
const NO_EVENT: &str = "none";

fn decision_entry(decision: &Decision) -> Entry {
    Entry(match decision {
        Decision::Known { person, confidence } => vec![
            ("known", Value::text(person)),
            ("confidence", Value::Number((f64::from(*confidence) * 1000.0).round() / 1000.0)),
        ],
        Decision::Unknown => vec![("unknown", Value::Truth(true))],
        Decision::Undecided { reason } => vec![("undecided", Value::text(reason))],
    })
}

/// The fields of a kind's entries, in the order in which they are written.
fn field_names(kind: RuleKind) -> &'static [&'static str] {
    match kind {
        RuleKind::MatchingPolicy => &["known", "confidence", "unknown", "undecided"],
        RuleKind::UnknownPerson => &["face", "id", "event", "visits", "dwell_ms", "first_seen_at"],
        RuleKind::Alerting => &["severity", "kind", "subject", "dedup_key", "text", "face"],
    }
}

fn read_value(name: &str, value: &toml::Value) -> Result<Value, String> {
    let one_of = |choices: &[&str], text: &str| match choices.contains(&text) {
        true => Ok(Value::text(text)),
        false => Err(format!("`{text}` is not one of `{}`", choices.join("`, `"))),
    };
    match (name, value) {
        ("severity", toml::Value::String(text)) => one_of(&["info", "warning", "critical"], text),
        ("event", toml::Value::String(text)) => {
            one_of(&["first-seen", "returned", "loitering", "merged", NO_EVENT], text)
        }
        ("first_seen_at", toml::Value::String(text)) => {
            parse_time(text).map(|at| Value::Text(format_time(at))).ok_or_else(|| NOT_A_TIME.to_owned())
        }
        ("unknown", toml::Value::Boolean(true)) => Ok(Value::Truth(true)),
        ("unknown", _) => Err("give `unknown = true`, or another decision".into()),
        ("undecided", toml::Value::Boolean(true)) => Ok(Value::Truth(true)),
        ("undecided", toml::Value::String(text)) => Ok(Value::text(text)),
        ("undecided", _) => {
            Err("give the reason as a text in quotation marks, or `true` for any reason".into())
        }
        ("confidence", toml::Value::Float(number)) => Ok(Value::Number(*number)),
        ("confidence" | "face" | "visits" | "dwell_ms", toml::Value::Integer(number)) if *number >= 0 => {
            Ok(Value::Number(*number as f64))
        }
        ("confidence", _) => Err("give a number".into()),
        ("face" | "visits" | "dwell_ms", _) => Err("give a whole number, 0 or more".into()),
        (_, toml::Value::String(text)) => Ok(Value::text(text)),
        _ => Err("give a text in quotation marks".into()),
    }
}

/// The message for a text that is not a time.
pub(super) const NOT_A_TIME: &str = "is not a time; give a time of day such as \"10:00:00\" or \"10:00:00.250\", or a full one such as \"2026-01-05T10:00:00Z\"";
