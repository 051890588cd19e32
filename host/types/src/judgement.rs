//! What the rules made of a frame.

use crate::face::Face;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the matching policy made of one face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// A person of the gallery.
    Known {
        /// The person's id.
        person: String,
        /// How sure the policy is, 0 to 1.
        confidence: f32,
    },
    /// Nobody of the gallery.
    Unknown,
    /// It cannot be said.
    Undecided {
        /// Why.
        reason: String,
    },
}

/// What is new about a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StrangerEvent {
    /// Never seen before.
    FirstSeen,
    /// Seen before, and away in between.
    Returned,
    /// Here for longer than the rule allows.
    Loitering,
}

/// The identity that an unknown-person rule gave to an unknown face.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stranger {
    /// A stable id.
    pub id: String,
    /// What is new in this frame, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<StrangerEvent>,
    /// When first seen, Unix milliseconds.
    pub first_seen_at: i64,
    /// Length of the present visit, milliseconds.
    pub dwell: u64,
    /// Number of visits, the present one included.
    pub visits: u32,
}

/// A face with all that was decided about it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The face.
    pub face: Face,
    /// The matching policy's decision.
    pub decision: Decision,
    /// Set for an unknown face that an unknown-person rule named.
    pub stranger: Option<Stranger>,
}

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For the record.
    Info,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

/// What an alert rule raised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// The rule that raised it, by its name in the configuration.
    pub rule: String,
    /// How urgent it is.
    pub severity: Severity,
    /// What happened, for machines: `known-person`, `loitering`.
    pub kind: String,
    /// Who or what it is about.
    pub subject: String,
    /// Alerts with the same key are about the same thing.
    pub dedup_key: String,
    /// One sentence for a person.
    pub text: String,
    /// The face's index in the frame's result, if it is about one face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub face: Option<u32>,
}

/// A value that a rule keeps from frame to frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateValue {
    /// Whatever the rule likes.
    pub bytes: Vec<u8>,
    /// Frame time from which on it is gone, Unix milliseconds; none: never.
    pub expires_at: Option<i64>,
}

/// One change of what a rule keeps about a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The rule's name in the configuration.
    pub rule: String,
    /// The camera's id.
    pub camera: String,
    /// The rule's own key.
    pub key: String,
    /// What it keeps from now on; none: nothing.
    pub value: Option<StateValue>,
}

/// A rule that failed on the frame and was passed over (`on_failure = "skip"`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// The rule's name in the configuration.
    pub rule: String,
    /// What it did, for machines: `rule-timed-out`.
    pub reason: String,
    /// The same for a person.
    pub message: String,
}

/// What the rules made of one frame.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// One for each face, in the order of the faces.
    pub subjects: Vec<Subject>,
    /// In the order in which they were raised.
    pub alerts: Vec<Alert>,
    /// The rules that had no say in it.
    pub skipped: Vec<Skipped>,
    /// The rules that asked for the embedding of a face that has none.
    pub blind: Vec<String>,
    /// What the rules keep from now on, where that changed.
    pub state: Vec<StateChange>,
}

impl Judgement {
    /// Changes what is known of a face.
    pub fn of_face(&mut self, index: u32, change: impl FnOnce(&mut Subject)) {
        if let Some(subject) = self.subjects.iter_mut().find(|subject| subject.face.index == index) {
            change(subject);
        }
    }
}
