//! Which alerts are acknowledged, for channels that send what nobody has acknowledged; and which alerts are muted.

use everyframe_config::Config;
use everyframe_kafka::{BrokerError, LogOnce, Reader};
use everyframe_types::mute::{Mutable, Mute};
use everyframe_types::raised_alert::RaisedAlert;
use everyframe_types::record::IncomingRecord as _;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a change is waited for, before the thread checks whether the process ends.
const POLL_TIMEOUT: Duration = Duration::from_millis(250);
/// Between two attempts to reach Kafka at the start.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);

/// The acknowledged alerts, and the mutes.
#[derive(Default)]
pub struct Acknowledgements {
    state: Mutex<State>,
    is_read: Condvar,
}

#[derive(Default)]
struct State {
    ids: HashSet<String>,
    /// By id.
    mutes: HashMap<String, Mute>,
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
                std::thread::sleep(RECONNECT_PAUSE);
            }
        })?;
        Ok(all)
    }

    fn read(&self, config: &Config, stop: &AtomicBool) -> Result<(), BrokerError> {
        let mut reader = Reader::following(&config.kafka, &config.topics.acknowledgements, 0)?;
        while !stop.load(Ordering::Relaxed) {
            // librdkafka goes on by itself after an error.
            if let Ok(Some(record)) = reader.follow(POLL_TIMEOUT)
                && let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok())
            {
                self.apply(key, record.value());
            }
            if reader.has_caught_up() {
                self.lock().has_caught_up = true;
                self.is_read.notify_all();
            }
        }
        Ok(())
    }

    fn apply(&self, key: &str, value: Option<&[u8]>) {
        let mut state = self.lock();
        match (Mute::id(key), value) {
            (None, Some(_)) => drop(state.ids.insert(key.to_owned())),
            (None, None) => drop(state.ids.remove(key)),
            (Some(id), None) => drop(state.mutes.remove(id)),
            (Some(id), Some(value)) => {
                if let Ok(mute) = serde_json::from_slice(value) {
                    state.mutes.insert(id.to_owned(), mute);
                }
            }
        }
    }

    /// True if somebody has acknowledged the alert; none if that is not known within `timeout`: the topic is still being read.
    pub fn is_acknowledged(&self, alert: &RaisedAlert, timeout: Duration) -> Option<bool> {
        self.ask(timeout, |state| state.ids.contains(&alert.id))
    }

    /// True if the alert is muted; none if that is not known within `timeout`.
    pub fn is_muted(&self, alert: &RaisedAlert, timeout: Duration) -> Option<bool> {
        let RaisedAlert { camera, rule, kind, subject, at, .. } = alert;
        let alert = Mutable { camera, rule, kind, subject, at: *at };
        self.ask(timeout, |state| state.mutes.values().any(|mute| mute.mutes(alert)))
    }

    fn ask(&self, timeout: Duration, answer: impl FnOnce(&State) -> bool) -> Option<bool> {
        let waiting = self.is_read.wait_timeout_while(self.lock(), timeout, |state| !state.has_caught_up);
        let (state, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        state.has_caught_up.then(|| answer(&state))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample_alert;

    #[test]
    fn nothing_is_known_until_the_topic_is_read() {
        let all = Acknowledgements::default();
        let alert = RaisedAlert { id: "a".into(), ..sample_alert() };
        let is_acknowledged = || all.is_acknowledged(&alert, Duration::ZERO);
        all.apply("a", Some(b"{}"));
        assert_eq!(is_acknowledged(), None);
        all.lock().has_caught_up = true;
        assert_eq!(is_acknowledged(), Some(true));
        all.apply("a", None);
        assert_eq!(is_acknowledged(), Some(false), "opened again");
    }

    #[test]
    fn a_mute_ends_when_it_is_removed() {
        let all = Acknowledgements::default();
        all.lock().has_caught_up = true;
        let alert = RaisedAlert { camera: "gate".into(), at: 50, ..sample_alert() };
        let is_muted = || all.is_muted(&alert, Duration::ZERO);
        all.apply("mute/7", Some(br#"{"camera":"gate","from":0,"until":100,"by":"anna"}"#));
        all.apply("mute/8", Some(b"no JSON"));
        assert_eq!(is_muted(), Some(true));
        all.apply("mute/7", None);
        assert_eq!(is_muted(), Some(false));
    }
}
