//! The rule runtime: sandboxed WebAssembly components behind the contract in `wit/`.
//!
//! [`Rules::load`] reads, checks and compiles every component of a configuration once. For each frame [`Rules::judge`]
//! evaluates the matching policies, the unknown-person rules and the alert rules, in this order, each in a fresh
//! instance (or in a pooled one, if the rule has `reuse = true`). A rule's state is in the lane's [`RuleState`]. It
//! changes only when every rule of the frame succeeded.
//!
//! Rules are untrusted. A rule has no files, sockets, environment or arguments except those that its grants name. Its
//! clock is the frame's time, and its time, memory, output, log and state are limited. A rule that misbehaves costs its
//! own frame a [`RuleFailure`] and nothing else.
//!
//! # Layout
//!
//! Each layer uses only those above it.
//!
//! | files | what they hold |
//! | --- | --- |
//! | `error`, `limits`, `recent_log`, `meter`, `breaker`, `rule_state`, `settings_json` | plain types: failures, limits, last log lines, metrics, state between frames, settings |
//! | `frame`, `rule_log`, `wasi_http`, `wasi_grants`, `stderr_buffer` | what a call can reach |
//! | `call_policy`, `host_state` | the data of one call's store |
//! | `contract`, `v0_1_0`, `contract_versions` | types of the contract, and the bindings of each version |
//! | `sandbox`, `compute_time`, `instance_pool` | the wasmtime engine, its limits, idle instances |
//! | `component_file`, `component_imports`, `component_info`, `code_cache` | reading, checking and compiling components |
//! | `loaded_rule`, `load_rule` | one rule, ready to be evaluated |
//! | `answer_checks`, `evaluate` | one rule and one frame |
//! | `previous_judgement`, `chain`, `rules`, `rule_runner` | all rules of a configuration; one rule for the authors' tools |
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer_checks;
mod breaker;
mod call_policy;
mod chain;
mod code_cache;
mod component_file;
mod component_imports;
mod component_info;
mod compute_time;
mod configured;
mod contract;
mod contract_versions;
mod error;
mod evaluate;
mod frame;
mod host_state;
mod instance_pool;
mod limits;
mod load_rule;
mod loaded_rule;
mod meter;
mod previous_judgement;
mod recent_log;
mod rule_log;
mod rule_pre;
mod rule_runner;
mod rule_state;
mod rules;
mod sandbox;
mod settings_json;
mod stderr_buffer;
mod v0_1_0;
mod v0_2_0;
mod wasi_grants;
mod wasi_http;

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
pub use code_cache::CodeCache;
pub use component_info::ComponentInfo;
pub use configured::load_rules;
pub use error::{FailureKind, LoadError, Problem, RuleError, RuleFailure, kind_name};
pub use evaluate::RuleOutput;
pub use frame::FrameFacts;
pub use load_rule::RuleDescription;
pub use meter::{CallCost, RuleMeter, RuleMeters, RuleUsage};
pub use previous_judgement::PreviousJudgement;
pub use recent_log::LogLine;
pub use rule_runner::{LoadedComponent, RuleRunner};
pub use rule_state::RuleState;
pub use rules::Rules;
