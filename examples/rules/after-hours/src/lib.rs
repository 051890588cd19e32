//! An alert rule in full: anybody at all, known or not, outside opening hours.

wit_bindgen::generate!({ path: "../../../wit/0.1.0", world: "alerting" });

use everyframe::rules::state;
use everyframe::rules::types::{Alert, Frame, Severity, Subject};
use exports::everyframe::rules::{alerts, rule};
use std::cell::Cell;

const HOUR: i64 = 3_600_000;

/// The rule's table in the TOML.
#[derive(serde::Deserialize, Clone, Copy)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Full hours of the day, UTC.
    opens: i64,
    closes: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { opens: 8, closes: 18 }
    }
}

thread_local! {
    static SETTINGS: Cell<Settings> = Cell::default();
}

struct AfterHours;
export!(AfterHours);

impl rule::Guest for AfterHours {
    fn describe() -> rule::Description {
        rule::Description {
            name: "after-hours".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            about: "Raises an alert for anybody seen outside opening hours, once an hour and camera.".into(),
            settings_schema:
                r#"{"type":"object","properties":{"opens":{"type":"integer"},"closes":{"type":"integer"}}}"#
                    .into(),
        }
    }

    fn configure(settings: String) -> Vec<rule::Diagnostic> {
        match serde_json::from_str(&settings) {
            Ok(settings) => SETTINGS.set(settings),
            Err(error) => {
                let message = error.to_string();
                return vec![rule::Diagnostic {
                    severity: rule::Severity::Error,
                    key: String::new(),
                    message,
                }];
            }
        }
        Vec::new()
    }
}

impl alerts::Guest for AfterHours {
    fn judge(frame: Frame, subjects: Vec<Subject>) -> Vec<Alert> {
        let Settings { opens, closes } = SETTINGS.get();
        let hour = frame.captured_at.rem_euclid(24 * HOUR) / HOUR;
        let open = (opens..closes).contains(&hour);
        if open || subjects.is_empty() || state::get("alerted").is_some() {
            return Vec::new();
        }
        // Forgotten by itself after an hour of the frames' time.
        let _ = state::set("alerted", &[], Some(HOUR as u64));
        vec![Alert {
            severity: Severity::Critical,
            kind: "after-hours".into(),
            subject: frame.camera.clone(),
            dedup_key: format!("after-hours/{}", frame.camera),
            text: format!("{} in sight at {} after hours", people(subjects.len()), frame.camera),
            face: None,
        }]
    }
}

fn people(count: usize) -> String {
    if count == 1 { "Somebody".into() } else { format!("{count} people") }
}
