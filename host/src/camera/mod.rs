//! The agent: pictures of a source, into the frames topic, by way of a spool where the broker does not take them.

mod agent;
mod inbox;
mod line;
#[cfg(test)]
mod line_tests;
mod outbox;
mod source;
mod spool;

pub use agent::{Agent, AgentError, Tally};
pub use outbox::{Destination, OutboxError, Prepare};
pub use source::{Source, SourceError};
pub use spool::SpoolError;
