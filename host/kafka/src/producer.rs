//! Sends records, and reports for each whether the brokers have it.

use crate::client::{self, MAX_RECORD_BYTES};
use crate::error::BrokerError;
use crate::secrets::redacted;
use everyframe_config::KafkaSettings;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Is called when a record is acknowledged by all in-sync replicas, or refused for good.
pub type Delivery = Box<dyn FnOnce(Result<(), BrokerError>) + Send + Sync>;

/// Is called with the partition and the offset of a record, or with why it is not stored.
type LocatedDelivery = Box<dyn FnOnce(Result<(i32, i64), BrokerError>) + Send + Sync>;

/// What is called when a record is acknowledged or refused.
pub(super) enum Callback {
    /// It is told whether the record is stored.
    Told(Delivery),
    /// It is told also where: partition and offset.
    Located(LocatedDelivery),
}

impl Callback {
    fn call(self, stored: Result<(i32, i64), BrokerError>) {
        match self {
            Self::Told(delivery) => delivery(stored.map(drop)),
            Self::Located(delivery) => delivery(stored),
        }
    }
}

/// One record to send.
#[derive(Debug, Default, Clone, Copy)]
pub struct Record<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; none: the key chooses it.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// An idempotent producer: acknowledged by all in-sync replicas, in order, each once for each session.
/// While the brokers are away it keeps trying.
pub struct Producer {
    pub(super) inner: Arc<BaseProducer<Deliveries>>,
    brokers: String,
    stop: Arc<AtomicBool>,
    trouble: Trouble,
}

/// librdkafka's last error message about the connection.
type Trouble = Arc<Mutex<Option<String>>>;

/// The largest batch where the topics' limits are known, bytes: librdkafka's default. A larger record is sent alone.
pub const BATCH_BYTES: usize = 1_000_000;
/// The largest batch where the limits are not known, bytes. A topic refuses a batch as a whole, even if each record fits.
const SMALL_BATCH_BYTES: usize = 64 << 10;

/// Between two attempts to queue a record while the local queue is full.
const QUEUE_FULL: Duration = Duration::from_millis(5);

/// How long one poll for acknowledgements waits. rdkafka spins through the last millisecond of each wait, which its own
/// threaded producer, with waits of 100 ms, pays with a per cent of a core.
const POLL: Duration = Duration::from_millis(500);

impl Producer {
    /// Creates the client, which connects in the background. It sends records larger than its small batches, such as frames,
    /// one by one.
    ///
    /// # Errors
    ///
    /// A property that librdkafka does not accept, or no thread.
    pub fn new(settings: &KafkaSettings) -> Result<Self, BrokerError> {
        Self::batching(settings, SMALL_BATCH_BYTES)
    }

    /// As [`Producer::new`], with batches of up to `batch` bytes. Give at most the smallest limit of the topics, because a topic refuses a
    /// batch as a whole.
    ///
    /// # Errors
    ///
    /// A property that librdkafka does not accept, or no thread.
    pub fn batching(settings: &KafkaSettings, batch: usize) -> Result<Self, BrokerError> {
        // Wait out an outage: a record fails only when the broker refuses it.
        Self::with(settings, batch, &WITHOUT_TRANSACTIONS)
    }

    /// A producer for transactions. They have a short timeout: until then, nobody reads on in the partitions of a host that
    /// was killed during one.
    pub(super) fn transactional(
        settings: &KafkaSettings,
        id: &str,
        batch: usize,
    ) -> Result<Self, BrokerError> {
        Self::with(settings, batch, &transactional_defaults(id))
    }

