//! What can go wrong with Kafka, in terms of what the operator or the caller can do about it.

use crate::secrets::{redacted, without_value};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What went wrong with Kafka. The text says what the operator can do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// No broker answers.
    #[error(
        "no broker answers at {brokers}: {reason}; is it running, and are [kafka] brokers and security.protocol right?"
    )]
    Unreachable {
        /// The bootstrap brokers.
        brokers: String,
        /// librdkafka's message.
        reason: String,
    },
    /// The brokers don't take this user or its password.
    #[error(
        "the brokers at {brokers} refuse this user or its password: {reason}; check sasl.username, sasl.password and sasl.mechanism in [kafka.properties]"
    )]
    Authentication {
        /// The bootstrap brokers.
        brokers: String,
        /// librdkafka's message.
        reason: String,
    },
    /// The brokers' certificates are not to be trusted, or they don't speak TLS.
    #[error(
        "no TLS connection to the brokers at {brokers}: {reason}; check ssl.ca.location in [kafka.properties] (the authority that signed the brokers' certificates), and that [kafka] brokers gives their TLS ports, by the names in the certificates"
    )]
    Tls {
        /// The bootstrap brokers.
        brokers: String,
        /// librdkafka's message.
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
        /// The broker's message.
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
        /// The broker's message.
        reason: String,
    },
    /// A topic takes no records at all: it does not exist, or this user may not write to it.
    #[error("topic `{topic}` takes no records: {reason}; does it exist, and may this user write to it?")]
    Refused {
        /// The topic.
        topic: String,
        /// The broker's message.
        reason: String,
    },
    /// A record was not acknowledged: brokers are away, or busy. Sending it again may help.
    #[error("a record for topic `{topic}` was not acknowledged: {reason}")]
    NotAcknowledged {
        /// The topic.
        topic: String,
        /// librdkafka's message.
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
                Self::Property(format!("{name}: {}", without_value(&reason, &value)))
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
