//! The agent: pictures of a source, into the frames topic, by way of a spool where the broker does not take them.
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
#[cfg(test)]
mod source_tests;
mod spool;
mod stated_length;
#[cfg(test)]
mod test_video;
mod timeline;
mod video;

pub use address::SourceAddress;
pub use agent::{Agent, AgentError, Tally};
pub use outbox::{Destination, OutboxError, Prepare};
pub use source::{Picture, Reading, Source, SourceError};
pub use spool::SpoolError;
