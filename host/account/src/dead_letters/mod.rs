//! Dead letters: selecting, replaying and dropping them.

mod actions;
mod filter;

pub use actions::{ActionReport, Selection};
pub use filter::{DeadLetter, Filter, read_actions};

use everyframe_kafka::BrokerError;

/// Why an action on dead letters failed. All are safe to try again.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The brokers do not answer, or do not allow it.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Some records were not acknowledged.
    #[error("{missing} of {count} records were not acknowledged: {reason}; run the command again")]
    NotAcknowledged {
        /// Records without an acknowledgement.
        missing: usize,
        /// Records sent.
        count: usize,
        /// The last error.
        reason: String,
    },
    /// The machine has no threads or file descriptors left.
    #[error("cannot start the asynchronous runtime: {0}")]
    Runtime(std::io::Error),
}
