//! As much of Kafka as the protocol rests on: a group with generations, transactions with epochs, markers that reach one
//! log after the other, and a log that can be read up to its first open transaction.

use std::collections::{BTreeMap, BTreeSet};

pub type Host = usize;

/// Where a transaction's marker still has to arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Log {
    Group,
    State(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug)]
struct Transaction {
    producer: usize,
    end: End,
    offsets: Vec<(usize, i64)>,
    unmarked: BTreeSet<Log>,
}

/// What a frame causes: its result, and the state after it, which depends on all frames before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub partition: usize,
    pub offset: i64,
    pub state: u64,
}

#[derive(Debug)]
pub struct Kafka {
    /// Frames in each partition.
    pub frames: Vec<i64>,
    /// Records with the transaction they belong to; none: no transaction.
    records: Vec<(Option<usize>, Record)>,
    transactions: Vec<Transaction>,
    epochs: BTreeMap<usize, u32>,
    pub generation: u32,
    pub members: BTreeSet<Host>,
    pub owners: Vec<Option<Host>>,
    pub committed: Vec<i64>,
}

impl Kafka {
    pub fn new(partitions: usize, frames: i64) -> Self {
        Self {
            frames: vec![frames; partitions],
            records: Vec::new(),
            transactions: Vec::new(),
            epochs: BTreeMap::new(),
            generation: 0,
            members: BTreeSet::new(),
            owners: vec![None; partitions],
            committed: vec![0; partitions],
        }
    }

    // --- the group

    pub fn join(&mut self, host: Host) {
        self.members.insert(host);
        self.generation += 1;
    }

    /// A member that was not heard of for the session's time, or that leaves.
    pub fn evict(&mut self, host: Host) {
        if self.members.remove(&host) {
            self.generation += 1;
            self.owners.iter_mut().filter(|owner| **owner == Some(host)).for_each(|owner| *owner = None);
        }
    }

    /// A member has let a partition go, and joins the next generation.
    pub fn release(&mut self, host: Host, partition: usize) {
        if self.owners[partition] == Some(host) {
            self.owners[partition] = None;
            self.generation += 1;
        }
    }

    fn is_current(&self, host: Host, generation: u32) -> bool {
        self.members.contains(&host) && generation == self.generation
    }

    /// An ordinary commit.
    pub fn commit(&mut self, host: Host, generation: u32, offsets: &[(i32, i64)]) -> bool {
        let taken = self.is_current(host, generation);
        if taken {
            offsets.iter().for_each(|(partition, offset)| self.committed[*partition as usize] = *offset);
        }
        taken
    }

    /// The offset to begin at; none while a transaction may still move it.
    pub fn stable_offset(&self, partition: usize) -> Option<i64> {
        let moving = self.transactions.iter().any(|transaction| {
            let undecided = transaction.end == End::Open
                || (transaction.end == End::Committed && transaction.unmarked.contains(&Log::Group));
            undecided && transaction.offsets.iter().any(|(of, _)| *of == partition)
        });
        (!moving).then(|| self.committed[partition])
    }

    // --- transactions

    /// Registers a producer: the one before it of that id is fenced, and what it left open is aborted.
    pub fn register(&mut self, producer: usize) -> u32 {
        let open: Vec<usize> = self.open_of(producer);
        open.into_iter().for_each(|transaction| self.end(transaction, End::Aborted));
        let epoch = self.epochs.entry(producer).or_default();
        *epoch += 1;
        *epoch
    }

    pub fn is_fenced(&self, producer: usize, epoch: u32) -> bool {
        self.epochs.get(&producer) != Some(&epoch)
    }

    pub fn begin(&mut self, producer: usize) -> usize {
        let unmarked = BTreeSet::new();
        self.transactions.push(Transaction { producer, end: End::Open, offsets: Vec::new(), unmarked });
        self.transactions.len() - 1
    }

    pub fn append(&mut self, transaction: Option<usize>, record: Record) {
        self.records.push((transaction, record));
        if let Some(transaction) = transaction {
            self.transactions[transaction].unmarked.insert(Log::State(record.partition));
        }
    }

