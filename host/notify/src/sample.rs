//! Alerts that nobody raised: for `everyframe notify test`, and to check templates with.

use everyframe_types::event::{AlertData, CloudEvent, EventPosition, rfc3339};
use everyframe_types::judgement::{Alert as RuleAlert, Severity};
use everyframe_types::raised_alert::RaisedAlert;

use crate::alert::Alert;

/// An alert with a text that a careless template would break on.
#[cfg(test)]
pub fn sample_alert() -> RaisedAlert {
    test_alert("sample", 0).raised
}

/// The alert of `everyframe notify test`. `at` is now, Unix milliseconds.
pub fn test_alert(channel: &str, at: i64) -> Alert {
    let text = format!("This is a test of the channel \"{channel}\". Nothing happened.");
    let event = CloudEvent {
        specversion: "1.0".into(),
        id: format!("test/{channel}/{at}"),
        source: "everyframe".into(),
        kind: "everyframe.alert.v1".into(),
        subject: "test".into(),
        time: rfc3339(at),
        datacontenttype: "application/json".into(),
        data: AlertData {
            camera: "test".into(),
            captured_at: at,
            claimed_at: None,
            position: EventPosition { topic: "test".into(), partition: 0, offset: 0 },
            face_bounds: None,
            alert: RuleAlert {
                rule: "test".into(),
                severity: Severity::Info,
                kind: "test".into(),
                subject: "nobody".into(),
                dedup_key: "test".into(),
                text: text.clone(),
                face: None,
            },
        },
    };
    let raised = RaisedAlert {
        id: event.id.clone(),
        camera: event.data.camera.clone(),
        at,
        rule: event.data.alert.rule.clone(),
        severity: Severity::Info,
        kind: event.data.alert.kind.clone(),
        subject: event.data.alert.subject.clone(),
        dedup_key: event.data.alert.dedup_key.clone(),
        text,
        // There is no frame, so there is no picture.
        position: None,
        face: None,
        face_bounds: None,
    };
    // Plain data without maps always serialises.
    let json = serde_json::to_vec(&event).unwrap_or_default();
    Alert { raised, json }
}
