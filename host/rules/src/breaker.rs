//! Pauses a rule that keeps failing on a camera's frames: evaluating it would only cost time and log lines. Each camera has
//! its own breaker, so that one camera's frames do not affect those of others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The first pause after a breaker has opened. Each one after a trial that failed is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The most failing cameras with a breaker of their own. The others share one: camera ids come from outside, and a producer
/// that invents one for each frame must not fill the memory.
const MAX_CAMERAS: usize = 1000;
/// When there are too many cameras, those on which the rule has not failed for this long are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// The key of the shared breaker. No camera has this id.
const OTHERS: &str = "";

/// The most cameras of a rule that are reported to the operator at a time. If it fails on more, the rule itself is at fault.
const MAX_REPORTED: usize = 10;

/// One rule's breakers, shared by all lanes.
#[derive(Debug)]
pub(super) struct Breakers {
    /// This many failures in a row open a breaker; 0: none ever opens.
    limit: u32,
    cameras: Mutex<FailingCameras>,
    /// The number of failing cameras. While no rule fails, lanes read only this number, and take no lock.
    failing: AtomicUsize,
    /// The number of open breakers, for the metric that is set after each call.
    open: AtomicUsize,
}

/// The breakers of the cameras whose last evaluation failed. The counters are kept with each change: after a failure, scanning
/// up to [`MAX_CAMERAS`] entries for every call of every lane would be too slow.
#[derive(Debug, Default)]
struct FailingCameras {
    breakers: HashMap<String, Breaker>,
    open: usize,
    reported: usize,
}

#[derive(Debug)]
struct Breaker {
    in_a_row: u32,
    failed_at: Instant,
    /// Set while the breaker is open.
    pause: Option<Pause>,
    /// True if the open breaker was reported to the operator.
    is_reported: bool,
}

#[derive(Debug)]
struct Pause {
    next_trial: Instant,
    /// The pause that precedes the next trial.
    length: Duration,
}

/// What a call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The rule failed so often on this camera's frames that it is paused for them.
    Opened,
    /// The rule succeeded again.
    Closed,
}

