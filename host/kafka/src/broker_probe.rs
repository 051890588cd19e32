//! Whether Kafka is there.

use crate::client;
use crate::error::BrokerError;
use crate::reader::Quiet;
use everyframe_config::KafkaSettings;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks for one topic's partitions, the least that every client may ask.
pub struct BrokerProbe {
    consumer: BaseConsumer<Quiet>,
    topic: String,
}

impl BrokerProbe {
    /// Connects in the background.
    pub fn new(settings: &KafkaSettings, topic: &str) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        // Brokers that come back are found soon.
        let consumer = client::consumer(settings, &[("reconnect.backoff.max.ms", "1000")]);
        let consumer = consumer.create_with_context(Quiet).map_err(failed)?;
        Ok(Self { consumer, topic: topic.to_owned() })
    }

    /// True if a broker answers.
    pub fn beats(&self) -> bool {
        self.consumer.fetch_metadata(Some(&self.topic), PATIENCE).is_ok()
    }
}
