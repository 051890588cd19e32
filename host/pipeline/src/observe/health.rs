//! Whether a host can do its work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A host with frames of which none is acknowledged for this long is not ready. A transaction that a killed host left
/// open is over before that (25 s).
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

/// What is known of a host's health.
#[derive(Debug)]
pub struct Health {
    joined: AtomicBool,
    heard: Mutex<Instant>,
    away_after: Duration,
    progress: Mutex<Progress>,
    stalled_after: Duration,
}

/// How many frames wait, and since when none was acknowledged.
#[derive(Debug)]
struct Progress {
    /// Frames that are in the lanes.
    waiting: usize,
    /// Frames that were acknowledged since the start.
    acknowledged: u64,
    /// When a frame was acknowledged last, or none was waiting.
    since: Instant,
}

impl Health {
    /// Without news of Kafka for `away_after`, Kafka is away. With frames waiting and none acknowledged for
    /// `stalled_after`, something is stuck.
    pub fn new(away_after: Duration, stalled_after: Duration) -> Self {
        let now = Instant::now();
        Self {
            joined: AtomicBool::new(false),
            heard: Mutex::new(now),
            away_after,
            progress: Mutex::new(Progress { waiting: 0, acknowledged: 0, since: now }),
            stalled_after,
        }
    }

    /// Everything is loaded, and the host has joined its group: it has partitions, or waits for some.
    pub fn joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    /// Kafka answered.
    pub fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Records how many frames are in the lanes, and how many were acknowledged since the start. Call it about once a second.
    pub fn record_progress(&self, waiting: usize, acknowledged: u64) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting == 0 || acknowledged != progress.acknowledged {
            progress.since = Instant::now();
        }
        (progress.waiting, progress.acknowledged) = (waiting, acknowledged);
    }

    /// Why the host cannot do its work, if it cannot.
    pub fn trouble(&self) -> Option<String> {
        if !self.joined.load(Ordering::Relaxed) {
            return Some("starting".into());
        }
        let silence = self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if silence > self.away_after {
            return Some(format!("no answer from Kafka for {} s", silence.as_secs()));
        }
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let (waiting, stalled) = (progress.waiting, progress.since.elapsed());
        (waiting > 0 && stalled > self.stalled_after).then(|| {
            format!(
                "{waiting} frames wait, and none was acknowledged for {} s; the log says why",
                stalled.as_secs()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_host_is_ready_when_it_has_joined_and_hears_from_kafka() {
        let health = Health::new(LONG, LONG);
        assert_eq!(health.trouble().as_deref(), Some("starting"));
        health.joined();
        assert_eq!(health.trouble(), None);
        let deaf = Health::new(Duration::ZERO, LONG);
        deaf.joined();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(deaf.trouble().as_deref(), Some("no answer from Kafka for 0 s"));
    }

    #[test]
    fn a_host_whose_frames_are_not_acknowledged_is_not_ready() {
        let health = Health::new(LONG, Duration::ZERO);
        health.joined();
        health.record_progress(0, 0);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(health.trouble(), None, "nothing waits");
        health.record_progress(3, 0);
        std::thread::sleep(Duration::from_millis(2));
        let said = health.trouble().unwrap();
        assert!(said.starts_with("3 frames wait, and none was acknowledged for 0 s"), "{said}");
        health.record_progress(0, 3);
        assert_eq!(health.trouble(), None, "all is done");
    }

    #[test]
    fn frames_that_come_after_an_idle_time_have_their_time_too() {
        let health = Health::new(LONG, LONG);
        health.joined();
        // As if it had been idle for longer than frames may wait.
        health.progress.lock().unwrap().since = Instant::now().checked_sub(2 * LONG).unwrap();
        health.record_progress(0, 9);
        health.record_progress(5, 9);
        assert_eq!(health.trouble(), None);
        health.progress.lock().unwrap().since = Instant::now().checked_sub(2 * LONG).unwrap();
        assert!(health.trouble().is_some());
        health.record_progress(5, 10);
        assert_eq!(health.trouble(), None, "one was acknowledged");
    }
}
