//! Replays as jobs: one at a time on a thread of its own, the last ones kept in memory.

use everyframe_account::replay::{Progress, Report};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most jobs that are kept; beyond it, the oldest is forgotten.
const MAX_JOBS: usize = 10;
/// A job that takes longer is ended.
const MAX_TIME: Duration = Duration::from_secs(30 * 60);
/// The lowest priority of a thread: the pipeline goes first.
const LOWEST_PRIORITY: i32 = 19;

/// What a job was asked for.
#[derive(Debug, Clone)]
pub struct ReplayWindow {
    /// Unix milliseconds, inclusive.
    pub from: i64,
    /// Unix milliseconds, exclusive.
    pub to: i64,
    /// Patterns of cameras; all if empty.
    pub cameras: Vec<String>,
    /// The rules whose settings differ.
    pub rules: Vec<String>,
    /// The lines of the configuration that put the settings in force.
    pub toml: String,
}

/// What became of a job.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is at work.
    Running,
    /// It is done.
    Done(Arc<Report>),
    /// It could not be done: why, and what to do.
    Failed(String),
    /// It was cancelled.
    Cancelled,
}

/// A replay.
#[derive(Debug)]
pub struct Job {
    /// Its id: when it was created, Unix milliseconds.
    pub id: i64,
    /// What it was asked for.
    pub window: ReplayWindow,
    /// How far it is.
    pub progress: Progress,
    outcome: Mutex<Outcome>,
}

impl Job {
    /// What became of it.
    pub fn outcome(&self) -> Outcome {
        lock(&self.outcome).clone()
    }
}

/// The jobs.
#[derive(Debug)]
pub struct Replays {
    /// The newest is the last.
    jobs: Mutex<VecDeque<Arc<Job>>>,
    running: Arc<Semaphore>,
}

/// The right to run the only job.
pub type Turn = OwnedSemaphorePermit;

impl Default for Replays {
    fn default() -> Self {
        Self { jobs: Mutex::default(), running: Arc::new(Semaphore::new(1)) }
    }
}

impl Replays {
    /// The right to run a job; none while another one runs.
    pub fn take_turn(&self) -> Option<Turn> {
        self.running.clone().try_acquire_owned().ok()
    }

    /// Starts a job, which does `work`. Forgets the oldest one if there are too many.
    ///
    /// # Errors
    ///
    /// The system has no threads left.
    pub fn start(
        &self,
        turn: Turn,
        now: i64,
        window: ReplayWindow,
        work: impl FnOnce(&Progress) -> Outcome + Send + 'static,
    ) -> std::io::Result<Arc<Job>> {
        let mut jobs = lock(&self.jobs);
        let job = Arc::new(Job {
            id: jobs.back().map_or(now, |last| now.max(last.id + 1)),
            window,
            progress: Progress::with_limit(MAX_TIME),
            outcome: Mutex::new(Outcome::Running),
        });
        let own = job.clone();
        std::thread::Builder::new().name("web-replay".into()).spawn(move || {
            // Only of this thread, and of those that it starts. If it fails, the replay has the usual priority.
            let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
            // What the rules log about past frames must not look like lines about the frames of today.
            let silent = tracing::subscriber::NoSubscriber::default();
            let work = || tracing::subscriber::with_default(silent, || work(&own.progress));
            let outcome = catch_unwind(AssertUnwindSafe(work));
            let outcome =
                outcome.unwrap_or_else(|_| Outcome::Failed("it panicked; report this as a bug".into()));
            if let Outcome::Failed(problem) = &outcome {
                tracing::warn!("a replay of past results failed: {problem}");
            }
            *lock(&own.outcome) = outcome;
            drop(turn);
        })?;
        jobs.push_back(job.clone());
        if jobs.len() > MAX_JOBS {
            jobs.pop_front();
        }
        Ok(job)
    }

    /// A job.
    pub fn get(&self, id: i64) -> Option<Arc<Job>> {
        lock(&self.jobs).iter().find(|job| job.id == id).cloned()
    }

    /// All jobs, newest first.
    pub fn list(&self) -> Vec<Arc<Job>> {
        lock(&self.jobs).iter().rev().cloned().collect()
    }

    /// Cancels and forgets a job; false if there is none of this id.
    pub fn remove(&self, id: i64) -> bool {
        let mut jobs = lock(&self.jobs);
        let Some(place) = jobs.iter().position(|job| job.id == id) else { return false };
        jobs.remove(place).inspect(|job| job.progress.cancel()).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_account::replay::StopReason;
    use std::sync::mpsc;

    fn window() -> ReplayWindow {
        ReplayWindow { from: 0, to: 1, cameras: Vec::new(), rules: Vec::new(), toml: String::new() }
    }

    /// Takes the turn of the job before, once that has ended.
    fn wait_for_turn(replays: &Replays) -> Turn {
        loop {
            match replays.take_turn() {
                Some(turn) => return turn,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    #[test]
    fn one_job_runs_at_a_time_and_can_be_cancelled() {
        let replays = Replays::default();
        let (done, ended) = mpsc::channel();
        let turn = replays.take_turn().unwrap();
        let job = replays.start(turn, 5, window(), move |progress| {
            while progress.stop_reason().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            done.send(progress.stop_reason()).unwrap();
            Outcome::Cancelled
        });
        let job = job.unwrap();
        assert!(replays.take_turn().is_none() && matches!(job.outcome(), Outcome::Running));
        assert!(replays.remove(5) && !replays.remove(5));
        assert_eq!(ended.recv().unwrap(), Some(StopReason::Cancelled));
        drop(wait_for_turn(&replays));
        assert!(matches!(job.outcome(), Outcome::Cancelled));
    }

    #[test]
    fn only_the_last_jobs_are_kept() {
        let replays = Replays::default();
        for _ in 0..MAX_JOBS + 2 {
            let turn = wait_for_turn(&replays);
            replays.start(turn, 7, window(), |_| Outcome::Failed("no".into())).unwrap();
        }
        let ids: Vec<i64> = replays.list().iter().map(|job| job.id).collect();
        assert_eq!((ids.len(), ids[0]), (MAX_JOBS, 7 + MAX_JOBS as i64 + 1));
        assert!(replays.get(7).is_none() && replays.get(9).is_some());
    }

    #[test]
    fn a_job_that_panics_has_failed() {
        let replays = Replays::default();
        let turn = replays.take_turn().unwrap();
        let job = replays.start(turn, 1, window(), |_| panic!("a test")).unwrap();
        drop(wait_for_turn(&replays));
        assert!(matches!(job.outcome(), Outcome::Failed(_)));
    }
}
