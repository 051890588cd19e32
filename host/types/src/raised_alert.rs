//! The records of the alerts topic as readers need them: alerts of rules, and events of the host itself.

use crate::event::{AlertData, CloudEvent, EventPosition, parse_rfc3339};
use crate::face::Rect;
use crate::judgement::Severity;
use crate::sequence_gap::HOST;
use serde::Deserialize;

/// An alert of the alerts topic.
#[derive(Debug, Clone, PartialEq)]
pub struct RaisedAlert {
    /// The event's id: the same at every delivery.
    pub id: String,
    /// The camera; for an alert about a partition, `topic/partition`.
    pub camera: String,
    /// When the frame was taken, or the alarm was raised, Unix milliseconds.
    pub at: i64,
    /// The rule; `everyframe` for the host itself.
    pub rule: String,
    /// How urgent it is.
    pub severity: Severity,
    /// A stable name of what happened.
    pub kind: String,
    /// Who or what it is about.
    pub subject: String,
    /// Alerts with the same key are about the same thing.
    pub dedup_key: String,
    /// One sentence for people.
    pub text: String,
    /// The frame; none for an alert that is not about a frame.
    pub position: Option<EventPosition>,
    /// The face's index in the frame.
    pub face: Option<u32>,
    /// The face's box, pixels of the frame.
    pub face_bounds: Option<Rect>,
}

/// An event that is about no frame: frames that will be deleted unread, or a rule that fails.
#[derive(Deserialize)]
struct HostEvent {
    text: String,
}

impl RaisedAlert {
    /// Parses the value of a record; none if it is no event of Everyframe.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if let Ok(event) = serde_json::from_slice::<CloudEvent<AlertData>>(value) {
            let AlertData { camera, captured_at, position, face_bounds, alert, .. } = event.data;
            return Some(Self {
                id: event.id,
                camera,
                at: captured_at,
                rule: alert.rule,
                severity: alert.severity,
                kind: alert.kind,
                subject: alert.subject,
                dedup_key: alert.dedup_key,
                text: alert.text,
                position: Some(position),
                face: alert.face,
                face_bounds,
            });
        }
        let event: CloudEvent<HostEvent> = serde_json::from_slice(value).ok()?;
        let kind = event.kind.strip_prefix("everyframe.")?.trim_end_matches(".v1").to_owned();
        let at = parse_rfc3339(&event.time)?;
        Some(Self {
            id: event.id,
            camera: event.subject.clone(),
            at,
            rule: HOST.to_owned(),
            severity: Severity::Warning,
            dedup_key: format!("{kind}/{}", event.subject),
            kind,
            subject: event.subject,
            text: event.data.text,
            position: None,
            face: None,
            face_bounds: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_host_is_a_warning() {
        let text = r#"{"specversion":"1.0","id":"a","source":"everyframe","type":"everyframe.retention.v1",
            "subject":"frames/0","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json",
            "data":{"text":"12 frames will be deleted unread"}}"#;
        let alert = RaisedAlert::parse(text.as_bytes()).unwrap();
        assert_eq!((alert.kind.as_str(), alert.severity), ("retention", Severity::Warning));
        assert_eq!((alert.rule.as_str(), alert.camera.as_str()), (HOST, "frames/0"));
    }

    #[test]
    fn other_records_are_no_alerts() {
        for value in ["", "{}", "[1]", r#"{"specversion":"1.0","type":"other.v1"}"#] {
            assert_eq!(RaisedAlert::parse(value.as_bytes()), None, "{value}");
        }
    }
}
