//! Why a host cannot be observed.

use everyframe_kafka::BrokerError;

/// Why metrics and health cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The address cannot be used.
    #[error(
        "cannot listen at {address}: {reason}; give another address in [observe] listen, or leave it out"
    )]
    Listen {
        /// The address.
        address: String,
        /// Why.
        reason: std::io::Error,
    },
    /// The machine has no threads left.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Kafka's client.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}
