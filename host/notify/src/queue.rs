//! The alerts of one partition that are not done yet. Pure.
//!
//! Each camera has a queue of its own: its messages are sent in the order of its alerts, and a message that cannot be delivered holds
//! up no other camera. The offset before the first alert that is not done is the one to commit, so an alert is never lost, and what
//! was delivered after it is sent again after a crash.

use crate::alert::{Alert, AlertRecord};
use crate::assignments::SendQueue;
use crate::message::Message;
use crate::pacing::{Pace, PaceSettings, Pacing};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A digest has at most this many alerts; more of them are another digest.
const MAX_DIGEST: usize = 500;
/// The name of the queue of digests. No camera's id is empty.
const DIGESTS: &str = "";

/// A message that is to be sent now.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// The queue, by camera.
    pub camera: String,
    /// The message.
    pub message: Message,
    /// How often it has failed.
    pub failures: u32,
    /// When it was tried first, Unix milliseconds; none if this is the first attempt.
    pub first_tried_at: Option<i64>,
    /// When its first alert was written, Unix milliseconds.
    pub recorded_at: i64,
}

/// The alerts of one partition that are not done yet.
pub struct PartitionQueue {
    channel: String,
    partition: i32,
    pacing: Pacing,
    /// Sizes by offset, of the alerts that are not done.
    open: BTreeMap<i64, usize>,
    bytes: usize,
    /// The offset after the last record.
    next: Option<i64>,
    held: Option<Held>,
    queues: BTreeMap<String, VecDeque<Queued>>,
    busy: BTreeSet<String>,
}

/// Alerts that are sent together.
struct Held {
    alerts: Vec<(i64, i64, Arc<Alert>)>,
    due: i64,
}

struct Queued {
    message: Message,
    offsets: Vec<i64>,
    due: i64,
    failures: u32,
    first_tried_at: Option<i64>,
    recorded_at: i64,
}

impl PartitionQueue {
    /// A queue of a partition that was just assigned.
    pub fn new(channel: &str, partition: i32, settings: Arc<PaceSettings>) -> Self {
        Self {
            channel: channel.to_owned(),
            partition,
            pacing: Pacing::new(settings),
            open: BTreeMap::new(),
            bytes: 0,
            next: None,
            held: None,
            queues: BTreeMap::new(),
            busy: BTreeSet::new(),
        }
    }

    /// True until the first record is taken in.
    pub fn is_new(&self) -> bool {
        self.next.is_none()
    }

    /// Takes note of an alert before the first one that is to be sent, if it meets the channel's conditions.
    pub fn recall(&mut self, alert: &Alert, recorded_at: i64) {
        self.pacing.recall(&alert.raised, recorded_at);
    }

    /// Takes in a record. `is_wanted`: it is an alert that meets the channel's conditions. Returns whether it will be sent.
    pub fn admit(&mut self, record: &AlertRecord, is_wanted: bool) -> bool {
        let AlertRecord { offset, recorded_at, .. } = *record;
        self.next = Some(offset + 1);
        let Some(alert) = record.alert.as_ref().filter(|_| is_wanted) else { return false };
        let pace = self.pacing.pace(&alert.raised, recorded_at);
        if pace == Pace::SameVisit {
            return false;
        }
        self.open.insert(offset, record.bytes());
        self.bytes += record.bytes();
        match pace {
            Pace::SameVisit => {}
            Pace::Alone(due) => {
                let message = Message { id: alert.raised.id.clone(), alerts: vec![alert.clone()] };
                self.enqueue(alert.raised.camera.clone(), message, vec![offset], due, recorded_at);
            }
            Pace::Together(due) => self.hold(offset, recorded_at, alert, due, true),
            Pace::Digest(due) => self.hold(offset, recorded_at, alert, due, false),
        }
        true
    }

