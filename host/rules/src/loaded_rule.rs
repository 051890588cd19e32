//! One rule, ready to be evaluated.

use super::breaker::Breakers;
use super::call_policy::CallPolicy;
use super::contract::RulePre;
use super::instance_pool::InstancePool;
use super::meter::RuleMeter;
use super::wasi_grants::WasiGrants;
use everyframe_config::{OnFailure, RuleKind, RuleSettings, camera_patterns};
use wildmatch::WildMatch;

/// Made when the configuration is loaded, kept until the next one is.
pub(super) struct LoadedRule {
    pub(super) kind: RuleKind,
    /// Patterns of the cameras whose frames the rule judges.
    pub(super) cameras: Vec<WildMatch>,
    /// The zones whose faces the rule gets; empty: all faces.
    pub(super) zones: Vec<String>,
    /// The rule judges frames only while this schedule is active; none: always.
    pub(super) schedule: Option<String>,
    pub(super) on_failure: OnFailure,
    /// What its calls may use; also its name.
    pub(super) policy: CallPolicy,
    /// A JSON object.
    pub(super) settings: String,
    pub(super) pre: Box<dyn RulePre>,
    pub(super) breakers: Breakers,
    pub(super) instance_pool: InstancePool,
    pub(super) meter: RuleMeter,
}

impl LoadedRule {
    /// `settings` is a JSON object.
    pub(super) fn new(
        rule: &RuleSettings,
        grants: WasiGrants,
        settings: String,
        pre: Box<dyn RulePre>,
    ) -> Self {
        Self {
            kind: rule.kind,
            cameras: camera_patterns(&rule.cameras),
            zones: rule.zones.clone(),
            schedule: rule.schedule.clone(),
            on_failure: rule.on_failure,
            policy: CallPolicy::new(rule, grants),
            settings,
            pre,
            breakers: Breakers::new(rule.breaker),
            instance_pool: InstancePool::new(rule.reuse),
            meter: RuleMeter::default(),
        }
    }

    /// The rule's name in the configuration.
    pub(super) fn name(&self) -> &str {
        &self.policy.rule
    }
}
