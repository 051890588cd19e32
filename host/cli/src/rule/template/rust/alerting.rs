//! A rule of kind `alerting`: tells of everybody who is recognised, once a visit.

wit_bindgen::generate!({ path: "contract", world: "alerting" });

use everyframe::rules::types::{Alert, Decision, Frame, Severity, Subject};
use everyframe::rules::{gallery, state};
use exports::everyframe::rules::{alerts, rule};
use std::cell::Cell;

/// The rule's table in the host's TOML.
#[derive(serde::Deserialize, Clone, Copy)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    away_ms: u64,
}

/// What `rule inspect` shows of the settings.
const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "away_ms": {
            "type": "integer", "minimum": 1, "default": 60000,
            "description": "Out of sight for longer than this, and the next visit begins, in ms."
        }
    }
}"#;

impl Default for Settings {
    fn default() -> Self {
        Self { away_ms: 60_000 }
    }
}

// An instance answers for one frame: `configure` comes before `judge`.
thread_local! {
    static SETTINGS: Cell<Settings> = Cell::default();
}

struct Rule;
export!(Rule);

impl rule::Guest for Rule {
    fn describe() -> rule::Description {
        rule::Description {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            about: "Tells of everybody who is recognised, once a visit.".into(),
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: String) -> Vec<rule::Diagnostic> {
        let refused = |key: &str, message: String| {
            vec![rule::Diagnostic { severity: rule::Severity::Error, key: key.into(), message }]
        };
        match serde_json::from_str::<Settings>(&settings) {
            Ok(Settings { away_ms: 0 }) => refused("away_ms", "must be 1 or more".into()),
            Ok(settings) => {
                SETTINGS.set(settings);
                Vec::new()
            }
            Err(error) => refused("", error.to_string()),
        }
    }
}

impl alerts::Guest for Rule {
    fn judge(_frame: Frame, subjects: Vec<Subject>) -> Vec<Alert> {
        // The host accepts at most 100 alerts per frame. The next frame reports the other people.
        subjects.iter().filter_map(alert).take(100).collect()
    }
}

fn alert(subject: &Subject) -> Option<Alert> {
    let Decision::Known(identity) = &subject.decision else { return None };
    let key = format!("here/{}", identity.person);
    let is_new = state::get(&key).is_none();
    // Kept from frame to frame, apart for each camera, and gone by itself when the person is away for so long.
    // If the rule's share is full, it is better to tell twice than not at all.
    let _ = state::set(&key, &[], Some(SETTINGS.get().away_ms));
    let name = gallery::find(&identity.person).map_or(identity.person.clone(), |person| person.name);
    is_new.then(|| Alert {
        severity: Severity::Info,
        kind: "known-person".into(),
        subject: identity.person.clone(),
        dedup_key: format!("known-person/{}", identity.person),
        text: format!("{name} is here"),
        face: Some(subject.face.index),
    })
}
