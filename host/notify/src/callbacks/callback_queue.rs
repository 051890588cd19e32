//! The callbacks of one partition that are not done yet. Pure.
//!
//! Each is tried on its own, in any order: its event says which frame it is about. The offset of the first one that is not done is the
//! one to commit.

use super::outcome::{Callback, OutcomeRecord};
use crate::assignments::SendQueue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A callback that is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The offset of its record.
    pub offset: i64,
    /// What is to be sent.
    pub callback: Arc<Callback>,
    /// How often it has failed.
    pub failures: u32,
    /// When it was tried first, Unix milliseconds; none if this is the first attempt.
    pub first_tried_at: Option<i64>,
    /// When its record was written, Unix milliseconds.
    pub recorded_at: i64,
}

/// The callbacks of one partition.
#[derive(Debug, Default)]
pub struct CallbackQueue {
    /// By offset.
    open: BTreeMap<i64, Due>,
    /// Times and offsets of those that are not being sent.
    waiting: BTreeSet<(i64, i64)>,
    bytes: usize,
    /// The offset after the last record.
    next: Option<i64>,
}

impl CallbackQueue {
    /// Takes in a record. `is_wanted`: its callback is for this receiver.
    pub fn admit(&mut self, record: &OutcomeRecord, is_wanted: bool) {
        let OutcomeRecord { offset, recorded_at, .. } = *record;
        self.next = Some(offset + 1);
        if let Some(callback) = record.callback.clone().filter(|_| is_wanted) {
            self.bytes += callback.bytes();
            // At once, whatever the host's clock says, and before those that failed.
            self.waiting.insert((0, offset));
            let due = Due { offset, callback, failures: 0, first_tried_at: None, recorded_at };
            self.open.insert(offset, due);
        }
    }

    /// A callback is done: delivered, or given up.
    pub fn finish(&mut self, offset: i64) {
        self.bytes -= self.open.remove(&offset).map_or(0, |due| due.callback.bytes());
    }

    /// A callback failed at `now`, and is to be sent again at `at`.
    pub fn retry(&mut self, offset: i64, now: i64, at: i64) {
        if let Some(due) = self.open.get_mut(&offset) {
            due.failures += 1;
            due.first_tried_at.get_or_insert(now);
            self.waiting.insert((at, offset));
        }
    }
}

impl SendQueue for CallbackQueue {
    type Due = Due;

    /// When the next callback is due, Unix milliseconds; none if all are done or being sent.
    fn next_due(&self) -> Option<i64> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// The callback that is due first, if it is due at `now`. Give it back by [`CallbackQueue::finish`] or [`CallbackQueue::retry`].
    fn take(&mut self, now: i64) -> Option<Due> {
        let first = *self.waiting.first().filter(|(at, _)| *at <= now)?;
        self.waiting.remove(&first);
        self.open.get(&first.1).cloned()
    }

    /// True while a callback is being sent.
    fn is_busy(&self) -> bool {
        self.open.len() > self.waiting.len()
    }

    /// The offset to commit; none before the first record.
    fn committable(&self) -> Option<i64> {
        self.open.keys().next().copied().or(self.next)
    }

    /// Bytes of the callbacks that are not done.
    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64) -> OutcomeRecord {
        let (url, id, json) = ("http://a/".into(), offset.to_string(), b"{}".to_vec());
        let callback = Some(Arc::new(Callback { url, id, json }));
        OutcomeRecord { partition: 0, offset, recorded_at: 100 + offset, callback }
    }

    fn queue(offsets: std::ops::Range<i64>) -> CallbackQueue {
        let mut queue = CallbackQueue::default();
        offsets.for_each(|offset| queue.admit(&record(offset), true));
        queue
    }

    fn take(queue: &mut CallbackQueue, now: i64) -> Option<i64> {
        queue.take(now).map(|due| due.offset)
    }

    #[test]
    fn a_callback_that_fails_holds_up_no_other() {
        let mut queue = queue(0..3);
        assert_eq!(take(&mut queue, 1000), Some(0));
        queue.retry(0, 1000, 5000);
        assert_eq!((take(&mut queue, 1000), take(&mut queue, 1000)), (Some(1), Some(2)));
        assert_eq!((take(&mut queue, 4999), queue.next_due()), (None, Some(5000)));
        let again = queue.take(5000).unwrap();
        assert_eq!((again.offset, again.failures, again.first_tried_at), (0, 1, Some(1000)));
        queue.retry(0, 5000, 9000);
        assert_eq!(queue.take(9000).unwrap().first_tried_at, Some(1000));
    }

    #[test]
    fn nothing_after_an_open_callback_is_committed() {
        let mut queue = queue(5..8);
        assert_eq!(queue.committable(), Some(5));
        (0..3).for_each(|_| drop(queue.take(1000)));
        queue.finish(6);
        queue.finish(7);
        assert_eq!((queue.committable(), queue.is_busy()), (Some(5), true));
        queue.finish(5);
        assert_eq!((queue.committable(), queue.is_busy(), queue.bytes()), (Some(8), false, 0));
    }

    #[test]
    fn records_of_others_only_move_the_offset() {
        let mut queue = CallbackQueue::default();
        assert_eq!(queue.committable(), None);
        queue.admit(&record(3), false);
        assert_eq!((queue.committable(), queue.next_due(), queue.bytes()), (Some(4), None, 0));
    }
}
