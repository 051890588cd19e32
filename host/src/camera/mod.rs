//! The agent: pictures of a source, into the frames topic.

mod agent;
mod source;

pub use agent::{Agent, Tally};
pub use source::{Source, SourceError};
