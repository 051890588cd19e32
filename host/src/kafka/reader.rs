//! Reads a topic without a group: from its start to its end as it was, or onwards.

use super::{BrokerError, consumer, partitions};
use crate::config::KafkaSettings;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than a transaction of ours may take, and than a broker takes to notice that one was left open.
const OPEN_TRANSACTION: Duration = Duration::from_secs(60);

/// One record as it was read.
pub struct Received<'a>(pub(crate) BorrowedMessage<'a>);

impl Received<'_> {
    /// The partition.
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// The offset.
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// The record's timestamp, Unix milliseconds; 0 if it has none.
    pub fn timestamp(&self) -> i64 {
        self.0.timestamp().to_millis().unwrap_or(0)
    }

    /// The key.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// The value; none for a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// The last header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.0.headers()?;
        headers.iter().filter(|h| h.key == name).last().and_then(|h| std::str::from_utf8(h.value?).ok())
    }
}

/// Reads every partition of one topic.
pub struct Reader {
    consumer: BaseConsumer<Quiet>,
    brokers: String,
    /// For each partition that is not read up yet: the offset at which its end was when the reader was made.
    open: BTreeMap<i32, i64>,
}

impl Reader {
    /// From the oldest record on. [`Reader::next`] ends where the topic ended at this moment.
    pub fn from_start(settings: &KafkaSettings, topic: &str) -> Result<Self, BrokerError> {
        Self::to_the_end(settings, topic, None)
    }

    /// The same, of these partitions only.
    pub fn of_partitions(
        settings: &KafkaSettings,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Self, BrokerError> {
        Self::to_the_end(settings, topic, Some(partitions))
    }

    /// Only what comes after this moment.
    pub fn from_end(settings: &KafkaSettings, topic: &str) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        let consumer = reading_consumer(settings, "read_committed")?;
        let mut assignment = TopicPartitionList::new();
        for partition in partitions(&consumer, topic, &settings.brokers)? {
            let (_, end) = consumer.fetch_watermarks(topic, partition, TIMEOUT).map_err(failed)?;
            // An offset, not "end": what is written while the assignment is on its way belongs to the reader.
            assignment.add_partition_offset(topic, partition, Offset::Offset(end)).map_err(failed)?;
        }
        consumer.assign(&assignment).map_err(failed)?;
        Ok(Self { consumer, brokers: settings.brokers.clone(), open: BTreeMap::new() })
    }

    fn to_the_end(settings: &KafkaSettings, topic: &str, only: Option<&[i32]>) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        let consumer = reading_consumer(settings, "read_committed")?;
        let all = reading_consumer(settings, "read_uncommitted")?;
        let mut assignment = TopicPartitionList::new();
        let mut open = BTreeMap::new();
        for partition in partitions(&consumer, topic, &settings.brokers)? {
            if only.is_some_and(|only| !only.contains(&partition)) {
                continue;
            }
            let (low, end) = all.fetch_watermarks(topic, partition, TIMEOUT).map_err(failed)?;
            settled(&consumer, topic, partition, end, &settings.brokers)?;
            assignment.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
            if end > low {
                open.insert(partition, end);
            }
        }
        consumer.assign(&assignment).map_err(failed)?;
        Ok(Self { consumer, brokers: settings.brokers.clone(), open })
    }

    /// The next record up to the noted end, or none when all partitions are read up.
    /// An error after the brokers were silent for 15 s.
    #[allow(clippy::should_implement_trait, reason = "the record borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<Received<'_>>, BrokerError> {
        let mut silent_since = Instant::now();
        while !self.open.is_empty() {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some(end) = self.open.get(&partition).copied() else { continue };
                    if offset + 1 >= end {
                        self.open.remove(&partition);
                    }
                    if offset < end {
                        return Ok(Some(Received(message)));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.open.remove(&partition);
                    silent_since = Instant::now();
                }
                Some(Err(error)) if silent_since.elapsed() > TIMEOUT => {
                    return Err(BrokerError::from_rdkafka(error, &self.brokers));
                }
                None if silent_since.elapsed() > TIMEOUT => {
                    return Err(BrokerError::Unreachable {
                        brokers: self.brokers.clone(),
                        reason: "no records for 15 s".into(),
                    });
                }
                Some(Err(_)) | None => {}
            }
        }
        Ok(None)
    }

    /// The next record, whenever it comes, or none after `timeout`.
    pub fn follow(&self, timeout: Duration) -> Result<Option<Received<'_>>, BrokerError> {
        match self.consumer.poll(timeout) {
            Some(Ok(message)) => Ok(Some(Received(message))),
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Err(error)) => Err(BrokerError::from_rdkafka(error, &self.brokers)),
        }
    }
}

/// librdkafka wants a group for any assignment; this one is never joined and never commits.
fn reading_consumer(settings: &KafkaSettings, isolation: &str) -> Result<BaseConsumer<Quiet>, BrokerError> {
    let defaults =
        [("group.id", "everyframe-reader"), ("enable.partition.eof", "true"), ("isolation.level", isolation)];
    consumer(settings, &defaults)
        .create_with_context(Quiet)
        .map_err(|error| BrokerError::from_rdkafka(error, &settings.brokers))
}

/// Waits until every transaction that has a record before `end` is over. A transaction's markers are written one
/// partition after the other: that its offsets are committed does not say yet that its records can be read.
fn settled(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    partition: i32,
    end: i64,
    brokers: &str,
) -> Result<(), BrokerError> {
    let since = Instant::now();
    loop {
        let (_, stable) = consumer
            .fetch_watermarks(topic, partition, TIMEOUT)
            .map_err(|error| BrokerError::from_rdkafka(error, brokers))?;
        if stable >= end {
            return Ok(());
        }
        if since.elapsed() > OPEN_TRANSACTION {
            return Err(BrokerError::Other(format!(
                "a transaction on {topic}/{partition} has been open for {} s; whose is it?",
                OPEN_TRANSACTION.as_secs()
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The end of a partition is news for us and no error; what is an error, `poll` returns.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "reader: {reason}");
    }
}

impl ConsumerContext for Quiet {}

/// For each partition that the group has committed: its offset.
pub fn committed(settings: &KafkaSettings, topic: &str) -> Result<BTreeMap<i32, u64>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let consumer: BaseConsumer<Quiet> =
        consumer(settings, &[("group.id", &settings.group)]).create_with_context(Quiet).map_err(failed)?;
    let mut wanted = TopicPartitionList::new();
    for partition in partitions(&consumer, topic, &settings.brokers)? {
        wanted.add_partition(topic, partition);
    }
    let offsets = consumer.committed_offsets(wanted, TIMEOUT).map_err(failed)?;
    let known = offsets.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), u64::try_from(offset).ok()?)),
        _ => None,
    });
    Ok(known.collect())
}
