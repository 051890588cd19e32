//! Missing frames of a session: gaps that the host found, and refusals that an agent reported.

use crate::judgement::{Alert, Severity};
use std::ops::RangeInclusive;

/// The rule name of the host's own alerts. No rule of a configuration may have it.
pub const HOST: &str = "everyframe";

/// The severity of missing frames.
pub const SEVERITY: Severity = Severity::Warning;

/// The most ranges that an alert lists; the count includes the others.
const MAX_LISTED: usize = 10;

/// Missing frames of a session, known at one position of the frames topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceGap {
    /// The numbers that are missing before the frame at this position, in order.
    Missing(Vec<RangeInclusive<u64>>),
    /// The numbers that the agent refused. The record at this position is a refusal notice, not a frame.
    Refused(RangeInclusive<u64>),
}

impl SequenceGap {
    /// The number of missing frames.
    pub fn count(&self) -> u64 {
        self.ranges().iter().map(length).fold(0, u64::saturating_add)
    }

    /// The missing numbers as text: `12-18, 20`.
    pub fn numbers(&self) -> String {
        let ranges = self.ranges();
        let mut named: Vec<String> = ranges.iter().take(MAX_LISTED).map(range_text).collect();
        if ranges.len() > MAX_LISTED {
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

fn range_text(range: &RangeInclusive<u64>) -> String {
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
    fn an_alert_lists_only_the_first_ranges() {
        let many = SequenceGap::Missing((0..1000).map(|n| 3 * n..=3 * n).collect());
        assert_eq!(many.count(), 1000);
        assert!(many.numbers().ends_with("27, …"), "{}", many.numbers());
        assert_eq!(SequenceGap::Refused(0..=u64::MAX).count(), u64::MAX);
    }
}
