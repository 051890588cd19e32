//! Calls one receiver back: a member of its group takes in the records of a topic, and a few threads send requests.

use super::callback_channel;
use super::callback_queue::{CallbackQueue, Due};
use super::outcome::OutcomeRecord;
use super::receiver::{CallbackReceiver, find_receiver};
use crate::backoff::pause;
use crate::monitor::Monitor;
use crate::record::UndeliveredMessage;
use crate::runner::roll;
use crate::ways::SendError;
use everyframe_kafka::{Downstream, Producer, Record, redacted};
use everyframe_types::machine::unix_ms;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the requests that are under way may take to end when a partition is given away.
const DRAIN: Duration = Duration::from_secs(5);
/// The longest wait for the next callback that is due; what changes meanwhile wakes the thread.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long the brokers may take to acknowledge a dead letter.
const PARKED: Duration = Duration::from_secs(30);
/// The pause when no dead letter can be written, milliseconds.
const NOT_AVAILABLE_MS: i64 = 2000;

/// One receiver at work on one topic.
pub struct CallbackRunner {
    /// All receivers. If several allow an address, the first of them is called.
    pub receivers: Arc<[Arc<CallbackReceiver>]>,
    /// The place of this receiver among them.
    pub index: usize,
    /// Where dead letters go.
    pub producer: Arc<Producer>,
    /// Their topic.
    pub dead_letters: String,
    /// The receiver's health.
    pub monitor: Arc<Monitor>,
    state: Mutex<State>,
    /// Something changed: a record came, a request ended, or the process ends.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    partitions: BTreeMap<i32, Assigned>,
    assignments: u64,
    has_ended: bool,
}

/// A partition that this process has.
#[derive(Default)]
struct Assigned {
    /// Tells it from an earlier assignment of the same partition.
    number: u64,
    queue: CallbackQueue,
    is_closing: bool,
    committed: Option<i64>,
}

/// A callback that is being sent.
struct Job {
    partition: i32,
    assignment: u64,
    due: Due,
}

