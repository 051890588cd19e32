//! Alerts as a host publishes them, for tests of what becomes of them.

use crate::kafka::{self, Frame};
use crate::{Site, Topic};
use serde_json::{Value, json};

/// An alert of a camera.
#[derive(Debug, Clone)]
pub struct RaisedAlert {
    /// Its id.
    pub id: String,
    /// The camera.
    pub camera: String,
    /// What happened.
    pub kind: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// Who it is about.
    pub subject: String,
}

impl RaisedAlert {
    /// Somebody loiters at a camera.
    pub fn new(id: &str, camera: &str) -> Self {
        Self {
            id: id.into(),
            camera: camera.into(),
            kind: "loitering".into(),
            severity: "warning".into(),
            subject: format!("stranger of {camera}"),
        }
    }

    /// The CloudEvent.
    pub fn event(&self) -> Value {
        let Self { id, camera, kind, severity, subject } = self;
        json!({
            "specversion": "1.0", "id": id, "source": "everyframe", "type": "everyframe.alert.v1",
            "subject": camera, "time": "2026-11-23T10:00:00Z", "datacontenttype": "application/json",
            "data": {
                "camera": camera, "capturedAt": 1_795_428_000_000_i64,
                "position": { "topic": "frames", "partition": 0, "offset": 0 },
                "rule": "alerts", "severity": severity, "kind": kind, "subject": subject,
                "dedupKey": format!("{kind}/{camera}/{subject}"),
                "text": format!("\"{subject}\" is loitering <here> & at {camera}"),
            },
        })
    }
}

impl Site {
    /// Writes alerts to the alerts topic, in order.
    pub fn raise(&self, alerts: &[RaisedAlert]) {
        let record = |alert: &RaisedAlert| Frame::new(&alert.camera, alert.event().to_string().as_bytes());
        let records: Vec<Frame> = alerts.iter().map(record).collect();
        kafka::send(self.address(), &self.name(Topic::Alerts), &records);
    }

    /// Mutes the alerts of a camera, as the dashboard does.
    pub fn mute(&self, camera: &str) {
        let value = json!({ "camera": camera, "from": 0, "until": i64::MAX, "by": "anna" }).to_string();
        let record = Frame::new("mute/1", value.as_bytes());
        kafka::send(self.address(), &self.name(Topic::Acknowledgements), &[record]);
    }

    /// Acknowledges an alert, as the dashboard does.
    pub fn acknowledge(&self, id: &str) {
        let value = json!({ "by": "anna", "at": 1_795_428_000_000_i64, "comment": "" }).to_string();
        kafka::send(self.address(), &self.name(Topic::Acknowledgements), &[Frame::new(id, value.as_bytes())]);
    }
}
