//! Delivers batches, one after the other. While one is on its way the next one gathers.
//!
//! A batch that does not reach the brokers is tried again for as long as it takes. A record that a topic refuses for its
//! size or content would be refused for ever: a smaller one replaces it (`unfit`), and the batch goes on.
//!
//! The sender is a state machine. Each [`BatchSender::step`] makes at most one call to the broker, so that tests can let
//! anything else happen between two calls. In a host, a thread makes the steps.
//!
//! ```text
//! idle ─> ready ─> begun ─> sent ─> identified ─> sending offsets ─> committing ─> idle
//!           ^        └────────┴──────────┴───────────┴────────────┤
//!           ├──────────────── aborting <─────────────────────────-┤
//!           └──────────────── reopening <─────────────────────────┘ (a fatal error)
//! ```

use super::outbox::Batch;
use super::records::Outgoing;
use super::sender_state::{BatchLimits, Completion, NextBatch, SenderState};
use super::sending::{Answer, Refusal, Sending, refusals, to_replace};
use super::transport::Transport;
use super::unfit::{Remedy, replace};
use crate::observe::Metrics;
use everyframe_config::Topics;
use everyframe_kafka::{LogOnce, TransactionError};
use everyframe_telemetry::clock::Clock;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After a batch that was not taken.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// After a fatal error: the next producer has to register with the brokers.
const FATAL_PAUSE: Duration = Duration::from_secs(1);
/// Between two attempts of one call.
const CALL_PAUSE: Duration = Duration::from_millis(20);
/// Without an acknowledgement for this long, the log says so.
const SILENCE: Duration = Duration::from_secs(5);

const WAITING: &str = "results are not acknowledged: waiting for Kafka";

/// What the caller of [`BatchSender::step`] does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Make the next step.
    Now,
    /// Make it after this time.
    After(Duration),
    /// Make it after this time, or when an output was posted; none: when an output was posted.
    WhenPosted { most: Option<Duration>, posted: u64 },
    /// Make no more steps: the host ends.
    Ended,
}

/// A batch under way.
struct Attempt {
    batch: Batch<Outgoing, Completion>,
    /// Send each record alone, to find the one that its topic refuses.
    one_by_one: bool,
    /// When the batch was taken.
    began: Instant,
    /// When this attempt began.
    tried: Instant,
}

/// Why a transaction is aborted.
enum Cause {
    /// Topics refused these records for their size or content.
    Unfit(Vec<Refusal>),
    /// Another attempt may help.
    Failed(String),
}

enum Phase<M> {
    Idle,
    /// The next attempt begins.
    Ready(Attempt),
    /// The transaction is open.
    Begun(Attempt),
    /// The brokers answered all records; `failed` is why the transaction cannot be committed.
    Sent {
        attempt: Attempt,
        failed: Option<String>,
    },
    /// The group's generation is known. Only now ownership is checked: see [`Batch::is_ours`].
    Identified {
        attempt: Attempt,
        failed: Option<String>,
        member: M,
    },
    /// All partitions are ours: the offsets are sent.
    SendingOffsets {
        attempt: Attempt,
        failed: Option<String>,
        member: M,
    },
    Committing(Attempt),
    /// `asked` is true if the commit was requested.
    Aborting {
        attempt: Attempt,
        cause: Cause,
        asked: bool,
    },
    /// The producer cannot be used any more. The next producer aborts or completes the open transaction.
    Reopening(Option<Attempt>),
}

/// Delivers the batches of one host.
pub(crate) struct BatchSender<T: Transport> {
    state: Arc<SenderState>,
    transport: T,
    /// How many bytes of records the producer sends together.
    batch_bytes: usize,
    limits: BatchLimits,
    topics: Topics,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    log_once: LogOnce,
    /// Halves of a batch that was split.
    halves: VecDeque<Batch<Outgoing, Completion>>,
    phase: Phase<T::Member>,
}

