//! Limits log lines that a faulty producer could cause for every frame.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines that are logged in each period; the others are only counted.
const LINES: u32 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// Limits one kind of log line.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    logged: u32,
    kept_back: u64,
}

impl Throttle {
    /// How many lines were left out since the last one that was logged; none if this one must be left out, too.
    pub fn may(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.saturating_duration_since(since) >= PERIOD) {
            (state.since, state.logged) = (Some(now), 0);
        }
        if state.logged >= LINES {
            state.kept_back += 1;
            return None;
        }
        state.logged += 1;
        Some(std::mem::take(&mut state.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_left_out_are_counted() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let logged = (0..50).filter_map(|_| throttle.may(now)).count();
        assert_eq!(logged, LINES as usize);
        assert_eq!(throttle.may(now + PERIOD), Some(30));
        assert_eq!(throttle.may(now + PERIOD), Some(0));
    }
}
