//! Kafka, as the rest of the host wants it: the only crate that names `rdkafka`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod broker_probe;
mod configuration;
mod connect;
mod group_consumer;
mod log_once;
mod node;
mod observer;
mod producer;
mod properties;
mod reader;
mod retention;
mod secrets;
mod topic_limits;
mod topics;
mod transaction;

pub use broker_probe::BrokerProbe;
pub use configuration::{read_configuration, read_host_configuration};
pub use group_consumer::{Downstream, Ended, GroupConsumer};
pub use log_once::LogOnce;
pub use node::{Listen, Node, NodeError, NodeOptions, Software, train};
pub use observer::{First, Observer, delete_before};
pub use producer::{Delivery, Producer, Record};
pub use reader::{Reader, Received, committed, read_at, watermarks};
pub use retention::Retention;
pub use secrets::{redacted, remember_secret};
pub use topic_limits::TopicLimits;
pub use topics::ensure;
pub(crate) use topics::partitions;
pub use transaction::{Member, Membership, OpeningError, TransactionError, Transactions, Unsent};

use everyframe_config::{KafkaSettings, Property};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::BTreeMap;
use std::time::Duration;

/// The largest frame, as a record with its headers, bytes: above any sensible JPEG, and small enough for memory.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// How much larger a record may be that holds a frame and headers of ours, bytes: a dead letter has about 4,000.
pub const HEADER_ROOM: usize = 64 << 10;

/// The largest record that we send or fetch, bytes: a frame of [`MAX_FRAME_BYTES`] as a dead letter.
pub const MAX_RECORD_BYTES: usize = MAX_FRAME_BYTES + HEADER_ROOM;

/// How long a broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What can go wrong with Kafka, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// No broker answers.
    #[error(
        "no broker answers at {brokers}: {reason}; is it running, and are [kafka] brokers and security.protocol right?"
    )]
    Unreachable {
        /// The bootstrap brokers.
        brokers: String,
        /// librdkafka's words.
        reason: String,
    },
    /// The brokers don't take this user or its password.
    #[error(
        "the brokers at {brokers} refuse this user or its password: {reason}; check sasl.username, sasl.password and sasl.mechanism in [kafka.properties]"
    )]
    Authentication {
        /// The bootstrap brokers.
        brokers: String,
        /// librdkafka's words.
        reason: String,
    },
    /// The brokers' certificates are not to be trusted, or they don't speak TLS.
    #[error(
        "no TLS connection to the brokers at {brokers}: {reason}; check ssl.ca.location in [kafka.properties] (the authority that signed the brokers' certificates), and that [kafka] brokers gives their TLS ports, by the names in the certificates"
    )]
    Tls {
        /// The bootstrap brokers.
        brokers: String,
        /// librdkafka's words.
        reason: String,
    },
    /// The brokers know the user, who may not do this.
    #[error(
        "not allowed by the brokers at {brokers}: {reason}; give the user (sasl.username in [kafka.properties]) the right to it by an ACL, or be another user"
    )]
    NotAllowed {
        /// The bootstrap brokers.
        brokers: String,
        /// What is not allowed.
        reason: String,
    },
    /// A topic is not there.
    #[error("topic `{0}` does not exist; create it, or give it another name in [topics]")]
    NoTopic(String),
    /// A topic has fewer partitions than it must have.
    #[error(
        "topic `{topic}` has {found} partitions and the frames topic {frames}: it needs as many; add them (kafka-topics --alter --partitions {frames}), or give it another name in [topics]"
    )]
    TooFewPartitions {
        /// Its name.
        topic: String,
        /// Its partitions.
        found: usize,
        /// Those of the frames topic.
        frames: usize,
    },
    /// Another process took this one's place in the group.
    #[error(
        "another host has this one's name in the group ([kafka] instance) and took its place: {0}; give each host a name of its own"
    )]
    Fenced(String),
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
    /// A topic refused a record for its size or content: sending it again would not help, others may pass.
    #[error(
        "a record does not fit into topic `{topic}`: {reason}; the topic's max.message.bytes sets the limit"
    )]
    Unfit {
        /// The topic.
        topic: String,
        /// The broker's words.
        reason: String,
    },
    /// A topic takes no records at all: it does not exist, or this user may not write to it.
    #[error("topic `{topic}` takes no records: {reason}; does it exist, and may this user write to it?")]
    Refused {
        /// The topic.
        topic: String,
        /// The broker's words.
        reason: String,
    },
    /// A record was not acknowledged: brokers are away, or busy. Sending it again may help.
    #[error("a record for topic `{topic}` was not acknowledged: {reason}")]
    NotAcknowledged {
        /// The topic.
        topic: String,
        /// librdkafka's words.
        reason: String,
    },
    /// A topic takes only records that are too small to be of use.
    #[error(
        "topic `{topic}` takes records of at most {limit} bytes, which is too few; set max.message.bytes of the topic to {wanted} (kafka-configs --alter --topic {topic} --add-config max.message.bytes={wanted})"
    )]
    TooSmall {
        /// The topic.
        topic: String,
        /// Its `max.message.bytes`.
        limit: usize,
        /// What it should be.
        wanted: usize,
    },
    /// Anything else; trying again may help.
    #[error("kafka: {0}")]
    Other(String),
}

