//! What can be seen of a host while it runs: metrics, health, and the alarm before retention deletes what is unread.
//!
//! The one place that counts. Other folders tell it what happened; it knows none of the stages.

mod alarm;
mod announcer;
mod cameras;
mod health;
mod health_check;
mod http;
mod metrics;
mod partitions;
mod rule_event;

pub use alarm::{Alarms, Danger, RetentionData, RetentionState};
pub use announcer::Announcer;
pub use health::{Health, STALLED_AFTER};
pub use metrics::{Metrics, Snapshot};
pub use partitions::LaneState;
pub use rule_event::{RULE, RuleData, RuleStatus, rule_event};

use everyframe_config::Config;
use everyframe_kafka::BrokerError;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Why a host cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// Its address is not to be had.
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

/// What is seen of one host.
#[derive(Clone)]
pub struct Observed {
    /// What it does.
    pub metrics: Arc<Metrics>,
    /// Whether it can do it.
    pub health: Arc<Health>,
}

impl Observed {
    /// Of a host that is about to start.
    pub fn new(config: &Config) -> Self {
        let away_after = Duration::from_secs(config.observe.away_after_s);
        Self { metrics: Arc::new(Metrics::new()), health: Arc::new(Health::new(away_after, STALLED_AFTER)) }
    }

    /// Listens, if the configuration says so, and looks for Kafka and for what retention is about to delete, on threads
    /// of its own until `stop` is set: who watches must not depend on what is watched.
    pub fn start(&self, config: &Config, stop: &Arc<AtomicBool>) -> Result<(), ObserveError> {
        if !config.observe.listen.is_empty() {
            http::start(&config.observe.listen, self.clone())?;
            health_check::start(config, self.clone(), stop.clone())?;
        }
        if config.observe.lag_interval_s > 0 {
            alarm::start(config, self.metrics.clone(), stop.clone())?;
        }
        Ok(())
    }
}
