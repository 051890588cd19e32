//! The judgement: what the rules decided about a frame.

use crate::face::Face;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The matching policy's decision about one face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// The face is a person of the gallery.
    Known {
        /// The person's id.
        person: String,
        /// The policy's confidence, 0 to 1.
        confidence: f32,
    },
    /// The face is nobody of the gallery.
    Unknown,
    /// The policy cannot decide.
    Undecided {
        /// Why.
        reason: String,
    },
}

/// What is new about a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StrangerEvent {
    /// The stranger was never seen before.
    FirstSeen,
    /// The stranger was seen before, and was away in between.
    Returned,
    /// The stranger stays longer than the rule allows.
    Loitering,
    /// Other strangers proved to be this one.
    Merged,
}

impl StrangerEvent {
    /// The event's name in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstSeen => "first-seen",
            Self::Returned => "returned",
            Self::Loitering => "loitering",
            Self::Merged => "merged",
        }
    }
}

/// The identity that an unknown-person rule gave to an unknown face.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stranger {
    /// The stranger's stable id.
    pub id: String,
    /// What is new in this frame; none if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<StrangerEvent>,
    /// When the stranger was first seen, Unix milliseconds.
    pub first_seen_at: i64,
    /// Length of the current visit, milliseconds.
    pub dwell: u64,
    /// Number of visits, including the current one.
    pub visits: u32,
    /// The ids of strangers that proved to be this one in this frame. From now on, all of them have this stranger's id.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub merged: Vec<String>,
    /// How this face becomes known to all cameras; none if it does not. It is never part of a result.
    #[serde(skip)]
    pub share: Option<Share>,
}

/// The face of a stranger becomes known to all cameras, as one view of the stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The number of the view: it replaces the earlier view of the same stranger, camera and number.
    pub view: u32,
    /// When all cameras forget the view, milliseconds of frame time from this frame on.
    pub expires_in: u64,
}

/// A face and the decisions about it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The face.
    pub face: Face,
    /// The matching policy's decision.
    pub decision: Decision,
    /// The stranger, for an unknown face that an unknown-person rule identified.
    pub stranger: Option<Stranger>,
}

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For information.
    Info,
    /// Needs attention today.
    Warning,
    /// Needs attention now.
    Critical,
}

impl Severity {
    /// The severity's name in alerts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// The name of the rule that raised it.
    pub rule: String,
    /// How urgent it is.
    pub severity: Severity,
    /// A stable name of what happened: `known-person`, `loitering`.
    pub kind: String,
    /// Who or what it is about.
    pub subject: String,
    /// Alerts with the same key are about the same thing.
    pub dedup_key: String,
    /// One sentence for people.
    pub text: String,
    /// The face's index in the frame's result, if it is about one face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub face: Option<u32>,
}

/// A value that a rule keeps from frame to frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateValue {
    /// The value; its format is the rule's own.
    pub bytes: Vec<u8>,
    /// The frame time at which it expires, Unix milliseconds; none: never.
    pub expires_at: Option<i64>,
}

/// A change of a rule's state for a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The rule's name in the configuration.
    pub rule: String,
    /// The camera's id.
    pub camera: String,
    /// The rule's own key.
    pub key: String,
    /// The new value; none if the value was deleted.
    pub value: Option<StateValue>,
}

/// A rule that failed on the frame and was skipped (`on_failure = "skip"`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// The rule's name in the configuration.
    pub rule: String,
    /// A stable name of the failure: `rule-timed-out`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// The judgement of one frame.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// The faces with their decisions, in the order of the faces.
    pub subjects: Vec<Subject>,
    /// The alerts, in the order in which they were raised.
    pub alerts: Vec<Alert>,
    /// The rules that failed and were skipped.
    pub skipped: Vec<Skipped>,
    /// The rules that requested the embedding of a face without one.
    pub blind: Vec<String>,
    /// The changes of the rules' state.
    pub state: Vec<StateChange>,
    /// The indices of faces that a rule took for a stranger who was erased. The answer is left out.
    pub erased: Vec<u32>,
}

impl Judgement {
    /// Changes the subject of the face with this index.
    pub fn update_face(&mut self, index: u32, change: impl FnOnce(&mut Subject)) {
        if let Some(subject) = self.subjects.iter_mut().find(|subject| subject.face.index == index) {
            change(subject);
        }
    }
}