    pub fn offer(&mut self, transaction: usize, host: Host, generation: u32, offsets: &[(i32, i64)]) -> bool {
        let taken = self.is_current(host, generation);
        if taken {
            let transaction = &mut self.transactions[transaction];
            transaction.offsets =
                offsets.iter().map(|(partition, offset)| (*partition as usize, *offset)).collect();
            transaction.unmarked.insert(Log::Group);
        }
        taken
    }

    pub fn commit_transaction(&mut self, transaction: usize) {
        self.end(transaction, End::Committed);
    }

    pub fn abort(&mut self, transaction: usize) {
        self.end(transaction, End::Aborted);
    }

    /// The coordinator ends a transaction that was open for too long, and fences its producer.
    pub fn time_out(&mut self, pick: usize) {
        let open: Vec<usize> =
            (0..self.transactions.len()).filter(|t| self.transactions[*t].end == End::Open).collect();
        if let Some(transaction) = open.get(pick % open.len().max(1)).copied() {
            self.end(transaction, End::Aborted);
            *self.epochs.entry(self.transactions[transaction].producer).or_default() += 1;
        }
    }

    fn open_of(&self, producer: usize) -> Vec<usize> {
        let is_open = |t: &Transaction| t.producer == producer && t.end == End::Open;
        (0..self.transactions.len()).filter(|at| is_open(&self.transactions[*at])).collect()
    }

    fn end(&mut self, transaction: usize, end: End) {
        if self.transactions[transaction].end == End::Open {
            self.transactions[transaction].end = end;
        }
    }

    /// One marker arrives; false if none is on its way.
    pub fn deliver_marker(&mut self, pick: usize) -> bool {
        let waiting: Vec<(usize, Log)> = (0..self.transactions.len())
            .filter(|at| self.transactions[*at].end != End::Open)
            .flat_map(|at| self.transactions[at].unmarked.iter().map(move |log| (at, *log)))
            .collect();
        let Some((at, log)) = waiting.get(pick % waiting.len().max(1)).copied() else { return false };
        let transaction = &mut self.transactions[at];
        transaction.unmarked.remove(&log);
        if log == Log::Group && transaction.end == End::Committed {
            for (partition, offset) in transaction.offsets.clone() {
                self.committed[partition] = offset;
            }
        }
        true
    }

    // --- reading

    /// The end of the log, whatever is open in it.
    pub fn log_end(&self) -> usize {
        self.records.len()
    }

    /// True if every transaction with a record of this partition before `end` is over, and its marker there.
    pub fn is_settled(&self, partition: usize, end: usize) -> bool {
        self.records[..end].iter().all(|(transaction, record)| {
            record.partition != partition || transaction.is_none_or(|t| self.is_marked(t, partition))
        })
    }

    fn is_marked(&self, transaction: usize, partition: usize) -> bool {
        let transaction = &self.transactions[transaction];
        transaction.end != End::Open && !transaction.unmarked.contains(&Log::State(partition))
    }

    /// What a reader of committed records sees of a partition: up to the first transaction that is not over for it.
    pub fn readable(&self, partition: usize) -> Vec<Record> {
        self.records
            .iter()
            .filter(|(_, record)| record.partition == partition)
            .take_while(|(transaction, _)| transaction.is_none_or(|t| self.is_marked(t, partition)))
            .filter(|(transaction, _)| transaction.is_none_or(|t| self.transactions[t].end == End::Committed))
            .map(|(_, record)| *record)
            .collect()
    }

    /// The offsets of a partition's frames that have a result, now or as soon as its marker arrives.
    pub fn published(&self, partition: usize) -> BTreeSet<i64> {
        self.records
            .iter()
            .filter(|(transaction, record)| {
                record.partition == partition
                    && transaction.is_none_or(|t| self.transactions[t].end == End::Committed)
            })
            .map(|(_, record)| record.offset)
            .collect()
    }
}
