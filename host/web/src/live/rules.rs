//! The rules that judged frames, from the results and alerts. Pure.

use everyframe_types::event::{Part, ResultData};
use std::collections::BTreeMap;

/// The most rules that are kept.
const MAX_RULES: usize = 1000;

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
    /// Alerts that it raised.
    pub alerts: u64,
    /// The last failure.
    pub last_failure: Option<Failure>,
    /// When it last judged a frame, Unix milliseconds.
    pub last_judged_at: i64,
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
            rule.last_failure = Some(Failure {
                at: result.captured_at,
                camera: result.camera.clone(),
                reason: skipped.reason.clone(),
                message: skipped.message.clone(),
            });
        }
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
            let rule =
                RuleCounts { part, judged: 0, skipped: 0, alerts: 0, last_failure: None, last_judged_at: 0 };
            self.rules.insert(name.to_owned(), rule);
        }
        self.rules.get_mut(name)
    }
}
