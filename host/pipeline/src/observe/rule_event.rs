//! The event of a rule that keeps failing, and of one that answers again.

use everyframe_types::event::{CloudEvent, rfc3339};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `type` of these events.
pub const RULE: &str = "everyframe.rule.v1";

/// A rule that keeps failing on a camera's frames and is not asked about them for a while, or that answers again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleData {
    /// The rule's name in the configuration.
    pub rule: String,
    /// The camera on whose frames it fails, or answers again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub camera: Option<String>,
    /// Failing, or answering again.
    pub state: RuleStatus,
    /// One sentence for a person.
    pub text: String,
}

/// How a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleStatus {
    /// It fails, and is asked only from time to time.
    Failing,
    /// It failed after it was changed: what was in force before is in force again.
    FellBack,
    /// It answers again.
    Answering,
}

/// The event; `now` in Unix milliseconds.
pub fn rule_event(data: RuleData, now: i64) -> CloudEvent<RuleData> {
    CloudEvent {
        specversion: "1.0".into(),
        // Two hosts may report the same rule, each for itself.
        id: format!(
            "{}/{now}/{}/{}",
            data.rule,
            std::process::id(),
            data.camera.as_deref().unwrap_or_default()
        ),
        source: "everyframe".into(),
        kind: RULE.into(),
        subject: data.rule.clone(),
        time: rfc3339(now),
        datacontenttype: "application/json".into(),
        data,
    }
}
