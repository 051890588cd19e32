//! Checks whether Kafka answers.

use crate::client;
use crate::error::BrokerError;
use crate::reader::Quiet;
use crate::standalone_consumer::StandaloneConsumer;
use everyframe_config::KafkaSettings;
use rdkafka::consumer::Consumer as _;
use std::time::Duration;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks for one topic's partitions: every client may do that.
pub struct BrokerProbe {
    consumer: StandaloneConsumer<Quiet>,
    topic: String,
}

impl BrokerProbe {
    /// Connects in the background.
    ///
    /// # Errors
    ///
    /// A property that librdkafka does not accept: the operator must change it.
    pub fn new(settings: &KafkaSettings, topic: &str) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        // Find brokers that come back soon.
        let config = client::consumer(settings, &[("reconnect.backoff.max.ms", "1000")]);
        let consumer = StandaloneConsumer::new(&config, Quiet).map_err(failed)?;
        Ok(Self { consumer, topic: topic.to_owned() })
    }

    /// True if a broker answers.
    pub fn is_answered(&self) -> bool {
        self.consumer.fetch_metadata(Some(&self.topic), ANSWER_TIMEOUT).is_ok()
    }
}
