//! Whether a host is ready.

use everyframe_telemetry::clock::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A host with frames of which none is acknowledged for this long is not ready. A transaction that a killed host left
/// open is over before that (25 s).
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Whether a host is ready, by what Kafka and the lanes do.
pub struct Health {
    clock: Arc<dyn Clock>,
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
    /// The host is not ready if Kafka has not answered for `away_after`, or if frames wait and none was acknowledged for
    /// `stalled_after`.
    pub fn new(away_after: Duration, stalled_after: Duration, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Self {
            clock,
            joined: AtomicBool::new(false),
            heard: Mutex::new(now),
            away_after,
            progress: Mutex::new(Progress { waiting: 0, acknowledged: 0, since: now }),
            stalled_after,
        }
    }

    /// Records that everything is loaded and the host has joined its group.
    pub fn joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    /// Records that Kafka answered.
    pub fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = self.clock.now();
    }

    /// Records how many frames are in the lanes, and how many were acknowledged since the start. Call it about once a second.
    pub fn record_progress(&self, waiting: usize, acknowledged: u64) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting == 0 || acknowledged != progress.acknowledged {
            progress.since = self.clock.now();
        }
        (progress.waiting, progress.acknowledged) = (waiting, acknowledged);
    }

    /// Why the host is not ready; none if it is.
    pub fn trouble(&self) -> Option<String> {
        if !self.joined.load(Ordering::Relaxed) {
            return Some("starting".into());
        }
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let silence = self.clock.elapsed_since(heard);
        if silence > self.away_after {
            return Some(format!("no answer from Kafka for {} s", silence.as_secs()));
        }
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let (waiting, stalled) = (progress.waiting, self.clock.elapsed_since(progress.since));
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
    use everyframe_telemetry::clock::ManualClock;

    const AWAY: Duration = Duration::from_secs(10);
    const STALLED: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    fn health() -> (Health, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        (Health::new(AWAY, STALLED, clock.clone()), clock)
    }

    #[test]
    fn a_host_is_ready_when_it_has_joined_and_hears_from_kafka() {
        let (health, clock) = health();
        assert_eq!(health.trouble().as_deref(), Some("starting"));
        health.joined();
        clock.advance(AWAY);
        assert_eq!(health.trouble(), None);
        clock.advance(SECOND);
        assert_eq!(health.trouble().as_deref(), Some("no answer from Kafka for 11 s"));
        health.heard();
        assert_eq!(health.trouble(), None);
    }

    #[test]
    fn a_host_whose_frames_are_not_acknowledged_is_not_ready() {
        let (health, clock) = health();
        let advance = |time: Duration| {
            clock.advance(time);
            health.heard();
        };
        health.joined();
        health.record_progress(0, 0);
        advance(STALLED + SECOND);
        assert_eq!(health.trouble(), None, "nothing waits");
        health.record_progress(0, 0);
        health.record_progress(3, 0);
        advance(STALLED);
        assert_eq!(health.trouble(), None, "frames that come after an idle time have their time, too");
        advance(SECOND);
        let trouble = health.trouble().unwrap();
        assert!(trouble.starts_with("3 frames wait, and none was acknowledged for 61 s"), "{trouble}");
        health.record_progress(3, 1);
        assert_eq!(health.trouble(), None, "one was acknowledged");
        advance(STALLED + SECOND);
        health.record_progress(0, 1);
        assert_eq!(health.trouble(), None, "none is waiting");
    }
}
