//! The proof: from the topics alone, what became of every frame.

mod ledger;
mod ranges;
mod read;

pub use ledger::{CameraCount, Ledger, Report};
pub use ranges::Ranges;
pub use read::audit;
