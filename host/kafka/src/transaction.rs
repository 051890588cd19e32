//! Transactions: records and offsets become visible together, or not at all (KIP-98, KIP-447).

use super::{BrokerError, Producer};
use everyframe_config::KafkaSettings;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;

/// How long the first answer of the transaction coordinator may take: one that has just been elected loads its log.
const OPENING: Duration = Duration::from_secs(10);

/// How long one attempt to offer the offsets may take. A coordinator that has just died is asked in vain for so long.
const OFFERING: Duration = Duration::from_secs(3);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Why not all records of a transaction were acknowledged.
#[derive(Debug)]
pub enum Unsent {
    /// A topic refused one for its size or content: the transaction is aborted at once.
    Unfit(String),
    /// Anything else: the reason of the first.
    Failed(String),
}

/// Who we are in our group, and in which of its generations. Offsets offered under another one are refused: that is
/// what keeps a host that comes back from the dead from writing.
pub struct Member(pub(crate) ConsumerGroupMetadata);

/// Tells who we are at the moment; none if we are nobody.
pub type Membership = Arc<dyn Fn() -> Option<Member> + Send + Sync>;

/// Why there are no transactions.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// The broker does not know them, or not for us: some say so by refusing the right to them.
    #[error("this broker offers no transactions to this client ({0})")]
    Unsupported(String),
    /// Trying again may help.
    #[error("{0}")]
    NotYet(String),
    /// Nothing helps but another configuration.
    #[error(transparent)]
    Configuration(#[from] BrokerError),
}

/// Why a transaction was not committed.
#[derive(Debug)]
pub enum TransactionError {
    /// Nothing of it counts.
    Aborted(String),
    /// Nothing of it counts, and the producer is of no more use: see [`Transactions::anew`].
    Spent(String),
    /// It is not known whether it counts, and the producer is of no more use.
    Uncertain(String),
}

/// A transactional producer.
pub struct Transactions {
    settings: KafkaSettings,
    id: String,
    /// How many bytes of records are sent together.
    batch: usize,
    producer: Producer,
}

impl Transactions {
    /// Registers as `id`. What an earlier producer of that id left open is aborted or completed, and the earlier one can
    /// write no more. Records are sent together up to `batch` bytes: see [`Producer::batching`].
    ///
    /// # Errors
    ///
    /// Says whether trying again may help.
    pub fn open(settings: &KafkaSettings, id: &str, batch: usize) -> Result<Self, OpeningError> {
        let producer = Producer::transactional(settings, id, batch)?;
        if let Err(error) = producer.inner.init_transactions(OPENING) {
            // It takes seconds to come to its end, in which nobody need wait.
            std::thread::spawn(move || drop(producer));
            let text = error.to_string();
            return Err(match code(&error) {
                Some(
                    RDKafkaErrorCode::UnsupportedFeature
                    | RDKafkaErrorCode::UnsupportedVersion
                    | RDKafkaErrorCode::TransactionalIdAuthorizationFailed,
                ) => OpeningError::Unsupported(text),
                _ => OpeningError::NotYet(text),
            });
        }
        Ok(Self { settings: settings.clone(), id: id.to_owned(), batch, producer })
    }

    /// Registers again, when the producer is of no more use.
    pub fn anew(&mut self) -> Result<(), OpeningError> {
        *self = Self::open(&self.settings, &self.id, self.batch)?;
        Ok(())
    }

    /// What records are sent with, between the beginning and the end of a transaction.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// One transaction: what `send` sends and sees acknowledged, and the offsets of `topic` that `offer` offers. If the
    /// one says why not, or the other offers none, the transaction is aborted. Waits as long as it takes: `go_on` is
    /// asked before each further attempt.
    pub fn transact(
        &self,
        send: impl FnOnce() -> Result<(), Unsent>,
        topic: &str,
        offer: impl FnOnce() -> Option<(Member, Vec<(i32, i64)>)>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), TransactionError> {
        self.fill(send, topic, offer, go_on).map_err(|error| match error {
            // Nobody has asked for its commit.
            TransactionError::Uncertain(reason) => TransactionError::Spent(reason),
            error => error,
        })?;
        self.step(go_on, || self.producer.inner.commit_transaction(Duration::from_secs(1)))
    }

    fn fill(
        &self,
        send: impl FnOnce() -> Result<(), Unsent>,
        topic: &str,
        offer: impl FnOnce() -> Option<(Member, Vec<(i32, i64)>)>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), TransactionError> {
        let producer = &self.producer.inner;
        self.step(go_on, || producer.begin_transaction())?;
        // Acknowledged before anything else: rdkafka's commit waits for acknowledgements in steps of 100 ms. And while the
        // coordinator ends the last transaction, partitions are offered to it again after 20 ms, offsets after 100 ms.
        let failed = match send() {
            Ok(()) => None,
            Err(Unsent::Failed(reason)) => Some(reason),
            Err(Unsent::Unfit(reason)) => return Err(self.abort(reason, go_on)),
        };
        let Some((member, offsets)) = offer() else {
            return Err(self.abort("the partitions are changing hands".into(), go_on));
        };
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            if let Err(error) = list.add_partition_offset(topic, partition, Offset::Offset(offset)) {
                return Err(self.abort(error.to_string(), go_on));
            }
        }
        // Of a transaction that went wrong before, this tells why; the records were told only that it did.
        self.step(go_on, || producer.send_offsets_to_transaction(&list, &member.0, OFFERING))?;
        failed.map_or(Ok(()), |reason| Err(self.abort(reason, go_on)))
    }

    /// Does it again for as long as that may help.
    fn step(
        &self,
        go_on: &dyn Fn() -> bool,
        attempt: impl Fn() -> Result<(), KafkaError>,
    ) -> Result<(), TransactionError> {
        loop {
            match attempt() {
                Ok(()) => return Ok(()),
                Err(error) if is_retriable(&error) && go_on() => std::thread::sleep(PAUSE),
                Err(error) if is_fatal(&error) => return Err(TransactionError::Uncertain(error.to_string())),
                Err(error) => return Err(self.abort(error.to_string(), go_on)),
            }
        }
    }

    fn abort(&self, reason: String, go_on: &dyn Fn() -> bool) -> TransactionError {
        loop {
            match self.producer.inner.abort_transaction(Duration::from_secs(1)) {
                Ok(()) => return TransactionError::Aborted(reason),
                Err(error) if is_retriable(&error) && go_on() => std::thread::sleep(PAUSE),
                Err(error) => {
                    tracing::debug!("the transaction cannot be aborted: {error}");
                    return TransactionError::Uncertain(reason);
                }
            }
        }
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => {
            error.is_retriable() && !error.is_fatal() && !error.txn_requires_abort()
        }
        // Not all records are acknowledged yet.
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

fn is_fatal(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_fatal() || !error.txn_requires_abort(),
        _ => true,
    }
}

fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    }
}
