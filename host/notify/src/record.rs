//! The records of the notifications topic: the health of channels, and their undelivered messages. The dashboard and
//! `everyframe notify status` read them.

use crate::message::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const HEALTH: &str = "health";
const DEAD_LETTER: &str = "dead-letter";

/// The health of a channel, as one process sees it. Counts begin with the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelHealth {
    /// The channel's name.
    pub channel: String,
    /// The process.
    pub process: String,
    /// When this was written, Unix milliseconds.
    pub at: i64,
    /// Messages that were delivered.
    pub delivered: u64,
    /// Attempts that failed and are retried.
    pub retried: u64,
    /// Messages that were given up.
    pub dead_lettered: u64,
    /// When a message was delivered last.
    pub last_delivered_at: Option<i64>,
    /// The last error.
    pub last_error: Option<String>,
    /// When it happened.
    pub last_error_at: Option<i64>,
    /// True if the last attempt failed.
    pub is_failing: bool,
}

/// A message that could not be delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndeliveredMessage {
    /// The channel's name.
    pub channel: String,
    /// The message's id.
    pub id: String,
    /// When it was given up, Unix milliseconds.
    pub at: i64,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The CloudEvents of its alerts.
    pub alerts: Vec<Value>,
}

/// A record of the notifications topic.
#[derive(Debug, Clone, PartialEq)]
pub enum NotificationRecord {
    /// The health of a channel.
    Health(ChannelHealth),
    /// A message that was given up.
    Undelivered(UndeliveredMessage),
}

impl ChannelHealth {
    /// The record's key.
    pub fn key(&self) -> String {
        format!("{HEALTH}/{}/{}", self.channel, self.process)
    }
}

impl UndeliveredMessage {
    /// Of a message that was given up.
    pub fn new(channel: &str, message: &Message, at: i64, reason: &str, attempts: u32) -> Self {
        let alerts = message.alerts.iter();
        Self {
            channel: channel.to_owned(),
            id: message.id.clone(),
            at,
            reason: reason.to_owned(),
            attempts,
            alerts: alerts.filter_map(|alert| serde_json::from_slice(&alert.json).ok()).collect(),
        }
    }

    /// The record's key: a message that is given up twice, by a crash, is listed once.
    pub fn key(&self) -> String {
        format!("{DEAD_LETTER}/{}/{}", self.channel, self.id)
    }
}

impl NotificationRecord {
    /// Parses a record; none if it is of another kind, or deleted.
    pub fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let (kind, _) = std::str::from_utf8(key).ok()?.split_once('/')?;
        match kind {
            HEALTH => serde_json::from_slice(value).ok().map(Self::Health),
            DEAD_LETTER => serde_json::from_slice(value).ok().map(Self::Undelivered),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let health =
            ChannelHealth { channel: "gate".into(), process: "p".into(), at: 7, ..Default::default() };
        let value = serde_json::to_vec(&health).unwrap();
        let read = NotificationRecord::parse(health.key().as_bytes(), &value);
        assert_eq!(read, Some(NotificationRecord::Health(health)));
        for (key, value) in [("", "{}"), ("health/a/b", ""), ("other/a", "{}"), ("dead-letter/a/b", "[]")] {
            assert_eq!(NotificationRecord::parse(key.as_bytes(), value.as_bytes()), None, "{key}");
        }
    }
}
