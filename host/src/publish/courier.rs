//! Delivers batches, one after the other, on a thread of its own. While one is on its way the next one gathers.

use super::outbox::{Batch, Outbox, Parcel};
use super::records::Outgoing;
use crate::config::{Config, Topics};
use crate::kafka::{Complaint, Membership, Producer, TransactionError, Transactions};
use crate::observe::Metrics;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Told when everything that a frame causes is safe.
pub type Done = Box<dyn FnOnce() + Send>;

/// How long the courier waits for one answer before it looks whether the host is ending.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a batch that was not taken.
const PAUSE: Duration = Duration::from_millis(200);
/// After one that cost the producer its life: its successor has to make itself known to the brokers.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// Without an acknowledgement for this long, something is wrong that should be said.
const SILENCE: Duration = Duration::from_secs(5);

const WAITING: &str = "results are not acknowledged: waiting for Kafka";

/// How batches are delivered.
pub(super) enum Carrier {
    /// Each in a transaction with its offsets.
    Transactions(Transactions),
    /// Record by record; the offsets are committed by intake when all are acknowledged.
    Plain(Producer),
}

/// What courier and host share.
pub(super) struct Desk {
    outbox: Mutex<Outbox<Outgoing, Done>>,
    arrived: Condvar,
    membership: Mutex<Option<Membership>>,
    /// Set when partitions were given up, and have to be joined anew.
    gave_up: AtomicBool,
    ended: AtomicBool,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self {
            outbox: Mutex::default(),
            arrived: Condvar::new(),
            membership: Mutex::default(),
            gave_up: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    pub(super) fn post(&self, parcel: Parcel<Outgoing, Done>) {
        locked(&self.outbox).push(parcel);
        self.arrived.notify_one();
    }

    pub(super) fn joined(&self, membership: Membership) {
        *locked(&self.membership) = Some(membership);
    }

    pub(super) fn take_gave_up(&self) -> bool {
        self.gave_up.swap(false, Ordering::SeqCst)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.arrived.notify_one();
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

/// How large a batch is, and how long it gathers.
pub(super) struct Pace {
    interval: Duration,
    frames: usize,
}

impl Pace {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            interval: Duration::from_millis(config.publish.interval_ms),
            frames: config.publish.batch_frames,
        }
    }
}

/// The thread's life.
pub(super) struct Courier {
    pub(super) desk: Arc<Desk>,
    pub(super) carrier: Carrier,
    pub(super) pace: Pace,
    pub(super) topics: Topics,
    pub(super) metrics: Arc<Metrics>,
    pub(super) complaint: Complaint,
}

/// Why a batch is not delivered.
enum Trouble {
    /// Nothing of it counts, or what does was taken out of it: it may be tried again.
    Again(String),
    /// The same, but with another producer.
    AgainAnew(String),
    /// It may count or not.
    Uncertain(String),
}

/// What the brokers said to the records of a batch.
struct Answers {
    /// For each record in turn: it is acknowledged.
    safe: Vec<bool>,
    /// Why one was not; the first one's reason.
    refused: Option<String>,
}

impl Courier {
    pub(super) fn run(mut self) {
        while let Some(batch) = self.gather() {
            self.deliver(batch);
        }
    }

