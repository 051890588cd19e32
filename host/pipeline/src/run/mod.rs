//! A host at work: joins intake, vision, gallery, rules and publishing.

mod active_rules;
mod background;
mod dead_letter_limiter;
mod deleted;
mod error;
mod expiry;
mod host;
mod judge;
mod lane_cell;
mod lane_context;
mod lanes;
mod ledger;
mod prepared;
mod reprocess;
mod restore;
mod rule_judge;
mod search_order;
mod topic_reader;
mod tracking;
mod worker;

#[cfg(test)]
mod in_memory_broker;
#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod simulated_host;
#[cfg(test)]
mod wiring_tests;

pub use error::RunError;
pub use host::Host;
pub use reprocess::{ReprocessedFrame, Reprocessor};
