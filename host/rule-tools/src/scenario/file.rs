//! The keys of a scenario file.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) about: String,
    #[serde(default)]
    pub(super) settings: toml::Table,
    #[serde(default)]
    pub(super) people: Vec<Enrolled>,
    pub(super) frames: Vec<Frame>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrolled {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) samples: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Frame {
    pub(super) camera: Option<String>,
    pub(super) at: Option<String>,
    #[serde(default)]
    pub(super) faces: Vec<Face>,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    #[serde(default)]
    pub(super) schedules: Vec<String>,
    /// The keys of an entry depend on the kind of rule.
    pub(super) expect: Option<Vec<toml::Table>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Face {
    pub(super) known: Option<String>,
    pub(super) unknown: Option<bool>,
    pub(super) undecided: Option<String>,
    pub(super) confidence: Option<f32>,
    pub(super) track: Option<u64>,
    pub(super) track_started_at: Option<String>,
    pub(super) bounds: Option<[f32; 4]>,
    pub(super) score: Option<f32>,
    pub(super) quality: Option<f32>,
    #[serde(default)]
    pub(super) zones: Vec<String>,
    pub(super) embedding: Option<Vec<f32>>,
    pub(super) candidates: Option<BTreeMap<String, f32>>,
    pub(super) stranger: Option<Stranger>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stranger {
    pub(super) id: String,
    pub(super) event: Option<everyframe_types::judgement::StrangerEvent>,
    pub(super) first_seen_at: Option<String>,
    pub(super) dwell_ms: Option<u64>,
    pub(super) visits: Option<u32>,
}
