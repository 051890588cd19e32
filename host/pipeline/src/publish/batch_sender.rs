//! Delivers batches, one after the other, on a thread of its own. While one is on its way the next one gathers.
//!
//! A batch that does not reach the brokers is tried again for as long as it takes. A record that a topic refuses for its size
//! or content would be refused for ever: a smaller one replaces it (`unfit`), and the batch goes on.

use super::outbox::{Batch, FrameOutput, Outbox};
use super::records::Outgoing;
use super::sending::{Answer, Refusal, Sending, refusals, to_replace};
use super::unfit::{Remedy, replace};
use crate::observe::Metrics;
use everyframe_config::{Config, Topics};
use everyframe_kafka::{LogOnce, Membership, Producer, TransactionError, Transactions, Unsent};
use everyframe_types::dead_letter::Parked;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Told when everything that a frame causes is safe.
pub(super) struct Done {
    tell: Box<dyn FnOnce(Option<Parked>) + Send>,
    /// Set if the frame had to be parked because a topic refused a record of it.
    parked: Option<Parked>,
}

impl Done {
    pub(super) fn new(tell: impl FnOnce(Option<Parked>) + Send + 'static) -> Self {
        Self { tell: Box::new(tell), parked: None }
    }
}

/// After a batch that was not taken.
const PAUSE: Duration = Duration::from_millis(200);
/// After one that cost the producer its life: its successor has to make itself known to the brokers.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// Without an acknowledgement for this long, something is wrong that should be said.
const SILENCE: Duration = Duration::from_secs(5);

const WAITING: &str = "results are not acknowledged: waiting for Kafka";

/// How batches are delivered.
pub(super) enum Transport {
    /// Each in a transaction with its offsets.
    Transactions(Transactions),
    /// Record by record; the offsets are committed by intake when all are acknowledged.
    Plain(Producer),
}

/// What courier and host share.
pub(super) struct SenderState {
    outbox: Mutex<Outbox<Outgoing, Done>>,
    arrived: Condvar,
    membership: Mutex<Option<Membership>>,
    /// Set when partitions were given up, and have to be joined anew.
    gave_up: AtomicBool,
    ended: AtomicBool,
}