impl CallbackRunner {
    /// A runner that has no partition yet.
    pub fn new(
        receivers: Arc<[Arc<CallbackReceiver>]>,
        index: usize,
        producer: Arc<Producer>,
        dead_letters: String,
        monitor: Arc<Monitor>,
    ) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { receivers, index, producer, dead_letters, monitor, state, changed }
    }

    /// Sends requests until [`CallbackRunner::end`] is called. Each sending thread runs it.
    pub fn send_callbacks(&self) {
        while let Some(job) = self.next_job() {
            let again = self.send(&job.due);
            let mut state = self.lock();
            let assigned = state.partitions.get_mut(&job.partition).filter(|it| it.number == job.assignment);
            // The partition may have another owner by now, who calls back again.
            if let Some(assigned) = assigned {
                match again {
                    None => assigned.queue.finish(job.due.offset),
                    Some(at) => assigned.queue.retry(job.due.offset, unix_ms(), at),
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
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.has_ended {
                return None;
            }
            let now = unix_ms();
            let open = state.partitions.iter_mut().filter(|(_, assigned)| !assigned.is_closing);
            let first = open.filter_map(|it| Some((it.1.queue.next_due()?, it))).min_by_key(|(at, _)| *at);
            let mut wait = LONGEST_WAIT;
            if let Some((at, (partition, assigned))) = first {
                if let Some(due) = assigned.queue.take(now) {
                    return Some(Job { partition: *partition, assignment: assigned.number, due });
                }
                wait = wait.min(Duration::from_millis(at.saturating_sub(now).max(1).unsigned_abs()));
            }
            let waited = self.changed.wait_timeout(state, wait);
            state = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }

    /// Sends one request. Returns when it is to be sent again, Unix milliseconds; none if it is done.
    fn send(&self, due: &Due) -> Option<i64> {
        let receiver = &self.receivers[self.index];
        let callback = &due.callback;
        match receiver.send(&callback.url, &callback.id, &callback.json) {
            Ok(()) => {
                let waited = unix_ms().saturating_sub(due.recorded_at).max(0).unsigned_abs();
                self.monitor.delivered(Some(Duration::from_millis(waited)));
                None
            }
            Err(SendError::Refused(reason)) => self.park(due, &redacted(&reason)),
            Err(SendError::Failed { reason, retry_after }) => {
                let (now, reason) = (unix_ms(), redacted(&reason));
                let tried_for = now.saturating_sub(due.first_tried_at.unwrap_or(now)).max(0).unsigned_abs();
                if receiver.give_up_after.is_some_and(|limit| u128::from(tried_for) >= limit.as_millis()) {
                    return self.park(due, &reason);
                }
                self.monitor.failed(&reason);
                let pause = pause(due.failures + 1, roll(), retry_after);
                Some(now + i64::try_from(pause.as_millis()).unwrap_or(0))
            }
        }
    }

    /// Keeps the notice that a callback was given up. The result itself stays where it is.
    fn park(&self, due: &Due, reason: &str) -> Option<i64> {
        let letter = UndeliveredMessage {
            channel: callback_channel(&self.receivers[self.index].name),
            id: due.callback.id.clone(),
            at: unix_ms(),
            reason: reason.to_owned(),
            attempts: due.failures + 1,
            alerts: Vec::new(),
        };
        let (key, value) = (letter.key(), serde_json::to_vec(&letter).unwrap_or_default());
        let record = Record {
            topic: &self.dead_letters,
            key: Some(key.as_bytes()),
            value: Some(&value),
            ..Record::default()
        };
        match self.producer.send_and_wait(record, PARKED) {
            Ok(()) => {
                self.monitor.dead_lettered(&letter.id, reason);
                None
            }
            Err(error) => {
                self.monitor.failed(&format!("{reason}; and no dead letter can be written: {error}"));
                Some(unix_ms() + NOT_AVAILABLE_MS)
            }
        }
    }
}

impl Downstream<OutcomeRecord> for CallbackRunner {
    fn open(&self, partitions: &[i32]) {
        let mut state = self.lock();
        for partition in partitions {
            state.assignments += 1;
            let assigned = Assigned { number: state.assignments, ..Assigned::default() };
            state.partitions.insert(*partition, assigned);
        }
    }

    fn close(&self, partitions: &[i32]) -> Vec<(i32, i64)> {
        let deadline = Instant::now() + DRAIN;
        let mut state = self.lock();
        for partition in partitions {
            if let Some(assigned) = state.partitions.get_mut(partition) {
                assigned.is_closing = true;
            }
        }
        let is_busy = |state: &State| {
            let mut closing = partitions.iter().filter_map(|partition| state.partitions.get(partition));
            closing.any(|assigned| assigned.queue.is_busy())
        };
        while is_busy(&state) && Instant::now() < deadline {
            let waited = self.changed.wait_timeout(state, Duration::from_millis(100));
            state = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        let closed = partitions.iter().filter_map(|partition| {
            Some((*partition, state.partitions.remove(partition)?.queue.committable()?))
        });
        closed.collect()
    }

    fn abandon(&self, partitions: &[i32]) {
        let mut state = self.lock();
        partitions.iter().for_each(|partition| drop(state.partitions.remove(partition)));
    }

    fn admit(&self, record: OutcomeRecord) {
        let receiver =
            record.callback.as_ref().and_then(|callback| find_receiver(&self.receivers, &callback.url));
        let mut state = self.lock();
        let Some(assigned) = state.partitions.get_mut(&record.partition) else { return };
        let is_wanted = receiver == Some(self.index);
        assigned.queue.admit(&record, is_wanted);
        drop(state);
        if is_wanted {
            self.changed.notify_one();
        }
    }

    fn bytes(&self, partition: i32) -> usize {
        self.lock().partitions.get(&partition).map_or(0, |assigned| assigned.queue.bytes())
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
        let state = self.lock();
        let new = state.partitions.iter().filter_map(|(partition, assigned)| {
            let offset = assigned.queue.committable()?;
            (assigned.committed != Some(offset)).then_some((*partition, offset))
        });
        new.collect()
    }

    fn committed(&self, offsets: &[(i32, i64)]) {
        let mut state = self.lock();
        for (partition, offset) in offsets {
            if let Some(assigned) = state.partitions.get_mut(partition) {
                assigned.committed = Some(*offset);
            }
        }
    }
}
