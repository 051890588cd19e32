//! The agent: reads the pictures of a source and sends them to the frames topic. While the broker does not take them, they wait
//! in a spool on disk.
//!
//! - `source` reads a video (`video`, `timeline`, `stated_length`) or picture files (`pictures`).
//! - `agent` stamps each picture with session, sequence number and time.
//! - `outbox` passes frames through the `inbox` to the `send_queue`, which uses the producer and the `spool`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod address;
mod agent;
mod inbox;
mod outbox;
mod pictures;
mod send_queue;
#[cfg(test)]
mod send_queue_tests;
mod source;
mod source_error;
#[cfg(test)]
mod source_tests;
mod spool;
mod stated_length;
#[cfg(test)]
mod test_video;
mod timeline;
mod video;

pub use address::SourceAddress;
pub use agent::{Agent, AgentError, AgentSummary};
pub use outbox::{Destination, OutboxError, Prepare};
pub use source::{Picture, Reading, Source};
pub use source_error::SourceError;
pub use spool::SpoolError;
