//! As much of Kafka as a host relies on, in memory: a group with generations, transactions with epochs, markers that reach
//! one log after the other, and logs that can be read up to their first open transaction. Faults are scripted or random.

use crate::publish::Transport;
use everyframe_kafka::{BrokerError, Delivery, OpeningError, Record, TransactionError};
use everyframe_types::frame::Position;
use everyframe_types::record::IncomingRecord;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

pub type HostId = usize;

/// Random numbers, the same for the same seed (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % end
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A call that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    SendResult,
    SendOther,
    Commit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The record is not acknowledged.
    NotAcknowledged,
    /// The topic refuses the record for its size.
    TooLarge,
    /// The commit does not reach the broker.
    RequestLost,
    /// The commit reaches the broker; its answer does not come back.
    AnswerLost,
}

/// What fails.
pub enum Faults {
    /// Each of these once, at the next such call.
    Scripted(VecDeque<(Call, Fault)>),
    Random(Random),
}

/// A precaution that is left out, to see that the simulation notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omission {
    /// The assignment of a revoked partition does not end.
    EndOfAssignment,
    /// Rule state is read while a transaction is open.
    SettledState,
    /// A batch of which nobody knows whether it counts is sent again.
    GivingUp,
    /// Reading begins while a transaction may still move the offset.
    StableOffsets,
}

/// Where a transaction's marker still has to arrive: the group's log, or a partition of a topic.
type Log = Option<(String, i32)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Committed,
    Aborted,
}

struct Transaction {
    producer: usize,
    end: End,
    offsets: Vec<(i32, i64)>,
    unmarked: BTreeSet<Log>,
}

#[derive(Debug, Clone)]
pub struct StoredRecord {
    transaction: Option<usize>,
    pub topic: String,
    pub partition: i32,
    pub key: String,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, String)>,
}

impl StoredRecord {
    /// The offset of the frame of a result, by the result's id.
    pub fn frame_offset(&self) -> i64 {
        let value = String::from_utf8_lossy(self.value.as_deref().unwrap());
        let id = value.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
        Position::parse(id).unwrap().offset
    }
}

impl IncomingRecord for StoredRecord {
    fn partition(&self) -> i32 {
        self.partition
    }
    fn offset(&self) -> i64 {
        0
    }
    fn timestamp(&self) -> i64 {
        0
    }
    fn key(&self) -> Option<&[u8]> {
        Some(self.key.as_bytes())
    }
    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

pub struct Broker {
    /// By partition, the offset of the oldest frame and of the next one.
    pub frames: Vec<(i64, i64)>,
    pub faults: Faults,
    records: Vec<StoredRecord>,
    transactions: Vec<Transaction>,
    epochs: BTreeMap<usize, u32>,
    pub generation: u32,
    pub members: BTreeSet<HostId>,
    pub owners: Vec<Option<HostId>>,
    pub committed: Vec<i64>,
}

/// The broker, shared by all hosts.
#[derive(Clone)]
pub struct InMemoryBroker(Arc<Mutex<Broker>>);

impl InMemoryBroker {
    pub fn new(partitions: usize, frames: i64, faults: Faults) -> Self {
        Self(Arc::new(Mutex::new(Broker {
            frames: vec![(0, frames); partitions],
            faults,
            records: Vec::new(),
            transactions: Vec::new(),
            epochs: BTreeMap::new(),
            generation: 0,
            members: BTreeSet::new(),
            owners: vec![None; partitions],
            committed: vec![0; partitions],
        })))
    }

    pub fn lock(&self) -> MutexGuard<'_, Broker> {
        self.0.lock().unwrap()
    }
}

impl Broker {
    fn fault(&mut self, call: Call) -> Option<Fault> {
        match &mut self.faults {
            Faults::Scripted(faults) => {
                let place = faults.iter().position(|(of, _)| *of == call)?;
                faults.remove(place).map(|(_, fault)| fault)
            }
            Faults::Random(random) => match call {
                Call::SendResult | Call::SendOther => random.one_in(30).then_some(Fault::NotAcknowledged),
                Call::Commit if random.one_in(12) => {
                    Some(if random.one_in(2) { Fault::AnswerLost } else { Fault::RequestLost })
                }
                Call::Commit => None,
            },
        }
    }

    // --- the group

    pub fn join(&mut self, host: HostId) {
        self.members.insert(host);
        self.generation += 1;
    }

    /// Removes a member that was not heard of for the session's time, or that leaves.
    pub fn evict(&mut self, host: HostId) {
        if self.members.remove(&host) {
            self.generation += 1;
            self.owners.iter_mut().filter(|owner| **owner == Some(host)).for_each(|owner| *owner = None);
        }
    }

    /// A member has let a partition go, and joins the next generation.
    pub fn release(&mut self, host: HostId, partition: i32) {
        let owner = &mut self.owners[partition as usize];
        if *owner == Some(host) {
            *owner = None;
            self.generation += 1;
        }
    }

