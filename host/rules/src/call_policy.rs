//! What each call of one rule may use. Made when the rule is loaded.

use super::error::{Fault, RuleFailure};
use super::rule_log::LogSink;
use super::wasi_grants::WasiGrants;
use everyframe_config::{Limits, RuleSettings};

/// The limits and grants of one rule.
pub(super) struct CallPolicy {
    /// The rule's name in the configuration.
    pub(super) rule: String,
    pub(super) limits: Limits,
    /// What the rule may reach besides the contract.
    pub(super) grants: WasiGrants,
    /// Shared by all calls, since the limit is in lines per second.
    pub(super) log_sink: LogSink,
}

impl CallPolicy {
    pub(super) fn new(rule: &RuleSettings, grants: WasiGrants) -> Self {
        Self {
            rule: rule.name.clone(),
            limits: rule.limits.clone(),
            grants,
            log_sink: LogSink::new(rule.limits.log_rate),
        }
    }

    /// Adds the rule's name to a fault.
    pub(super) fn failure(&self, Fault { kind, message }: Fault) -> RuleFailure {
        RuleFailure { rule: self.rule.clone(), kind, message }
    }
}
