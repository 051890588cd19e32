//! How far a replay is, and the request to end it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far a replay is. Share it with the thread that runs the replay.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    done: AtomicU64,
    cancelled: AtomicBool,
    deadline: Option<Instant>,
}

/// Why a replay ended before it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// [`Progress::cancel`] was called.
    Cancelled,
    /// It took longer than it may.
    TooLong,
}

impl Progress {
    /// Of a replay that ends with [`StopReason::TooLong`] after this time.
    pub fn with_limit(limit: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(limit), ..Self::default() }
    }

    /// Ends the replay at its next record.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Why the replay ends now; none if it goes on.
    pub fn stop_reason(&self) -> Option<StopReason> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Some(StopReason::Cancelled);
        }
        self.deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| StopReason::TooLong)
    }

    /// The share of the window's records that were read, 0 to 1.
    pub fn share(&self) -> f64 {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) }
    }

    /// Sets the number of records of the window.
    pub(super) fn begin(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
    }

    /// Counts records that were read.
    pub(super) fn advance(&self, records: u64) {
        self.done.fetch_add(records, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_to_1() {
        let progress = Progress::default();
        assert!(progress.share().abs() < f64::EPSILON, "nothing is known yet");
        progress.begin(4);
        progress.advance(1);
        assert!((progress.share() - 0.25).abs() < f64::EPSILON);
        progress.advance(9);
        assert!((progress.share() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn it_stops_when_cancelled_or_too_long() {
        let progress = Progress::default();
        assert_eq!(progress.stop_reason(), None);
        progress.cancel();
        assert_eq!(progress.stop_reason(), Some(StopReason::Cancelled));
        assert_eq!(Progress::with_limit(Duration::ZERO).stop_reason(), Some(StopReason::TooLong));
        assert_eq!(Progress::with_limit(Duration::MAX).stop_reason(), None);
    }
}
