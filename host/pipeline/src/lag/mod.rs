//! The alarm before the loss: what is unread, and how long until retention deletes it.

mod estimate;
mod sampler;
mod words;

pub use estimate::{Backlog, time_left};
pub use sampler::{PartitionLag, Sampler};
pub use words::{sentence, spoken};
