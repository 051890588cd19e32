//! One rule, as the TOML has it.

use crate::grants::Grants;
use crate::limits::Limits;
use crate::site_settings::every_camera;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// The three kinds of rule, one for each world of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// Who is this, is it sure.
    MatchingPolicy,
    /// A stranger, again, for how long.
    UnknownPerson,
    /// What somebody should hear of.
    Alerting,
}

/// `[[rules]]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// The rule's name: in results, alerts, logs and state. Letters, digits, `-` and `_`.
    pub name: String,
    /// Which world it is of.
    pub kind: RuleKind,
    /// The component file (`.wasm`).
    pub component: PathBuf,
    /// If set, the component file must have this checksum (hexadecimal).
    #[serde(default)]
    pub sha256: Option<String>,
    /// The rule's own settings; their schema is the rule's.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub settings: toml::Table,
    /// Which cameras it is asked about: their ids, `*` for any characters and `?` for one of them.
    #[serde(default = "every_camera")]
    pub cameras: Vec<String>,
    /// The zones that it is told of: faces in none of them are kept from it; without any, it is told of all faces.
    #[serde(default)]
    pub zones: Vec<String>,
    /// It is asked only while this schedule holds; without one, always.
    #[serde(default)]
    pub schedule: Option<String>,
    /// What becomes of a frame on which it fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// After so many failures in a row it is not asked for a while, which counts as a failure too, and an event says so; 0:
    /// it is always asked.
    #[serde(default = "breaker")]
    pub breaker: u32,
    /// Whether its instances stay from frame to frame, of whatever camera, as long as they answer: for languages whose
    /// instances are dear to make. What one keeps in its own memory may then change its answers, also in a replay.
    #[serde(default)]
    pub reuse: bool,
    /// What one call may use.
    #[serde(default)]
    pub limits: Limits,
    /// What it may reach besides the contract: nothing, unless it is written here.
    #[serde(default)]
    pub grants: Grants,
}

impl RuleSettings {
    /// A rule of which nothing else is configured.
    pub fn new(name: &str, kind: RuleKind, component: PathBuf) -> Self {
        Self {
            name: name.into(),
            kind,
            component,
            sha256: None,
            settings: toml::Table::new(),
            cameras: every_camera(),
            zones: Vec::new(),
            schedule: None,
            on_failure: OnFailure::default(),
            breaker: breaker(),
            reuse: false,
            limits: Limits::default(),
            grants: Grants::default(),
        }
    }
}

fn breaker() -> u32 {
    10
}

/// `[[rules]] on_failure`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The frame is a dead letter: `dead-letters replay` puts it through again when the rule is mended.
    #[default]
    Park,
    /// The frame goes on as if the rule had no opinion; its result names the rule and the reason.
    Skip,
    /// The partition stops, and the frame is tried again after a pause, and again; the others wait in Kafka.
    Stop,
}
