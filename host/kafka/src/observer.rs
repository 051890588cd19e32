//! Reads the state of a topic and its group without joining it: ends, committed offsets, oldest records, retention.

use crate::client::{self, TIMEOUT};
use crate::error::BrokerError;
use crate::reader::{Quiet, committed_by, ends};
use crate::retention::Retention;
use crate::standalone_consumer::StandaloneConsumer;
use everyframe_config::KafkaSettings;
use everyframe_types::machine::unix_ms;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer as _;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the oldest records may take to come; without them there is no age.
const PEEK: Duration = Duration::from_secs(5);
/// How many records of a partition the mean size is made of.
const MEASURED: u64 = 20;

/// Age and size of the first records from some offset on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct First {
    /// Age of the first record, by its timestamp.
    pub age: Duration,
    /// Mean size of value and key, bytes.
    pub bytes_per_record: f64,
}

/// Asks about one topic. It uses the group's name and never joins it or commits.
pub struct Observer {
    consumer: StandaloneConsumer<Quiet>,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
    brokers: String,
    topic: String,
}

impl Observer {
    /// Connects in the background.
    ///
    /// # Errors
    ///
    /// A property that librdkafka does not accept: the operator must change it.
    pub fn new(settings: &KafkaSettings, topic: &str) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        let defaults = [
            ("group.id", settings.group.as_str()),
            // Only a few records are read.
            ("queued.max.messages.kbytes", "1024"),
            ("fetch.message.max.bytes", "65536"),
        ];
        let consumer =
            StandaloneConsumer::new(&client::consumer(settings, &defaults), Quiet).map_err(failed)?;
        let admin = client::producer(settings, &[]).create().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| BrokerError::Other(format!("cannot start a runtime: {error}")))?;
        Ok(Self { consumer, admin, runtime, brokers: settings.brokers.clone(), topic: topic.to_owned() })
    }

    fn failed(&self) -> impl Fn(rdkafka::error::KafkaError) -> BrokerError + '_ {
        |error| BrokerError::from_rdkafka(error, &self.brokers)
    }

    /// For each partition: the offset of its oldest record, and the offset of the next record.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn ends(&self) -> Result<BTreeMap<i32, (u64, u64)>, BrokerError> {
        ends(&self.consumer, &self.topic, &self.brokers)
    }

    /// The group's committed offset of each partition that has one.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn committed(&self) -> Result<BTreeMap<i32, u64>, BrokerError> {
        committed_by(&self.consumer, &self.topic, &self.brokers)
    }

    /// For each partition, age and size of the records from this offset on. Partitions whose records did not come in time
    /// are left out.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn peek(&self, from: &BTreeMap<i32, u64>) -> Result<BTreeMap<i32, First>, BrokerError> {
        let mut found: BTreeMap<i32, (i64, u64, u64)> = BTreeMap::new();
        if from.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut assignment = TopicPartitionList::new();
        for (partition, offset) in from {
            let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
            assignment.add_partition_offset(&self.topic, *partition, offset).map_err(self.failed())?;
        }
        self.consumer.assign(&assignment).map_err(self.failed())?;
        let deadline = Instant::now() + PEEK;
        loop {
            // Once each partition has its first record, take only what is fetched already.
            let wait = if found.len() < from.len() { Duration::from_millis(100) } else { Duration::ZERO };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let at = message.timestamp().to_millis().unwrap_or(0);
                    let (_, records, bytes) = found.entry(message.partition()).or_insert((at, 0, 0));
                    if *records < MEASURED {
                        *records += 1;
                        *bytes += (message.payload_len() + message.key_len()) as u64;
                    }
                    if found.len() == from.len() && found.values().all(|(_, records, _)| *records >= MEASURED)
                    {
                        break;
                    }
                }
                None if found.len() == from.len() => break,
                _ => {}
            }
            if Instant::now() > deadline {
                break;
            }
        }
        self.consumer.unassign().map_err(self.failed())?;
        let now = unix_ms();
        let first = |(at, records, bytes): (i64, u64, u64)| First {
            age: Duration::from_millis(now.saturating_sub(at).max(0).unsigned_abs()),
            bytes_per_record: bytes as f64 / records.max(1) as f64,
        };
        Ok(found.into_iter().map(|(partition, seen)| (partition, first(seen))).collect())
    }

    /// How long the topic keeps its records. Needs the right to describe its configuration.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn retention(&self) -> Result<Retention, BrokerError> {
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let topic = ResourceSpecifier::Topic(&self.topic);
        let answer = self.runtime.block_on(self.admin.describe_configs([&topic], &options));
        let answer = answer.map_err(self.failed())?.into_iter().next();
        let entries = match answer {
            Some(Ok(resource)) => resource.entries,
            Some(Err(code)) => {
                return Err(BrokerError::Other(format!("configuration of `{}`: {code}", self.topic)));
            }
            None => Vec::new(),
        };
        let value = |name: &str| entries.iter().find(|entry| entry.name == name)?.value.as_deref();
        // A topic that is only compacted deletes nothing for its age or size.
        if value("cleanup.policy").is_some_and(|policy| !policy.is_empty() && !policy.contains("delete")) {
            return Ok(Retention::default());
        }
        let number = |name| value(name).and_then(|text| text.parse::<u64>().ok());
        Ok(Retention {
            time: number("retention.ms").map(Duration::from_millis),
            bytes: number("retention.bytes"),
        })
    }
}

/// As [`delete_before`], outside asynchronous code.
///
/// # Errors
///
/// As [`delete_before`].
pub fn delete_before_now(
    settings: &KafkaSettings,
    topic: &str,
    before: &BTreeMap<i32, u64>,
) -> Result<(), BrokerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| BrokerError::Other(format!("cannot start a runtime: {error}")))?;
    runtime.block_on(delete_before(settings, topic, before))
}

/// Deletes the records of a topic before these offsets, by partition. Needs the right to delete.
///
/// # Errors
///
/// [`BrokerError`] says what the operator can do; trying again may help.
pub async fn delete_before(
    settings: &KafkaSettings,
    topic: &str,
    before: &BTreeMap<i32, u64>,
) -> Result<(), BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let admin: AdminClient<DefaultClientContext> =
        client::producer(settings, &[]).create().map_err(failed)?;
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in before {
        let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
        offsets.add_partition_offset(topic, *partition, offset).map_err(failed)?;
    }
    if offsets.count() == 0 {
        return Ok(());
    }
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let deleted = admin.delete_records(&offsets, &options).await.map_err(failed)?;
    deleted.elements().iter().try_for_each(|element| element.error()).map_err(failed)
}
