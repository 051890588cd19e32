//! The proof: from the topics alone, what became of every frame.

mod ledger;
mod letters;
mod live;
mod offsets;
mod ranges;
mod read;
mod report;
mod sequences;

pub use ledger::Ledger;
pub use letters::{FATE, Fate, Fates, LETTER, Letter, Mark, Partial, Place};
pub use live::{LiveLedger, Noted};
pub use offsets::Offsets;
pub use ranges::Ranges;
pub(crate) use read::CLOCKS_APART;
pub use read::audit;
pub use report::{CameraCount, NotNamed, Report};

/// How many ranges of a kind are named; the others are counted.
const NAMED: usize = 1000;
