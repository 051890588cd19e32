//! What all lanes of a host share.

use super::background::Background;
use super::judge::Judge;
use super::topic_reader::TopicReader;
use crate::observe::Metrics;
use crate::publish::Publisher;
use everyframe_config::Config;
use everyframe_privacy::{KeyRing, PrivacyError};
use everyframe_telemetry::clock::Clock;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// What all lanes of a host share.
pub(super) struct LaneContext {
    pub config: Config,
    pub judge: Arc<dyn Judge>,
    pub publisher: Publisher,
    pub metrics: Arc<Metrics>,
    pub topics: Arc<dyn TopicReader>,
    pub background: Arc<dyn Background>,
    pub clock: Arc<dyn Clock>,
    /// Set when frames are no longer taken in.
    pub stop: Arc<AtomicBool>,
    /// Decrypts rule state.
    pub ring: Arc<KeyRing>,
    /// Set when rule state cannot be decrypted: the host ends.
    pub failure: OnceLock<PrivacyError>,
}
