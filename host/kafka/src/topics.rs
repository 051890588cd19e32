//! Creates the topics that are missing.

use crate::class_retention::{configured_hours, enforce_retention};
use crate::client::{self, CONNECT_TIMEOUT, MAX_FRAME_BYTES, MAX_RECORD_BYTES, TIMEOUT};
use crate::connect::{LastMessage, metadata};
use crate::error::BrokerError;
use crate::standalone_consumer::StandaloneConsumer;
use everyframe_config::{Config, KafkaSettings};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one broker may not know a topic that another one has created. After that, the topic does not exist.
const NEWS: Duration = CONNECT_TIMEOUT;
/// How often the broker is asked whether it knows the topic now.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long a topic's records stay.
#[derive(Debug, Clone, Copy)]
enum Kept {
    /// For so many hours, and at most so many bytes for each partition.
    For {
        /// Hours.
        hours: u64,
        /// Bytes for each partition.
        bytes: u64,
    },
    /// The last record of each key, for ever.
    LastOfKey,
    /// The last record of each key, for so many hours.
    LastOfKeyFor {
        /// Hours.
        hours: u64,
    },
    /// The last record of each key, for ever; records before an offset can be deleted at once.
    LastOfKeyDeletable,
}

/// A topic to create.
#[derive(Debug, Clone)]
struct Topic {
    /// Its name.
    name: String,
    /// How many partitions it gets.
    partitions: i32,
    /// How long its records stay.
    kept: Kept,
}

/// The topics of a configuration.
fn topics(config: &Config) -> Vec<Topic> {
    const GIB: u64 = 1 << 30;
    let topic = |name: &String, partitions, kept| Topic { name: name.clone(), partitions, kept };
    let hours = |name: &String, default: u64| {
        let configured = configured_hours(config).into_iter().find(|(_, topic, _)| *topic == name);
        configured.and_then(|(_, _, hours)| hours).unwrap_or(default)
    };
    let kept_for = |name: &String, default, bytes| Kept::For { hours: hours(name, default), bytes };
    let names = &config.topics;
    vec![
        topic(&names.frames, names.partitions, kept_for(&names.frames, 24, 16 * GIB)),
        topic(&names.results, names.partitions, kept_for(&names.results, 7 * 24, 4 * GIB)),
        topic(&names.alerts, 1, kept_for(&names.alerts, 30 * 24, GIB)),
        topic(&names.dead_letters, 1, kept_for(&names.dead_letters, 30 * 24, 16 * GIB)),
        topic(&names.gallery, 1, Kept::LastOfKey),
        topic(&names.keys, 1, Kept::LastOfKeyDeletable),
        topic(&names.acknowledgements, 1, Kept::LastOfKey),
        // One partition: all hosts read the merges of strangers in one order.
        topic(&names.strangers, 1, Kept::LastOfKeyFor { hours: hours(&names.strangers, 8) }),
        topic(&names.notifications, 1, Kept::LastOfKeyFor { hours: 30 * 24 }),
        topic(&names.state, names.partitions, Kept::LastOfKey),
        // One partition: the entries are a chain.
        topic(&names.trail, 1, kept_for(&names.trail, 3 * 365 * 24, GIB)),
    ]
}

/// Creates the topics of a configuration that do not exist, with the cluster's default replication.
///
/// # Errors
///
/// The brokers do not answer or refuse it, or a topic has too few partitions: the operator must act.
pub async fn create_missing_topics(config: &Config) -> Result<(), BrokerError> {
    let settings = &config.kafka;
    let consumer = metadata_consumer(settings)?;
    let there = count_partitions(&consumer, settings)?;
    let (frames, state) = (&config.topics.frames, &config.topics.state);
    let mut topics = topics(config);
    if let Some(count) = there.get(frames).copied() {
        // The rule state of a frames partition goes into the state partition of the same number.
        if let Some(found) = there.get(state).copied().filter(|found| *found < count) {
            return Err(BrokerError::TooFewPartitions { topic: state.clone(), found, frames: count });
        }
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        topics.iter_mut().filter(|topic| topic.name == *state).for_each(|topic| topic.partitions = count);
    }
    enforce_retention(config, |topic| there.contains_key(topic)).await?;
    topics.retain(|topic| !there.contains_key(&topic.name));
    if topics.is_empty() {
        return Ok(());
    }
    create_topics(settings, &topics, frames).await?;
    wait_until_known(&consumer, settings, &topics)
}

