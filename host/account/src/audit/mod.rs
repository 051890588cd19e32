//! The proof: from the topics alone, what became of every frame.

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

/// How many ranges of a kind are named; the others are counted.
const NAMED: usize = 1000;
