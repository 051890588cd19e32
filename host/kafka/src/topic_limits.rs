//! Reads the largest record of each topic at the start: Kafka's default is 1 MB, and a frame may have 16 MiB.

use crate::client::{self, HEADER_ROOM, MAX_FRAME_BYTES, TIMEOUT};
use crate::error::BrokerError;
use crate::producer::BATCH_BYTES;
use everyframe_config::{Config, KafkaSettings};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use std::collections::BTreeMap;

/// The smallest usable limit, bytes: a dead letter without its picture still fits.
const LEAST_BYTES: usize = 16 << 10;

/// The limit below which results and alerts of crowded frames may not fit, bytes.
const EVENT_BYTES: usize = 256 << 10;

/// `max.message.bytes` by topic, where it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicLimits(BTreeMap<String, usize>);

impl TopicLimits {
    /// Asks the brokers. This needs the right to describe the topics' configuration; without it the limits are unknown, which
    /// is not an error. Do not call it from asynchronous code.
    pub fn ask(config: &Config) -> Self {
        Self::describe(config).unwrap_or_else(|error| {
            tracing::debug!("the topics' limits are not known: {error}");
            Self::default()
        })
    }

    fn describe(config: &Config) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &config.kafka.brokers);
        let admin: AdminClient<DefaultClientContext> =
            client::producer(&config.kafka, &[]).create().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| BrokerError::Other(format!("cannot start a runtime: {error}")))?;
        let topics = &config.topics;
        let names = [&topics.frames, &topics.results, &topics.alerts, &topics.dead_letters, &topics.state];
        let asked = names.map(|name| ResourceSpecifier::Topic(name));
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let answers = runtime.block_on(admin.describe_configs(&asked, &options)).map_err(failed)?;
        let limits = names.iter().zip(answers).filter_map(|(name, answer)| {
            let answer = answer.ok()?;
            let limit = answer.entries.iter().find(|entry| entry.name == "max.message.bytes")?;
            Some((name.to_string(), limit.value.as_ref()?.parse().ok()?))
        });
        Ok(Self(limits.collect()))
    }

    /// Warnings for the operator: which topic's limit is too small, and how to change it.
    ///
    /// # Errors
    ///
    /// Not even a dead letter without its bytes would fit into a topic: its limit must be raised before the host starts.
    pub fn check(&self, config: &Config) -> Result<Vec<String>, BrokerError> {
        let topics = &config.topics;
        let frame = self.0.get(&topics.frames).copied().unwrap_or(MAX_FRAME_BYTES);
        let kept = config.rules.iter().map(|rule| rule.limits.state_bytes).max().unwrap_or(0);
        let (kept, letter) = (kept.min(MAX_FRAME_BYTES), frame.saturating_add(HEADER_ROOM));
        let needs = [
            (
                &topics.results,
                EVENT_BYTES,
                "results of crowded frames may not fit, and their frames are then parked",
            ),
            (&topics.alerts, EVENT_BYTES, "long alerts are cut"),
            (&topics.state, kept, "if a rule keeps a larger value, its frame is parked"),
            (
                &topics.dead_letters,
                letter,
                "if a larger frame cannot be processed, only its beginning is kept",
            ),
        ];
        let mut warnings = Vec::new();
        for (topic, wanted, otherwise) in needs {
            let Some(limit) = self.0.get(topic).copied().filter(|limit| *limit < wanted) else { continue };
            if limit < LEAST_BYTES {
                return Err(BrokerError::TooSmall { topic: topic.clone(), limit, wanted });
            }
            warnings.push(format!(
                "topic `{topic}` takes records of at most {limit} bytes: {otherwise}; set its max.message.bytes to {wanted} \
                 (kafka-configs --alter --topic {topic} --add-config max.message.bytes={wanted})"
            ));
        }
        Ok(warnings)
    }

    /// The largest batch, bytes: the smallest limit of the topics, unless the operator set `batch.size`.
    pub fn batch_bytes(&self, settings: &KafkaSettings) -> usize {
        let given = settings.producer.get("batch.size").or(settings.properties.get("batch.size"));
        let given = given.and_then(|given| given.text().trim().parse().ok());
        let least = self.0.values().copied().min().unwrap_or(BATCH_BYTES);
        given.unwrap_or_else(|| least.clamp(1, BATCH_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(of: &[(&str, usize)]) -> TopicLimits {
        TopicLimits(of.iter().map(|(name, limit)| (format!("everyframe.{name}"), *limit)).collect())
    }

    fn warnings(of: &[(&str, usize)]) -> Vec<String> {
        limits(of).check(&Config::default()).unwrap()
    }

    #[test]
    fn unknown_topics_give_no_warning() {
        assert_eq!(warnings(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_dead_letters_topic_smaller_than_a_frame_is_named() {
        let told = warnings(&[("dead-letters", 1_000_000), ("results", 1_000_000)]);
        assert_eq!(told.len(), 1, "{told:?}");
        let wanted = MAX_FRAME_BYTES + HEADER_ROOM;
        assert!(told[0].contains("`everyframe.dead-letters` takes records of at most 1000000"), "{told:?}");
        assert!(told[0].contains(&format!("max.message.bytes={wanted}")), "{told:?}");
        assert_eq!(warnings(&[("dead-letters", wanted)]), Vec::<String>::new());
        assert_eq!(warnings(&[("alerts", 100_000)]).len(), 1);
    }

    #[test]
    fn a_dead_letter_must_fit_if_its_frame_fits() {
        let mut limits = limits(&[("dead-letters", 3_000_000)]);
        limits.0.insert("frames".into(), 2_000_000);
        assert_eq!(limits.check(&Config::default()).unwrap(), Vec::<String>::new());
        limits.0.insert("frames".into(), usize::MAX);
        assert_eq!(limits.check(&Config::default()).unwrap().len(), 1);
    }

    #[test]
    fn a_topic_that_is_too_small_is_refused() {
        let refused = limits(&[("results", 1000)]).check(&Config::default()).unwrap_err().to_string();
        assert!(refused.contains("`everyframe.results`") && refused.contains("--add-config"), "{refused}");
    }

    #[test]
    fn a_batch_fits_into_the_smallest_topic() {
        let settings = KafkaSettings::default();
        assert_eq!(limits(&[]).batch_bytes(&settings), BATCH_BYTES);
        assert_eq!(limits(&[("results", 100_000), ("state", 5_000_000)]).batch_bytes(&settings), 100_000);
        let given = toml::from_str("[producer]\n\"batch.size\" = 5000\n").unwrap();
        assert_eq!(limits(&[("results", 100_000)]).batch_bytes(&given), 5000);
    }
}
