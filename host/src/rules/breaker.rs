//! Keeps a rule that fails again and again from being asked: its time and its messages help nobody.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The first pause after a breaker has opened. Each one after a trial that failed is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One rule's breaker, shared by all lanes.
#[derive(Debug)]
pub(super) struct Breaker {
    /// So many failures in a row open it; 0: it never opens.
    limit: u32,
    in_a_row: AtomicU32,
    /// Set while it is open: when the next trial is, and the pause after that.
    open: Mutex<Option<(Instant, Duration)>>,
}

/// What a call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It failed so often, and is asked no more for a while.
    Opened,
    /// It answers again.
    Closed,
}

impl Breaker {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, in_a_row: AtomicU32::new(0), open: Mutex::new(None) }
    }

    /// True if the rule is to be asked. While the breaker is open that is once after each pause: one frame is the trial.
    pub(super) fn lets_ask(&self, now: Instant) -> bool {
        if !self.is_open() {
            return true;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((next, pause)) = *open else { return true };
        if now < next {
            return false;
        }
        let longer = LONGEST_PAUSE.min(pause * 2);
        *open = Some((now + longer, longer));
        true
    }

    /// How the rule that was asked did.
    pub(super) fn note(&self, is_well: bool, now: Instant) -> Option<Change> {
        if is_well {
            // Read first: of a rule in order every lane only reads.
            if self.in_a_row.load(Ordering::Relaxed) == 0 {
                return None;
            }
            self.in_a_row.store(0, Ordering::Relaxed);
            let was_open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take().is_some();
            return was_open.then_some(Change::Closed);
        }
        let failures = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.limit == 0 || failures < self.limit {
            return None;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_some() {
            return None;
        }
        *open = Some((now + PAUSE, PAUSE));
        Some(Change::Opened)
    }

    fn is_open(&self) -> bool {
        self.limit > 0 && self.in_a_row.load(Ordering::Relaxed) >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_fails_in_a_row_is_asked_no_more_and_tried_after_each_pause() {
        let breaker = Breaker::new(3);
        let now = Instant::now();
        assert_eq!(breaker.note(false, now), None);
        assert_eq!(breaker.note(false, now), None);
        assert!(breaker.lets_ask(now));
        assert_eq!(breaker.note(false, now), Some(Change::Opened));
        assert!(!breaker.lets_ask(now));

        let later = now + PAUSE;
        assert!(breaker.lets_ask(later), "the trial");
        assert!(!breaker.lets_ask(later), "one frame only");
        assert_eq!(breaker.note(false, later), None, "told once");
        assert!(!breaker.lets_ask(later + PAUSE), "twice the pause");
        assert!(breaker.lets_ask(later + 2 * PAUSE));
        assert_eq!(breaker.note(true, later), Some(Change::Closed));
        assert!(breaker.lets_ask(later));
        assert_eq!(breaker.note(true, later), None);
    }

    #[test]
    fn failures_with_successes_between_them_do_not_open_it() {
        let breaker = Breaker::new(2);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(breaker.note(false, now), None);
            assert_eq!(breaker.note(true, now), None);
        }
    }

    #[test]
    fn without_a_limit_it_never_opens() {
        let breaker = Breaker::new(0);
        let now = Instant::now();
        assert!((0..1000).all(|_| breaker.note(false, now).is_none() && breaker.lets_ask(now)));
    }

    #[test]
    fn the_pauses_end_at_a_minute() {
        let breaker = Breaker::new(1);
        let mut now = Instant::now();
        breaker.note(false, now);
        for _ in 0..20 {
            now += LONGEST_PAUSE;
            assert!(breaker.lets_ask(now));
        }
    }
}