impl SenderState {
    pub(super) fn new() -> Self {
        Self {
            outbox: Mutex::default(),
            arrived: Condvar::new(),
            membership: Mutex::default(),
            gave_up: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    pub(super) fn post(&self, output: FrameOutput<Outgoing, Done>) {
        locked(&self.outbox).push(output);
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
pub(super) struct BatchSender {
    pub(super) desk: Arc<SenderState>,
    pub(super) transport: Transport,
    /// How many bytes of records the carrier sends together.
    pub(super) batch_bytes: usize,
    pub(super) pace: Pace,
    pub(super) topics: Topics,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log_once: LogOnce,
}

/// Why a batch is not delivered.
enum Trouble {
    /// Nothing of it counts, or what does was taken out of it: topics refused these records for their size or content.
    Unfit(Vec<Refusal>),
    /// Nothing of it counts, or what does was taken out of it: it may be tried again.
    Again(String),
    /// The same, but with another producer.
    AgainAnew(String),
    /// It may count or not.
    Uncertain(String),
}

impl BatchSender {
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
    fn deliver(&mut self, batch: Batch<Outgoing, Done>) {
        let mut waiting = VecDeque::from([batch]);
        while let Some(batch) = waiting.pop_front() {
            if let Some([older, younger]) = self.deliver_or_split(batch) {
                waiting.push_front(younger);
                waiting.push_front(older);
            }
        }
    }

    /// The same; returns two halves of the batch if a topic refused one of its records, and it is not clear which.
    fn deliver_or_split(&mut self, mut batch: Batch<Outgoing, Done>) -> Option<[Batch<Outgoing, Done>; 2]> {
        let began = Instant::now();
        let mut one_by_one = false;
        loop {
            batch.leave_out_others();
            if batch.outputs().is_empty() || self.desk.is_ended() {
                return None;
            }
            match self.attempt(&mut batch, one_by_one) {
                Ok(()) => {
                    self.log_once.settle("results are taken again");
                    self.metrics.delivered(batch.outputs().len(), began.elapsed());
                    batch.delivered().for_each(|Done { tell, parked }| tell(parked));
                    return None;
                }
                Err(Trouble::Unfit(refusals)) => {
                    self.metrics.aborted();
                    let records = batch.outputs().iter().flat_map(|output| &output.records);
                    let chosen = to_replace(records, &refusals, self.batch_bytes, one_by_one);
                    if !chosen.is_empty() {
                        self.replace(&mut batch, &chosen);
                        continue;
                    }
                    match batch.split() {
                        Ok(halves) => return Some(halves),
                        Err(whole) => (batch, one_by_one) = (whole, true),
                    }
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
                    self.begin_anew();
                    return None;
                }
            }
        }
    }

    /// Replaces refused records with smaller ones.
    fn replace(&self, batch: &mut Batch<Outgoing, Done>, chosen: &[Refusal]) {
        let mut end = batch.outputs().iter().map(|output| output.records.len()).sum::<usize>();
        // Backwards, because a replacement may change the number of records after it.
        for output in batch.parcels_mut().iter_mut().rev() {
            let first = end - output.records.len();
            let of_parcel = chosen.iter().filter(|refusal| (first..end).contains(&refusal.number));
            let mut of_parcel: Vec<&Refusal> = of_parcel.collect();
            of_parcel.sort_by_key(|refusal| std::cmp::Reverse(refusal.number));
            for refusal in of_parcel {
                let Some(record) = output.records.get(refusal.number - first) else { continue };
                let what = format!("a record of {} bytes of frame {}", record.size(), output.offset);
                match replace(&mut output.records, refusal.number - first, &refusal.error) {
                    Remedy::Smaller => {
                        tracing::warn!("{what} is cut: {}", refusal.error);
                        continue;
                    }
                    Remedy::LeftOut => {}
                    Remedy::Parked(parked) => {
                        self.metrics.parked(parked.stage.as_str(), &parked.reason);
                        if let Some(kept_back) = self.metrics.may_log_parked() {
                            tracing::warn!(
                                reason = parked.reason,
                                stage = parked.stage.as_str(),
                                kept_back,
                                "frame parked: {}",
                                parked.message
                            );
                        }
                        output.done.parked = Some(parked);
                    }
                    Remedy::Nothing => self.complain(&format!("{what}: {}", refusal.error), PAUSE),
                }
                // The records have other numbers now. The others of this parcel will be refused again.
                break;
            }
            end = first;
        }
    }

    fn complain(&self, reason: &str, pause: Duration) {
        tracing::debug!("results are not taken: {reason}");
        self.metrics.aborted();
        self.log_once.say(&format!("results are not taken: {reason}; trying again"));
        std::thread::sleep(pause);
    }

    fn attempt(&mut self, batch: &mut Batch<Outgoing, Done>, one_by_one: bool) -> Result<(), Trouble> {
        match &self.transport {
            Transport::Transactions(transactions) => self.transact(transactions, batch, one_by_one),
            Transport::Plain(producer) => {
                let sending = self.sending(producer, one_by_one, false);
                let answers = sending.send(batch.outputs().iter().flat_map(|output| &output.records));
                let mut kept = Vec::new();
                let mut all = answers.into_iter();
                for output in batch.parcels_mut() {
                    output.records.retain(|_| {
                        let answer = all.next().flatten();
                        let is_safe = matches!(answer, Some(Ok(())));
                        if !is_safe {
                            kept.push(answer);
                        }
                        !is_safe
                    });
                }
                match refusals(&kept) {
                    _ if kept.is_empty() => Ok(()),
                    refusals if !refusals.is_empty() => Err(Trouble::Unfit(refusals)),
                    _ => Err(Trouble::Again(first_reason(&kept))),
                }
            }
        }
    }

    fn transact(
        &self,
        transactions: &Transactions,
        batch: &Batch<Outgoing, Done>,
        one_by_one: bool,
    ) -> Result<(), Trouble> {
        let mut unfit = Vec::new();
        let send = || {
            let sending = self.sending(transactions.producer(), one_by_one, true);
            let answers = sending.send(batch.outputs().iter().flat_map(|output| &output.records));
            if answers.iter().all(|answer| matches!(answer, Some(Ok(())))) {
                return Ok(());
            }
            unfit = refusals(&answers);
            Err(match unfit.first() {
                Some(refusal) => Unsent::Unfit(refusal.error.to_string()),
                None => Unsent::Failed(first_reason(&answers)),
            })
        };
        let offer = || {
            let member = locked(&self.desk.membership).as_ref().and_then(|membership| membership());
            // The order matters: see `Batch::is_ours`.
            member.filter(|_| batch.is_ours()).map(|member| (member, batch.offsets()))
        };
        let began = Instant::now();
        let go_on = || {
            if began.elapsed() > SILENCE {
                self.log_once.begin(WAITING);
            }
            !self.desk.is_ended()
        };
        let transacted = transactions.transact(send, &self.topics.frames, offer, &go_on);
        transacted.map_err(|error| match error {
            TransactionError::Aborted(_) if !unfit.is_empty() => Trouble::Unfit(unfit),
            TransactionError::Aborted(reason) => Trouble::Again(reason),
            TransactionError::Spent(reason) => Trouble::AgainAnew(reason),
            TransactionError::Uncertain(reason) => Trouble::Uncertain(reason),
        })
    }

    fn sending<'a>(&'a self, producer: &'a Producer, one_by_one: bool, in_transaction: bool) -> Sending<'a> {
        Sending {
            producer,
            topics: &self.topics,
            one_by_one,
            in_transaction,
            is_ended: Box::new(|| self.desk.is_ended()),
            is_silent: Box::new(|silence| {
                if silence > SILENCE {
                    self.log_once.begin(WAITING);
                }
            }),
        }
    }

    /// The producer is of no more use; its successor ends or completes what it left open.
    fn begin_anew(&mut self) {
        if let Transport::Transactions(transactions) = &mut self.transport {
            while !self.desk.is_ended() {
                match transactions.anew() {
                    Ok(()) => return,
                    Err(error) => self.log_once.say(&format!("no transactions yet: {error}; trying again")),
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// The error of the first record that failed.
fn first_reason(answers: &[Answer]) -> String {
    let failed = answers.iter().find_map(|answer| answer.as_ref()?.as_ref().err());
    failed.map_or_else(|| "no answer".into(), ToString::to_string)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
