//! What other rules would have said to frames that are long judged: nothing is published, committed or joined.
//!
//! [`stored`] reads what was judged then, [`Judge`] puts it to rules anew, and [`Account`] tells the two apart.

mod account;
mod driver;
mod faces;
mod judge;
pub mod stored;

pub use account::{Account, AlertChange, AlertCounts, Count, FaceChange, FaceCounts, Report, Side};
pub use driver::{Replay, ReplayError};
pub use judge::Judge;
pub use stored::{Past, Window};
