//! The rule runtime: sandboxed WebAssembly components behind the contract in `wit/`.
//!
//! [`Rules`] is made once for a configuration: it reads, checks and compiles every component. For each
//! frame [`Rules::judge`] asks the matching policies, the unknown-person rules and the alert rules, in this
//! order, each in an instance that lives for that one question. What a rule remembers is in the lane's
//! [`RuleState`], and is changed only when the whole frame went well.
//!
//! A rule is taken for hostile: it has no files, sockets, environment or arguments but what its grants name, its
//! clock is the frame's, and its time, memory, output, log and state are limited. Whatever it does costs its own
//! frame a [`RuleFailure`] and nothing else.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answers;
mod breaker;
mod call;
mod chain;
mod compiled;
mod component;
mod component_info;
mod configured;
mod contract;
mod engine;
mod error;
mod evaluate;
mod http;
mod instance_pool;
mod limits;
mod load;
mod log_rate;
mod meter;
mod rejudge;
mod rule_runner;
mod rule_state;
mod settings;
mod v0_1_0;
mod wasi_grants;

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

pub use chain::Condition;
pub use compiled::CodeCache;
pub use component_info::ComponentInfo;
pub use configured::load_rules;
pub use error::{FailureKind, LoadError, Problem, RuleError, RuleFailure, kind_name};
pub use evaluate::RuleOutput;
use everyframe_types::face::People;
pub use load::{RuleDescription, Rules};
pub use meter::{CallCost, RuleMeter, RuleMeters};
pub use rejudge::Before;
pub use rule_runner::{LoadedComponent, RuleRunner};
pub use rule_state::RuleState;

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
