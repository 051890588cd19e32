//! Convenience methods on the contract's types.

use crate::{Alert, Decision, Face, Frame, Severity, Subject, Timestamp};

/// Milliseconds in a minute.
pub const MINUTE: u64 = 60_000;
/// Milliseconds in an hour.
pub const HOUR: u64 = 60 * MINUTE;
/// Milliseconds in a day.
pub const DAY: u64 = 24 * HOUR;

impl Frame {
    /// Milliseconds from a time to this frame; 0 if the camera's clock was set back in between.
    pub fn since(&self, at: Timestamp) -> u64 {
        if self.captured_at > at { self.captured_at.abs_diff(at) } else { 0 }
    }

    /// True if a schedule of the operator is active. The empty name is always active.
    pub fn is_during(&self, schedule: &str) -> bool {
        schedule.is_empty() || self.schedules.iter().any(|name| name == schedule)
    }

    /// Makes an alert about `subject` at this frame's camera, without a face. Its `dedup_key` is `kind/camera/subject`.
    pub fn alert(&self, severity: Severity, kind: &str, subject: &str, text: String) -> Alert {
        let dedup_key = format!("{kind}/{}/{subject}", self.camera);
        Alert { severity, kind: kind.into(), subject: subject.into(), dedup_key, text, face: None }
    }
}

impl Alert {
    /// Returns the alert with a face.
    pub fn about(self, face: &Face) -> Alert {
        Alert { face: Some(face.index), ..self }
    }
}

impl Face {
    /// True if the face is in a zone of the operator. The empty name is the whole picture.
    pub fn is_in(&self, zone: &str) -> bool {
        zone.is_empty() || self.zones.iter().any(|name| name == zone)
    }
}

impl Subject {
    /// The person's id, if the face is known.
    pub fn person(&self) -> Option<&str> {
        match &self.decision {
            Decision::Known(identity) => Some(&identity.person),
            Decision::Unknown | Decision::Undecided(_) => None,
        }
    }

    /// True if the face was decided to be nobody in the gallery.
    pub fn is_unknown(&self) -> bool {
        matches!(self.decision, Decision::Unknown)
    }

    /// The person's id, else the stranger's id if an unknown-person rule named one. For keys.
    pub fn id(&self) -> Option<&str> {
        self.person().or(self.stranger.as_ref().map(|stranger| stranger.id.as_str()))
    }
}
