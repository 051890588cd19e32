//! Why a host cannot start, or go on.

use crate::observe::ObserveError;
use everyframe_gallery::GalleryError;
use everyframe_kafka::BrokerError;
use everyframe_privacy::PrivacyError;
use everyframe_vision::VisionError;

/// Why a host cannot start, or go on. Errors of its rules are reported when the rules are loaded.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Models or their runtime.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// The gallery.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// A key is missing.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// A key turned out to be missing while the host was running.
    #[error("stopped: {0}")]
    Stopped(String),
    /// Kafka.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Metrics and health cannot be served.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The machine has no threads left.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}
