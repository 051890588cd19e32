//! Runs one channel: a member of its group takes in alerts, and a few threads send them.

use crate::acknowledgements::Acknowledgements;
use crate::alert::{Alert, AlertRecord};
use crate::assignments::{Assignments, Done, Job, NextJob, SendQueue as _};
use crate::attempts::{
    FailedAttempts, LONGEST_WAIT, NOT_AVAILABLE_MS, close_partitions, keep_undelivered, random_fraction,
    wait_for_change, wait_until,
};
use crate::channel::Channel;
use crate::message::Message;
use crate::monitor::Monitor;
use crate::outage::Outage;
use crate::picture_source::PictureSource;
use crate::queue::{Due, PartitionQueue};
use crate::record::UndeliveredMessage;
use crate::transports::{SendError, Transport};
use everyframe_config::{Config, KafkaSettings};
use everyframe_kafka::{BrokerError, Downstream, Producer, Reader, redacted};
use everyframe_types::machine::unix_ms;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many records before the first one are read to know which visits and messages there were.
const RECALLED: i64 = 2000;
/// How long acknowledgements and mutes may take to be read.
const ACKNOWLEDGEMENTS: Duration = Duration::from_secs(5);

/// What all channels of a process share.
pub struct Shared {
    /// The configuration.
    pub config: Config,
    /// Writes messages that are given up.
    pub producer: Arc<Producer>,
    /// Where pictures come from.
    pub pictures: Arc<dyn PictureSource>,
    /// Who has acknowledged or muted which alerts.
    pub acknowledgements: Arc<Acknowledgements>,
}

/// One channel at work.
pub struct Runner {
    channel: Arc<Channel>,
    shared: Arc<Shared>,
    monitor: Arc<Monitor>,
    kafka: KafkaSettings,
    state: Mutex<State>,
    /// Something changed: an alert came, a message was sent, or the channel ends.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    assignments: Assignments<PartitionQueue>,
    outage: Outage,
    has_ended: bool,
}

