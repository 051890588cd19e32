//! Sends records, and tells for each whether it is safe.

use super::{BrokerError, MAX_RECORD_BYTES, producer};
use crate::config::KafkaSettings;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Message};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is called when a record is safe (all in-sync replicas have it), or refused for good.
pub type Delivery = Box<dyn FnOnce(Result<(), BrokerError>) + Send + Sync>;

/// One record to send.
#[derive(Debug, Default, Clone, Copy)]
pub struct Record<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The key; it also chooses the partition.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// An idempotent producer: acknowledged by all in-sync replicas, in order, each once for each session.
/// While the broker is away it keeps trying for ever; what is not acknowledged is not done.
pub struct Producer {
    inner: Arc<BaseProducer<Deliveries>>,
    brokers: String,
    stop: Arc<AtomicBool>,
    trouble: Option<Trouble>,
}

/// The last thing that went wrong with the connection, in librdkafka's words.
type Trouble = Arc<Mutex<Option<String>>>;

/// How long one poll for acknowledgements waits. rdkafka spins through the last millisecond of each wait, which its own
/// threaded producer, with waits of 100 ms, pays with a per cent of a core.
const POLL: Duration = Duration::from_millis(500);

impl Producer {
    /// Makes the client; the connection comes up in the background.
    pub fn new(settings: &KafkaSettings) -> Result<Self, BrokerError> {
        Self::create(settings, None)
    }

    /// The same, for whoever tells of outages in words of its own: what librdkafka reports at each attempt to connect is
    /// kept for [`Producer::trouble`] rather than logged.
    pub fn quiet(settings: &KafkaSettings) -> Result<Self, BrokerError> {
        Self::create(settings, Some(Trouble::default()))
    }

    fn create(settings: &KafkaSettings, trouble: Option<Trouble>) -> Result<Self, BrokerError> {
        let max = MAX_RECORD_BYTES.to_string();
        let config = producer(
            settings,
            &[
                ("acks", "all"),
                ("enable.idempotence", "true"),
                ("linger.ms", "5"),
                // An outage is waited out; a record is given up only when the broker refuses it.
                ("message.timeout.ms", "0"),
                ("message.max.bytes", &max),
                ("queue.buffering.max.kbytes", "65536"),
            ],
        );
        let stop = Arc::new(AtomicBool::new(false));
        let inner: BaseProducer<Deliveries> = config
            .create_with_context(Deliveries { stop: stop.clone(), trouble: trouble.clone() })
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

    /// What last went wrong with the connection of a [`Producer::quiet`] one.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Queues a record. Waits while the local queue is full: that is the producer's back-pressure.
    /// `delivery` is called exactly once, also when this returns an error.
    pub fn send(&self, record: Record<'_>, mut delivery: Delivery) {
        while let Err(back) = self.try_send(record, delivery) {
            delivery = back;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Queues a record, or gives `delivery` back uncalled if the local queue is full.
    pub fn try_send(&self, record: Record<'_>, delivery: Delivery) -> Result<(), Delivery> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in record.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let mut next: BaseRecord<'_, [u8], [u8], Box<Delivery>> =
            BaseRecord::with_opaque_to(record.topic, Box::new(delivery)).headers(headers);
        next.key = record.key;
        next.payload = record.value;
        match self.inner.send(next) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                return Err(*back.delivery_opaque);
            }
            Err((error, back)) => (back.delivery_opaque)(Err(refused(&error, record.topic))),
        }
        Ok(())
    }

    /// Waits until everything queued is acknowledged or refused.
    pub fn flush(&self, timeout: Duration) -> Result<(), BrokerError> {
        self.inner.flush(timeout).map_err(|error| BrokerError::from_rdkafka(error, &self.brokers))
    }

    /// Sends one record and waits for its acknowledgement, at most `timeout`.
    pub fn send_and_wait(&self, record: Record<'_>, timeout: Duration) -> Result<(), BrokerError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.send(record, Box::new(move |result| drop(sender.send(result))));
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

/// Why a record was not taken.
fn refused(error: &KafkaError, topic: &str) -> BrokerError {
    let (topic, reason) = (topic.to_owned(), error.to_string());
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord) => {
            BrokerError::Unfit { topic, reason }
        }
        _ => BrokerError::Refused { topic, reason },
    }
}

struct Deliveries {
    stop: Arc<AtomicBool>,
    trouble: Option<Trouble>,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(trouble) = &self.trouble {
            *trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        } else if !self.stop.load(Ordering::Relaxed) {
            tracing::warn!(%error, "producer: {reason}");
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Self::DeliveryOpaque) {
        delivery(match result {
            Ok(_) => Ok(()),
            Err((error, record)) => Err(refused(error, record.topic())),
        });
    }
}
