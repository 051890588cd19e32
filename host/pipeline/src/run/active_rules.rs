//! What is in force: the rules, and what the operator says of the premises. Changed as a whole, between two frames.

use everyframe_config::{Config, Site};
use everyframe_rules::{RuleDescription, Rules};
use everyframe_types::event::{JudgedBy, Part};
use everyframe_vision::Models;
use std::sync::Arc;

/// One state of the rules. A frame is judged by one of them from beginning to end.
pub(super) struct ActiveRules {
    pub rules: Rules,
    pub site: Site,
    /// What results say judged them.
    pub judged_by: Arc<JudgedBy>,
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
        Self { rules, site: Site::new(config), judged_by: Arc::new(judged_by) }
    }
}
