//! Pauses a rule that keeps failing on a camera's frames: asking it would only cost time and messages. Each camera has its
//! own breaker, so that one camera's frames do not affect those of others.

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
const TOLD: usize = 10;

/// One rule's breakers, shared by all lanes.
#[derive(Debug)]
pub(super) struct Breakers {
    /// This many failures in a row open a breaker; 0: none ever opens.
    limit: u32,
    /// Only cameras whose last answer was a failure.
    cameras: Mutex<HashMap<String, Breaker>>,
    /// How many these are. While no rule fails, lanes read only this number, and take no lock.
    failing: AtomicUsize,
}

#[derive(Debug)]
struct Breaker {
    in_a_row: u32,
    failed_at: Instant,
    /// Set while it is open: when the next trial is, and the pause after that.
    open: Option<(Instant, Duration)>,
    /// True if it was reported to the operator.
    is_told: bool,
}

/// What a call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The rule failed so often on this camera's frames that it is not asked about them for a while.
    LoadedComponent,
    /// It answers again.
    Closed,
}

impl Breakers {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, cameras: Mutex::default(), failing: AtomicUsize::new(0) }
    }

    /// True if the rule is to be asked about a frame of this camera. While the camera's breaker is open that is once
    /// after each pause: one frame is the trial.
    pub(super) fn lets_ask(&self, camera: &str, now: Instant) -> bool {
        if self.limit == 0 || self.failing.load(Ordering::Relaxed) == 0 {
            return true;
        }
        let mut cameras = self.lock();
        let name = name(&cameras, camera);
        let Some((next, pause)) = cameras.get_mut(name).and_then(|breaker| breaker.open.as_mut()) else {
            return true;
        };
        if now < *next {
            return false;
        }
        *pause = LONGEST_PAUSE.min(*pause * 2);
        *next = now + *pause;
        true
    }

    /// Records whether the rule answered or failed on a frame of this camera. Returns a change that the operator should know.
    pub(super) fn note(&self, camera: &str, is_well: bool, now: Instant) -> Option<Change> {
        if self.limit == 0 || is_well && self.failing.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut cameras = self.lock();
        let change = if is_well { close(&mut cameras, camera) } else { self.fail(&mut cameras, camera, now) };
        self.failing.store(cameras.len(), Ordering::Relaxed);
        change
    }

    /// About how many cameras the rule is not asked now.
    pub(super) fn count_open(&self) -> usize {
        match self.failing.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.lock().values().filter(|breaker| breaker.open.is_some()).count(),
        }
    }

    fn fail(&self, cameras: &mut HashMap<String, Breaker>, camera: &str, now: Instant) -> Option<Change> {
        if cameras.len() >= MAX_CAMERAS && !cameras.contains_key(camera) {
            cameras.retain(|_, breaker| now.saturating_duration_since(breaker.failed_at) < FORGOTTEN_AFTER);
        }
        let told = cameras.values().filter(|breaker| breaker.is_told).count();
        let name = name(cameras, camera).to_owned();
        let new = || Breaker { in_a_row: 0, failed_at: now, open: None, is_told: false };
        let breaker = cameras.entry(name).or_insert_with(new);
        breaker.in_a_row = breaker.in_a_row.saturating_add(1);
        breaker.failed_at = now;
        if breaker.in_a_row < self.limit || breaker.open.is_some() {
            return None;
        }
        breaker.open = Some((now + PAUSE, PAUSE));
        breaker.is_told = told < TOLD;
        breaker.is_told.then_some(Change::LoadedComponent)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Breaker>> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn close(cameras: &mut HashMap<String, Breaker>, camera: &str) -> Option<Change> {
    let name = name(cameras, camera);
    let closed = cameras.remove(name)?;
    closed.is_told.then_some(Change::Closed)
}

/// The key of a camera's breaker.
fn name<'a>(cameras: &HashMap<String, Breaker>, camera: &'a str) -> &'a str {
    if cameras.contains_key(camera) || cameras.len() < MAX_CAMERAS { camera } else { OTHERS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_fails_in_a_row_is_asked_no_more_and_tried_after_each_pause() {
        let breakers = Breakers::new(3);
        let now = Instant::now();
        assert_eq!(breakers.note("gate", false, now), None);
        assert_eq!(breakers.note("gate", false, now), None);
        assert!(breakers.lets_ask("gate", now));
        assert_eq!(breakers.note("gate", false, now), Some(Change::LoadedComponent));
        assert!(!breakers.lets_ask("gate", now));
        assert_eq!(breakers.count_open(), 1);

        let later = now + PAUSE;
        assert!(breakers.lets_ask("gate", later), "the trial");
        assert!(!breakers.lets_ask("gate", later), "one frame only");
        assert_eq!(breakers.note("gate", false, later), None, "told once");
        assert!(!breakers.lets_ask("gate", later + PAUSE), "twice the pause");
        assert!(breakers.lets_ask("gate", later + 2 * PAUSE));
        assert_eq!(breakers.note("gate", true, later), Some(Change::Closed));
        assert!(breakers.lets_ask("gate", later));
        assert_eq!(breakers.note("gate", true, later), None);
        assert_eq!(breakers.count_open(), 0);
    }

    #[test]
    fn one_cameras_frames_cost_no_others() {
        let breakers = Breakers::new(2);
        let now = Instant::now();
        for _ in 0..20 {
            breakers.note("gate", false, now);
            assert!(breakers.lets_ask("door", now));
            assert_eq!(breakers.note("door", true, now), None);
        }
        assert!(!breakers.lets_ask("gate", now), "another camera's answers do not close it");
    }

    #[test]
    fn failures_with_successes_between_them_do_not_open_it() {
        let breakers = Breakers::new(2);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(breakers.note("gate", false, now), None);
            assert_eq!(breakers.note("gate", true, now), None);
        }
    }

    #[test]
    fn without_a_limit_it_never_opens() {
        let breakers = Breakers::new(0);
        let now = Instant::now();
        assert!(
            (0..1000).all(|_| breakers.note("gate", false, now).is_none() && breakers.lets_ask("gate", now))
        );
    }

    #[test]
    fn the_pauses_end_at_a_minute() {
        let breakers = Breakers::new(1);
        let mut now = Instant::now();
        breakers.note("gate", false, now);
        for _ in 0..20 {
            now += LONGEST_PAUSE;
            assert!(breakers.lets_ask("gate", now));
        }
    }

    #[test]
    fn many_cameras_share_a_breaker_and_ten_are_reported() {
        let breakers = Breakers::new(1);
        let now = Instant::now();
        let told =
            (0..5000).filter(|number| breakers.note(&format!("camera-{number}"), false, now).is_some());
        assert_eq!(told.count(), TOLD);
        assert_eq!(breakers.lock().len(), MAX_CAMERAS + 1);
        assert!(!breakers.lets_ask("camera-4999", now) && !breakers.lets_ask("another", now));
        let later = now + FORGOTTEN_AFTER;
        breakers.note("gate", false, later);
        assert_eq!(breakers.lock().len(), 1);
        assert!(breakers.lets_ask("another", later));
    }
}
