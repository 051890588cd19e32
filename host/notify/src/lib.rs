//! Notifications: tells people and programs of alerts.
//!
//! - [`load_channels`] checks the `[[channels]]` of a configuration. [`Notifier`] runs them.
//! - `conditions` and `pacing`: which alerts a channel sends, and when. `queue`: the alerts of a partition that are not done. `outage`,
//!   `backoff`: when to try again. Pure.
//! - `template`, `message`: what is sent. `transports`: how, one file for each.
//! - `attempts`: what channels and callbacks do alike after a failure.
//! - `runner`: joins them to a consumer group, one for each channel, so that a channel that hangs holds up no other.
//! - `undelivered`: lists the messages that were given up, and sends them again.
//! - `callbacks`: results and dead letters of the frames that asked for it, to the addresses that the operator allows.
//! - `monitor`, `record`, `status`, `meters`: the health of channels, for operators and the dashboard.
//!
//! An alert is delivered at least once to each channel: its offset is committed only when it is done. A repeat has the same id.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod acknowledgements;
mod alert;
mod assignments;
mod attempts;
mod backlog;
mod backoff;
mod callbacks;
mod channel;
mod conditions;
mod message;
mod meters;
mod monitor;
mod notifier;
mod outage;
mod pacing;
mod picture_source;
mod queue;
mod record;
mod runner;
mod sample;
mod status;
mod template;
mod test_message;
mod transports;
mod undelivered;

pub use callbacks::{CallbackError, CallbackReceiver, Callbacks, is_callback_channel, load_callbacks};
pub use channel::{Channel, load_channels};
pub use meters::Meters;
pub use notifier::{Notifier, NotifyError};
pub use picture_source::PictureSource;
pub use record::UndeliveredMessage;
pub use status::{ChannelStatus, read_status};
pub use test_message::send_test_message;
pub use undelivered::{ReplayError, read_undelivered, replay_undelivered};
