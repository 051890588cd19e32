//! The configuration: read, checked, explained.

mod check;
mod grants;
mod limits;
mod load;
mod places;
mod premises;
mod property;
mod rules;
mod settings;

pub use check::user_in_brokers;
pub use grants::Grants;
pub use limits::Limits;
pub use load::{ConfigError, Loaded, Problem};
pub use places::Places;
pub use premises::{MaskSettings, ScheduleSettings, ZoneSettings};
pub use property::Property;
pub use rules::{OnFailure, RuleKind, RuleSettings};
pub use settings::*;