impl Runner {
    /// A channel that has no partition yet. `kafka` names its group.
    pub fn new(
        channel: Arc<Channel>,
        shared: Arc<Shared>,
        monitor: Arc<Monitor>,
        kafka: KafkaSettings,
    ) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { channel, shared, monitor, kafka, state, changed }
    }

    /// Sends messages until [`Runner::end`] is called. Each sending thread runs it.
    pub fn send_messages(&self) {
        let mut transport = self.channel.make_transport();
        while let Some(job) = self.next_job() {
            let done = self.send(&mut *transport, &job.due);
            self.finish(&job, &done);
        }
    }

    /// Ends the sending threads, each after its message.
    pub fn end(&self) {
        self.lock().has_ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next message that is due; none when the channel ends.
    fn next_job(&self) -> Option<Job<Due>> {
        let mut state = self.lock();
        loop {
            if state.has_ended {
                return None;
            }
            let now = unix_ms();
            let wait = match state.outage.may_send_at() {
                None => LONGEST_WAIT,
                Some(at) if at > now => wait_until(at, now),
                Some(_) => match state.assignments.take(now) {
                    NextJob::Due(job) => {
                        state.outage.sending();
                        return Some(job);
                    }
                    NextJob::At(at) => wait_until(at, now),
                    NextJob::None => LONGEST_WAIT,
                },
            };
            state = wait_for_change(&self.changed, state, wait);
        }
    }

    fn finish(&self, job: &Job<Due>, done: &Done) {
        let mut state = self.lock();
        // The partition may have another owner by now, who sends the message again.
        if let Some(queue) = state.assignments.queue_of(job) {
            match done {
                Done::Finished => queue.finish(&job.due.camera),
                Done::Again(at) => queue.retry(&job.due.camera, unix_ms(), *at),
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    fn send(&self, transport: &mut dyn Transport, due: &Due) -> Done {
        let Some(message) = self.drop_unwanted(&due.message) else {
            self.lock().outage.not_sent();
            return Done::Again(unix_ms() + NOT_AVAILABLE_MS);
        };
        if message.alerts.is_empty() {
            self.lock().outage.not_sent();
            self.monitor.left_out();
            return Done::Finished;
        }
        let picture = self.channel.picture_of(&message, &*self.shared.pictures);
        match self.channel.send(transport, &message, picture) {
            Ok(()) => {
                self.lock().outage.answered();
                // What waited on purpose says nothing about the channel.
                let is_prompt = message.alerts.len() == 1 && !self.channel.escalates;
                let waited = unix_ms().saturating_sub(due.recorded_at).max(0).unsigned_abs();
                self.monitor.delivered(is_prompt.then(|| Duration::from_millis(waited)));
                Done::Finished
            }
            Err(SendError::Refused(reason)) => {
                self.lock().outage.answered();
                self.give_up(&message, due, &redacted(&reason))
            }
            Err(SendError::Failed { reason, retry_after }) => {
                let (now, reason) = (unix_ms(), redacted(&reason));
                self.lock().outage.failed(now, random_fraction());
                let attempts = FailedAttempts { count: due.failures + 1, first_tried_at: due.first_tried_at };
                match attempts.next_attempt_at(now, self.channel.give_up_after, retry_after) {
                    None => self.give_up(&message, due, &reason),
                    Some(at) => {
                        self.monitor.failed(&reason);
                        Done::Again(at)
                    }
                }
            }
        }
    }

    /// The message without the alerts that are muted and, for a channel that escalates, without those that are acknowledged; none
    /// if that is not known yet.
    fn drop_unwanted(&self, message: &Message) -> Option<Message> {
        let acknowledgements = &self.shared.acknowledgements;
        let mut alerts = Vec::new();
        for alert in &message.alerts {
            // If mutes cannot be read, an alert too many is better than none.
            let is_muted = acknowledgements.is_muted(&alert.raised, ACKNOWLEDGEMENTS).unwrap_or(false);
            let is_acknowledged = self.channel.escalates
                && acknowledgements.is_acknowledged(&alert.raised, ACKNOWLEDGEMENTS)?;
            if !is_muted && !is_acknowledged {
                alerts.push(alert.clone());
            }
        }
        Some(Message { id: message.id.clone(), alerts })
    }

    /// Keeps a message that is given up.
    fn give_up(&self, message: &Message, due: &Due, reason: &str) -> Done {
        let name = &self.channel.name;
        let message = UndeliveredMessage::new(name, message, unix_ms(), reason, due.failures + 1);
        let Shared { producer, config, .. } = &*self.shared;
        keep_undelivered(producer, &config.topics.notifications, &self.monitor, &message)
    }

    /// Reads the records before the first one of a partition: whether it belongs to a visit, or is one message too many, depends on
    /// them.
    fn recall(&self, partition: i32, first: i64) -> Result<Vec<(Arc<Alert>, i64)>, BrokerError> {
        let range = (first - RECALLED).max(0)..first;
        let mut reader = Reader::of_range(&self.kafka, &self.shared.config.topics.alerts, partition, range)?;
        let mut alerts = Vec::new();
        while let Some(record) = reader.next()? {
            let record = AlertRecord::parse(&record);
            let is_met = |alert: &Alert| self.channel.conditions.are_met(&alert.raised, record.recorded_at);
            alerts
                .extend(record.alert.filter(|alert| is_met(alert)).map(|alert| (alert, record.recorded_at)));
        }
        Ok(alerts)
    }

    fn is_first(&self, partition: i32) -> bool {
        self.lock().assignments.queue(partition).is_some_and(PartitionQueue::is_new)
    }
}

impl Downstream<AlertRecord> for Runner {
    fn open(&self, partitions: &[i32]) {
        let mut state = self.lock();
        for partition in partitions {
            let queue = PartitionQueue::new(&self.channel.name, *partition, self.channel.pace.clone());
            state.assignments.open(*partition, queue);
        }
    }

    fn close(&self, partitions: &[i32]) -> Vec<(i32, i64)> {
        close_partitions(&self.changed, self.lock(), |state| &mut state.assignments, partitions)
    }

    fn abandon(&self, partitions: &[i32]) {
        self.lock().assignments.remove(partitions);
    }

    fn admit(&self, record: AlertRecord) {
        let partition = record.partition;
        let mut recalled = Vec::new();
        if self.channel.pace.has_memory() && self.is_first(partition) {
            recalled = self.recall(partition, record.offset).unwrap_or_else(|error| {
                tracing::warn!(
                    channel = self.channel.name,
                    "earlier alerts are not read, so a visit may give a second message: {error}"
                );
                Vec::new()
            });
        }
        let conditions = &self.channel.conditions;
        let is_wanted =
            record.alert.as_ref().is_some_and(|alert| conditions.are_met(&alert.raised, record.recorded_at));
        let mut state = self.lock();
        let Some(queue) = state.assignments.queue_mut(partition) else { return };
        recalled.iter().for_each(|(alert, at)| queue.recall(alert, *at));
        queue.admit(&record, is_wanted);
        drop(state);
        self.changed.notify_one();
    }

    fn bytes(&self, partition: i32) -> usize {
        self.lock().assignments.queue(partition).map_or(0, |queue| queue.bytes())
    }

    fn paused(&self, partition: i32, is_paused: bool) {
        if is_paused {
            tracing::warn!(
                channel = self.channel.name,
                partition,
                "too many alerts wait to be sent; the rest waits in Kafka"
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
