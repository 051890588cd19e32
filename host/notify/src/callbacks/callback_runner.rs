//! Calls one receiver back: a member of its group takes in the records of a topic, and a few threads send requests.

use super::callback_channel;
use super::callback_queue::{CallbackQueue, Due};
use super::outcome::OutcomeRecord;
use super::receiver::{CallbackReceiver, find_receiver};
use crate::assignments::{Assignments, Done, Job, NextJob, SendQueue as _};
use crate::attempts::{
    FailedAttempts, LONGEST_WAIT, close_partitions, keep_undelivered, wait_for_change, wait_until,
};
use crate::monitor::Monitor;
use crate::record::UndeliveredMessage;
use crate::transports::SendError;
use everyframe_kafka::{Downstream, Producer, redacted};
use everyframe_types::machine::unix_ms;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One receiver at work on one topic.
pub struct CallbackRunner {
    /// All receivers. If several allow an address, the first of them is called.
    pub receivers: Arc<[Arc<CallbackReceiver>]>,
    /// The place of this receiver among them.
    pub index: usize,
    /// Writes notices of callbacks that are given up.
    pub producer: Arc<Producer>,
    /// Their topic.
    pub notifications_topic: String,
    /// The receiver's health.
    pub monitor: Arc<Monitor>,
    state: Mutex<State>,
    /// Something changed: a record came, a request ended, or the process ends.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    assignments: Assignments<CallbackQueue>,
    has_ended: bool,
}

impl CallbackRunner {
    /// A runner that has no partition yet.
    pub fn new(
        receivers: Arc<[Arc<CallbackReceiver>]>,
        index: usize,
        producer: Arc<Producer>,
        notifications_topic: String,
        monitor: Arc<Monitor>,
    ) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { receivers, index, producer, notifications_topic, monitor, state, changed }
    }

    /// Sends requests until [`CallbackRunner::end`] is called. Each sending thread runs it.
    pub fn send_callbacks(&self) {
        while let Some(job) = self.next_job() {
            let done = self.send(&job.due);
            let mut state = self.lock();
            // The partition may have another owner by now, who calls back again.
            if let Some(queue) = state.assignments.queue_of(&job) {
                match done {
                    Done::Finished => queue.finish(job.due.offset),
                    Done::Again(at) => queue.retry(job.due.offset, unix_ms(), at),
                }
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Ends the sending threads, each after its request.
    pub fn end(&self) {
        self.lock().has_ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next callback that is due; none when the process ends.
    fn next_job(&self) -> Option<Job<Due>> {
        let mut state = self.lock();
        loop {
            if state.has_ended {
                return None;
            }
            let now = unix_ms();
            let wait = match state.assignments.take(now) {
                NextJob::Due(job) => return Some(job),
                NextJob::At(at) => wait_until(at, now),
                NextJob::None => LONGEST_WAIT,
            };
            state = wait_for_change(&self.changed, state, wait);
        }
    }

    /// Sends one request.
    fn send(&self, due: &Due) -> Done {
        let receiver = &self.receivers[self.index];
        let callback = &due.callback;
        match receiver.send(&callback.url, &callback.id, &callback.json) {
            Ok(()) => {
                let waited = unix_ms().saturating_sub(due.recorded_at).max(0).unsigned_abs();
                self.monitor.delivered(Some(Duration::from_millis(waited)));
                Done::Finished
            }
            Err(SendError::Refused(reason)) => self.give_up(due, &redacted(&reason)),
            Err(SendError::Failed { reason, retry_after }) => {
                let (now, reason) = (unix_ms(), redacted(&reason));
                let attempts = FailedAttempts { count: due.failures + 1, first_tried_at: due.first_tried_at };
                match attempts.next_attempt_at(now, receiver.give_up_after, retry_after) {
                    None => self.give_up(due, &reason),
                    Some(at) => {
                        self.monitor.failed(&reason);
                        Done::Again(at)
                    }
                }
            }
        }
    }

    /// Keeps the notice that a callback was given up. The result itself stays where it is.
    fn give_up(&self, due: &Due, reason: &str) -> Done {
        let message = UndeliveredMessage {
            channel: callback_channel(&self.receivers[self.index].name),
            id: due.callback.id.clone(),
            at: unix_ms(),
            reason: reason.to_owned(),
            attempts: due.failures + 1,
            alerts: Vec::new(),
        };
        keep_undelivered(&self.producer, &self.notifications_topic, &self.monitor, &message)
    }
}

impl Downstream<OutcomeRecord> for CallbackRunner {
    fn open(&self, partitions: &[i32]) {
        let mut state = self.lock();
        partitions.iter().for_each(|partition| state.assignments.open(*partition, CallbackQueue::default()));
    }

    fn close(&self, partitions: &[i32]) -> Vec<(i32, i64)> {
        close_partitions(&self.changed, self.lock(), |state| &mut state.assignments, partitions)
    }

    fn abandon(&self, partitions: &[i32]) {
        self.lock().assignments.remove(partitions);
    }

    fn admit(&self, record: OutcomeRecord) {
        let receiver =
            record.callback.as_ref().and_then(|callback| find_receiver(&self.receivers, &callback.url));
        let mut state = self.lock();
        let Some(queue) = state.assignments.queue_mut(record.partition) else { return };
        let is_wanted = receiver == Some(self.index);
        queue.admit(&record, is_wanted);
        drop(state);
        if is_wanted {
            self.changed.notify_one();
        }
    }

    fn bytes(&self, partition: i32) -> usize {
        self.lock().assignments.queue(partition).map_or(0, |queue| queue.bytes())
    }

    fn paused(&self, partition: i32, is_paused: bool) {
        if is_paused {
            let receiver = &self.receivers[self.index].name;
            tracing::warn!(
                receiver,
                partition,
                "too many callbacks wait to be sent; the rest waits in Kafka"
            );
        }
    }

    fn committable(&self) -> Vec<(i32, i64)> {
        self.lock().assignments.committable()
    }

    fn committed(&self, offsets: &[(i32, i64)]) {
        self.lock().assignments.committed(offsets);
    }
}
