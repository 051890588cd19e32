//! The settings of zones, masks and schedules.

use crate::polygon::Polygon;
use crate::schedule::Window;
use schemars::JsonSchema;
use serde::Deserialize;

/// `[[zones]]`: a face is in a zone if the centre of its box is. If a zone has different polygons in different cameras, add one
/// table for each, with the same name.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneSettings {
    /// The zone's name in rules.
    pub name: String,
    /// The cameras of the zone, by id. `*` stands for any characters, `?` for one. With an empty list, only the cameras that name
    /// the zone in `[[cameras]]` have it.
    #[serde(default = "every_camera")]
    pub cameras: Vec<String>,
    /// The corners, three or more.
    pub polygon: Polygon,
}

/// `[[masks]]`: the masked part is painted over before faces are detected, and is in no embedding.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskSettings {
    /// The cameras of the mask, by id. `*` stands for any characters, `?` for one.
    #[serde(default = "every_camera")]
    pub cameras: Vec<String>,
    /// The corners, three or more.
    pub polygon: Polygon,
}

/// `[[schedules]]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// The schedule's name in rules.
    pub name: String,
    /// The time zone of its hours, by its name in the IANA database: `Europe/Berlin`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// When the schedule is active: in any of these windows.
    pub hours: Vec<Window>,
}

fn utc() -> String {
    "UTC".into()
}

/// The default list of cameras: all.
pub(super) fn every_camera() -> Vec<String> {
    vec!["*".into()]
}
