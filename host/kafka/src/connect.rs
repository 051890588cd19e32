//! The first contact with a cluster: where it shows whether brokers are there, and whether they let us in.

use crate::client::TIMEOUT;
use crate::error::BrokerError;
use crate::secrets::redacted;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// After so long without an answer, what librdkafka has to say about its connections is listened to.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How long it is listened to: its events come one by one, between lines of its log.
const LISTEN: Duration = Duration::from_millis(50);

/// What the brokers know of a topic, or of all. For a consumer that reads nothing yet.
///
/// librdkafka tries a broker that refuses it again and again, as one that does not answer, and tells the difference only
/// by events; a refusal is final here.
pub(super) fn metadata<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: Option<&str>,
    brokers: &str,
) -> Result<Metadata, BrokerError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let error = match consumer.fetch_metadata(topic, ATTEMPT) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => BrokerError::from_rdkafka(error, brokers),
        };
        while let Some(event) = consumer.poll(LISTEN) {
            let event = event.map_err(|error| BrokerError::from_rdkafka(error, brokers));
            if let Err(refusal @ (BrokerError::Authentication { .. } | BrokerError::Tls { .. })) = event {
                return Err(refusal);
            }
        }
        if !matches!(error, BrokerError::Unreachable { .. }) || Instant::now() >= deadline {
            return Err(error);
        }
    }
}

/// Keeps librdkafka's last words, which say more than its codes do.
#[derive(Default)]
pub(super) struct LastWords(Mutex<String>);

impl LastWords {
    /// Puts them into an error that comes of them.
    pub(super) fn explain(&self, mut error: BrokerError) -> BrokerError {
        let words = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let BrokerError::Authentication { reason, .. }
        | BrokerError::Tls { reason, .. }
        | BrokerError::Unreachable { reason, .. } = &mut error
            && !words.is_empty()
        {
            reason.clone_from(&words);
        }
        error
    }
}

impl ClientContext for LastWords {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{}", redacted(reason));
        // That all brokers are down comes after why each of them is.
        let summary = error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::AllBrokersDown);
        if !summary {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = redacted(reason);
        }
    }

    /// What matters of it comes as an error, too.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka: {facility} {}", redacted(message));
    }
}

impl ConsumerContext for LastWords {}