impl BrokerError {
    /// True if a record was refused for its size.
    pub fn is_too_large(&self) -> bool {
        // librdkafka's names of these codes are part of the reason.
        matches!(self, Self::Unfit { reason, .. } if reason.contains("TooLarge") || reason.contains("too large"))
    }

    pub(crate) fn from_rdkafka(error: KafkaError, brokers: &str) -> Self {
        let code = match &error {
            // rdkafka does not tell the code of these.
            KafkaError::AdminOp(code) => Some(*code),
            error => error.rdkafka_error_code(),
        };
        let brokers = brokers.to_owned();
        match (error, code) {
            (KafkaError::ClientConfig(_, reason, name, value), _) => {
                Self::Property(format!("{name}: {}", secrets::without_value(&reason, &value)))
            }
            (KafkaError::ClientCreation(reason), _) => Self::Property(redacted(&reason)),
            (error, Some(code)) => {
                use RDKafkaErrorCode as Code;
                let reason = error.to_string();
                match code {
                    Code::AllBrokersDown
                    | Code::BrokerTransportFailure
                    // librdkafka lets go of a bootstrap address once it knows the node behind it: asked again, that answers.
                    | Code::DestroyBroker
                    | Code::OperationTimedOut
                    | Code::Resolve => Self::Unreachable { brokers, reason },
                    Code::Authentication | Code::SaslAuthenticationFailed => {
                        Self::Authentication { brokers, reason }
                    }
                    Code::FencedInstanceId => Self::Fenced(reason),
                    Code::SSL => Self::Tls { brokers, reason },
                    Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
                    | Code::TransactionalIdAuthorizationFailed => Self::NotAllowed { brokers, reason },
                    _ => Self::Other(reason),
                }
            }
            (error, None) => Self::Other(error.to_string()),
        }
    }
}

/// The base of every client: where the brokers are, our defaults, and the operator's own properties, which win.
fn client(
    settings: &KafkaSettings,
    defaults: &[(&str, &str)],
    own: &BTreeMap<String, Property>,
) -> ClientConfig {
    secrets::keep(settings);
    let mut config = ClientConfig::new();
    // Its log repeats, for each attempt and each broker, what comes as an error, too; RUST_LOG=librdkafka=debug shows it.
    if !matches!(config.log_level, RDKafkaLogLevel::Debug) {
        config.set_log_level(RDKafkaLogLevel::Critical);
        // rdkafka sets the level after it has made the client, whose threads may have failed and logged by then.
        config.set("log_level", (RDKafkaLogLevel::Critical as i32).to_string());
    }
    config.set("bootstrap.servers", &settings.brokers);
    config.set("client.id", "everyframe");
    for (name, value) in defaults {
        config.set(*name, *value);
    }
    for (name, value) in settings.properties.iter().chain(own) {
        config.set(name, value.text());
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
