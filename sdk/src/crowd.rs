//! Summaries for frames with too many alerts.

use crate::{Alert, Frame, Severity};
use std::collections::BTreeMap;

/// The most alerts of one rule for one frame. If there are more, the host refuses all of them.
pub const MAX_ALERTS: usize = 100;

/// Summarises alerts by kind if there are more than [`MAX_ALERTS`]: the least severe and most numerous kinds first, and no more
/// kinds than needed. The export macro calls it for every rule with [`summary_text`]. A rule that needs another text for the
/// alerts of one kind calls it with its own `text`.
pub fn sum_up(frame: &Frame, alerts: Vec<Alert>, text: impl Fn(&[Alert]) -> String) -> Vec<Alert> {
    if alerts.len() <= MAX_ALERTS {
        return alerts;
    }
    let mut by_kind: BTreeMap<String, Vec<Alert>> = BTreeMap::new();
    for alert in alerts {
        by_kind.entry(alert.kind.clone()).or_default().push(alert);
    }
    let mut kinds: Vec<Vec<Alert>> = by_kind.into_values().collect();
    kinds.sort_by_key(|alerts| (most_severe(alerts), usize::MAX - alerts.len()));
    let mut count: usize = kinds.iter().map(Vec::len).sum();
    let mut kept = Vec::new();
    for alerts in kinds {
        if count > MAX_ALERTS && alerts.len() > 1 {
            count -= alerts.len() - 1;
            kept.push(summary(frame, &alerts, text(&alerts)));
        } else {
            kept.extend(alerts);
        }
    }
    // The most severe come first, so that they are kept if there are more than `MAX_ALERTS` kinds.
    kept.sort_by_key(|alert| usize::MAX - rank(alert.severity));
    kept.truncate(MAX_ALERTS);
    kept
}

/// The default text of a summary: how many alerts of a kind there are, and the text of the first one.
pub fn summary_text(alerts: &[Alert]) -> String {
    let first = alerts.first();
    let (kind, text) = first.map_or(("", ""), |alert| (alert.kind.as_str(), alert.text.as_str()));
    format!("{} alerts of the kind {kind} at once; the first: {text}", alerts.len())
}

fn summary(frame: &Frame, alerts: &[Alert], text: String) -> Alert {
    let kind = alerts.first().map_or("", |alert| &alert.kind);
    let severities = alerts.iter().map(|alert| alert.severity);
    let severity = severities.max_by_key(|severity| rank(*severity)).unwrap_or(Severity::Info);
    let dedup_key = format!("{kind}/{}/at-once", frame.camera);
    Alert { dedup_key, ..frame.alert(severity, kind, &frame.camera, text) }
}

fn most_severe(alerts: &[Alert]) -> usize {
    alerts.iter().map(|alert| rank(alert.severity)).max().unwrap_or(0)
}

fn rank(severity: Severity) -> usize {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Critical => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            camera: "gate".into(),
            session: "s".into(),
            sequence: 0,
            captured_at: 0,
            width: 640,
            height: 480,
            schedules: vec![],
        }
    }

    fn alerts(kind: &str, severity: Severity, count: usize) -> Vec<Alert> {
        (0..count)
            .map(|n| frame().alert(severity, kind, &format!("{kind}-{n}"), format!("{n} is here")))
            .collect()
    }

    #[test]
    fn a_hundred_alerts_are_not_summarised() {
        for count in [0, 1, 99, 100] {
            let all = alerts("seen", Severity::Info, count);
            assert_eq!(sum_up(&frame(), all.clone(), summary_text), all);
        }
    }

    #[test]
    fn a_crowd_is_one_alert_and_other_kinds_are_kept() {
        let mut all = alerts("seen", Severity::Info, 70);
        all.extend(alerts("denied", Severity::Critical, 40));
        let summed = sum_up(&frame(), all.clone(), summary_text);
        assert_eq!(summed.len(), 41);
        assert_eq!(summed[..40], all[70..]);
        let crowd = &summed[40];
        assert_eq!(crowd.text, "70 alerts of the kind seen at once; the first: 0 is here");
        assert_eq!(
            (crowd.subject.as_str(), crowd.dedup_key.as_str(), crowd.face),
            ("gate", "seen/gate/at-once", None)
        );
        all.extend(alerts("denied", Severity::Critical, 1000));
        assert_eq!(sum_up(&frame(), all, summary_text).len(), 2);
    }

    #[test]
    fn of_too_many_kinds_the_most_severe_are_kept() {
        let mut all: Vec<Alert> =
            (0..300).flat_map(|n| alerts(&format!("kind-{n}"), Severity::Info, 1)).collect();
        all.extend(alerts("denied", Severity::Critical, 1));
        let summed = sum_up(&frame(), all, summary_text);
        assert_eq!((summed.len(), summed[0].kind.as_str()), (MAX_ALERTS, "denied"));
    }
}
