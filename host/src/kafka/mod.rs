//! Kafka, as the rest of the host wants it: the only folder, beside `intake`, that names `rdkafka`.

mod producer;
mod reader;
mod topics;

pub use producer::{Delivery, Producer, Record};
pub use reader::{Reader, Received, committed};
pub use topics::ensure;
pub(crate) use topics::partitions;

use crate::config::KafkaSettings;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::BTreeMap;

/// The largest record that we send or fetch, bytes. Above any sensible JPEG, below what one slip could do to memory.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// What can go wrong with Kafka, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// No broker answers.
    #[error("no broker answers at {brokers}: {reason}; is it running, and is [kafka] brokers right?")]
    Unreachable {
        /// The bootstrap brokers.
        brokers: String,
        /// librdkafka's words.
        reason: String,
    },
    /// A topic is not there.
    #[error("topic `{0}` does not exist; create it, or give it another name in [topics]")]
    NoTopic(String),
    /// A topic could not be created.
    #[error("cannot create topic `{topic}`: {reason}")]
    NotCreated {
        /// Its name.
        topic: String,
        /// The broker's words.
        reason: String,
    },
    /// A property that librdkafka does not know or accept.
    #[error("[kafka] properties: {0}")]
    Property(String),
    /// A record was refused for good.
    #[error("the broker refused a record for topic `{topic}`: {reason}")]
    Refused {
        /// The topic.
        topic: String,
        /// The broker's words.
        reason: String,
    },
    /// A record was refused for what it is, mostly its size: sending it again would not help, others may pass.
    #[error(
        "a record does not fit into topic `{topic}`: {reason}; the topic's max.message.bytes sets the limit"
    )]
    Unfit {
        /// The topic.
        topic: String,
        /// The broker's words.
        reason: String,
    },
    /// Anything else; trying again may help.
    #[error("kafka: {0}")]
    Other(String),
}

impl BrokerError {
    pub(crate) fn from_rdkafka(error: KafkaError, brokers: &str) -> Self {
        let code = match &error {
            // rdkafka does not tell the code of these.
            KafkaError::AdminOp(code) => Some(*code),
            error => error.rdkafka_error_code(),
        };
        match (error, code) {
            (KafkaError::ClientConfig(_, reason, name, _), _) => Self::Property(format!("{name}: {reason}")),
            (KafkaError::ClientCreation(reason), _) => Self::Property(reason),
            (
                error,
                Some(
                    RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::Resolve,
                ),
            ) => Self::Unreachable { brokers: brokers.to_owned(), reason: error.to_string() },
            (error, _) => Self::Other(error.to_string()),
        }
    }
}

/// The base of every client: where the brokers are, our defaults, and the operator's own properties, which win.
fn client(
    settings: &KafkaSettings,
    defaults: &[(&str, &str)],
    own: &BTreeMap<String, String>,
) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers);
    config.set("client.id", "everyframe");
    for (name, value) in defaults {
        config.set(*name, *value);
    }
    for (name, value) in settings.properties.iter().chain(own) {
        config.set(name, value);
    }
    config
}

/// What every producer needs.
fn producer(settings: &KafkaSettings, defaults: &[(&str, &str)]) -> ClientConfig {
    client(settings, defaults, &settings.producer)
}

/// What every consumer needs, whichever way it reads.
pub(crate) fn consumer(settings: &KafkaSettings, defaults: &[(&str, &str)]) -> ClientConfig {
    let fetch = MAX_RECORD_BYTES.to_string();
    let receive = (4 * MAX_RECORD_BYTES).to_string();
    let mut all = vec![
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("isolation.level", "read_committed"),
        ("fetch.message.max.bytes", fetch.as_str()),
        ("receive.message.max.bytes", receive.as_str()),
        // Without a cap librdkafka queues 64 MB for each partition.
        ("queued.max.messages.kbytes", "16384"),
        ("fetch.queue.backoff.ms", "50"),
    ];
    all.extend_from_slice(defaults);
    client(settings, &all, &settings.consumer)
}
