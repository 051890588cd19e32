//! A rule of kind `unknown-person`: each track of an unknown face is a stranger, who may stay for so long.
//!
//! Faces are not compared, so who comes back is a new stranger. `embeddings::get` gives what it takes to compare.

wit_bindgen::generate!({ path: "contract", world: "unknown-person" });

use everyframe::rules::state;
use everyframe::rules::types::{Event, Face, Frame, Stranger};
use exports::everyframe::rules::{rule, strangers};
use std::cell::Cell;

/// A track that was not seen for this long is over, milliseconds.
const GONE_MS: u64 = 60_000;

/// The rule's table in the host's TOML.
#[derive(serde::Deserialize, Clone, Copy)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    loiter_after_ms: u64,
}

/// What `rule inspect` shows of the settings.
const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "loiter_after_ms": {
            "type": "integer", "minimum": 1, "default": 20000,
            "description": "Whoever stays for longer than this loiters, in ms."
        }
    }
}"#;

impl Default for Settings {
    fn default() -> Self {
        Self { loiter_after_ms: 20_000 }
    }
}

// An instance answers for one frame: `configure` comes before `observe`.
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
            about: "Gives unknown faces an id while they are followed, and says who stays too long.".into(),
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: String) -> Vec<rule::Diagnostic> {
        let refused = |key: &str, message: String| {
            vec![rule::Diagnostic { severity: rule::Severity::Error, key: key.into(), message }]
        };
        match serde_json::from_str::<Settings>(&settings) {
            Ok(Settings { loiter_after_ms: 0 }) => refused("loiter_after_ms", "must be 1 or more".into()),
            Ok(settings) => {
                SETTINGS.set(settings);
                Vec::new()
            }
            Err(error) => refused("", error.to_string()),
        }
    }
}

impl strangers::Guest for Rule {
    fn observe(frame: Frame, faces: Vec<Face>) -> Vec<Stranger> {
        faces.iter().map(|face| stranger(&frame, face)).collect()
    }
}

fn stranger(frame: &Frame, face: &Face) -> Stranger {
    let id = format!("{}-{}-{}", frame.camera, face.track_started_at, face.track);
    let dwell = u64::try_from(frame.captured_at - face.track_started_at).unwrap_or(0);
    // What was said of the track before: one letter, apart for each camera, gone by itself.
    let key = format!("track/{id}");
    let said = state::get(&key);
    let (event, say) = match said.as_deref() {
        None => (Some(Event::FirstSeen), b"f"),
        Some(b"f") if dwell > SETTINGS.get().loiter_after_ms => (Some(Event::Loitering), b"l"),
        Some(b"l") => (None, b"l"),
        Some(_) => (None, b"f"),
    };
    // If the rule's share is full, the event is told once more.
    let _ = state::set(&key, say, Some(GONE_MS));
    Stranger { face: face.index, id, event, first_seen_at: face.track_started_at, dwell, visits: 1 }
}
