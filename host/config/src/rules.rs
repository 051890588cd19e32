//! The settings of one rule.

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
    /// Decides who a face is, from the candidates of the gallery.
    MatchingPolicy,
    /// Recognises unknown people again, and measures how long they stay.
    UnknownPerson,
    /// Raises alerts.
    Alerting,
}

/// `[[rules]]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// The rule's name in results, alerts, logs and state. Letters, digits, `-` and `_`.
    pub name: String,
    /// The kind of rule: a world of the contract.
    pub kind: RuleKind,
    /// The component file (`.wasm`).
    pub component: PathBuf,
    /// If set, the SHA-256 that the component file must have (hexadecimal).
    #[serde(default)]
    pub sha256: Option<String>,
    /// The rule's own settings. Each rule defines its schema.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub settings: toml::Table,
    /// The cameras whose frames the rule gets, by id. `*` stands for any characters, `?` for one.
    #[serde(default = "every_camera")]
    pub cameras: Vec<String>,
    /// The zones whose faces the rule gets. Without zones, it gets all faces.
    #[serde(default)]
    pub zones: Vec<String>,
    /// The rule is called only while this schedule is active. Without a schedule, it is always called.
    #[serde(default)]
    pub schedule: Option<String>,
    /// What happens to a frame on which the rule fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// The circuit breaker: after this many consecutive failures the rule is not called for a while, and an event is published. Each
    /// skipped call counts as a failure. 0: the rule is always called.
    #[serde(default = "default_breaker")]
    pub breaker: u32,
    /// Reuse instances for later frames, of any camera, until they fail: for languages whose instances are expensive to create.
    /// Data in an instance's memory may then change its results, also in a replay.
    #[serde(default)]
    pub reuse: bool,
    /// What the rule may use.
    #[serde(default)]
    pub limits: Limits,
    /// What the rule may access beyond the contract. By default, nothing.
    #[serde(default)]
    pub grants: Grants,
}

impl RuleSettings {
    /// The settings of a rule with all defaults.
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
            breaker: default_breaker(),
            reuse: false,
            limits: Limits::default(),
            grants: Grants::default(),
        }
    }
}

fn default_breaker() -> u32 {
    10
}

/// `[[rules]] on_failure`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The frame is parked as a dead letter. `dead-letters replay` processes it again when the rule is fixed.
    #[default]
    Park,
    /// The frame is processed without the rule. Its result names the rule and the reason.
    Skip,
    /// The partition stops, and the frame is retried after a pause until the rule succeeds. Later frames wait in Kafka.
    Stop,
}
