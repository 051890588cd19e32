//! A rule of kind `matching-policy`: the most similar person, if similar enough and clearly more so than the next.

wit_bindgen::generate!({ path: "contract", world: "matching-policy" });

use everyframe::rules::types::{Decision, Frame, Identity, Probe, Verdict};
use exports::everyframe::rules::{matching, rule};
use std::cell::Cell;

/// The rule's table in the host's TOML.
#[derive(serde::Deserialize, Clone, Copy)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    threshold: f32,
    margin: f32,
}

/// What `rule inspect` shows of the settings.
const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "threshold": {
            "type": "number", "minimum": 0, "maximum": 1, "default": 0.45,
            "description": "A face less similar than this to everybody is unknown, cosine."
        },
        "margin": {
            "type": "number", "minimum": 0, "maximum": 1, "default": 0.05,
            "description": "The next best person must be less similar by this, or the face is undecided, cosine."
        }
    }
}"#;

impl Default for Settings {
    fn default() -> Self {
        Self { threshold: 0.45, margin: 0.05 }
    }
}

// An instance answers for one frame: `configure` comes before `decide`.
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
            about: "Says who a face is: the most similar person, if similar enough and clearly so.".into(),
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: String) -> Vec<rule::Diagnostic> {
        let refused = |key: &str, message: String| rule::Diagnostic {
            severity: rule::Severity::Error,
            key: key.into(),
            message,
        };
        let settings: Settings = match serde_json::from_str(&settings) {
            Ok(settings) => settings,
            Err(error) => return vec![refused("", error.to_string())],
        };
        SETTINGS.set(settings);
        [("threshold", settings.threshold), ("margin", settings.margin)]
            .into_iter()
            .filter(|(_, value)| !(0.0..=1.0).contains(value))
            .map(|(key, value)| refused(key, format!("must be from 0 to 1, is {value}")))
            .collect()
    }
}

impl matching::Guest for Rule {
    fn decide(_frame: Frame, probes: Vec<Probe>) -> Vec<Verdict> {
        let settings = SETTINGS.get();
        probes
            .iter()
            .map(|probe| Verdict { face: probe.face.index, decision: decide(settings, probe) })
            .collect()
    }
}

fn decide(Settings { threshold, margin }: Settings, probe: &Probe) -> Decision {
    // Best first.
    let Some(best) = probe.candidates.first().filter(|best| best.similarity >= threshold) else {
        return Decision::Unknown;
    };
    if let Some(next) = probe.candidates.get(1).filter(|next| best.similarity - next.similarity < margin) {
        return Decision::Undecided(format!("{} and {} are alike", best.person, next.person));
    }
    Decision::Known(Identity { person: best.person.clone(), confidence: best.similarity.clamp(0.0, 1.0) })
}
