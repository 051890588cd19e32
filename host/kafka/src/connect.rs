//! The first connection to a cluster: tells apart brokers that do not answer, refuse the user, or cannot be trusted.

use crate::client::CONNECT_TIMEOUT;
use crate::error::BrokerError;
use crate::secrets::redacted;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// After so long without an answer, librdkafka's events are read, and the broker is asked again; each time it has twice as long, because
/// librdkafka drops an answer that comes later. Shorter in unit tests, one of which waits for three attempts.
const FIRST_ATTEMPT: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 1000 });
/// How long to wait for each event: events come one by one, between lines of the log.
const LISTEN: Duration = Duration::from_millis(50);

/// The metadata of a topic, or of all topics. For a consumer that reads nothing yet.
///
/// librdkafka tries a broker that refuses it again and again, like one that does not answer. Only its events tell the
/// difference; a refusal is returned at once.
pub(super) fn metadata<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: Option<&str>,
    brokers: &str,
) -> Result<Metadata, BrokerError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let mut patience = FIRST_ATTEMPT;
    loop {
        let error = match consumer.fetch_metadata(topic, patience) {
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
        patience *= 2;
    }
}

/// Keeps librdkafka's last error message, which says more than its codes do.
#[derive(Default)]
pub(super) struct LastMessage(Mutex<String>);

impl LastMessage {
    /// Puts the message into an error of the connection.
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

impl ClientContext for LastMessage {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{}", redacted(reason));
        // "All brokers down" comes after the reason for each of them.
        let summary = error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::AllBrokersDown);
        if !summary {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = redacted(reason);
        }
    }

    /// Drops the line to the debug log: librdkafka also reports every important line as an error.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka: {facility} {}", redacted(message));
    }
}

impl ConsumerContext for LastMessage {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client;
    use crate::standalone_consumer::StandaloneConsumer;
    use everyframe_config::KafkaSettings;
    use rdkafka::mocking::MockCluster;

    #[test]
    fn a_broker_that_takes_longer_than_the_first_attempt_is_heard() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("people", 1, 1).unwrap();
        cluster.broker_round_trip_time(1, FIRST_ATTEMPT + FIRST_ATTEMPT / 5).unwrap();
        let settings = KafkaSettings { brokers: cluster.bootstrap_servers(), ..KafkaSettings::default() };
        let config = client::consumer(&settings, &[("group.id", "test")]);
        let consumer = StandaloneConsumer::new(&config, LastMessage::default()).unwrap();
        let found = metadata(&consumer, Some("people"), &settings.brokers).unwrap();
        assert_eq!(found.topics()[0].partitions().len(), 1);
    }
}