impl Breakers {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, cameras: Mutex::default(), failing: AtomicUsize::new(0), open: AtomicUsize::new(0) }
    }

    /// True if the rule is to be evaluated for a frame of this camera. While the camera's breaker is open that is once
    /// after each pause: one frame is the trial.
    pub(super) fn allows_call(&self, camera: &str, now: Instant) -> bool {
        if self.limit == 0 || self.failing.load(Ordering::Relaxed) == 0 {
            return true;
        }
        let mut cameras = self.lock();
        let key = cameras.key(camera);
        let Some(pause) = cameras.breakers.get_mut(key).and_then(|breaker| breaker.pause.as_mut()) else {
            return true;
        };
        if now < pause.next_trial {
            return false;
        }
        pause.length = LONGEST_PAUSE.min(pause.length * 2);
        pause.next_trial = now + pause.length;
        true
    }

    /// Records whether the rule succeeded on a frame of this camera. Returns a change that the operator should know.
    pub(super) fn record(&self, camera: &str, succeeded: bool, now: Instant) -> Option<Change> {
        if self.limit == 0 || succeeded && self.failing.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut cameras = self.lock();
        let change = if succeeded {
            cameras.record_success(camera)
        } else {
            cameras.record_failure(camera, self.limit, now)
        };
        self.failing.store(cameras.breakers.len(), Ordering::Relaxed);
        self.open.store(cameras.open, Ordering::Relaxed);
        change
    }

    /// The number of cameras for which the rule is paused. Takes no lock, so that it may be a call late.
    pub(super) fn count_open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, FailingCameras> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FailingCameras {
    fn record_success(&mut self, camera: &str) -> Option<Change> {
        let closed = self.breakers.remove(self.key(camera))?;
        self.open -= usize::from(closed.pause.is_some());
        self.reported -= usize::from(closed.is_reported);
        closed.is_reported.then_some(Change::Closed)
    }

    fn record_failure(&mut self, camera: &str, limit: u32, now: Instant) -> Option<Change> {
        if self.breakers.len() >= MAX_CAMERAS && !self.breakers.contains_key(camera) {
            self.forget_old(now);
        }
        let key = self.key(camera).to_owned();
        let new = || Breaker { in_a_row: 0, failed_at: now, pause: None, is_reported: false };
        let breaker = self.breakers.entry(key).or_insert_with(new);
        breaker.in_a_row = breaker.in_a_row.saturating_add(1);
        breaker.failed_at = now;
        if breaker.in_a_row < limit || breaker.pause.is_some() {
            return None;
        }
        breaker.pause = Some(Pause { next_trial: now + PAUSE, length: PAUSE });
        breaker.is_reported = self.reported < MAX_REPORTED;
        self.open += 1;
        self.reported += usize::from(breaker.is_reported);
        breaker.is_reported.then_some(Change::Opened)
    }

    fn forget_old(&mut self, now: Instant) {
        self.breakers.retain(|_, breaker| {
            let is_recent = now.saturating_duration_since(breaker.failed_at) < FORGOTTEN_AFTER;
            if !is_recent {
                self.open -= usize::from(breaker.pause.is_some());
                self.reported -= usize::from(breaker.is_reported);
            }
            is_recent
        });
    }

    /// The key of a camera's breaker.
    fn key<'a>(&self, camera: &'a str) -> &'a str {
        let has_own = self.breakers.contains_key(camera) || self.breakers.len() < MAX_CAMERAS;
        if has_own { camera } else { OTHERS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_fails_in_a_row_is_paused_with_trials() {
        let breakers = Breakers::new(3);
        let now = Instant::now();
        assert_eq!(breakers.record("gate", false, now), None);
        assert_eq!(breakers.record("gate", false, now), None);
        assert!(breakers.allows_call("gate", now));
        assert_eq!(breakers.record("gate", false, now), Some(Change::Opened));
        assert!(!breakers.allows_call("gate", now));
        assert_eq!(breakers.count_open(), 1);

        let later = now + PAUSE;
        assert!(breakers.allows_call("gate", later), "the trial");
        assert!(!breakers.allows_call("gate", later), "one frame only");
        assert_eq!(breakers.record("gate", false, later), None, "reported once");
        assert!(!breakers.allows_call("gate", later + PAUSE), "twice the pause");
        assert!(breakers.allows_call("gate", later + 2 * PAUSE));
        assert_eq!(breakers.record("gate", true, later), Some(Change::Closed));
        assert!(breakers.allows_call("gate", later));
        assert_eq!(breakers.record("gate", true, later), None);
        assert_eq!(breakers.count_open(), 0);
    }

    #[test]
    fn a_failing_camera_does_not_affect_others() {
        let breakers = Breakers::new(2);
        let now = Instant::now();
        for _ in 0..20 {
            breakers.record("gate", false, now);
            assert!(breakers.allows_call("door", now));
            assert_eq!(breakers.record("door", true, now), None);
        }
        assert!(!breakers.allows_call("gate", now), "another camera's successes do not close it");
    }

    #[test]
    fn a_success_resets_the_count_of_failures() {
        let breakers = Breakers::new(2);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(breakers.record("gate", false, now), None);
            assert_eq!(breakers.record("gate", true, now), None);
        }
    }

    #[test]
    fn a_limit_of_zero_never_opens_a_breaker() {
        let breakers = Breakers::new(0);
        let now = Instant::now();
        assert!(
            (0..1000)
                .all(|_| breakers.record("gate", false, now).is_none() && breakers.allows_call("gate", now))
        );
    }

    #[test]
    fn a_pause_is_at_most_a_minute() {
        let breakers = Breakers::new(1);
        let mut now = Instant::now();
        breakers.record("gate", false, now);
        for _ in 0..20 {
            now += LONGEST_PAUSE;
            assert!(breakers.allows_call("gate", now));
        }
    }

    #[test]
    fn many_cameras_share_a_breaker_and_ten_are_reported() {
        let breakers = Breakers::new(1);
        let now = Instant::now();
        let reported =
            (0..5000).filter(|number| breakers.record(&format!("camera-{number}"), false, now).is_some());
        assert_eq!(reported.count(), MAX_REPORTED);
        assert_eq!(breakers.lock().breakers.len(), MAX_CAMERAS + 1);
        assert!(!breakers.allows_call("camera-4999", now) && !breakers.allows_call("another", now));
        let later = now + FORGOTTEN_AFTER;
        breakers.record("gate", false, later);
        assert_eq!(breakers.lock().breakers.len(), 1);
        assert!(breakers.allows_call("another", later));
    }

    #[test]
    fn the_counters_match_the_breakers_after_every_change() {
        let breakers = Breakers::new(2);
        let start = Instant::now();
        for step in 0..20_000u32 {
            // Failures and successes in an order without a pattern, on more cameras than have a breaker of their own.
            let random = step.wrapping_mul(2_654_435_761) >> 16;
            let now = start + Duration::from_millis(u64::from(step) * 100);
            breakers.record(&format!("camera-{}", random % 1500), random.is_multiple_of(7), now);
            let cameras = breakers.lock();
            let open = cameras.breakers.values().filter(|breaker| breaker.pause.is_some()).count();
            let reported = cameras.breakers.values().filter(|breaker| breaker.is_reported).count();
            assert_eq!(
                (breakers.count_open(), cameras.open, cameras.reported),
                (open, open, reported),
                "{step}"
            );
            assert!(reported <= MAX_REPORTED);
        }
        assert!(breakers.count_open() > 100, "{}", breakers.count_open());
        assert!(breakers.lock().breakers.len() >= MAX_CAMERAS);
        // All cameras are forgotten at once.
        breakers.record("gate", false, start + Duration::from_secs(2000) + FORGOTTEN_AFTER);
        assert_eq!(breakers.count_open(), 0);
        let cameras = breakers.lock();
        assert_eq!((cameras.breakers.len(), cameras.reported), (1, 0));
    }
}
