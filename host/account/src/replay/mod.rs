//! Replays past frames with other rules. It publishes and commits nothing, and joins no consumer group.
//!
//! [`stored`] reads the past judgements, [`Judge`] judges the frames with the new rules, and [`Comparison`] counts the differences.
//! [`Progress`] tells how far it is, and ends it early.

mod comparison;
mod driver;
mod faces;
mod judge;
mod progress;
pub mod stored;

pub use comparison::{AlertChange, AlertCounts, Comparison, Count, FaceChange, FaceCounts, Report, Side};
pub use driver::{Replay, ReplayError};
pub use judge::Judge;
pub use progress::{Progress, StopReason};
pub use stored::{Past, Window};