    fn is_current(&self, host: HostId, generation: u32) -> bool {
        self.members.contains(&host) && generation == self.generation
    }

    /// An ordinary commit.
    pub fn commit_offsets(&mut self, host: HostId, generation: u32, offsets: &[(i32, i64)]) -> bool {
        let taken = self.is_current(host, generation);
        if taken {
            offsets.iter().for_each(|(partition, offset)| self.committed[*partition as usize] = *offset);
        }
        taken
    }

    /// The offset to begin at; none while a transaction may still move it.
    pub fn stable_offset(&self, partition: i32) -> Option<i64> {
        let moving = self.transactions.iter().any(|transaction| {
            let undecided = transaction.end == End::Open
                || (transaction.end == End::Committed && transaction.unmarked.contains(&None));
            undecided && transaction.offsets.iter().any(|(of, _)| *of == partition)
        });
        (!moving).then(|| self.committed[partition as usize])
    }

    // --- transactions

    /// Registers a producer: the one before it of that id is fenced, and what it left open is aborted.
    pub fn register(&mut self, producer: usize) -> u32 {
        let open = |t: &&mut Transaction| t.producer == producer && t.end == End::Open;
        self.transactions.iter_mut().filter(open).for_each(|transaction| transaction.end = End::Aborted);
        let epoch = self.epochs.entry(producer).or_default();
        *epoch += 1;
        *epoch
    }

    fn is_registered(&self, producer: usize, epoch: u32) -> bool {
        self.epochs.get(&producer) == Some(&epoch)
    }

    pub fn append(&mut self, record: StoredRecord) {
        if let Some(transaction) = record.transaction {
            let log = Some((record.topic.clone(), record.partition));
            self.transactions[transaction].unmarked.insert(log);
        }
        self.records.push(record);
    }

    /// The coordinator aborts a transaction that was open for too long, and fences its producer. False if none is open.
    pub fn time_out(&mut self, pick: usize) -> bool {
        let open: Vec<usize> =
            (0..self.transactions.len()).filter(|t| self.transactions[*t].end == End::Open).collect();
        let Some(transaction) = open.get(pick % open.len().max(1)).copied() else { return false };
        self.end(transaction, End::Aborted);
        *self.epochs.entry(self.transactions[transaction].producer).or_default() += 1;
        true
    }

    /// True while a marker of the producer's last transaction is on its way: no other may begin before, so that the markers
    /// of two transactions cannot overtake each other.
    fn is_ending(&self, producer: usize) -> bool {
        let ending = |t: &Transaction| t.producer == producer && t.end != End::Open && !t.unmarked.is_empty();
        self.transactions.iter().any(ending)
    }

    fn end(&mut self, transaction: usize, end: End) {
        let transaction = &mut self.transactions[transaction];
        if transaction.end == End::Open {
            transaction.end = end;
        }
    }

    /// One marker arrives; false if none is on its way.
    pub fn deliver_marker(&mut self, pick: usize) -> bool {
        let waiting: Vec<(usize, &Log)> = self
            .transactions
            .iter()
            .enumerate()
            .filter(|(_, transaction)| transaction.end != End::Open)
            .flat_map(|(at, transaction)| transaction.unmarked.iter().map(move |log| (at, log)))
            .collect();
        let Some((at, log)) = waiting.get(pick % waiting.len().max(1)).copied() else { return false };
        let log = log.clone();
        let transaction = &mut self.transactions[at];
        transaction.unmarked.remove(&log);
        if log.is_none() && transaction.end == End::Committed {
            for (partition, offset) in &transaction.offsets {
                self.committed[*partition as usize] = *offset;
            }
        }
        true
    }

    // --- reading

    /// True if every transaction with a record in this partition is over, and its marker there.
    pub fn is_settled(&self, topic: &str, partition: i32) -> bool {
        self.log(topic, partition).all(|record| self.is_marked(record))
    }

    fn log(&self, topic: &str, partition: i32) -> impl Iterator<Item = &StoredRecord> {
        self.records.iter().filter(move |record| record.partition == partition && record.topic == topic)
    }

    fn is_marked(&self, record: &StoredRecord) -> bool {
        record.transaction.is_none_or(|transaction| {
            let transaction = &self.transactions[transaction];
            let log = Some((record.topic.clone(), record.partition));
            transaction.end != End::Open && !transaction.unmarked.contains(&log)
        })
    }

    fn is_committed(&self, record: &StoredRecord) -> bool {
        record.transaction.is_none_or(|transaction| self.transactions[transaction].end == End::Committed)
    }

    /// What a reader of committed records sees of a partition: up to the first transaction that is not over for it.
    pub fn readable(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let before_open = self.log(topic, partition).take_while(|record| self.is_marked(record));
        before_open.filter(|record| self.is_committed(record)).cloned().collect()
    }

    /// The offsets of a partition's frames that have a result, now or as soon as its marker arrives.
    pub fn published(&self, results: &str, partition: i32) -> BTreeSet<i64> {
        let committed = self.log(results, partition).filter(|record| self.is_committed(record));
        committed.map(StoredRecord::frame_offset).collect()
    }
}