    fn hold(&mut self, offset: i64, recorded_at: i64, alert: &Arc<Alert>, due: i64, may_postpone: bool) {
        let held = self.held.get_or_insert_with(|| Held { alerts: Vec::new(), due });
        if may_postpone {
            held.due = held.due.max(due);
        }
        held.alerts.push((offset, recorded_at, alert.clone()));
        if held.alerts.len() >= MAX_DIGEST {
            self.release_held();
        }
    }

    /// Makes a message of the alerts that are held back.
    fn release_held(&mut self) {
        let Some(Held { alerts, due }) = self.held.take() else { return };
        let offsets: Vec<i64> = alerts.iter().map(|(offset, ..)| *offset).collect();
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return };
        let recorded_at = alerts.first().map_or(due, |(_, at, _)| *at);
        // Made of its alerts: a repeat has the same id, and a digest of other alerts another one.
        let id = format!("digest/{}/{}/{first}-{last}", self.channel, self.partition);
        let alerts: Vec<Arc<Alert>> = alerts.into_iter().map(|(_, _, alert)| alert).collect();
        let id = if let [only] = alerts.as_slice() { only.raised.id.clone() } else { id };
        self.enqueue(DIGESTS.to_owned(), Message { id, alerts }, offsets, due, recorded_at);
    }

    fn enqueue(&mut self, camera: String, message: Message, offsets: Vec<i64>, due: i64, recorded_at: i64) {
        let queued = Queued { message, offsets, due, failures: 0, first_tried_at: None, recorded_at };
        self.queues.entry(camera).or_default().push_back(queued);
    }

    /// The first message of a camera is done: delivered, not wanted any more, or parked.
    pub fn finish(&mut self, camera: &str) {
        self.busy.remove(camera);
        let Some(queue) = self.queues.get_mut(camera) else { return };
        if let Some(done) = queue.pop_front() {
            for offset in done.offsets {
                self.bytes -= self.open.remove(&offset).unwrap_or(0);
            }
        }
        if queue.is_empty() {
            self.queues.remove(camera);
        }
    }

    /// The first message of a camera failed at `now`, and is to be sent again at `due`.
    pub fn retry(&mut self, camera: &str, now: i64, due: i64) {
        self.busy.remove(camera);
        if let Some(head) = self.queues.get_mut(camera).and_then(VecDeque::front_mut) {
            head.failures += 1;
            head.first_tried_at.get_or_insert(now);
            head.due = due;
        }
    }
}

impl SendQueue for PartitionQueue {
    type Due = Due;

    /// When the next message is due, Unix milliseconds; none if none is waiting for its time.
    fn next_due(&self) -> Option<i64> {
        let heads = self.queues.iter().filter(|(camera, _)| !self.busy.contains(*camera));
        let heads = heads.filter_map(|(_, queue)| queue.front()).map(|head| head.due);
        heads.chain(self.held.as_ref().map(|held| held.due)).min()
    }

    /// The next message that is due at `now`, of a camera of which none is being sent. Give it back by [`PartitionQueue::finish`] or
    /// [`PartitionQueue::retry`].
    fn take(&mut self, now: i64) -> Option<Due> {
        if self.held.as_ref().is_some_and(|held| held.due <= now) {
            self.release_held();
        }
        let heads = self.queues.iter().filter_map(|(camera, queue)| Some((camera, queue.front()?)));
        let free = heads.filter(|(camera, head)| head.due <= now && !self.busy.contains(*camera));
        let (camera, head) = free.min_by_key(|(_, head)| (head.due, head.offsets.first().copied()))?;
        let due = Due {
            camera: camera.clone(),
            message: head.message.clone(),
            failures: head.failures,
            first_tried_at: head.first_tried_at,
            recorded_at: head.recorded_at,
        };
        self.busy.insert(due.camera.clone());
        Some(due)
    }

    /// True while a message is being sent.
    fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// The offset to commit; none before the first record.
    fn committable(&self) -> Option<i64> {
        self.open.keys().next().copied().or(self.next)
    }

    /// Bytes of the alerts that are not done.
    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