    fn with(settings: &KafkaSettings, batch: usize, more: &[(&str, &str)]) -> Result<Self, BrokerError> {
        let trouble = Trouble::default();
        let config = config(settings, batch, more);
        let stop = Arc::new(AtomicBool::new(false));
        let inner: BaseProducer<Deliveries> = config
            .create_with_context(Deliveries { trouble: trouble.clone() })
            .map_err(|error| BrokerError::from_rdkafka(error, &settings.brokers))?;
        let inner = Arc::new(inner);
        let polling = std::thread::Builder::new().name("acknowledgements".into()).spawn({
            let (inner, stop) = (inner.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    inner.poll(POLL);
                }
            }
        });
        polling.map_err(|error| BrokerError::Other(format!("cannot start a thread: {error}")))?;
        Ok(Self { inner, brokers: settings.brokers.clone(), stop, trouble })
    }

    /// The last error of a connection to the brokers; none if there never was one.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Queues a record. Waits while the local queue is full: that is the producer's back-pressure. `delivery` is called
    /// exactly once.
    pub fn send(&self, record: Record<'_>, mut delivery: Delivery) {
        while let Err(back) = self.try_send(record, delivery) {
            delivery = back;
            std::thread::sleep(QUEUE_FULL);
        }
    }

    /// Queues a record.
    ///
    /// # Errors
    ///
    /// The local queue is full: `delivery` comes back uncalled. Try again later.
    pub fn try_send(&self, record: Record<'_>, delivery: Delivery) -> Result<(), Delivery> {
        match self.queue(record, Callback::Told(delivery)) {
            Err(Callback::Told(delivery)) => Err(delivery),
            _ => Ok(()),
        }
    }

    fn queue(&self, record: Record<'_>, callback: Callback) -> Result<(), Callback> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in record.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let mut next: BaseRecord<'_, [u8], [u8], Box<Callback>> =
            BaseRecord::with_opaque_to(record.topic, Box::new(callback)).headers(headers);
        next.partition = record.partition;
        next.key = record.key;
        next.payload = record.value;
        match self.inner.send(next) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                return Err(*back.delivery_opaque);
            }
            Err((error, back)) => back.delivery_opaque.call(Err(refused(&error, record.topic))),
        }
        Ok(())
    }

    /// Waits until every queued record is acknowledged or refused.
    ///
    /// # Errors
    ///
    /// Not all were within `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(), BrokerError> {
        self.inner.flush(timeout).map_err(|error| BrokerError::from_rdkafka(error, &self.brokers))
    }

    /// Sends one record and waits for its acknowledgement, at most `timeout`.
    ///
    /// # Errors
    ///
    /// The record was refused, or not acknowledged in time: it may still be delivered.
    pub fn send_and_wait(&self, record: Record<'_>, timeout: Duration) -> Result<(), BrokerError> {
        self.send_and_locate(record, timeout).map(drop)
    }

    /// As [`Producer::send_and_wait`]. Returns the record's partition and offset.
    ///
    /// # Errors
    ///
    /// As [`Producer::send_and_wait`].
    pub fn send_and_locate(&self, record: Record<'_>, timeout: Duration) -> Result<(i32, i64), BrokerError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let mut callback = Callback::Located(Box::new(move |stored| drop(sender.send(stored))));
        while let Err(back) = self.queue(record, callback) {
            callback = back;
            std::thread::sleep(QUEUE_FULL);
        }
        receiver.recv_timeout(timeout).unwrap_or_else(|_| {
            Err(BrokerError::Unreachable {
                brokers: self.brokers.clone(),
                reason: format!("no acknowledgement within {} s", timeout.as_secs()),
            })
        })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The defaults of a producer for transactions. The operator's properties override them.
pub(super) fn transactional_defaults(id: &str) -> [(&str, &str); 5] {
    [
        ("transactional.id", id),
        ("transaction.timeout.ms", "15000"),
        // Early enough to abort the transaction before the brokers do, which would fence the producer.
        ("message.timeout.ms", "10000"),
        // A deleted topic is reported before that.
        ("topic.metadata.propagation.max.ms", "5000"),
        // When a group's coordinator dies, librdkafka 2.12 may wait for a change of any connection's state before it
        // looks for the next one, past every timeout (its issues 5511 and 5456). An idle one that closes is a change.
        ("connections.max.idle.ms", "10000"),
    ]
}

/// The configuration of a producer without transactions.
const WITHOUT_TRANSACTIONS: [(&str, &str); 2] = [
    ("message.timeout.ms", "0"),
    // One request at a time. A partition that has no record of a producer takes its batches from any sequence number on. So
    // if the first batch comes before the leader of a new topic is ready, and the second one just after, the broker keeps the
    // second, and acknowledges the first as a duplicate when it is sent again: its records would be lost. With transactions the
    // broker checks the first sequence number.
    ("max.in.flight.requests.per.connection", "1"),
];

/// The configuration of every producer.
pub(super) fn config(settings: &KafkaSettings, batch: usize, more: &[(&str, &str)]) -> ClientConfig {
    let (max, batch) = (MAX_RECORD_BYTES.to_string(), batch.to_string());
    let mut defaults = vec![
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("linger.ms", "5"),
        ("message.max.bytes", max.as_str()),
        ("batch.size", batch.as_str()),
        ("queue.buffering.max.kbytes", "65536"),
    ];
    defaults.extend_from_slice(more);
    client::producer(settings, &defaults)
}

/// Why a record was not acknowledged: because of the record, because of its topic, or because of an outage.
fn refused(error: &KafkaError, topic: &str) -> BrokerError {
    use RDKafkaErrorCode as Code;
    let (topic, reason) = (topic.to_owned(), error.to_string());
    match error.rdkafka_error_code() {
        Some(
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            // It was in the same batch as a refused record.
            | Code::InvalidDifferentRecord
            | Code::PolicyViolation,
        ) => BrokerError::Unfit { topic, reason },
        Some(
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic,
        ) => BrokerError::Refused { topic, reason },
        _ => BrokerError::NotAcknowledged { topic, reason },
    }
}

pub(super) struct Deliveries {
    trouble: Trouble,
}

/// Errors come back with the records and the transactions; librdkafka repeats them here at every attempt.
impl ClientContext for Deliveries {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("producer: {facility}: {}", redacted(message));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "producer: {}", redacted(reason));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(redacted(reason));
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Callback>;

    fn delivery(&self, result: &DeliveryResult<'_>, callback: Self::DeliveryOpaque) {
        callback.call(match result {
            Ok(record) => Ok((record.partition(), record.offset())),
            Err((error, record)) => Err(refused(error, record.topic())),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: RDKafkaErrorCode) -> &'static str {
        match refused(&KafkaError::MessageProduction(code), "results") {
            BrokerError::Unfit { .. } => "record",
            BrokerError::Refused { .. } => "topic",
            BrokerError::NotAcknowledged { .. } => "outage",
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_refusal_is_for_the_record_its_topic_or_an_outage() {
        use RDKafkaErrorCode as Code;
        for code in [
            Code::MessageSizeTooLarge,
            Code::MessageBatchTooLarge,
            Code::InvalidRecord,
            Code::InvalidDifferentRecord,
            Code::PolicyViolation,
        ] {
            assert_eq!(kind(code), "record", "{code:?}");
        }
        for code in [Code::TopicAuthorizationFailed, Code::UnknownTopic, Code::UnknownTopicOrPartition] {
            assert_eq!(kind(code), "topic", "{code:?}");
        }
        for code in [Code::MessageTimedOut, Code::PurgeQueue, Code::NotEnoughReplicas, Code::QueueFull] {
            assert_eq!(kind(code), "outage", "{code:?}");
        }
    }

    #[test]
    fn a_record_too_large_for_the_client_is_unfit() {
        let settings: KafkaSettings =
            toml::from_str("[producer]\n\"message.max.bytes\" = 2000\n\"batch.size\" = 1000\n").unwrap();
        let producer = Producer::new(&settings).unwrap();
        let value = vec![0; 5000];
        let record = Record { topic: "results", value: Some(&value), ..Record::default() };
        let sent = producer.send_and_wait(record, Duration::from_secs(5));
        assert!(matches!(sent, Err(BrokerError::Unfit { .. })), "{sent:?}");
    }
}
