//! The configuration: read, checked, explained.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod camera_pattern;
mod check;
mod grants;
mod limits;
mod load;
mod places;
mod polygon;
mod problem;
mod property;
mod rules;
mod schedule;
mod settings;
mod site;
mod site_settings;

pub use camera_pattern::{is_meant, pattern, patterns};
pub use check::user_in_brokers;
pub use grants::Grants;
pub use limits::Limits;
pub use load::{ConfigError, Loaded};
pub use places::Places;
pub use polygon::Polygon;
pub use problem::Problem;
pub use property::Property;
pub use rules::{OnFailure, RuleKind, RuleSettings};
pub use schedule::{Day, TimeOfDay, Window, time_zone};
pub use settings::*;
pub use site::Site;
pub use site_settings::{MaskSettings, ScheduleSettings, ZoneSettings};
