//! A message: one alert, or the alerts of a digest, as it is sent.

use crate::alert::Alert;
use crate::sample::test_alert;
use everyframe_types::event::rfc3339;
use everyframe_types::judgement::Severity;
use everyframe_types::raised_alert::RaisedAlert;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What templates see.
#[derive(Debug, Clone, Serialize)]
pub struct Content {
    /// The message's id.
    pub id: String,
    /// The channel's name.
    pub channel: String,
    /// The number of alerts.
    pub count: usize,
    /// Alerts by kind: `12 loitering, 1 known-person`.
    pub summary: String,
    /// The time of the first alert, RFC 3339.
    pub from: String,
    /// The time of the last alert, RFC 3339.
    pub to: String,
    /// True if the channel sends what nobody has acknowledged.
    pub escalated: bool,
    /// The highest severity.
    pub severity: &'static str,
    /// The fields of the first alert.
    #[serde(flatten)]
    pub first: AlertView,
    /// All alerts, in the order in which they were raised.
    pub alerts: Vec<AlertView>,
}

/// What templates see of an alert.
#[derive(Debug, Clone, Serialize)]
pub struct AlertView {
    /// The camera.
    pub camera: String,
    /// When the frame was taken, RFC 3339.
    pub time: String,
    /// The rule.
    pub rule: String,
    /// What happened.
    pub kind: String,
    /// Who or what it is about.
    pub subject: String,
    /// One sentence.
    pub text: String,
}

impl AlertView {
    fn new(alert: &RaisedAlert) -> Self {
        Self {
            camera: alert.camera.clone(),
            time: rfc3339(alert.at),
            rule: alert.rule.clone(),
            kind: alert.kind.clone(),
            subject: alert.subject.clone(),
            text: alert.text.clone(),
        }
    }
}

/// A message to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// A stable id, by which a receiver recognises a repeat: the alert's, or that of a digest.
    pub id: String,
    /// At least one alert.
    pub alerts: Vec<Arc<Alert>>,
}

impl Message {
    /// The highest severity of its alerts.
    pub fn severity(&self) -> Severity {
        self.alerts.iter().map(|alert| alert.raised.severity).max().unwrap_or(Severity::Info)
    }

    /// What templates see.
    pub fn content(&self, channel: &str, escalated: bool) -> Content {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for alert in &self.alerts {
            *kinds.entry(&alert.raised.kind).or_default() += 1;
        }
        let mut kinds: Vec<(&str, usize)> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let summary: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let times = || self.alerts.iter().map(|alert| alert.raised.at);
        let alerts: Vec<AlertView> = self.alerts.iter().map(|alert| AlertView::new(&alert.raised)).collect();
        let nothing = || AlertView::new(&test_alert(channel, 0).raised);
        Content {
            id: self.id.clone(),
            channel: channel.to_owned(),
            count: alerts.len(),
            summary: summary.join(", "),
            from: rfc3339(times().min().unwrap_or(0)),
            to: rfc3339(times().max().unwrap_or(0)),
            escalated,
            severity: self.severity().as_str(),
            first: alerts.first().cloned().unwrap_or_else(nothing),
            alerts,
        }
    }

    /// The CloudEvent: that of the alert as it was published, or one of the type `everyframe.digest.v1`.
    pub fn cloud_event(&self, channel: &str) -> Vec<u8> {
        if let [alert] = self.alerts.as_slice()
            && alert.raised.id == self.id
        {
            return alert.json.clone();
        }
        let alerts: Vec<Value> =
            self.alerts.iter().filter_map(|alert| serde_json::from_slice(&alert.json).ok()).collect();
        let content = self.content(channel, false);
        let event = json!({
            "specversion": "1.0",
            "id": self.id,
            "source": "everyframe",
            "type": "everyframe.digest.v1",
            "subject": channel,
            "time": content.to,
            "datacontenttype": "application/json",
            "data": {
                "count": content.count, "summary": content.summary, "from": content.from, "to": content.to,
                "severity": content.severity, "alerts": alerts,
            },
        });
        event.to_string().into_bytes()
    }
}

/// Messages that a template must be able to render: of one alert, and of two.
pub fn sample_contents(channel: &str) -> [Content; 2] {
    let alert = Arc::new(test_alert(channel, 1_764_000_000_000));
    let message = |count| Message { id: "sample".into(), alerts: vec![alert.clone(); count] };
    [message(1).content(channel, false), message(2).content(channel, true)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(kind: &str, severity: Severity, at: i64) -> Arc<Alert> {
        let Alert { raised, json } = test_alert("gate", at);
        Arc::new(Alert { raised: RaisedAlert { kind: kind.into(), severity, ..raised }, json })
    }

    #[test]
    fn a_digest_counts_its_alerts_by_kind() {
        let alerts = vec![
            alert("known-person", Severity::Info, 5000),
            alert("loitering", Severity::Critical, 1000),
            alert("loitering", Severity::Info, 9000),
        ];
        let message = Message { id: "digest/a".into(), alerts };
        let content = message.content("gate", false);
        assert_eq!(content.summary, "2 loitering, 1 known-person");
        assert_eq!((content.severity, content.count), ("critical", 3));
        assert!(content.from < content.to);
        let event: Value = serde_json::from_slice(&message.cloud_event("gate")).unwrap();
        assert_eq!((&event["type"], &event["id"]), (&json!("everyframe.digest.v1"), &json!("digest/a")));
        assert_eq!(event["data"]["alerts"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn one_alert_is_sent_as_it_was_published() {
        let one = alert("loitering", Severity::Info, 1000);
        let message = Message { id: one.raised.id.clone(), alerts: vec![one.clone()] };
        assert_eq!(message.cloud_event("gate"), one.json);
    }
}
