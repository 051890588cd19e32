//! The rule runtime: sandboxed WebAssembly components behind the contract in `wit/`.
//!
//! [`Rules`] is made once for a configuration: it reads, checks and compiles every component. For each
//! frame [`Rules::judge`] asks the matching policies, the unknown-person rules and the alert rules, in this
//! order, each in an instance that lives for that one question. What a rule remembers is in the lane's
//! [`Memory`], and is changed only when the whole frame went well.
//!
//! A rule is taken for hostile: it has no files, sockets, environment or arguments but what its grants name, its
//! clock is the frame's, and its time, memory, output, log and state are limited. Whatever it does costs its own
//! frame a [`RuleFailure`] and nothing else.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod anatomy;
mod answers;
mod breaker;
mod call;
mod chain;
mod compiled;
mod component;
mod consult;
mod contract;
mod engine;
mod error;
mod granted;
mod http;
mod limits;
mod load;
mod log_rate;
mod memory;
mod meter;
mod rejudge;
mod settings;
mod solo;
mod spares;
mod v0_1_0;

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod load_tests;

pub use anatomy::Anatomy;
pub use chain::Condition;
pub use compiled::CodeCache;
pub use consult::Opinion;
pub use error::{FailureKind, LoadError, Problem, RuleError, RuleFailure, kind_name};
use everyframe_types::face::People;
pub use load::{RuleDescription, Rules};
pub use memory::Memory;
pub use meter::{CallCost, RuleMeter, RuleMeters};
pub use rejudge::Before;
pub use solo::{Opened, Solo};

/// The frame that a rule is told about: everything but its picture.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameFacts<'a> {
    /// The camera's id.
    pub camera: &'a str,
    /// One run of the camera's agent.
    pub session: &'a str,
    /// The frame's number in its session.
    pub sequence: u64,
    /// When it was taken, Unix milliseconds: what the rules use as "now".
    pub captured_at: i64,
    /// Pixels of the full-size frame.
    pub width: u32,
    /// Pixels of the full-size frame.
    pub height: u32,
    /// The schedules that hold at that time, by name.
    pub schedules: &'a [String],
}
