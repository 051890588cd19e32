//! The configuration: read, checked, explained.

mod settings;

pub use settings::*;
