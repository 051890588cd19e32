//! Answers as scenarios write them: entries of named fields, one language for what is expected and what came.

use super::{time, written};
use everyframe_config::RuleKind;
use everyframe_rules::RuleOutput;
use everyframe_types::judgement::{Decision, StrangerEvent};
use std::fmt;

/// How far two numbers may be apart and still be called equal: they are written with three digits.
const TOLERANCE: f64 = 6e-4;

/// One alert, decision or stranger, by the names of its fields.
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

    /// Numbers are equal as far as they are written; `undecided = true` takes any reason.
    fn accepts(&self, got: &Value) -> bool {
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

    /// True if every field that this entry names is the same in `got`.
    pub(super) fn accepts(&self, got: &Entry) -> bool {
        self.0.iter().all(|(name, value)| got.field(name).is_some_and(|got| value.accepts(got)))
    }

    /// Those fields of `got` that this entry names too; all, if it names something that `got` has not.
    pub(super) fn in_the_words_of(&self, got: &Entry) -> Entry {
        if self.0.is_empty() || self.0.iter().any(|(name, _)| got.field(name).is_none()) {
            return got.clone();
        }
        let named = got.0.iter().filter(|(name, _)| self.field(name).is_some());
        Entry(named.cloned().collect())
    }

    /// The same with other indices of faces.
    pub(super) fn with_faces(mut self, called: impl Fn(u32) -> Option<u32>) -> Self {
        for (name, value) in &mut self.0 {
            if let ("face", Value::Number(face)) = (*name, &mut *value) {
                *face = called(*face as u32).map_or(*face, f64::from);
            }
        }
        self
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// Reads what is expected of a kind of rule.
    ///
    /// # Errors
    ///
    /// The key and what is wrong with it.
    pub(super) fn read(kind: RuleKind, table: &toml::Table) -> Result<Self, (String, String)> {
        let names = names(kind);
        let mut entry = Entry::default();
        for (key, value) in table {
            let Some(name) = names.iter().find(|name| *name == key) else {
                let known = names.join("`, `");
                return Err((key.clone(), format!("unknown field `{key}`, expected one of `{known}`")));
            };
            let value = read_value(name, value).map_err(|message| (key.clone(), message))?;
            entry.0.push((name, value));
        }
        let place = |name: &str| names.iter().position(|it| *it == name);
        entry.0.sort_by_key(|(name, _)| place(name));
        if kind == RuleKind::MatchingPolicy {
            let decided = ["known", "unknown", "undecided"].iter().filter(|name| entry.field(name).is_some());
            if decided.count() != 1 {
                let message = "say one of `known = \"ID\"`, `unknown = true`, `undecided = \"WHY\"`";
                return Err((String::new(), message.into()));
            }
        }
        Ok(entry)
    }

    /// The entries of an answer, with every field that there is.
    pub(super) fn of(opinion: &RuleOutput) -> Vec<Self> {
        match opinion {
            RuleOutput::Decisions(decisions) => {
                decisions.iter().map(|(_, decision)| of_decision(decision)).collect()
            }
            RuleOutput::Strangers(strangers) => {
                let of = |(face, stranger): &(u32, everyframe_types::judgement::Stranger)| {
                    Entry(vec![
                        ("face", Value::Number(f64::from(*face))),
                        ("id", Value::text(&stranger.id)),
                        ("event", Value::text(stranger.event.map_or(NO_EVENT, event_name))),
                        ("visits", Value::Number(f64::from(stranger.visits))),
                        ("dwell_ms", Value::Number(stranger.dwell as f64)),
                        ("first_seen_at", Value::Text(written(stranger.first_seen_at))),
                    ])
                };
                strangers.iter().map(of).collect()
            }
            RuleOutput::Alerts(alerts) => {
                let of = |alert: &everyframe_types::judgement::Alert| {
                    let severity = match alert.severity {
                        everyframe_types::judgement::Severity::Info => "info",
                        everyframe_types::judgement::Severity::Warning => "warning",
                        everyframe_types::judgement::Severity::Critical => "critical",
                    };
                    let mut fields = vec![
                        ("severity", Value::text(severity)),
                        ("kind", Value::text(&alert.kind)),
                        ("subject", Value::text(&alert.subject)),
                        ("dedup_key", Value::text(&alert.dedup_key)),
                        ("text", Value::text(&alert.text)),
                    ];
                    fields.extend(alert.face.map(|face| ("face", Value::Number(f64::from(face)))));
                    Entry(fields)
                };
                alerts.iter().map(of).collect()
            }
        }
    }
}

/// What stands for "nothing new" where a stranger's event is expected.
const NO_EVENT: &str = "none";

fn event_name(event: StrangerEvent) -> &'static str {
    match event {
        StrangerEvent::FirstSeen => "first-seen",
        StrangerEvent::Returned => "returned",
        StrangerEvent::Loitering => "loitering",
    }
}

fn of_decision(decision: &Decision) -> Entry {
    Entry(match decision {
        Decision::Known { person, confidence } => vec![
            ("known", Value::text(person)),
            ("confidence", Value::Number((f64::from(*confidence) * 1000.0).round() / 1000.0)),
        ],
        Decision::Unknown => vec![("unknown", Value::Truth(true))],
        Decision::Undecided { reason } => vec![("undecided", Value::text(reason))],
    })
}

/// What may be expected of a kind, in the order in which it is shown.
fn names(kind: RuleKind) -> &'static [&'static str] {
    match kind {
        RuleKind::MatchingPolicy => &["known", "confidence", "unknown", "undecided"],
        RuleKind::UnknownPerson => &["face", "id", "event", "visits", "dwell_ms", "first_seen_at"],
        RuleKind::Alerting => &["severity", "kind", "subject", "dedup_key", "text", "face"],
    }
}

fn read_value(name: &str, value: &toml::Value) -> Result<Value, String> {
    let one_of = |choices: &[&str], text: &str| match choices.contains(&text) {
        true => Ok(Value::text(text)),
        false => Err(format!("`{text}` is none of `{}`", choices.join("`, `"))),
    };
    match (name, value) {
        ("severity", toml::Value::String(text)) => one_of(&["info", "warning", "critical"], text),
        ("event", toml::Value::String(text)) => {
            one_of(&["first-seen", "returned", "loitering", NO_EVENT], text)
        }
        ("first_seen_at", toml::Value::String(text)) => {
            time(text).map(|at| Value::Text(written(at))).ok_or_else(|| NO_TIME.to_owned())
        }
        ("unknown", toml::Value::Boolean(true)) => Ok(Value::Truth(true)),
        ("unknown", _) => Err("say `unknown = true`, or another decision".into()),
        ("undecided", toml::Value::Boolean(true)) => Ok(Value::Truth(true)),
        ("undecided", toml::Value::String(text)) => Ok(Value::text(text)),
        ("undecided", _) => Err("give the reason in quotation marks, or `true` for any reason".into()),
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

/// What a time must look like.
pub(super) const NO_TIME: &str = "is no time; give one of the day such as \"10:00:00\" or \"10:00:00.250\", or such as \"2026-01-05T10:00:00Z\"";