impl<T: Transport> BatchSender<T> {
    pub(super) fn new(
        state: Arc<SenderState>,
        transport: T,
        batch_bytes: usize,
        (limits, topics): (BatchLimits, Topics),
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            state,
            transport,
            batch_bytes,
            limits,
            topics,
            metrics,
            clock,
            log_once: LogOnce::default(),
            halves: VecDeque::new(),
            phase: Phase::Idle,
        }
    }

    /// Delivers until the host ends.
    pub fn run(mut self) {
        loop {
            match self.step() {
                NextStep::Now => {}
                NextStep::After(pause) => self.clock.sleep(pause),
                NextStep::WhenPosted { most, posted } => self.state.wait(most, posted),
                NextStep::Ended => return,
            }
        }
    }

    /// Makes one step.
    pub fn step(&mut self) -> NextStep {
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let (phase, next) = match phase {
            Phase::Idle => self.take_batch(),
            Phase::Ready(attempt) => self.begin(attempt),
            Phase::Begun(attempt) => self.send_in_transaction(attempt),
            Phase::Sent { attempt, failed } => match self.transport.member() {
                Some(member) => (Phase::Identified { attempt, failed, member }, NextStep::Now),
                None => self.partitions_moving(attempt),
            },
            Phase::Identified { attempt, failed, member } => match attempt.batch.is_ours() {
                true => (Phase::SendingOffsets { attempt, failed, member }, NextStep::Now),
                false => self.partitions_moving(attempt),
            },
            Phase::SendingOffsets { attempt, failed, member } => self.send_offsets(attempt, failed, member),
            Phase::Committing(attempt) => self.commit(attempt),
            Phase::Aborting { attempt, cause, asked } => self.abort(attempt, cause, asked),
            Phase::Reopening(attempt) => self.reopen(attempt),
        };
        self.phase = phase;
        next
    }

    fn take_batch(&mut self) -> (Phase<T::Member>, NextStep) {
        let now = self.clock.now();
        let batch = match self.halves.pop_front() {
            Some(half) => half,
            None => match self.state.next_batch(&self.limits, now) {
                NextBatch::Due(batch) => batch,
                NextBatch::Wait { most, posted } => {
                    return (Phase::Idle, NextStep::WhenPosted { most, posted });
                }
                NextBatch::Ended => return (Phase::Idle, NextStep::Ended),
            },
        };
        (Phase::Ready(Attempt { batch, one_by_one: false, began: now, tried: now }), NextStep::Now)
    }

    fn begin(&mut self, mut attempt: Attempt) -> (Phase<T::Member>, NextStep) {
        attempt.batch.leave_out_others();
        if self.state.is_ended() {
            self.halves.clear();
            return (Phase::Idle, NextStep::Now);
        }
        if attempt.batch.outputs().is_empty() {
            return (Phase::Idle, NextStep::Now);
        }
        attempt.tried = self.clock.now();
        if !self.transport.is_transactional() {
            return self.send_plainly(attempt);
        }
        match self.transport.begin() {
            Ok(()) => (Phase::Begun(attempt), NextStep::Now),
            Err(TransactionError::Retry(reason)) if self.goes_on(&attempt, &reason) => {
                (Phase::Ready(attempt), NextStep::After(CALL_PAUSE))
            }
            Err(error) => self.fail(attempt, error),
        }
    }

    fn send_in_transaction(&mut self, attempt: Attempt) -> (Phase<T::Member>, NextStep) {
        let answers = self.send(&attempt);
        let unfit = refusals(&answers);
        if !unfit.is_empty() {
            return (Phase::Aborting { attempt, cause: Cause::Unfit(unfit), asked: false }, NextStep::Now);
        }
        let is_safe = answers.iter().all(|answer| matches!(answer, Some(Ok(()))));
        // The offsets are sent even if a record failed: the answer to them tells why, the records' answers only that.
        let failed = (!is_safe).then(|| first_reason(&answers));
        (Phase::Sent { attempt, failed }, NextStep::Now)
    }

    /// Without a transaction: acknowledged records are taken out of the batch, the others are tried again.
    fn send_plainly(&mut self, mut attempt: Attempt) -> (Phase<T::Member>, NextStep) {
        let mut answers = self.send(&attempt).into_iter();
        let mut kept = Vec::new();
        for output in attempt.batch.outputs_mut() {
            output.records.retain(|_| {
                let answer = answers.next().flatten();
                let is_safe = matches!(answer, Some(Ok(())));
                if !is_safe {
                    kept.push(answer);
                }
                !is_safe
            });
        }
        match refusals(&kept) {
            _ if kept.is_empty() => self.complete(attempt),
            refusals if !refusals.is_empty() => self.replace_or_split(attempt, &refusals),
            _ => self.try_again(attempt, &first_reason(&kept)),
        }
    }

    fn send(&self, attempt: &Attempt) -> Vec<Answer> {
        let sending = Sending {
            transport: &self.transport,
            topics: &self.topics,
            one_by_one: attempt.one_by_one,
            is_ended: &|| self.state.is_ended(),
            on_silence: &|silence| {
                if silence > SILENCE {
                    self.log_once.warn_first(WAITING);
                }
            },
        };
        sending.send(attempt.batch.outputs().iter().flat_map(|output| &output.records))
    }

    fn send_offsets(
        &mut self,
        attempt: Attempt,
        failed: Option<String>,
        member: T::Member,
    ) -> (Phase<T::Member>, NextStep) {
        match self.transport.send_offsets(&member, &self.topics.frames, &attempt.batch.offsets()) {
            Ok(()) => match failed {
                None => (Phase::Committing(attempt), NextStep::Now),
                Some(reason) => {
                    (Phase::Aborting { attempt, cause: Cause::Failed(reason), asked: false }, NextStep::Now)
                }
            },
            Err(TransactionError::Retry(reason)) if self.goes_on(&attempt, &reason) => {
                (Phase::SendingOffsets { attempt, failed, member }, NextStep::After(CALL_PAUSE))
            }
            Err(error) => self.fail(attempt, error),
        }
    }

    fn commit(&mut self, attempt: Attempt) -> (Phase<T::Member>, NextStep) {
        match self.transport.commit() {
            Ok(()) => self.complete(attempt),
            Err(TransactionError::Retry(reason)) if self.goes_on(&attempt, &reason) => {
                (Phase::Committing(attempt), NextStep::After(CALL_PAUSE))
            }
            Err(TransactionError::Abort(reason)) => {
                (Phase::Aborting { attempt, cause: Cause::Failed(reason), asked: true }, NextStep::Now)
            }
            Err(TransactionError::Retry(reason) | TransactionError::Fatal(reason)) => {
                self.give_up(attempt, &reason)
            }
        }
    }

    fn abort(&mut self, attempt: Attempt, cause: Cause, asked: bool) -> (Phase<T::Member>, NextStep) {
        match self.transport.abort() {
            Ok(()) => match cause {
                Cause::Unfit(refusals) => self.replace_or_split(attempt, &refusals),
                Cause::Failed(reason) => self.try_again(attempt, &reason),
            },
            Err(TransactionError::Retry(reason)) if self.goes_on(&attempt, &reason) => {
                (Phase::Aborting { attempt, cause, asked }, NextStep::After(CALL_PAUSE))
            }
            Err(
                TransactionError::Retry(error)
                | TransactionError::Abort(error)
                | TransactionError::Fatal(error),
            ) => {
                tracing::debug!("the transaction cannot be aborted: {error}");
                let reason = match cause {
                    Cause::Failed(reason) => reason,
                    Cause::Unfit(_) => error,
                };
                match asked {
                    true => self.give_up(attempt, &reason),
                    false => self.fail(attempt, TransactionError::Fatal(reason)),
                }
            }
        }
    }

    fn reopen(&mut self, attempt: Option<Attempt>) -> (Phase<T::Member>, NextStep) {
        let after = |attempt: Option<Attempt>| attempt.map_or(Phase::Idle, Phase::Ready);
        if self.state.is_ended() {
            return (after(attempt), NextStep::Now);
        }
        match self.transport.reopen() {
            Ok(()) => (after(attempt), NextStep::Now),
            Err(error) => {
                self.log_once.warn(&format!("no transactions yet: {error}; trying again"));
                (Phase::Reopening(attempt), NextStep::After(RETRY_PAUSE))
            }
        }
    }

    fn partitions_moving(&mut self, attempt: Attempt) -> (Phase<T::Member>, NextStep) {
        self.fail(attempt, TransactionError::Abort("the partitions are changing hands".into()))
    }

    /// An error before the commit was requested: nothing of the transaction counts.
    fn fail(&mut self, attempt: Attempt, error: TransactionError) -> (Phase<T::Member>, NextStep) {
        match error {
            TransactionError::Abort(reason) => {
                (Phase::Aborting { attempt, cause: Cause::Failed(reason), asked: false }, NextStep::Now)
            }
            TransactionError::Retry(reason) | TransactionError::Fatal(reason) => {
                self.log_failure(&reason);
                (Phase::Reopening(Some(attempt)), NextStep::After(FATAL_PAUSE))
            }
        }
    }

    fn try_again(&mut self, attempt: Attempt, reason: &str) -> (Phase<T::Member>, NextStep) {
        self.log_failure(reason);
        (Phase::Ready(attempt), NextStep::After(RETRY_PAUSE))
    }

    fn complete(&mut self, attempt: Attempt) -> (Phase<T::Member>, NextStep) {
        self.log_once.recovered("results are taken again");
        let frames = attempt.batch.outputs().len();
        self.metrics.batch_delivered(frames, self.clock.elapsed_since(attempt.began));
        attempt.batch.into_completions().for_each(Completion::call);
        (Phase::Idle, NextStep::Now)
    }

    /// Nobody knows whether the transaction counts. Whoever reads on from the committed offsets finds out.
    fn give_up(&mut self, attempt: Attempt, reason: &str) -> (Phase<T::Member>, NextStep) {
        tracing::warn!("giving up this host's partitions, to join the group again: {reason}");
        self.metrics.batch_given_up();
        attempt.batch.give_up();
        self.state.request_rejoin();
        (Phase::Reopening(None), NextStep::Now)
    }

    fn replace_or_split(
        &mut self,
        mut attempt: Attempt,
        refusals: &[Refusal],
    ) -> (Phase<T::Member>, NextStep) {
        self.metrics.batch_aborted();
        let records = attempt.batch.outputs().iter().flat_map(|output| &output.records);
        let chosen = to_replace(records, refusals, self.batch_bytes, attempt.one_by_one);
        if !chosen.is_empty() {
            let pause = self.replace(&mut attempt.batch, &chosen);
            return (Phase::Ready(attempt), pause);
        }
        match attempt.batch.split() {
            Ok([older, younger]) => {
                self.halves.push_front(younger);
                self.halves.push_front(older);
                (Phase::Idle, NextStep::Now)
            }
            Err(batch) => (Phase::Ready(Attempt { batch, one_by_one: true, ..attempt }), NextStep::Now),
        }
    }

    /// Replaces refused records with smaller ones.
    fn replace(&self, batch: &mut Batch<Outgoing, Completion>, chosen: &[Refusal]) -> NextStep {
        let mut next = NextStep::Now;
        let mut end = batch.outputs().iter().map(|output| output.records.len()).sum::<usize>();
        // Backwards, because a replacement may change the number of records after it.
        for output in batch.outputs_mut().iter_mut().rev() {
            let first = end - output.records.len();
            let of_output = chosen.iter().filter(|refusal| (first..end).contains(&refusal.number));
            let mut of_output: Vec<&Refusal> = of_output.collect();
            of_output.sort_by_key(|refusal| std::cmp::Reverse(refusal.number));
            for refusal in of_output {
                let Some(record) = output.records.get(refusal.number - first) else { continue };
                let what = format!("a record of {} bytes of frame {}", record.size(), output.offset);
                match replace(&mut output.records, refusal.number - first, &refusal.error) {
                    Remedy::Smaller => {
                        tracing::warn!("{what} is cut: {}", refusal.error);
                        continue;
                    }
                    Remedy::LeftOut => {}
                    Remedy::Parked(parked) => {
                        self.metrics.frame_parked(parked.stage.as_str(), &parked.reason);
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
                    Remedy::Nothing => {
                        self.log_failure(&format!("{what}: {}", refusal.error));
                        next = NextStep::After(RETRY_PAUSE);
                    }
                }
                // The records have other numbers now. The others of this output will be refused again.
                break;
            }
            end = first;
        }
        next
    }

    fn log_failure(&self, reason: &str) {
        tracing::debug!("results are not taken: {reason}");
        self.metrics.batch_aborted();
        self.log_once.warn(&format!("results are not taken: {reason}; trying again"));
    }

    /// False if the host ends: then a call that failed is not made again.
    fn goes_on(&self, attempt: &Attempt, reason: &str) -> bool {
        if self.clock.elapsed_since(attempt.tried) > SILENCE {
            self.log_once.warn_first(&format!("{WAITING} ({reason})"));
        }
        !self.state.is_ended()
    }
}

/// The error of the first record that failed.
fn first_reason(answers: &[Answer]) -> String {
    let failed = answers.iter().find_map(|answer| answer.as_ref()?.as_ref().err());
    failed.map_or_else(|| "no answer".into(), ToString::to_string)
}
