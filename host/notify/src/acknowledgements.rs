//! Which alerts are acknowledged, for channels that send what nobody has acknowledged.

use everyframe_config::Config;
use everyframe_kafka::{BrokerError, LogOnce, Reader};
use everyframe_types::record::IncomingRecord as _;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a change is waited for, before the thread checks whether the process ends.
const TURN: Duration = Duration::from_millis(250);
/// Between two attempts to reach Kafka at the start.
const AGAIN: Duration = Duration::from_secs(2);

/// The ids of the acknowledged alerts.
#[derive(Default)]
pub struct Acknowledgements {
    state: Mutex<State>,
    is_read: Condvar,
}

#[derive(Default)]
struct State {
    ids: HashSet<String>,
    has_caught_up: bool,
}

impl Acknowledgements {
    /// Follows the topic on a thread of its own, until `stop` is set.
    ///
    /// # Errors
    ///
    /// The system has no threads left.
    pub fn follow(config: &Config, stop: &Arc<AtomicBool>) -> std::io::Result<Arc<Self>> {
        let all = Arc::new(Self::default());
        let (following, config, stop) = (all.clone(), config.clone(), stop.clone());
        std::thread::Builder::new().name("notify-acks".into()).spawn(move || {
            let log_once = LogOnce::default();
            while !stop.load(Ordering::Relaxed) {
                match following.read(&config, &stop) {
                    Ok(()) => return,
                    Err(error) => log_once.warn(&format!("acknowledgements are not read: {error}")),
                }
                std::thread::sleep(AGAIN);
            }
        })?;
        Ok(all)
    }

    fn read(&self, config: &Config, stop: &AtomicBool) -> Result<(), BrokerError> {
        let reader = Reader::following(&config.kafka, &config.topics.acknowledgements, 0)?;
        while !stop.load(Ordering::Relaxed) {
            // librdkafka goes on by itself after an error.
            if let Ok(Some(record)) = reader.follow(TURN)
                && let Some(id) = record.key().and_then(|key| std::str::from_utf8(key).ok())
            {
                self.apply(id, record.value().is_some());
            }
            if reader.has_caught_up() {
                self.lock().has_caught_up = true;
                self.is_read.notify_all();
            }
        }
        Ok(())
    }

    fn apply(&self, id: &str, is_acknowledged: bool) {
        let mut state = self.lock();
        if is_acknowledged {
            state.ids.insert(id.to_owned());
        } else {
            state.ids.remove(id);
        }
    }

    /// True if somebody has acknowledged the alert; none if that is not known within `timeout`: the topic is still being read.
    pub fn contains(&self, id: &str, timeout: Duration) -> Option<bool> {
        let waiting = self.is_read.wait_timeout_while(self.lock(), timeout, |state| !state.has_caught_up);
        let (state, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        state.has_caught_up.then(|| state.ids.contains(id))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_until_the_topic_is_read() {
        let all = Acknowledgements::default();
        all.apply("a", true);
        assert_eq!(all.contains("a", Duration::ZERO), None);
        all.lock().has_caught_up = true;
        assert_eq!(all.contains("a", Duration::ZERO), Some(true));
        all.apply("a", false);
        assert_eq!(all.contains("a", Duration::ZERO), Some(false), "opened again");
    }
}
