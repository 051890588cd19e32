//! The lanes of all partitions of this host: what the consumer hands frames and assignments to.

use super::lane_cell::{Jobs, LaneCell};
use super::lane_context::LaneContext;
use super::restore;
use crate::observe::LaneState;
use crate::publish::Assignment;
use everyframe_kafka::{Downstream, LogOnce};
use everyframe_types::frame::Frame;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a closing lane is checked.
const DRAIN_CHECK: Duration = Duration::from_millis(5);
/// After an attempt to restore rule state that failed.
const RESTORE_PAUSE: Duration = Duration::from_secs(1);

/// All lanes of this host.
pub(super) struct Lanes {
    cells: Mutex<HashMap<i32, Arc<LaneCell>>>,
    context: Arc<LaneContext>,
    jobs: Arc<Jobs>,
    /// How far vision may run ahead of the oldest unfinished frame, in frames.
    window: usize,
    drain_timeout: Duration,
}

impl Lanes {
    pub fn new(context: Arc<LaneContext>, jobs: Jobs, window: usize) -> Self {
        let drain_timeout = Duration::from_millis(context.config.intake.drain_timeout_ms);
        Self { cells: Mutex::default(), context, jobs: Arc::new(jobs), window, drain_timeout }
    }

    /// The lanes as they are now.
    pub fn states(&self) -> Vec<LaneState> {
        let cells: Vec<Arc<LaneCell>> = self.lock().values().cloned().collect();
        cells.iter().map(|cell| cell.state()).collect()
    }

    /// Closes the lanes of revoked partitions. They finish the frames that were begun; end each with
    /// [`LaneCell::finish`].
    pub fn start_closing(&self, partitions: &[i32]) -> Vec<Arc<LaneCell>> {
        self.count_rebalance("revoked", partitions);
        let closing = self.remove(partitions);
        closing.iter().for_each(|cell| cell.close());
        closing
    }

    /// Restores the rule state of new lanes in the background: the consumer must go on polling.
    fn restore(&self, cells: Vec<Arc<LaneCell>>) {
        let context = self.context.clone();
        let assignments: Vec<Arc<Assignment>> = cells.iter().map(|cell| cell.assignment.clone()).collect();
        let log_once = LogOnce::default();
        let attempt = move || {
            let is_over = assignments.iter().all(|assignment| assignment.is_over());
            if is_over || context.stop.load(Ordering::Relaxed) {
                return None;
            }
            match restore::read_states(&context, &assignments) {
                Ok(mut states) => {
                    log_once.recovered("rule state can be restored again");
                    for cell in &cells {
                        cell.set_restored(states.remove(&cell.partition()).unwrap_or_default());
                    }
                    None
                }
                // The host ends, with the reason.
                Err(_) if context.failure.get().is_some() => None,
                Err(error) => {
                    log_once.warn(&format!("rule state cannot be restored: {error}; trying again"));
                    Some(RESTORE_PAUSE)
                }
            }
        };
        if let Err(error) = self.context.background.start("restore", Box::new(attempt)) {
            tracing::error!("cannot start a thread to restore rule state: {error}");
        }
    }

    fn cell(&self, partition: i32) -> Option<Arc<LaneCell>> {
        self.lock().get(&partition).cloned()
    }

    fn count_rebalance(&self, change: &'static str, partitions: &[i32]) {
        if !partitions.is_empty() {
            self.context.metrics.rebalanced(change);
        }
    }

    fn remove(&self, partitions: &[i32]) -> Vec<Arc<LaneCell>> {
        let mut cells = self.lock();
        partitions.iter().filter_map(|partition| cells.remove(partition)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Arc<LaneCell>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Downstream<Frame> for Lanes {
    fn open(&self, partitions: &[i32]) {
        self.count_rebalance("assigned", partitions);
        let open =
            |partition: &i32| LaneCell::new(self.context.clone(), self.jobs.clone(), self.window, *partition);
        let opened: Vec<Arc<LaneCell>> = partitions.iter().map(open).collect();
        self.lock().extend(opened.iter().map(|cell| (cell.partition(), cell.clone())));
        self.restore(opened);
    }

    fn close(&self, partitions: &[i32]) -> Vec<(i32, i64)> {
        let clock = &self.context.clock;
        let deadline = clock.now() + self.drain_timeout;
        let closing = self.start_closing(partitions);
        while closing.iter().any(|cell| !cell.is_drained()) && clock.now() < deadline {
            clock.sleep(DRAIN_CHECK);
        }
        closing.iter().filter_map(|cell| Some((cell.partition(), cell.finish()?))).collect()
    }

    fn abandon(&self, partitions: &[i32]) {
        self.count_rebalance("lost", partitions);
        self.remove(partitions).iter().for_each(|cell| cell.abandon());
    }

    fn admit(&self, frame: Frame) {
        if let Some(cell) = self.cell(frame.position.partition) {
            cell.admit(frame);
        }
    }

    fn bytes(&self, partition: i32) -> usize {
        self.cell(partition).map_or(0, |cell| cell.load())
    }

    fn paused(&self, partition: i32, is_paused: bool) {
        if let Some(cell) = self.cell(partition) {
            cell.set_paused(is_paused);
        }
    }

    fn committable(&self) -> Vec<(i32, i64)> {
        if self.context.publisher.is_exactly_once() {
            return Vec::new();
        }
        let cells = self.lock();
        cells.iter().filter_map(|(partition, cell)| Some((*partition, cell.committable()?))).collect()
    }

    fn committed(&self, offsets: &[(i32, i64)]) {
        for (partition, offset) in offsets {
            if let Some(cell) = self.cell(*partition) {
                cell.set_committed(*offset);
            }
        }
    }
}