    /// The next batch; none when the host has ended.
    fn gather(&self) -> Option<Batch<Outgoing, Done>> {
        let mut outbox = locked(&self.desk.outbox);
        let mut since: Option<Instant> = None;
        loop {
            if self.desk.is_ended() {
                return None;
            }
            if !outbox.is_empty() {
                let due = *since.get_or_insert_with(Instant::now) + self.pace.interval;
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() || outbox.is_due(self.pace.frames) {
                    return Some(outbox.take(self.pace.frames));
                }
                outbox =
                    self.desk.arrived.wait_timeout(outbox, left).unwrap_or_else(PoisonError::into_inner).0;
            } else {
                outbox = self.desk.arrived.wait(outbox).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Tries until it is delivered, or nobody's concern any more.
    fn deliver(&mut self, mut batch: Batch<Outgoing, Done>) {
        let began = Instant::now();
        loop {
            batch.leave_out_others();
            if batch.parcels().is_empty() || self.desk.is_ended() {
                return;
            }
            match self.attempt(&mut batch) {
                Ok(()) => {
                    self.complaint.settle("results are taken again");
                    self.metrics.delivered(batch.parcels().len(), began.elapsed());
                    return batch.delivered().for_each(|done| done());
                }
                Err(Trouble::Again(reason)) => self.complain(&reason, PAUSE),
                Err(Trouble::AgainAnew(reason)) => {
                    self.complain(&reason, LONG_PAUSE);
                    self.begin_anew();
                }
                Err(Trouble::Uncertain(reason)) => {
                    tracing::warn!("giving up this host's partitions, to join anew: {reason}");
                    self.metrics.gave_up();
                    batch.give_up();
                    self.desk.gave_up.store(true, Ordering::SeqCst);
                    return self.begin_anew();
                }
            }
        }
    }

    fn complain(&self, reason: &str, pause: Duration) {
        tracing::debug!("results are not taken: {reason}");
        self.metrics.aborted();
        self.complaint.say(&format!("results are not taken: {reason}; trying again"));
        std::thread::sleep(pause);
    }

    fn attempt(&mut self, batch: &mut Batch<Outgoing, Done>) -> Result<(), Trouble> {
        match &self.carrier {
            Carrier::Transactions(transactions) => self.transact(transactions, batch),
            Carrier::Plain(producer) => {
                let Answers { safe, refused } = self.send(producer, batch);
                let mut safe = safe.into_iter();
                for parcel in batch.parcels_mut() {
                    parcel.records.retain(|_| !safe.next().unwrap_or(false));
                }
                refused.map_or(Ok(()), |reason| Err(Trouble::Again(reason)))
            }
        }
    }

    fn transact(&self, transactions: &Transactions, batch: &Batch<Outgoing, Done>) -> Result<(), Trouble> {
        let send = || self.send(transactions.producer(), batch).refused.map_or(Ok(()), Err);
        let offer = || {
            let member = locked(&self.desk.membership).as_ref().and_then(|membership| membership());
            // The order matters: see `Batch::is_ours`.
            member.filter(|_| batch.is_ours()).map(|member| (member, batch.offsets()))
        };
        let began = Instant::now();
        let go_on = || {
            if began.elapsed() > SILENCE {
                self.complaint.begin(WAITING);
            }
            !self.desk.is_ended()
        };
        let transacted = transactions.transact(send, &self.topics.frames, offer, &go_on);
        transacted.map_err(|error| match error {
            TransactionError::Aborted(reason) => Trouble::Again(reason),
            TransactionError::Spent(reason) => Trouble::AgainAnew(reason),
            TransactionError::Uncertain(reason) => Trouble::Uncertain(reason),
        })
    }

    /// Sends all records, and waits for the answers.
    fn send(&self, producer: &Producer, batch: &Batch<Outgoing, Done>) -> Answers {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut count = 0usize;
        for record in batch.parcels().iter().flat_map(|parcel| &parcel.records) {
            let (sender, number) = (sender.clone(), count);
            record.send(producer, &self.topics, Box::new(move |result| drop(sender.send((number, result)))));
            count += 1;
        }
        let mut answers = Answers { safe: vec![false; count], refused: None };
        let mut heard_at = Instant::now();
        for _ in 0..count {
            let (number, result) = loop {
                match receiver.recv_timeout(PATIENCE) {
                    Ok(answer) => break answer,
                    Err(_) if self.desk.is_ended() => {
                        answers.refused = Some("the host ends".into());
                        return answers;
                    }
                    Err(_) if heard_at.elapsed() > SILENCE => {
                        self.complaint.begin(WAITING);
                    }
                    Err(_) => {}
                }
            };
            heard_at = Instant::now();
            match result {
                Ok(()) => answers.safe[number] = true,
                Err(error) => drop(answers.refused.get_or_insert(error.to_string())),
            }
        }
        answers
    }

    /// The producer is of no more use; its successor ends or completes what it left open.
    fn begin_anew(&mut self) {
        if let Carrier::Transactions(transactions) = &mut self.carrier {
            while !self.desk.is_ended() {
                match transactions.anew() {
                    Ok(()) => return,
                    Err(error) => self.complaint.say(&format!("no transactions yet: {error}; trying again")),
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
