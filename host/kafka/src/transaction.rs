//! Transactions: records and offsets become visible together, or not at all (KIP-98, KIP-447).

use crate::error::BrokerError;
use crate::producer::Producer;
use everyframe_config::KafkaSettings;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;

/// How long the first answer of the transaction coordinator may take: one that has just been elected loads its log.
const OPENING: Duration = Duration::from_secs(10);

/// How long one attempt to send the offsets may take. A coordinator that has just died is asked in vain for so long.
const OFFSETS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one attempt to commit or abort may take.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// A member of the consumer group, in one of the group's generations. Kafka refuses offsets that are sent under another
/// generation: a host that was thought dead can no longer commit.
pub struct Member(pub(crate) ConsumerGroupMetadata);

/// Returns this host's current membership; none if it is in no group.
pub type Membership = Arc<dyn Fn() -> Option<Member> + Send + Sync>;

/// Why a transactional producer was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// The broker has no transactions, or not for this client: some brokers refuse the right to them instead.
    #[error("this broker offers no transactions to this client ({0})")]
    Unsupported(String),
    /// Try again later.
    #[error("{0}")]
    NotYet(String),
    /// The operator must change the configuration.
    #[error(transparent)]
    Configuration(#[from] BrokerError),
}

/// Why a call of a transaction failed, and what the caller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionError {
    /// Make the same call again.
    Retry(String),
    /// Abort the transaction and begin another one.
    Abort(String),
    /// The producer cannot be used any more: [`Transactions::reopen`] it. After a commit nobody knows whether the transaction
    /// counts; before it, the transaction does not count.
    Fatal(String),
}

/// A transactional producer. The caller makes the calls of a transaction one by one and follows [`TransactionError`].
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
    /// Says whether another attempt may help.
    pub fn open(settings: &KafkaSettings, id: &str, batch: usize) -> Result<Self, OpeningError> {
        let producer = Producer::transactional(settings, id, batch)?;
        if let Err(error) = producer.inner.init_transactions(OPENING) {
            // Dropping it takes seconds; do not wait for that.
            std::thread::spawn(move || drop(producer));
            let text = error.to_string();
            return Err(match code_of(&error) {
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

    /// Registers again, after [`TransactionError::Fatal`].
    ///
    /// # Errors
    ///
    /// As [`Transactions::open`].
    pub fn reopen(&mut self) -> Result<(), OpeningError> {
        *self = Self::open(&self.settings, &self.id, self.batch)?;
        Ok(())
    }

    /// The producer that sends the records of a transaction, between its beginning and its end.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] says what to do.
    pub fn begin(&self) -> Result<(), TransactionError> {
        self.producer.inner.begin_transaction().map_err(classify)
    }

    /// Adds the group's offsets of `topic` to the transaction. Wait for the records' acknowledgements before: rdkafka's
    /// commit waits for them in steps of 100 ms. And while the coordinator ends the last transaction, librdkafka asks again
    /// for partitions after 20 ms, for offsets after 100 ms.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] says what to do. Of a transaction whose records failed, this error tells why.
    pub fn send_offsets(
        &self,
        member: &Member,
        topic: &str,
        offsets: &[(i32, i64)],
    ) -> Result<(), TransactionError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            let added = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
            added.map_err(|error| TransactionError::Abort(error.to_string()))?;
        }
        self.producer.inner.send_offsets_to_transaction(&list, &member.0, OFFSETS_TIMEOUT).map_err(classify)
    }

    /// Commits the transaction.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] says what to do.
    pub fn commit(&self) -> Result<(), TransactionError> {
        self.producer.inner.commit_transaction(END_TIMEOUT).map_err(classify)
    }

    /// Aborts the transaction: nothing of it counts.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Retry`], or that the producer cannot be used any more.
    pub fn abort(&self) -> Result<(), TransactionError> {
        self.producer.inner.abort_transaction(END_TIMEOUT).map_err(classify)
    }
}

fn classify(error: KafkaError) -> TransactionError {
    let text = error.to_string();
    match &error {
        KafkaError::Transaction(error) if error.is_fatal() => TransactionError::Fatal(text),
        KafkaError::Transaction(error) if error.txn_requires_abort() => TransactionError::Abort(text),
        KafkaError::Transaction(error) if error.is_retriable() => TransactionError::Retry(text),
        // Not all records are acknowledged yet.
        KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => TransactionError::Retry(text),
        _ => TransactionError::Fatal(text),
    }
}

fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    }
}
