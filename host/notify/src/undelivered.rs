//! The undelivered messages of channels: lists them, and sends them again.

use crate::alert::Alert;
use crate::channel::Channel;
use crate::message::Message;
use crate::picture_source::PictureSource;
use crate::record::{NotificationRecord, UndeliveredMessage};
use crate::transports::SendError;
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Producer, Reader, Record, redacted};
use everyframe_types::raised_alert::RaisedAlert;
use everyframe_types::record::IncomingRecord as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long the brokers may take to acknowledge that a message was sent again.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a message is still undelivered.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The receiver did not take it. The text has no secrets.
    #[error("not delivered: {0}")]
    NotDelivered(String),
    /// It was delivered, and is still listed: its receiver gets it again, with the same id, if it is sent again.
    #[error("delivered, but it stays in the list: {0}")]
    NotRemoved(#[from] BrokerError),
}

/// The undelivered messages that are kept, of one channel or of all, oldest first. Blocks.
///
/// # Errors
///
/// [`BrokerError`] says what the operator can do; trying again may help.
pub fn read_undelivered(
    config: &Config,
    channel: Option<&str>,
) -> Result<Vec<UndeliveredMessage>, BrokerError> {
    let mut messages: BTreeMap<Vec<u8>, UndeliveredMessage> = BTreeMap::new();
    let mut reader = Reader::from_start(&config.kafka, &config.topics.notifications)?;
    while let Some(record) = reader.next()? {
        let Some(key) = record.key() else { continue };
        match record.value().and_then(|value| NotificationRecord::parse(key, value)) {
            Some(NotificationRecord::Undelivered(undelivered)) => {
                drop(messages.insert(key.to_vec(), undelivered))
            }
            _ => drop(messages.remove(key)),
        }
    }
    let mut messages: Vec<UndeliveredMessage> =
        messages.into_values().filter(|it| channel.is_none_or(|name| it.channel == name)).collect();
    messages.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    Ok(messages)
}

/// Sends an undelivered message again, at once and past all conditions, and removes it from the list. The message has the id that it
/// had, so a receiver that knows it already recognises the repeat. Blocks.
///
/// # Errors
///
/// See [`ReplayError`]: the message is kept.
pub fn replay_undelivered(
    config: &Config,
    channel: &Channel,
    undelivered: &UndeliveredMessage,
    pictures: &dyn PictureSource,
    producer: &Producer,
) -> Result<(), ReplayError> {
    let message = message_of(undelivered);
    if message.alerts.is_empty() {
        return Err(ReplayError::NotDelivered("its alerts cannot be read".into()));
    }
    let picture = channel.picture_of(&message, pictures);
    channel.send(&mut *channel.make_transport(), &message, picture).map_err(|error| match error {
        SendError::Refused(reason) | SendError::Failed { reason, .. } => {
            ReplayError::NotDelivered(redacted(&reason))
        }
    })?;
    let key = undelivered.key();
    let done = Record {
        topic: &config.topics.notifications,
        key: Some(key.as_bytes()),
        value: None,
        ..Record::default()
    };
    Ok(producer.send_and_wait(done, REMOVAL_TIMEOUT)?)
}

/// The message that was given up.
fn message_of(undelivered: &UndeliveredMessage) -> Message {
    let alerts = undelivered.alerts.iter().filter_map(|event| {
        let json = event.to_string().into_bytes();
        RaisedAlert::parse(&json).map(|raised| Arc::new(Alert { raised, json }))
    });
    Message { id: undelivered.id.clone(), alerts: alerts.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::test_alert;

    #[test]
    fn an_undelivered_message_is_sent_unchanged() {
        let alerts: Vec<Arc<Alert>> = (0..3).map(|at| Arc::new(test_alert("gate", at))).collect();
        let message = Message { id: "digest/gate/0/1-3".into(), alerts };
        let again = message_of(&UndeliveredMessage::new("gate", &message, 7, "refused", 2));
        assert_eq!((&again.id, again.alerts.len()), (&message.id, 3));
        let texts = |message: &Message| -> Vec<serde_json::Value> {
            message.alerts.iter().map(|alert| serde_json::from_slice(&alert.json).unwrap()).collect()
        };
        assert_eq!(texts(&again), texts(&message));
    }
}
