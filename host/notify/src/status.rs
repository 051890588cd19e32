//! What the topics say of the channels: for `everyframe notify status` and the dashboard.

use crate::backlog::Backlog;
use crate::callbacks::callback_channel;
use crate::monitor::HEARTBEAT;
use crate::record::{ChannelHealth, NotificationRecord};
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Reader};
use everyframe_types::machine::unix_ms;
use everyframe_types::record::IncomingRecord as _;
use serde::Serialize;
use std::collections::BTreeMap;

/// A channel is served if its health was written within this time, milliseconds: three heartbeats.
const SERVED_MS: i64 = 3 * HEARTBEAT.as_millis() as i64;

/// What the topics say of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// The kind of its transport: `webhook`, `email` and so on; `callback` for a receiver of callbacks.
    pub kind: String,
    /// True if a process sends its messages.
    pub is_served: bool,
    /// True if the last attempt failed.
    pub is_failing: bool,
    /// Alerts that it has not dealt with; none if it was never started, and for a receiver of callbacks.
    pub backlog: Option<u64>,
    /// Messages that the processes that serve it have delivered.
    pub delivered: u64,
    /// Their attempts that failed and were retried.
    pub retried: u64,
    /// Messages that were given up and are kept.
    pub dead_letters: u64,
    /// When a message was delivered last, Unix milliseconds.
    pub last_delivered_at: Option<i64>,
    /// The last error.
    pub last_error: Option<String>,
    /// When it happened, Unix milliseconds.
    pub last_error_at: Option<i64>,
}

/// Reads the status of all channels of a configuration. Blocks.
///
/// # Errors
///
/// [`BrokerError`] says what the operator can do; trying again may help.
pub fn read_status(config: &Config) -> Result<Vec<ChannelStatus>, BrokerError> {
    if config.channels.is_empty() && config.web.callbacks.is_empty() {
        return Ok(Vec::new());
    }
    let mut records = Records::default();
    let mut reader = Reader::from_start(&config.kafka, &config.topics.notifications)?;
    while let Some(record) = reader.next()? {
        let Some(key) = record.key() else { continue };
        match record.value().and_then(|value| NotificationRecord::parse(key, value)) {
            Some(NotificationRecord::Health(health)) => records.add(health),
            Some(NotificationRecord::Undelivered(message)) => {
                records.undelivered.insert(key.to_vec(), message.channel);
            }
            // It was sent again.
            None => drop(records.undelivered.remove(key)),
        }
    }
    let now = unix_ms();
    let mut all = Vec::new();
    for channel in &config.channels {
        let mut status = records.status(&channel.name, now);
        status.kind = channel.kind().to_owned();
        status.backlog = Backlog::new(config, &channel.name)?.count()?;
        all.push(status);
    }
    for receiver in &config.web.callbacks {
        let status = records.status(&callback_channel(&receiver.name), now);
        all.push(ChannelStatus { kind: "callback".into(), ..status });
    }
    Ok(all)
}

/// What was read from the notifications topic.
#[derive(Default)]
struct Records {
    /// By channel, then by process.
    health: BTreeMap<String, BTreeMap<String, ChannelHealth>>,
    /// The channel of each, by record key.
    undelivered: BTreeMap<Vec<u8>, String>,
}

impl Records {
    fn add(&mut self, health: ChannelHealth) {
        let of_channel = self.health.entry(health.channel.clone()).or_default();
        of_channel.insert(health.process.clone(), health);
    }

    fn status(&self, channel: &str, now: i64) -> ChannelStatus {
        let all = || self.health.get(channel).into_iter().flat_map(BTreeMap::values);
        let served = || all().filter(|health| now.saturating_sub(health.at) <= SERVED_MS);
        let last_error =
            all().filter(|health| health.last_error_at.is_some()).max_by_key(|health| health.last_error_at);
        ChannelStatus {
            name: channel.to_owned(),
            kind: String::new(),
            is_served: served().next().is_some(),
            is_failing: served().any(|health| health.is_failing),
            backlog: None,
            delivered: served().map(|health| health.delivered).sum(),
            retried: served().map(|health| health.retried).sum(),
            dead_letters: self.undelivered.values().filter(|of| *of == channel).count() as u64,
            last_delivered_at: all().filter_map(|health| health.last_delivered_at).max(),
            last_error: last_error.and_then(|health| health.last_error.clone()),
            last_error_at: last_error.and_then(|health| health.last_error_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_000_000_000;

    fn health(process: &str, at: i64, delivered: u64, error: Option<(&str, i64)>) -> ChannelHealth {
        ChannelHealth {
            channel: "gate".into(),
            process: process.into(),
            at,
            delivered,
            last_delivered_at: Some(at),
            last_error: error.map(|(text, _)| text.into()),
            last_error_at: error.map(|(_, at)| at),
            ..Default::default()
        }
    }

    #[test]
    fn processes_that_serve_a_channel_are_added_up() {
        let mut records = Records::default();
        records.add(health("a", NOW - 2 * SERVED_MS, 100, Some(("old", NOW - 3 * SERVED_MS))));
        records.add(health("b", NOW - 5000, 1, None));
        records.add(health("b", NOW - 1000, 2, None));
        records.add(health("c", NOW - 1000, 5, Some(("new", NOW - 2000))));
        let status = records.status("gate", NOW);
        assert_eq!((status.is_served, status.delivered), (true, 7));
        assert_eq!(status.last_error.as_deref(), Some("new"));
        let later = records.status("gate", NOW + 2 * SERVED_MS);
        assert_eq!((later.is_served, later.delivered), (false, 0));
        assert_eq!(later.last_delivered_at, Some(NOW - 1000));
        assert!(!records.status("other", NOW).is_served);
    }
}
