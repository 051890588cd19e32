//! Checks once a second whether Kafka answers, and whether frames are acknowledged.

use super::{ObserveError, Observed};
use everyframe_config::Config;
use everyframe_kafka::BrokerProbe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);

pub fn start(config: &Config, observed: Observed, stop: Arc<AtomicBool>) -> Result<(), ObserveError> {
    let pulse = BrokerProbe::new(&config.kafka, &config.topics.frames)?;
    let Observed { metrics, health } = observed;
    let look = move || {
        while !stop.load(Ordering::Relaxed) {
            if pulse.beats() {
                health.heard();
            }
            let waiting = metrics.partitions().lanes().iter().map(|lane| lane.frames).sum();
            health.record_progress(waiting, metrics.acknowledged_in_all());
            std::thread::sleep(EVERY);
        }
    };
    std::thread::Builder::new().name("pulse".into()).spawn(look).map_err(ObserveError::Thread)?;
    Ok(())
}
