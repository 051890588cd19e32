//! The configuration: read, checked, explained.

mod check;
mod grants;
mod limits;
mod load;
mod places;
mod property;
mod settings;

pub use grants::Grants;
pub use limits::Limits;
pub use load::{ConfigError, Loaded, Problem};
pub use places::Places;
pub use property::Property;
pub use settings::*;
