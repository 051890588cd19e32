//! Time as a seam: code that waits or measures takes a [`Clock`], so that tests need not sleep.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tells the time and waits.
pub trait Clock: Send + Sync {
    /// The time now. It never goes back.
    fn now(&self) -> Instant;

    /// Waits for `time`.
    fn sleep(&self, time: Duration);

    /// The time that has passed since `then`; zero if `then` is later than now.
    fn elapsed_since(&self, then: Instant) -> Duration {
        self.now().saturating_duration_since(then)
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// A clock for tests. It stands still until somebody advances it; [`Clock::sleep`] advances it and returns at once.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    passed: Mutex<Duration>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self { start: Instant::now(), passed: Mutex::default() }
    }
}

impl ManualClock {
    /// Moves the time on.
    pub fn advance(&self, time: Duration) {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, time: Duration) {
        self.advance(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_it_is_advanced() {
        let clock = ManualClock::default();
        let then = clock.now();
        assert_eq!(clock.elapsed_since(then), Duration::ZERO);
        clock.advance(Duration::from_secs(3));
        clock.sleep(Duration::from_secs(4));
        assert_eq!(clock.elapsed_since(then), Duration::from_secs(7));
        assert_eq!(clock.elapsed_since(then + Duration::from_secs(60)), Duration::ZERO);
    }
}
