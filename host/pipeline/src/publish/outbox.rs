//! The outputs of frames that wait to be published, in order. Pure: no Kafka, threads or clocks.
//!
//! A frame's output is all records that the frame causes. A batch takes the oldest outputs and is delivered as one. It must
//! not publish for a partition that belongs to another host by now, so each output knows its assignment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The time for which a partition belongs to this host: from its assignment until it is revoked or lost.
#[derive(Debug)]
pub(crate) struct Assignment {
    partition: i32,
    over: AtomicBool,
}

impl Assignment {
    /// An assignment that begins now.
    pub fn new(partition: i32) -> Arc<Self> {
        Arc::new(Self { partition, over: AtomicBool::new(false) })
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// True once the partition may belong to another host.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Ends the assignment. What was not delivered is dropped: the next owner does it again.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// All records of one frame. `R` is a record, `D` is handed back when all of them are acknowledged.
#[derive(Debug)]
pub(crate) struct FrameOutput<R, D> {
    /// The assignment in which the frame was processed.
    pub assignment: Arc<Assignment>,
    /// The frame's offset.
    pub offset: i64,
    /// In the order in which they are sent.
    pub records: Vec<R>,
    /// People wait for it: the batch is sent at once.
    pub urgent: bool,
    /// Handed back when all records are acknowledged.
    pub done: D,
}

/// The outputs that wait.
#[derive(Debug)]
pub(crate) struct Outbox<R, D> {
    queue: VecDeque<FrameOutput<R, D>>,
}

impl<R, D> Default for Outbox<R, D> {
    fn default() -> Self {
        Self { queue: VecDeque::new() }
    }
}

impl<R, D> Outbox<R, D> {
    /// Adds an output. Frames of one assignment come in the order of their offsets.
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

    /// Takes the oldest outputs, at most `frames`.
    pub fn take(&mut self, frames: usize) -> Batch<R, D> {
        let count = frames.min(self.queue.len());
        Batch { outputs: self.queue.drain(..count).collect() }
    }
}

/// Outputs that are delivered together.
#[derive(Debug)]
pub(crate) struct Batch<R, D> {
    outputs: Vec<FrameOutput<R, D>>,
}

impl<R, D> Batch<R, D> {
    /// The outputs.
    pub fn outputs(&self) -> &[FrameOutput<R, D>] {
        &self.outputs
    }

    /// The outputs.
    pub fn outputs_mut(&mut self) -> &mut [FrameOutput<R, D>] {
        &mut self.outputs
    }

    /// Splits the batch into its older and its younger half, to be delivered in this order.
    ///
    /// # Errors
    ///
    /// Returns the whole batch if it has only one output, or none.
    pub fn split(mut self) -> Result<[Self; 2], Self> {
        if self.outputs.len() < 2 {
            return Err(self);
        }
        let younger = self.outputs.split_off(self.outputs.len() / 2);
        Ok([self, Self { outputs: younger }])
    }

    /// Leaves out the outputs of assignments that are over.
    pub fn leave_out_others(&mut self) {
        self.outputs.retain(|output| !output.assignment.is_over());
    }

    /// True if no assignment is over. Check it after learning the group's generation and before sending the offsets under
    /// that generation: a partition that is revoked after the check gets its next owner in a later generation, and the
    /// group refuses offsets that come under an earlier one.
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

    /// Ends the assignments of a batch of which nobody knows whether it counts. The next owner reads on from the committed
    /// offsets.
    pub fn give_up(self) {
        self.outputs.iter().for_each(|output| output.assignment.end());
    }

    /// The completions of a delivered batch.
    pub fn into_completions(self) -> impl Iterator<Item = D> {
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
    fn offsets_are_one_past_the_last_frame_of_a_partition() {
        let (first, second) = (Assignment::new(1), Assignment::new(2));
        let mut outbox = Outbox::default();
        for (assignment, offset) in [(&first, 5), (&second, 90), (&first, 6), (&first, 9)] {
            outbox.push(output(assignment, offset));
        }
        let batch = outbox.take(3);
        assert_eq!(batch.offsets(), [(1, 7), (2, 91)]);
        assert_eq!(batch.into_completions().collect::<Vec<_>>(), [5, 90, 6]);
        assert_eq!(outbox.take(3).offsets(), [(1, 10)]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn outputs_of_ended_assignments_are_left_out() {
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
    fn giving_up_a_batch_ends_its_assignments() {
        let (uncertain, other) = (Assignment::new(1), Assignment::new(2));
        let mut outbox = Outbox::default();
        outbox.push(output(&uncertain, 0));
        outbox.take(9).give_up();
        assert!(uncertain.is_over() && !other.is_over());
    }

    #[test]
    fn a_batch_splits_into_halves_in_order() {
        let assignment = Assignment::new(1);
        let mut outbox = Outbox::default();
        (0..3).for_each(|offset| outbox.push(output(&assignment, offset)));
        let [older, younger] = outbox.take(9).split().unwrap();
        assert_eq!((older.offsets(), younger.offsets()), (vec![(1, 1)], vec![(1, 3)]));
        let whole = older.split().unwrap_err();
        assert_eq!(whole.offsets(), [(1, 1)]);
    }

    #[test]
    fn an_urgent_output_or_enough_of_them_are_due() {
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
