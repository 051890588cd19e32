//! The transports by which a channel sends, one file for each.

mod command;
mod email;
mod home_assistant;
mod http;
mod mqtt;
mod mqtt_packet;
mod ntfy;
mod stdout;
mod tls;
mod webhook;

pub use command::Command;
pub use email::Email;
pub use http::HttpClient;
pub use mqtt::Mqtt;
pub use ntfy::Ntfy;
pub use stdout::Stdout;
pub use webhook::{Webhook, signing_key, standard_headers};

use crate::message::{Content, Message};
use everyframe_types::judgement::Severity;
use std::sync::Arc;
use std::time::Duration;

/// Sends messages. Each thread of a channel has its own.
pub trait Transport: Send {
    /// Sends a message, and returns when the receiver has it. Blocks, at most about as long as the channel's timeout.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError>;
}

/// A message, rendered.
pub struct Outgoing<'a> {
    /// The channel's name.
    pub channel: &'a str,
    /// The message.
    pub message: &'a Message,
    /// What templates see.
    pub content: &'a Content,
    /// The title, on one line.
    pub title: String,
    /// The text.
    pub text: String,
    /// The picture as JPEG.
    pub picture: Option<Arc<Vec<u8>>>,
}

impl Outgoing<'_> {
    fn severity(&self) -> Severity {
        self.message.severity()
    }
}

/// Why a message was not delivered. The texts contain no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The receiver does not accept this message, now or later.
    #[error("{0}")]
    Refused(String),
    /// Sending it again may help.
    #[error("{reason}")]
    Failed {
        /// What happened.
        reason: String,
        /// The pause that the receiver asks for.
        retry_after: Option<Duration>,
    },
}

impl SendError {
    /// A failure without a wish of the receiver.
    pub fn failed(reason: impl std::fmt::Display) -> Self {
        Self::Failed { reason: reason.to_string(), retry_after: None }
    }
}
