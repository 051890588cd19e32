//! Stops a lane that parks too many of its frames. Something is wrong with a rule, a model or a camera, and moving the whole
//! topic to the dead letters helps nobody. The frames wait in Kafka; after each pause one is tried.

use std::collections::VecDeque;
use std::time::Duration;

/// How many of the last frames count.
const WINDOW: usize = 200;
/// The first pause. Each one after a trial that failed is twice as long.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The first pause before a rule with `on_failure = "stop"` judges the same frame again.
const WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The limit of one lane.
#[derive(Debug)]
pub(super) struct DeadLetterLimiter {
    /// The share of dead letters above which the lane stops, 0 to 1.
    limit: f32,
    parked: VecDeque<bool>,
    /// The last pause; none while all is well.
    pause: Option<Duration>,
    /// The last pause for a rule with `on_failure = "stop"`.
    wait: Option<Duration>,
}

impl DeadLetterLimiter {
    pub(super) fn new(limit: f32) -> Self {
        Self { limit, parked: VecDeque::with_capacity(WINDOW), pause: None, wait: None }
    }

    /// A rule with `on_failure = "stop"` failed. Returns how long to wait until it judges the frame again.
    pub(super) fn rule_failed(&mut self) -> Duration {
        let wait = self.wait.map_or(WAIT, |wait| LONGEST_WAIT.min(wait * 2));
        self.wait = Some(wait);
        wait
    }

    /// Counts a frame. Returns how long the lane must stop, if it must.
    pub(super) fn count_frame(&mut self, is_parked: bool) -> Option<Duration> {
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
        self.check_share()
    }

    /// Counts a frame as parked that was first counted as processed. Returns how long the lane must stop, if it must.
    pub(super) fn count_parked_later(&mut self) -> Option<Duration> {
        if self.pause.is_some() {
            return None;
        }
        *self.parked.iter_mut().rev().find(|parked| !**parked)? = true;
        self.check_share()
    }

    fn check_share(&mut self) -> Option<Duration> {
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
    fn a_lane_stops_above_its_share_of_parked_frames() {
        let mut limiter = DeadLetterLimiter::new(0.5);
        assert!(
            (0..150).all(|_| limiter.count_frame(true).is_none()),
            "a burst is not yet a share of the window"
        );
        assert!((0..50).all(|n| limiter.count_frame(false).is_none() || n == 49));
        let mut even = DeadLetterLimiter::new(0.5);
        assert!((0..1000).all(|n| even.count_frame(n % 2 == 0).is_none()));
    }

    #[test]
    fn a_failed_trial_doubles_the_pause_a_good_one_ends_it() {
        let mut limiter = DeadLetterLimiter::new(0.5);
        let stopped = (0..WINDOW).find_map(|_| limiter.count_frame(true));
        assert_eq!(stopped, Some(PAUSE));
        assert_eq!(limiter.count_frame(true), Some(PAUSE * 2));
        assert_eq!((0..20).filter_map(|_| limiter.count_frame(true)).max(), Some(LONGEST_PAUSE));
        assert_eq!(limiter.count_frame(false), None);
        assert_eq!(limiter.count_frame(true), None, "the window begins anew");
    }

    #[test]
    fn pauses_for_a_failing_rule_double() {
        let mut limiter = DeadLetterLimiter::new(0.5);
        let waits: Vec<u64> = (0..8).map(|_| limiter.rule_failed().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        limiter.count_frame(false);
        assert_eq!(limiter.rule_failed(), WAIT);
    }

    #[test]
    fn frames_parked_after_judging_count_as_parked() {
        let mut limiter = DeadLetterLimiter::new(0.5);
        assert_eq!(limiter.count_parked_later(), None, "nothing was noted yet");
        assert!((0..WINDOW).all(|_| limiter.count_frame(false).is_none()));
        assert!((0..WINDOW / 2).all(|_| limiter.count_parked_later().is_none()));
        assert_eq!(limiter.count_parked_later(), Some(PAUSE));
        assert_eq!(limiter.count_parked_later(), None, "it stopped already");
    }

    #[test]
    fn a_share_of_one_never_stops() {
        let mut limiter = DeadLetterLimiter::new(1.0);
        assert!((0..1000).all(|_| limiter.count_frame(true).is_none()));
    }
}