/// A producer of one host.
pub struct InMemoryTransport {
    pub broker: InMemoryBroker,
    pub host: HostId,
    pub producer: usize,
    pub is_transactional: bool,
    pub omission: Option<Omission>,
    /// The group's generation that the host knows.
    pub generation: Arc<AtomicU32>,
    epoch: u32,
    open: Mutex<Option<usize>>,
    results: String,
}

impl InMemoryTransport {
    pub fn open(
        broker: &InMemoryBroker,
        (host, producer): (HostId, usize),
        (is_transactional, omission): (bool, Option<Omission>),
        generation: Arc<AtomicU32>,
        results: &str,
    ) -> Self {
        let epoch = if is_transactional { broker.lock().register(producer) } else { 0 };
        let (broker, results) = (broker.clone(), results.to_owned());
        let open = Mutex::default();
        Self { broker, host, producer, is_transactional, omission, generation, epoch, open, results }
    }

    /// The broker, unless another producer of the same id has registered since.
    fn connect(&self) -> Result<MutexGuard<'_, Broker>, TransactionError> {
        let broker = self.broker.lock();
        match broker.is_registered(self.producer, self.epoch) {
            true => Ok(broker),
            false => Err(TransactionError::Fatal("fenced".into())),
        }
    }

    fn append(&self, record: StoredRecord) -> Result<(), BrokerError> {
        let topic = record.topic.clone();
        let mut broker = self.broker.lock();
        if self.is_transactional && !broker.is_registered(self.producer, self.epoch) {
            return Err(BrokerError::NotAcknowledged { topic, reason: "fenced".into() });
        }
        let call = if topic == self.results { Call::SendResult } else { Call::SendOther };
        match broker.fault(call) {
            Some(Fault::TooLarge) => Err(BrokerError::Unfit { topic, reason: "MessageSizeTooLarge".into() }),
            Some(_) => Err(BrokerError::NotAcknowledged { topic, reason: "timed out".into() }),
            None => {
                broker.append(record);
                Ok(())
            }
        }
    }

    fn transaction(&self) -> Option<usize> {
        *self.open.lock().unwrap()
    }
}

impl Transport for InMemoryTransport {
    type Member = u32;

    fn is_transactional(&self) -> bool {
        self.is_transactional
    }

    fn send(&self, record: Record<'_>, delivery: Delivery) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let key = text(record.key.unwrap_or_default());
        // The key of a test's camera ends with the number of its partition.
        let of_key = || key.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let stored = StoredRecord {
            transaction: self.transaction(),
            topic: record.topic.to_owned(),
            partition: record.partition.unwrap_or_else(of_key),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            key,
        };
        delivery(self.append(stored));
    }

    fn begin(&self) -> Result<(), TransactionError> {
        let mut broker = self.connect()?;
        let producer = self.producer;
        if broker.is_ending(producer) {
            return Err(TransactionError::Retry("concurrent transactions".into()));
        }
        let (offsets, unmarked) = (Vec::new(), BTreeSet::new());
        broker.transactions.push(Transaction { producer, end: End::Open, offsets, unmarked });
        *self.open.lock().unwrap() = Some(broker.transactions.len() - 1);
        Ok(())
    }

    fn member(&self) -> Option<u32> {
        Some(self.generation.load(Ordering::Relaxed))
    }

    fn send_offsets(
        &self,
        generation: &u32,
        _: &str,
        offsets: &[(i32, i64)],
    ) -> Result<(), TransactionError> {
        let mut broker = self.connect()?;
        if !broker.is_current(self.host, *generation) {
            return Err(TransactionError::Abort("illegal generation".into()));
        }
        let transaction = &mut broker.transactions[self.transaction().unwrap()];
        transaction.offsets = offsets.to_vec();
        transaction.unmarked.insert(None);
        Ok(())
    }

    fn commit(&self) -> Result<(), TransactionError> {
        let mut broker = self.connect()?;
        let fault = broker.fault(Call::Commit);
        if fault != Some(Fault::RequestLost) {
            broker.end(self.transaction().unwrap(), End::Committed);
        }
        match (fault, self.omission) {
            (None, _) => Ok(()),
            (Some(_), Some(Omission::GivingUp)) => Err(TransactionError::Abort("timed out".into())),
            (Some(_), _) => Err(TransactionError::Fatal("timed out".into())),
        }
    }

    fn abort(&self) -> Result<(), TransactionError> {
        let mut broker = self.connect()?;
        broker.end(self.transaction().unwrap(), End::Aborted);
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), OpeningError> {
        self.epoch = self.broker.lock().register(self.producer);
        *self.open.lock().unwrap() = None;
        match self.broker.lock().is_ending(self.producer) {
            true => Err(OpeningError::NotYet("concurrent transactions".into())),
            false => Ok(()),
        }
    }
}
