//! Asks Kafka every so often whether it is there.

use super::{Health, ObserveError};
use crate::config::Config;
use crate::kafka::Pulse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);

pub fn start(config: &Config, health: Arc<Health>, stop: Arc<AtomicBool>) -> Result<(), ObserveError> {
    let pulse = Pulse::new(&config.kafka, &config.topics.frames)?;
    let look = move || {
        while !stop.load(Ordering::Relaxed) {
            if pulse.beats() {
                health.heard();
            }
            std::thread::sleep(EVERY);
        }
    };
    std::thread::Builder::new().name("pulse".into()).spawn(look).map_err(ObserveError::Thread)?;
    Ok(())
}
