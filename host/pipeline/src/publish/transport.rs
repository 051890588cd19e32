//! The seam between the batch sender and Kafka: one call is one request. Tests put an in-memory broker behind it.

use everyframe_kafka::{
    Delivery, Member, Membership, OpeningError, Producer, Record, TransactionError, Transactions,
};
use std::sync::{Arc, Mutex, PoisonError};

/// Sends records and, with transactions, the offsets together with them. Without transactions the sender calls only
/// [`Transport::send`].
pub(crate) trait Transport: Send {
    /// A membership of the consumer group in one generation.
    type Member: Send;

    /// True if records and offsets become visible together.
    fn is_transactional(&self) -> bool;
    /// Queues a record; `delivery` gets the broker's answer.
    fn send(&self, record: Record<'_>, delivery: Delivery);
    /// Begins a transaction.
    fn begin(&self) -> Result<(), TransactionError>;
    /// This host's membership of its group at this moment; none if it has none.
    fn member(&self) -> Option<Self::Member>;
    /// Adds the group's offsets of `topic` to the transaction.
    fn send_offsets(
        &self,
        member: &Self::Member,
        topic: &str,
        offsets: &[(i32, i64)],
    ) -> Result<(), TransactionError>;
    /// Commits the transaction.
    fn commit(&self) -> Result<(), TransactionError>;
    /// Aborts the transaction.
    fn abort(&self) -> Result<(), TransactionError>;
    /// Registers again, after [`TransactionError::Fatal`].
    fn reopen(&mut self) -> Result<(), OpeningError>;
}

/// The membership of the group that the consumer joined last.
pub(super) type CurrentMembership = Arc<Mutex<Option<Membership>>>;

/// How the producer delivers.
pub(super) enum KafkaProducer {
    /// Each batch in a transaction with its offsets.
    Transactions(Transactions),
    /// Record by record; intake commits the offsets when all are acknowledged.
    Plain(Producer),
}

/// The transport to Kafka.
pub(super) struct KafkaTransport {
    pub producer: KafkaProducer,
    pub membership: CurrentMembership,
}

impl KafkaTransport {
    fn transactions(&self) -> Result<&Transactions, TransactionError> {
        match &self.producer {
            KafkaProducer::Transactions(transactions) => Ok(transactions),
            KafkaProducer::Plain(_) => Err(TransactionError::Fatal("not a transactional producer".into())),
        }
    }
}

impl Transport for KafkaTransport {
    type Member = Member;

    fn is_transactional(&self) -> bool {
        matches!(self.producer, KafkaProducer::Transactions(_))
    }

    fn send(&self, record: Record<'_>, delivery: Delivery) {
        match &self.producer {
            KafkaProducer::Transactions(transactions) => transactions.producer().send(record, delivery),
            KafkaProducer::Plain(producer) => producer.send(record, delivery),
        }
    }

    fn begin(&self) -> Result<(), TransactionError> {
        self.transactions()?.begin()
    }

    fn member(&self) -> Option<Member> {
        let membership = self.membership.lock().unwrap_or_else(PoisonError::into_inner);
        membership.as_ref().and_then(|membership| membership())
    }

    fn send_offsets(
        &self,
        member: &Member,
        topic: &str,
        offsets: &[(i32, i64)],
    ) -> Result<(), TransactionError> {
        self.transactions()?.send_offsets(member, topic, offsets)
    }

    fn commit(&self) -> Result<(), TransactionError> {
        self.transactions()?.commit()
    }

    fn abort(&self) -> Result<(), TransactionError> {
        self.transactions()?.abort()
    }

    fn reopen(&mut self) -> Result<(), OpeningError> {
        match &mut self.producer {
            KafkaProducer::Transactions(transactions) => transactions.reopen(),
            KafkaProducer::Plain(_) => Ok(()),
        }
    }
}
