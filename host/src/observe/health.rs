//! Whether a host can do its work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is known of a host's health.
#[derive(Debug)]
pub struct Health {
    joined: AtomicBool,
    heard: Mutex<Instant>,
    away_after: Duration,
}

impl Health {
    /// Without news of Kafka for `away_after`, Kafka is away.
    pub fn new(away_after: Duration) -> Self {
        Self { joined: AtomicBool::new(false), heard: Mutex::new(Instant::now()), away_after }
    }

    /// Everything is loaded, and the host has joined its group: it has partitions, or waits for some.
    pub fn joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    /// Kafka answered.
    pub fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Why the host cannot do its work, if it cannot.
    pub fn trouble(&self) -> Option<String> {
        if !self.joined.load(Ordering::Relaxed) {
            return Some("starting".into());
        }
        let silence = self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        (silence > self.away_after).then(|| format!("no answer from Kafka for {} s", silence.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_ready_when_it_has_joined_and_hears_from_kafka() {
        let health = Health::new(Duration::from_secs(60));
        assert_eq!(health.trouble().as_deref(), Some("starting"));
        health.joined();
        assert_eq!(health.trouble(), None);
        let deaf = Health::new(Duration::ZERO);
        deaf.joined();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(deaf.trouble().as_deref(), Some("no answer from Kafka for 0 s"));
    }
}
