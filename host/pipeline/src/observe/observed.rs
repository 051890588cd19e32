//! Metrics and health of one host, and the threads that serve and watch them.

use super::error::ObserveError;
use super::health::{Health, STALLED_AFTER};
use super::http::serve_metrics;
use super::metrics::Metrics;
use super::{alarm, camera_monitor, health_check};
use everyframe_config::Config;
use everyframe_telemetry::clock::SystemClock;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Metrics and health of one host.
#[derive(Clone)]
pub struct Observed {
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Whether it is ready.
    pub health: Arc<Health>,
}

impl Observed {
    /// For a host that is about to start.
    pub fn new(config: &Config) -> Self {
        let away_after = Duration::from_secs(config.observe.away_after_s);
        Self {
            metrics: Arc::new(Metrics::new()),
            health: Arc::new(Health::new(away_after, STALLED_AFTER, Arc::new(SystemClock))),
        }
    }

    /// Serves metrics and health if the configuration says so, and watches Kafka and the retention, on threads of its own
    /// until `stop` is set.
    ///
    /// # Errors
    ///
    /// [`ObserveError`] says what the operator must change.
    pub fn start(&self, config: &Config, stop: &Arc<AtomicBool>) -> Result<(), ObserveError> {
        if !config.observe.listen.is_empty() {
            let (metrics, health) = (self.metrics.clone(), self.health.clone());
            let text = Arc::new(move || metrics.text());
            serve_metrics(&config.observe.listen, text, Arc::new(move || health.trouble()))?;
            health_check::start(config, (self.metrics.clone(), self.health.clone()), stop.clone())?;
        }
        if config.observe.lag_interval_s > 0 {
            alarm::start(config, self.metrics.clone(), stop.clone())?;
        }
        camera_monitor::start(config, self.metrics.clone(), stop.clone())
    }
}
