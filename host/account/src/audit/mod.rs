//! The audit: what happened to every frame, from the topics alone.

mod ledger;
mod offsets;
mod read;
mod report;
mod sequences;

pub use ledger::Ledger;
pub use offsets::Offsets;
pub(crate) use read::CLOCKS_APART;
pub use read::audit;
pub use report::{CameraCount, NotNamed, Report};

/// The most ranges of each kind that a report lists; others are only counted.
const MAX_LISTED: usize = 1000;
