//! The configuration: read, checked, explained.

mod check;
mod load;
mod settings;

pub use load::{ConfigError, Loaded, Problem};
pub use settings::*;
