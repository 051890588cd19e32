//! What the operator says of the place that the cameras watch, as the TOML has it.

use crate::polygon::Polygon;
use crate::schedule::Window;
use schemars::JsonSchema;
use serde::Deserialize;

/// `[[zones]]`: a face is told to be in a zone when the middle of its box is. A zone whose part of the picture is another
/// one in another camera is written again, under the same name.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneSettings {
    /// What rules call it.
    pub name: String,
    /// The cameras that have it: their ids, `*` for any characters and `?` for one of them.
    #[serde(default = "every_camera")]
    pub cameras: Vec<String>,
    /// Its corners, three or more.
    pub polygon: Polygon,
}

/// `[[masks]]`: what is in a mask is painted over before faces are looked for, and is in no embedding.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskSettings {
    /// The cameras that have it: their ids, `*` for any characters and `?` for one of them.
    #[serde(default = "every_camera")]
    pub cameras: Vec<String>,
    /// Its corners, three or more.
    pub polygon: Polygon,
}

/// `[[schedules]]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// What rules call it.
    pub name: String,
    /// Whose clocks its hours are of, by the name in the IANA database: `Europe/Berlin`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// When it holds; any of these will do.
    pub hours: Vec<Window>,
}

fn utc() -> String {
    "UTC".into()
}

/// Patterns that leave out no camera.
pub(super) fn every_camera() -> Vec<String> {
    vec!["*".into()]
}
