//! Erases people whose enrolment has ended.

use super::host::Host;
use crate::erasure::erase_person;
use everyframe_config::Config;
use everyframe_privacy::Action;
use everyframe_types::machine::unix_ms;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two searches for people whose enrolment has ended.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often the thread checks whether the host ends.
const CHECK: Duration = Duration::from_millis(100);

impl Host {
    /// Erases people when their enrolment ends, until `stop` is set. Each host does this; the first one erases the person, and the
    /// others find nothing left.
    pub fn erase_expired(&self, config: &Config, stop: &AtomicBool) {
        let mut last: Option<Instant> = None;
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(CHECK);
            if last.is_some_and(|last| last.elapsed() < INTERVAL) {
                continue;
            }
            last = Some(Instant::now());
            for person in self.expired_people(unix_ms()) {
                match erase_person(config, &person, "host", Action::Expired) {
                    Ok(Some(_)) => tracing::info!(person, "the enrolment has ended; the person is erased"),
                    Ok(None) => {}
                    Err(error) => tracing::error!(
                        person,
                        "the enrolment has ended, but the person is not erased: {error}"
                    ),
                }
            }
        }
    }
}
