//! Stops a lane that parks too many of its frames: something is wrong with a rule, a model or a camera, and emptying the
//! topic into the dead letters helps nobody. The frames wait in Kafka; one after each pause is tried.

use std::collections::VecDeque;
use std::time::Duration;

/// The last frames that are looked at.
const WINDOW: usize = 200;
/// The first pause. Each one after a trial that failed is twice as long.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The same for a rule that frames wait for: it is asked about the same frame again.
const WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One lane's brake.
#[derive(Debug)]
pub(super) struct DeadLetterLimiter {
    /// The share of dead letters above which the lane stops, 0 to 1.
    limit: f32,
    parked: VecDeque<bool>,
    /// The last pause; none while all is well.
    pause: Option<Duration>,
    /// The last pause for a rule that frames wait for.
    wait: Option<Duration>,
}

impl DeadLetterLimiter {
    pub(super) fn new(limit: f32) -> Self {
        Self { limit, parked: VecDeque::with_capacity(WINDOW), pause: None, wait: None }
    }

    /// A rule failed that the frame waits for. How long until it is asked again.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = self.wait.map_or(WAIT, |wait| LONGEST_WAIT.min(wait * 2));
        self.wait = Some(wait);
        wait
    }

    /// What became of a frame. How long the lane is to stop, if it is.
    pub(super) fn note(&mut self, is_parked: bool) -> Option<Duration> {
        self.wait = None;
        if let Some(pause) = self.pause {
            // The trial after a pause.
            self.pause = is_parked.then(|| LONGEST_PAUSE.min(pause * 2));
            return self.pause;
        }
        if self.parked.len() == WINDOW {
            self.parked.pop_front();
        }
        self.parked.push_back(is_parked);
        self.look()
    }

    /// Counts a frame as parked that was first counted as processed. Returns how long the lane must stop, if it must.
    pub(super) fn note_parked_after_all(&mut self) -> Option<Duration> {
        if self.pause.is_some() {
            return None;
        }
        *self.parked.iter_mut().rev().find(|parked| !**parked)? = true;
        self.look()
    }

    fn look(&mut self) -> Option<Duration> {
        let count = self.parked.iter().filter(|parked| **parked).count();
        if self.parked.len() == WINDOW && count as f32 > self.limit * WINDOW as f32 {
            self.parked.clear();
            self.pause = Some(PAUSE);
        }
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_stops_when_more_than_its_share_of_the_last_frames_is_parked() {
        let mut dead_letter_limiter = DeadLetterLimiter::new(0.5);
        assert!(
            (0..150).all(|_| dead_letter_limiter.note(true).is_none()),
            "a burst is not yet a share of the window"
        );
        assert!((0..50).all(|n| dead_letter_limiter.note(false).is_none() || n == 49));
        let mut even = DeadLetterLimiter::new(0.5);
        assert!((0..1000).all(|n| even.note(n % 2 == 0).is_none()));
    }

    #[test]
    fn a_trial_that_fails_doubles_the_pause_and_one_that_succeeds_ends_it() {
        let mut dead_letter_limiter = DeadLetterLimiter::new(0.5);
        let stopped = (0..WINDOW).find_map(|_| dead_letter_limiter.note(true));
        assert_eq!(stopped, Some(PAUSE));
        assert_eq!(dead_letter_limiter.note(true), Some(PAUSE * 2));
        assert_eq!((0..20).filter_map(|_| dead_letter_limiter.note(true)).max(), Some(LONGEST_PAUSE));
        assert_eq!(dead_letter_limiter.note(false), None);
        assert_eq!(dead_letter_limiter.note(true), None, "the window begins anew");
    }

    #[test]
    fn a_rule_that_frames_wait_for_is_asked_again_after_longer_and_longer() {
        let mut dead_letter_limiter = DeadLetterLimiter::new(0.5);
        let waits: Vec<u64> = (0..8).map(|_| dead_letter_limiter.failed().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        dead_letter_limiter.note(false);
        assert_eq!(dead_letter_limiter.failed(), WAIT);
    }

    #[test]
    fn frames_parked_after_they_were_judged_count_as_parked() {
        let mut dead_letter_limiter = DeadLetterLimiter::new(0.5);
        assert_eq!(dead_letter_limiter.note_parked_after_all(), None, "nothing was noted yet");
        assert!((0..WINDOW).all(|_| dead_letter_limiter.note(false).is_none()));
        assert!((0..WINDOW / 2).all(|_| dead_letter_limiter.note_parked_after_all().is_none()));
        assert_eq!(dead_letter_limiter.note_parked_after_all(), Some(PAUSE));
        assert_eq!(dead_letter_limiter.note_parked_after_all(), None, "it stopped already");
    }

    #[test]
    fn a_share_of_one_never_stops() {
        let mut dead_letter_limiter = DeadLetterLimiter::new(1.0);
        assert!((0..1000).all(|_| dead_letter_limiter.note(true).is_none()));
    }
}
