//! `everyframe notify test`: sends one message at once, past conditions, quiet hours and limits.

use crate::channel::Channel;
use crate::message::Message;
use crate::sample::test_alert;
use crate::transports::SendError;
use everyframe_kafka::redacted;
use everyframe_types::machine::unix_ms;
use std::sync::Arc;

/// Sends a test message by a channel. Blocks.
///
/// # Errors
///
/// Why the receiver did not take it, without secrets.
pub fn send_test_message(channel: &Channel) -> Result<(), String> {
    let alert = Arc::new(test_alert(&channel.name, unix_ms()));
    let message = Message { id: alert.raised.id.clone(), alerts: vec![alert] };
    channel.send(&mut *channel.make_transport(), &message, None).map_err(|error| match error {
        SendError::Refused(reason) | SendError::Failed { reason, .. } => redacted(&reason),
    })
}
