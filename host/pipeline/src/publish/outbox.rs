//! What is to be published, in order, and for whom: pure, without Kafka, threads or clocks.
//!
//! A frame's parcel is everything that the frame causes. A batch takes the oldest parcels and is delivered as one. What
//! it may not do is publish for a partition that is somebody else's by now: each parcel knows its tenure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The time for which a partition is this host's: from its assignment until it is let go or lost.
#[derive(Debug)]
pub struct Assignment {
    partition: i32,
    over: AtomicBool,
}

impl Assignment {
    /// Begins.
    pub fn new(partition: i32) -> Arc<Self> {
        Arc::new(Self { partition, over: AtomicBool::new(false) })
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// True once the partition may be another's.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Ends. What was not delivered is dropped: whoever has the partition next does it again.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Everything that one frame causes. `R` is a record, `D` what is told when all of them are safe.
#[derive(Debug)]
pub struct FrameOutput<R, D> {
    /// In whose time the frame was processed.
    pub assignment: Arc<Assignment>,
    /// The frame's offset.
    pub offset: i64,
    /// In the order in which they are sent.
    pub records: Vec<R>,
    /// Somebody waits for it: the batch does not wait for more.
    pub urgent: bool,
    /// Told when all is safe.
    pub done: D,
}

/// The parcels that wait.
#[derive(Debug)]
pub struct Outbox<R, D> {
    queue: VecDeque<FrameOutput<R, D>>,
}

impl<R, D> Default for Outbox<R, D> {
    fn default() -> Self {
        Self { queue: VecDeque::new() }
    }
}

impl<R, D> Outbox<R, D> {
    /// Frames of one tenure come in the order of their offsets.
    pub fn push(&mut self, output: FrameOutput<R, D>) {
        if !output.assignment.is_over() {
            self.queue.push_back(output);
        }
    }

    /// True if there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// True if a batch of `frames` should not wait for more.
    pub fn is_due(&self, frames: usize) -> bool {
        self.queue.len() >= frames || self.queue.iter().any(|output| output.urgent)
    }

    /// Takes the oldest parcels, at most `frames`.
    pub fn take(&mut self, frames: usize) -> Batch<R, D> {
        let count = frames.min(self.queue.len());
        Batch { outputs: self.queue.drain(..count).collect() }
    }
}

/// Parcels that are delivered together.
#[derive(Debug)]
pub struct Batch<R, D> {
    outputs: Vec<FrameOutput<R, D>>,
}

impl<R, D> Batch<R, D> {
    /// The parcels.
    pub fn outputs(&self) -> &[FrameOutput<R, D>] {
        &self.outputs
    }

    /// The parcels.
    pub fn parcels_mut(&mut self) -> &mut [FrameOutput<R, D>] {
        &mut self.outputs
    }

    /// Splits the batch into its older and its younger half, to be delivered in this order.
    ///
    /// # Errors
    ///
    /// Returns the whole batch if it has only one parcel, or none.
    pub fn split(mut self) -> Result<[Self; 2], Self> {
        if self.outputs.len() < 2 {
            return Err(self);
        }
        let younger = self.outputs.split_off(self.outputs.len() / 2);
        Ok([self, Self { outputs: younger }])
    }

    /// Leaves out what is not ours any more.
    pub fn leave_out_others(&mut self) {
        self.outputs.retain(|output| !output.assignment.is_over());
    }

    /// True if all is still ours. Asked between learning our generation in the group and offering the offsets under it:
    /// a partition that we let go only afterwards changes hands in a later generation, under which the group refuses
    /// or awaits this offer.
    pub fn is_ours(&self) -> bool {
        self.outputs.iter().all(|output| !output.assignment.is_over())
    }

    /// For each partition: one past the last of its frames.
    pub fn offsets(&self) -> Vec<(i32, i64)> {
        let mut offsets = BTreeMap::new();
        for output in &self.outputs {
            let offset = offsets.entry(output.assignment.partition).or_insert(0);
            *offset = output.offset.max(*offset - 1) + 1;
        }
        offsets.into_iter().collect()
    }

    /// It is not known whether this was delivered: its partitions are given up, and whoever reads on from the
    /// committed offsets finds out.
    pub fn give_up(self) {
        self.outputs.iter().for_each(|output| output.assignment.end());
    }

    /// All is safe.
    pub fn delivered(self) -> impl Iterator<Item = D> {
        self.outputs.into_iter().map(|output| output.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(assignment: &Arc<Assignment>, offset: i64) -> FrameOutput<(), i64> {
        FrameOutput { assignment: assignment.clone(), offset, records: vec![], urgent: false, done: offset }
    }

    #[test]
    fn a_batch_commits_one_past_the_last_frame_of_each_partition() {
        let (first, second) = (Assignment::new(1), Assignment::new(2));
        let mut outbox = Outbox::default();
        for (assignment, offset) in [(&first, 5), (&second, 90), (&first, 6), (&first, 9)] {
            outbox.push(output(assignment, offset));
        }
        let batch = outbox.take(3);
        assert_eq!(batch.offsets(), [(1, 7), (2, 91)]);
        assert_eq!(batch.delivered().collect::<Vec<_>>(), [5, 90, 6]);
        assert_eq!(outbox.take(3).offsets(), [(1, 10)]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_not_ours_any_more_is_left_out_before_and_after_it_is_taken() {
        let (ours, theirs) = (Assignment::new(1), Assignment::new(2));
        let mut outbox = Outbox::default();
        outbox.push(output(&ours, 0));
        outbox.push(output(&theirs, 0));
        let mut batch = outbox.take(9);
        assert!(batch.is_ours());
        theirs.end();
        outbox.push(output(&theirs, 1));
        assert!(outbox.is_empty());
        assert!(!batch.is_ours());
        batch.leave_out_others();
        assert!(batch.is_ours());
        assert_eq!(batch.offsets(), [(1, 1)]);
    }

    #[test]
    fn what_is_uncertain_ends_the_tenures_it_is_of() {
        let (uncertain, other) = (Assignment::new(1), Assignment::new(2));
        let mut outbox = Outbox::default();
        outbox.push(output(&uncertain, 0));
        outbox.take(9).give_up();
        assert!(uncertain.is_over() && !other.is_over());
    }

    #[test]
    fn a_batch_splits_into_halves_in_order_down_to_one_parcel() {
        let assignment = Assignment::new(1);
        let mut outbox = Outbox::default();
        (0..3).for_each(|offset| outbox.push(output(&assignment, offset)));
        let [older, younger] = outbox.take(9).split().unwrap();
        assert_eq!((older.offsets(), younger.offsets()), (vec![(1, 1)], vec![(1, 3)]));
        let whole = older.split().unwrap_err();
        assert_eq!(whole.offsets(), [(1, 1)]);
    }

    #[test]
    fn an_urgent_parcel_or_enough_of_them_do_not_wait() {
        let assignment = Assignment::new(1);
        let mut outbox = Outbox::default();
        outbox.push(output(&assignment, 0));
        assert!(!outbox.is_due(2));
        outbox.push(output(&assignment, 1));
        assert!(outbox.is_due(2) && !outbox.is_due(3));
        outbox.push(FrameOutput { urgent: true, ..output(&assignment, 2) });
        assert!(outbox.is_due(9));
    }
}
