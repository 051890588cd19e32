//! The lag of the group: unread frames, and how long until retention deletes them.

mod estimate;
mod sampler;
mod words;

pub use estimate::{Backlog, time_left};
pub use sampler::{PartitionLag, Sampler};
pub use words::{format_duration, sentence};
