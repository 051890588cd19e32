//! Publishes events that no frame causes to the alerts topic.

use everyframe_config::{Config, KafkaSettings};
use everyframe_kafka::{BrokerError, Producer, Record};
use everyframe_types::event::CloudEvent;
use serde::Serialize;

const NOT_PUBLISHED: &str = "an event for the alerts topic could not be published";

/// Publishes events with a producer of its own, outside the batches of frames. While Kafka is away they wait in the
/// producer.
pub struct Announcer {
    kafka: KafkaSettings,
    topic: String,
    /// Made when there is something to publish.
    producer: Option<Producer>,
}

impl Announcer {
    /// For the alerts topic of a configuration.
    pub fn new(config: &Config) -> Self {
        Self { kafka: config.kafka.clone(), topic: config.topics.alerts.clone(), producer: None }
    }

    /// Publishes an event; what cannot be published is logged.
    pub fn publish<T: Serialize>(&mut self, key: &str, event: &CloudEvent<T>) {
        if let Err(error) = self.send(key, event) {
            tracing::error!("{NOT_PUBLISHED}: {error}");
        }
    }

    fn send<T: Serialize>(&mut self, key: &str, event: &CloudEvent<T>) -> Result<(), BrokerError> {
        let json = serde_json::to_vec(event).map_err(|error| BrokerError::Other(error.to_string()))?;
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => Producer::new(&self.kafka)?,
        };
        let (topic, key) = (&self.topic, Some(key.as_bytes()));
        let record = Record { topic, key, value: Some(&json), ..Record::default() };
        let told = |result: Result<(), BrokerError>| {
            if let Err(error) = result {
                tracing::error!("{NOT_PUBLISHED}: {error}");
            }
        };
        let queued = producer.try_send(record, Box::new(told));
        self.producer = Some(producer);
        queued.map_err(|_| BrokerError::Other("too much waits for Kafka".into()))
    }
}
