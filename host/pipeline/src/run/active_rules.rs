//! The active rules with their site. They change as a whole, between two frames.

use everyframe_config::{Config, Site};
use everyframe_rules::{RuleDescription, Rules};
use everyframe_types::event::{JudgedBy, Part};
use everyframe_vision::Models;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

static VERSIONS: AtomicU64 = AtomicU64::new(0);

/// One state of the rules. A frame is judged by one of them from beginning to end.
pub(super) struct ActiveRules {
    pub rules: Rules,
    pub site: Site,
    /// The models and rules that each result names.
    pub judged_by: Arc<JudgedBy>,
    /// Each set of rules has another number.
    pub version: u64,
}

impl ActiveRules {
    pub fn new(config: &Config, rules: Rules, models: &Models) -> Self {
        let model = |name: &str, sha256: &str| Part {
            name: name.to_owned(),
            version: None,
            sha256: sha256.to_owned(),
        };
        let rule = |rule: &RuleDescription| Part {
            name: rule.name.clone(),
            version: Some(rule.version.clone()),
            sha256: rule.sha256.clone(),
        };
        let judged_by = JudgedBy {
            models: vec![
                model(&models.detector.name, &models.detector.sha256),
                model(&models.embedder.name, &models.embedder.sha256),
            ],
            rules: rules.descriptions().iter().map(rule).collect(),
        };
        let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
        Self { rules, site: Site::new(config), judged_by: Arc::new(judged_by), version }
    }
}
