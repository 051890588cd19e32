//! The partitions of a group that this process has, each with the queue of what is to be sent.

use std::collections::BTreeMap;

/// What is to be sent of one partition.
pub(crate) trait SendQueue {
    /// What one attempt sends.
    type Due;

    /// When the next attempt is due, Unix milliseconds; none if nothing waits.
    fn next_due(&self) -> Option<i64>;
    /// Takes what is due at `now`.
    fn take(&mut self, now: i64) -> Option<Self::Due>;
    /// True while an attempt is under way.
    fn is_busy(&self) -> bool;
    /// The offset before which all is done; none if nothing is known yet.
    fn committable(&self) -> Option<i64>;
    /// Bytes of what waits.
    fn bytes(&self) -> usize;
}

/// An attempt, and where it belongs.
pub(crate) struct Job<D> {
    partition: i32,
    assignment: u64,
    pub due: D,
}

/// What a sending thread does next.
pub(crate) enum NextJob<D> {
    /// An attempt that is due.
    Due(Job<D>),
    /// Nothing is due before this time, Unix milliseconds.
    At(i64),
    /// Nothing waits.
    None,
}

/// What became of an attempt.
pub(crate) enum Done {
    /// It is done: delivered, not needed any more, or given up.
    Finished,
    /// It is to be sent again at this time, Unix milliseconds.
    Again(i64),
}

/// The partitions, by number.
pub(crate) struct Assignments<Q> {
    partitions: BTreeMap<i32, Assigned<Q>>,
    count: u64,
}

struct Assigned<Q> {
    /// Tells it from an earlier assignment of the same partition.
    number: u64,
    queue: Q,
    is_closing: bool,
    committed: Option<i64>,
}

impl<Q> Default for Assignments<Q> {
    fn default() -> Self {
        Self { partitions: BTreeMap::new(), count: 0 }
    }
}

impl<Q: SendQueue> Assignments<Q> {
    pub fn open(&mut self, partition: i32, queue: Q) {
        self.count += 1;
        let assigned = Assigned { number: self.count, queue, is_closing: false, committed: None };
        self.partitions.insert(partition, assigned);
    }

    /// Nothing more is taken from these partitions.
    pub fn begin_closing(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Some(assigned) = self.partitions.get_mut(partition) {
                assigned.is_closing = true;
            }
        }
    }

    /// True while an attempt of one of these partitions is under way.
    pub fn is_busy(&self, partitions: &[i32]) -> bool {
        partitions.iter().any(|partition| self.queue(*partition).is_some_and(SendQueue::is_busy))
    }

    /// Removes these partitions. Returns the offsets to commit.
    pub fn remove(&mut self, partitions: &[i32]) -> Vec<(i32, i64)> {
        let removed = partitions.iter().filter_map(|partition| {
            // In two steps: a partition without an offset is removed, too.
            let assigned = self.partitions.remove(partition)?;
            Some((*partition, assigned.queue.committable()?))
        });
        removed.collect()
    }

    pub fn queue(&self, partition: i32) -> Option<&Q> {
        self.partitions.get(&partition).map(|assigned| &assigned.queue)
    }

    pub fn queue_mut(&mut self, partition: i32) -> Option<&mut Q> {
        self.partitions.get_mut(&partition).map(|assigned| &mut assigned.queue)
    }

    /// The queue that a job came from; none if the partition was given away meanwhile, also if it came back.
    pub fn queue_of<D>(&mut self, job: &Job<D>) -> Option<&mut Q> {
        let assigned = self.partitions.get_mut(&job.partition)?;
        (assigned.number == job.assignment).then_some(&mut assigned.queue)
    }

    /// Takes the next attempt that is due, of the partition whose attempt is due first.
    pub fn take(&mut self, now: i64) -> NextJob<Q::Due> {
        loop {
            let open = self.partitions.iter().filter(|(_, assigned)| !assigned.is_closing);
            let first =
                open.filter_map(|(partition, assigned)| Some((assigned.queue.next_due()?, *partition)));
            let Some((at, partition)) = first.min() else { return NextJob::None };
            if at > now {
                return NextJob::At(at);
            }
            let Some(assigned) = self.partitions.get_mut(&partition) else { return NextJob::None };
            if let Some(due) = assigned.queue.take(now) {
                return NextJob::Due(Job { partition, assignment: assigned.number, due });
            }
        }
    }

    /// The offsets that can be committed and are not yet.
    pub fn committable(&self) -> Vec<(i32, i64)> {
        let new = self.partitions.iter().filter_map(|(partition, assigned)| {
            let offset = assigned.queue.committable()?;
            (assigned.committed != Some(offset)).then_some((*partition, offset))
        });
        new.collect()
    }

    pub fn committed(&mut self, offsets: &[(i32, i64)]) {
        for (partition, offset) in offsets {
            if let Some(assigned) = self.partitions.get_mut(partition) {
                assigned.committed = Some(*offset);
            }
        }
    }
}
