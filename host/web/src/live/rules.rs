//! The rules that judged frames, from the results, alerts and dead letters. Pure.

use everyframe_types::event::{Part, ResultData};
use std::collections::BTreeMap;

/// The most rules that are kept.
const MAX_RULES: usize = 1000;
/// The most reasons for failures that are counted of a rule. Hosts of this version have eleven.
const MAX_REASONS: usize = 32;

/// The last failure of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When the frame was taken, Unix milliseconds.
    pub at: i64,
    /// The camera.
    pub camera: String,
    /// A stable name of the failure.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// What a rule did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCounts {
    /// The rule's version and file when it last judged a frame.
    pub part: Part,
    /// Frames that it judged.
    pub judged: u64,
    /// Frames on which it failed and was skipped.
    pub skipped: u64,
    /// Frames that were parked because it failed.
    pub parked: u64,
    /// The same frames, skipped or parked, by the stable name of the failure.
    pub failures: BTreeMap<String, u64>,
    /// Alerts that it raised.
    pub alerts: u64,
    /// The last failure.
    pub last_failure: Option<Failure>,
    /// When it last judged a frame, Unix milliseconds.
    pub last_judged_at: i64,
}

impl RuleCounts {
    fn add_failure(&mut self, failure: Failure) {
        if self.failures.len() < MAX_REASONS || self.failures.contains_key(&failure.reason) {
            *self.failures.entry(failure.reason.clone()).or_default() += 1;
        }
        self.last_failure = Some(failure);
    }
}

/// All rules by name, and the models.
#[derive(Debug, Default)]
pub struct RuleLog {
    /// The rules, by name.
    pub rules: BTreeMap<String, RuleCounts>,
    /// The models of the last result.
    pub models: Vec<Part>,
}

impl RuleLog {
    /// Adds a result.
    pub fn add_result(&mut self, result: &ResultData) {
        if self.models != result.judged_by.models {
            self.models.clone_from(&result.judged_by.models);
        }
        for part in &result.judged_by.rules {
            let Some(rule) = self.rule(&part.name) else { continue };
            if rule.part != *part {
                rule.part = part.clone();
            }
            rule.judged += 1;
            rule.last_judged_at = rule.last_judged_at.max(result.captured_at);
        }
        for skipped in &result.skipped {
            let Some(rule) = self.rule(&skipped.rule) else { continue };
            rule.judged = rule.judged.saturating_sub(1);
            rule.skipped += 1;
            rule.add_failure(Failure {
                at: result.captured_at,
                camera: result.camera.clone(),
                reason: skipped.reason.clone(),
                message: skipped.message.clone(),
            });
        }
    }

    /// Adds a frame that was parked at the stage `rules`. The message names the rule, as [`everyframe_rules::RuleFailure`] writes it.
    pub fn add_parked(&mut self, camera: &str, at: i64, reason: &str, message: &str) {
        let named = message.strip_prefix("rule ").and_then(|rest| rest.split_once(": "));
        let Some((rule, message)) = named.and_then(|(name, rest)| Some((self.rule(name)?, rest))) else {
            return;
        };
        rule.parked += 1;
        let (camera, reason, message) = (camera.to_owned(), reason.to_owned(), message.to_owned());
        rule.add_failure(Failure { at, camera, reason, message });
    }

    /// Adds an alert of a rule that judged a frame; the host's own alerts are of no rule.
    pub fn add_alert(&mut self, rule: &str) {
        if let Some(rule) = self.rules.get_mut(rule) {
            rule.alerts += 1;
        }
    }

    /// The version that a rule reported last; none if it reported none.
    pub fn version_of(&self, rule: &str) -> Option<String> {
        self.rules.get(rule)?.part.version.clone()
    }

    fn rule(&mut self, name: &str) -> Option<&mut RuleCounts> {
        if !self.rules.contains_key(name) {
            if self.rules.len() >= MAX_RULES {
                return None;
            }
            let part = Part { name: name.to_owned(), version: None, sha256: String::new() };
            let rule = RuleCounts {
                part,
                judged: 0,
                skipped: 0,
                parked: 0,
                failures: BTreeMap::new(),
                alerts: 0,
                last_failure: None,
                last_judged_at: 0,
            };
            self.rules.insert(name.to_owned(), rule);
        }
        self.rules.get_mut(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rules::{FailureKind, RuleFailure};

    #[test]
    fn a_parked_frame_counts_as_a_failure_of_its_rule() {
        let mut log = RuleLog::default();
        let kind = FailureKind::TimedOut;
        let failure = RuleFailure { rule: "who".into(), kind, message: "no answer: 50 ms".into() };
        (0..2).for_each(|at| log.add_parked("gate", at, kind.reason(), &failure.to_string()));
        log.add_parked("gate", 2, "rule-trapped", "another text");
        let rule = &log.rules["who"];
        assert_eq!((log.rules.len(), rule.parked, rule.skipped), (1, 2, 0));
        assert_eq!(rule.failures, BTreeMap::from([("rule-timed-out".to_owned(), 2)]));
        let last = rule.last_failure.as_ref().unwrap();
        assert_eq!((last.at, last.message.as_str()), (1, "no answer: 50 ms"));
    }
}
