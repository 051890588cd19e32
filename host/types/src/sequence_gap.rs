//! Frames that are not there: what the ledger noticed, and what an agent said of itself.

use crate::judgement::{Alert, Severity};
use std::ops::RangeInclusive;

/// The rule by whose name the host raises alerts of its own; no rule of a configuration may have it.
pub const HOST: &str = "everyframe";

/// How urgent it is that frames are not there.
pub const SEVERITY: Severity = Severity::Warning;

/// How many ranges an alert names; the frames of all are counted.
const NAMED: usize = 10;

/// Frames of a session that are not there, known at one place of the frames topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceGap {
    /// The frame at this place came after a jump over these numbers, in order; nobody said why.
    Missing(Vec<RangeInclusive<u64>>),
    /// There is no frame at this place: it is the agent's word that it could not take these.
    Refused(RangeInclusive<u64>),
}

impl SequenceGap {
    /// How many frames are not there.
    pub fn count(&self) -> u64 {
        self.ranges().iter().map(length).fold(0, u64::saturating_add)
    }

    /// Which, for people: `12-18, 20`.
    pub fn numbers(&self) -> String {
        let ranges = self.ranges();
        let mut named: Vec<String> = ranges.iter().take(NAMED).map(spoken).collect();
        if ranges.len() > NAMED {
            named.push("…".into());
        }
        named.join(", ")
    }

    /// The alert that the host raises.
    pub fn alert(&self, camera: &str, session: &str) -> Alert {
        let (kind, what) = match self {
            Self::Missing(_) => ("frames-missing", "missing"),
            Self::Refused(_) => ("frames-refused", "missing, refused by its agent, which had no room"),
        };
        let (count, numbers) = (self.count(), self.numbers());
        let frames = if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") };
        let are = if count == 1 { "is" } else { "are" };
        Alert {
            rule: HOST.into(),
            severity: SEVERITY,
            kind: kind.into(),
            subject: camera.to_owned(),
            dedup_key: format!("{camera}/{session}"),
            text: format!("{frames} of camera {camera} {are} {what}: {numbers} of session {session}"),
            face: None,
        }
    }

    fn ranges(&self) -> &[RangeInclusive<u64>] {
        match self {
            Self::Missing(ranges) => ranges,
            Self::Refused(range) => std::slice::from_ref(range),
        }
    }
}

fn length(range: &RangeInclusive<u64>) -> u64 {
    range.end().checked_sub(*range.start()).map_or(0, |more| more.saturating_add(1))
}

fn spoken(range: &RangeInclusive<u64>) -> String {
    match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_names_the_frames_that_are_missing() {
        let alert = SequenceGap::Missing(vec![12..=18]).alert("gate-1", "s-1");
        assert_eq!(alert.text, "7 frames of camera gate-1 are missing: 12-18 of session s-1");
        assert_eq!((alert.kind.as_str(), alert.dedup_key.as_str()), ("frames-missing", "gate-1/s-1"));
        let one = SequenceGap::Refused(4..=4).alert("gate-1", "s-1");
        assert_eq!(
            one.text,
            "1 frame of camera gate-1 is missing, refused by its agent, which had no room: 4 of session s-1"
        );
    }

    #[test]
    fn an_alert_does_not_grow_with_what_is_missing() {
        let many = SequenceGap::Missing((0..1000).map(|n| 3 * n..=3 * n).collect());
        assert_eq!(many.count(), 1000);
        assert!(many.numbers().ends_with("27, …"), "{}", many.numbers());
        assert_eq!(SequenceGap::Refused(0..=u64::MAX).count(), u64::MAX);
    }
}
