//! Checks once a second whether Kafka answers, and whether frames are acknowledged.

use super::error::ObserveError;
use super::health::Health;
use super::metrics::Metrics;
use everyframe_config::Config;
use everyframe_kafka::BrokerProbe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);

/// Checks on a thread of its own until `stop` is set.
pub(super) fn start(
    config: &Config,
    (metrics, health): (Arc<Metrics>, Arc<Health>),
    stop: Arc<AtomicBool>,
) -> Result<(), ObserveError> {
    let probe = BrokerProbe::new(&config.kafka, &config.topics.frames)?;
    let check = move || {
        while !stop.load(Ordering::Relaxed) {
            if probe.is_answered() {
                health.heard();
            }
            let waiting = metrics.partitions().lanes().iter().map(|lane| lane.frames).sum();
            health.record_progress(waiting, metrics.acknowledged_in_all());
            std::thread::sleep(EVERY);
        }
    };
    std::thread::Builder::new().name("broker-probe".into()).spawn(check).map_err(ObserveError::Thread)?;
    Ok(())
}