/// Waits until the brokers know topics that were just created. A node confirms a new topic before it knows it itself; on a busy
/// machine, many seconds before. Without the right to see one, the wait ends after [`TIMEOUT`]; whoever uses that topic reports it.
fn wait_until_known(
    consumer: &MetadataConsumer,
    settings: &KafkaSettings,
    topics: &[Topic],
) -> Result<(), BrokerError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let known = count_partitions(consumer, settings)?;
        let is_known = |topic: &Topic| known.get(&topic.name).is_some_and(|partitions| *partitions > 0);
        if topics.iter().all(is_known) || Instant::now() >= deadline {
            return Ok(());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

type MetadataConsumer = StandaloneConsumer<LastMessage>;

/// A consumer that only asks for metadata.
fn metadata_consumer(settings: &KafkaSettings) -> Result<MetadataConsumer, BrokerError> {
    let config = client::consumer(settings, &[("group.id", "everyframe-reader")]);
    StandaloneConsumer::new(&config, LastMessage::default())
        .map_err(|error| BrokerError::from_rdkafka(error, &settings.brokers))
}

/// The topics that are there, and how many partitions each has. Only missing topics are created, so that no right to create topics is
/// needed otherwise. All topics are listed, because a broker may create one that is asked for by name.
fn count_partitions(
    consumer: &MetadataConsumer,
    settings: &KafkaSettings,
) -> Result<BTreeMap<String, usize>, BrokerError> {
    let metadata = metadata(consumer, None, &settings.brokers)
        .map_err(|error| consumer.client().context().explain(error))?;
    let topics = metadata.topics().iter();
    Ok(topics.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
}

impl Kept {
    /// The settings of a topic that keeps its records for so long.
    fn topic_settings(self) -> Vec<(&'static str, String)> {
        match self {
            Kept::For { hours, bytes } => {
                vec![
                    ("retention.ms", (hours * 3_600_000).to_string()),
                    ("retention.bytes", bytes.to_string()),
                ]
            }
            // Restoring reads values that newer ones have replaced since the last commit.
            Kept::LastOfKey => vec![
                ("cleanup.policy", "compact".into()),
                ("retention.ms", "-1".into()),
                ("min.compaction.lag.ms", "3600000".into()),
                // What was erased is gone from the disks after a day, however little is written.
                ("max.compaction.lag.ms", "86400000".into()),
            ],
            // An erasure writes all other keys again and deletes what is before them. The write begins a new segment, so that the
            // files of the old ones can be removed.
            Kept::LastOfKeyDeletable => vec![
                ("cleanup.policy", "compact,delete".into()),
                ("retention.ms", "-1".into()),
                ("retention.bytes", "-1".into()),
                ("segment.ms", "1000".into()),
                ("file.delete.delay.ms", "1000".into()),
            ],
            // Records are deleted by segments: at most an hour after their time.
            Kept::LastOfKeyFor { hours } => vec![
                ("cleanup.policy", "compact,delete".into()),
                ("retention.ms", (hours * 3_600_000).to_string()),
                ("segment.ms", "3600000".into()),
            ],
        }
    }
}

/// Creates topics. `frames` is the name of the frames topic.
async fn create_topics(settings: &KafkaSettings, topics: &[Topic], frames: &str) -> Result<(), BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let admin: AdminClient<DefaultClientContext> =
        client::producer(settings, &[]).create().map_err(failed)?;
    // A dead letter is a frame with more headers: what fits as a frame must fit as a dead letter.
    let (frame, record) = (MAX_FRAME_BYTES.to_string(), MAX_RECORD_BYTES.to_string());
    let topic_settings: Vec<_> = topics.iter().map(|topic| topic.kept.topic_settings()).collect();
    let new = topics.iter().zip(&topic_settings).map(|(topic, topic_settings)| {
        let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1));
        for (name, value) in topic_settings {
            new = new.set(name, value);
        }
        new.set("max.message.bytes", if topic.name == frames { &frame } else { &record })
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    for result in admin.create_topics(&new, &options).await.map_err(failed)? {
        match result {
            Ok(topic) => tracing::info!(topic, "topic created"),
            // Another process has created it meanwhile.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((
                topic,
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
            )) => {
                return Err(not_allowed(
                    &format!("creating topic `{topic}`, which is not there or not to be seen"),
                    &settings.brokers,
                ));
            }
            Err((topic, code)) => return Err(BrokerError::NotCreated { topic, reason: code.to_string() }),
        }
    }
    Ok(())
}

/// The numbers of a topic's partitions. For a consumer that reads nothing yet.
pub(crate) fn partitions<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    brokers: &str,
) -> Result<Vec<i32>, BrokerError> {
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let deadline = Instant::now() + NEWS;
    loop {
        let metadata = metadata(consumer, Some(topic), brokers)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        if found.is_some_and(|found| found.error() == Some(refused)) {
            return Err(not_allowed(&format!("reading topic `{topic}`"), brokers));
        }
        let found = found.filter(|found| found.error().is_none() && !found.partitions().is_empty());
        if let Some(found) = found {
            return Ok(found.partitions().iter().map(|partition| partition.id()).collect());
        }
        if Instant::now() >= deadline {
            return Err(BrokerError::NoTopic(topic.to_owned()));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn not_allowed(what: &str, brokers: &str) -> BrokerError {
    BrokerError::NotAllowed { brokers: brokers.to_owned(), reason: what.to_owned() }
}
