//! Reads a topic without a group: up to its present end, or what comes from now on.

use crate::client::{self, CONNECT_TIMEOUT, TIMEOUT};
use crate::error::BrokerError;
use crate::standalone_consumer::StandaloneConsumer;
use crate::topics::partitions;
use everyframe_config::KafkaSettings;
use everyframe_types::record::IncomingRecord;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a request may take at first before it is sent again.
const FIRST_ATTEMPT: Duration = Duration::from_secs(3);
/// Settings of a consumer that reads to the end of a topic. A broker tells it by an answer without records that the end is reached, and
/// holds this answer back for `fetch.wait.max.ms` (500 by default).
const TO_AN_END: &[(&str, &str)] = &[("fetch.wait.max.ms", "10")];
/// Longer than our transactions may take, and than a broker takes to abort one that was left open.
const OPEN_TRANSACTION: Duration = Duration::from_secs(120);

/// One record that was read.
pub struct Received<'a>(pub(crate) BorrowedMessage<'a>);

impl IncomingRecord for Received<'_> {
    fn partition(&self) -> i32 {
        self.0.partition()
    }

    fn offset(&self) -> i64 {
        self.0.offset()
    }

    fn timestamp(&self) -> i64 {
        self.0.timestamp().to_millis().unwrap_or(0)
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let headers = self.0.headers()?;
        headers.iter().filter(|h| h.key == name).last().and_then(|h| std::str::from_utf8(h.value?).ok())
    }
}

impl Received<'_> {
    /// All headers, as text.
    pub fn headers(&self) -> impl Iterator<Item = (String, String)> {
        headers_of(&self.0).into_iter()
    }
}

/// All headers of a record, as text.
pub(super) fn headers_of(message: &BorrowedMessage<'_>) -> Vec<(String, String)> {
    let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    let all = message.headers().into_iter().flat_map(|headers| headers.iter());
    all.map(|header| (header.key.to_owned(), text(header.value))).collect()
}

/// Reads every partition of one topic.
pub struct Reader {
    consumer: StandaloneConsumer<Quiet>,
    settings: KafkaSettings,
    /// For each partition that is not read to its end yet: the offset of the end when the reader was made.
    open: BTreeMap<i32, i64>,
    /// Where the first [`Reader::follow`] begins, of a reader that was made to read to the end.
    ends: Option<TopicPartitionList>,
    /// The partitions whose end [`Reader::follow`] has not reached yet.
    behind: BTreeSet<i32>,
}

impl Reader {
    /// Reads from the oldest record on. [`Reader::next`] ends at the present end of the topic.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn from_start(settings: &KafkaSettings, topic: &str) -> Result<Self, BrokerError> {
        Self::to_the_end(settings, topic, None)
    }

    /// As [`Reader::from_start`], for these partitions only.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn of_partitions(
        settings: &KafkaSettings,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Self, BrokerError> {
        Self::to_the_end(settings, topic, Some(partitions))
    }

    /// Reads the records of one partition from one offset up to, but not including, another one. For [`Reader::next`].
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn of_range(
        settings: &KafkaSettings,
        topic: &str,
        partition: i32,
        range: std::ops::Range<i64>,
    ) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        let consumer = reading_consumer(settings, "read_committed", TO_AN_END)?;
        let mut assignment = TopicPartitionList::new();
        // Retention may have deleted the first ones.
        let start = range.start.max(ends_of(&consumer, topic, partition).map_err(failed)?.0);
        assignment.add_partition_offset(topic, partition, Offset::Offset(start)).map_err(failed)?;
        consumer.assign(&assignment).map_err(failed)?;
        let open = (start < range.end).then_some((partition, range.end)).into_iter().collect();
        Ok(Self { open, ..Self::new(consumer, settings) })
    }

    /// Reads only records that are written after this moment.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn from_end(settings: &KafkaSettings, topic: &str) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        let consumer = reading_consumer(settings, "read_committed", &[])?;
        let mut assignment = TopicPartitionList::new();
        for partition in partitions(&consumer, topic, &settings.brokers)? {
            let (_, end) = ends_of(&consumer, topic, partition).map_err(failed)?;
            // An offset, not "end": records that are written before the assignment takes effect are read, too.
            assignment.add_partition_offset(topic, partition, Offset::Offset(end)).map_err(failed)?;
        }
        consumer.assign(&assignment).map_err(failed)?;
        Ok(Self::new(consumer, settings))
    }

    /// Reads from the first record of each partition whose timestamp is not before `timestamp` (Unix milliseconds), and goes on
    /// with what is written later. For [`Reader::follow`].
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn following(settings: &KafkaSettings, topic: &str, timestamp: i64) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        let consumer = reading_consumer(settings, "read_committed", &[])?;
        let mut assignment = TopicPartitionList::new();
        let mut behind = BTreeSet::new();
        for (partition, offset) in offsets_at(settings, topic, timestamp)? {
            let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
            assignment.add_partition_offset(topic, partition, offset).map_err(failed)?;
            behind.insert(partition);
        }
        consumer.assign(&assignment).map_err(failed)?;
        Ok(Self { behind, ..Self::new(consumer, settings) })
    }

    fn new(consumer: StandaloneConsumer<Quiet>, settings: &KafkaSettings) -> Self {
        let (open, behind) = (BTreeMap::new(), BTreeSet::new());
        Self { consumer, settings: settings.clone(), open, ends: None, behind }
    }

    fn to_the_end(settings: &KafkaSettings, topic: &str, only: Option<&[i32]>) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        let consumer = reading_consumer(settings, "read_committed", TO_AN_END)?;
        let all = reading_consumer(settings, "read_uncommitted", TO_AN_END)?;
        let (mut assignment, mut ends) = (TopicPartitionList::new(), TopicPartitionList::new());
        let mut open = BTreeMap::new();
        for partition in partitions(&consumer, topic, &settings.brokers)? {
            if only.is_some_and(|only| !only.contains(&partition)) {
                continue;
            }
            let (low, end) = ends_of(&all, topic, partition).map_err(failed)?;
            wait_until_settled(&consumer, topic, partition, end, &settings.brokers)?;
            assignment.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
            ends.add_partition_offset(topic, partition, Offset::Offset(end)).map_err(failed)?;
            if end > low {
                open.insert(partition, end);
            }
        }
        consumer.assign(&assignment).map_err(failed)?;
        Ok(Self { open, ends: Some(ends), ..Self::new(consumer, settings) })
    }

    /// The next record; none when all partitions are read to their end.
    ///
    /// # Errors
    ///
    /// The brokers did not answer for a minute: make another reader.
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
                    return Err(BrokerError::from_rdkafka(error, &self.settings.brokers));
                }
                None if silent_since.elapsed() > TIMEOUT => {
                    return Err(BrokerError::Unreachable {
                        brokers: self.settings.brokers.clone(),
                        reason: format!("no records for {} s", TIMEOUT.as_secs()),
                    });
                }
                Some(Err(_)) | None => {}
            }
        }
        Ok(None)
    }

    /// Waits for the next record; none after `timeout`. A reader that was made to read to the end, as by [`Reader::from_start`],
    /// begins at that end. So call [`Reader::next`] first, until it returns none.
    ///
    /// # Errors
    ///
    /// librdkafka reports an error. It goes on by itself: call again.
    pub fn follow(&mut self, timeout: Duration) -> Result<Option<Received<'_>>, BrokerError> {
        if let Some(ends) = &self.ends {
            // The consumer so far would not do: `next` may have dropped records that it got from behind the ends, and with its
            // settings it sends a hundred requests a second while nothing is written.
            let consumer = reading_consumer(&self.settings, "read_committed", &[])?;
            let failed = |error| BrokerError::from_rdkafka(error, &self.settings.brokers);
            consumer.assign(ends).map_err(failed)?;
            (self.consumer, self.ends) = (consumer, None);
        }
        match self.consumer.poll(timeout) {
            Some(Ok(message)) => Ok(Some(Received(message))),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.behind.remove(&partition);
                Ok(None)
            }
            None => Ok(None),
            Some(Err(error)) => Err(BrokerError::from_rdkafka(error, &self.settings.brokers)),
        }
    }

    /// True once [`Reader::follow`] has come to the end of each partition, for a reader made by [`Reader::following`].
    pub fn has_caught_up(&self) -> bool {
        self.behind.is_empty()
    }
}

/// librdkafka needs a group for any assignment; this one is never joined and commits nothing. `more` are further defaults.
pub(super) fn reading_consumer(
    settings: &KafkaSettings,
    isolation: &str,
    more: &[(&str, &str)],
) -> Result<StandaloneConsumer<Quiet>, BrokerError> {
    let mut defaults = vec![
        ("group.id", "everyframe-reader"),
        ("enable.partition.eof", "true"),
        ("isolation.level", isolation),
        // If the next record was deleted meanwhile, librdkafka would by default continue at the end of the topic.
        ("auto.offset.reset", "earliest"),
    ];
    defaults.extend_from_slice(more);
    StandaloneConsumer::new(&client::consumer(settings, &defaults), Quiet)
        .map_err(|error| BrokerError::from_rdkafka(error, &settings.brokers))
}

/// Waits until every transaction that has a record before `end` is over. A transaction's markers are written one partition
/// after the other: its records may not be readable yet when its offsets are committed.
fn wait_until_settled(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    partition: i32,
    end: i64,
    brokers: &str,
) -> Result<(), BrokerError> {
    let since = Instant::now();
    loop {
        let (_, stable) =
            ends_of(consumer, topic, partition).map_err(|error| BrokerError::from_rdkafka(error, brokers))?;
        if stable >= end {
            return Ok(());
        }
        if since.elapsed() > OPEN_TRANSACTION {
            return Err(BrokerError::Other(format!(
                "a transaction on {topic}/{partition} has been open for {} s, longer than the broker allows a host; try again, \
                 and look for another program that writes to this topic",
                OPEN_TRANSACTION.as_secs()
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Logs errors only for debugging: `poll` returns those that matter.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "reader: {reason}");
    }
}

impl ConsumerContext for Quiet {}

/// The group's committed offset of each partition that has one.
///
/// # Errors
///
/// [`BrokerError`] says what the operator can do; trying again may help.
pub fn committed(settings: &KafkaSettings, topic: &str) -> Result<BTreeMap<i32, u64>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let config = client::consumer(settings, &[("group.id", &settings.group)]);
    let consumer = StandaloneConsumer::new(&config, Quiet).map_err(failed)?;
    committed_by(&consumer, topic, &settings.brokers)
}

/// Sends a request again while the broker that can answer it is being found. Each attempt has twice the timeout of the one before,
/// at most [`CONNECT_TIMEOUT`].
///
/// librdkafka drops a request that waited for a bootstrap address when it learns which node is behind it, with an error or
/// without; sent again, it is answered.
fn retry_while_moving<T>(ask: impl Fn(Duration) -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let deadline = Instant::now() + TIMEOUT;
    let mut patience = FIRST_ATTEMPT;
    loop {
        match ask(patience) {
            Err(error) if is_moving(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(200));
                patience = (2 * patience).min(CONNECT_TIMEOUT);
            }
            answer => return answer,
        }
    }
}

/// The oldest offset of a partition, and the next one.
fn ends_of(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
    retry_while_moving(|patience| consumer.fetch_watermarks(topic, partition, patience))
}

/// True while a group's coordinator or a partition's leader is being found: it has just been chosen, or has moved.
fn is_moving(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode::{
        BrokerTransportFailure, CoordinatorLoadInProgress, CoordinatorNotAvailable, DestroyBroker,
        LeaderNotAvailable, NotCoordinator, NotLeaderForPartition, OperationTimedOut, UnknownPartition,
        UnknownTopicOrPartition, WaitingForCoordinator,
    };
    let moving = [
        BrokerTransportFailure,
        DestroyBroker,
        OperationTimedOut,
        CoordinatorLoadInProgress,
        CoordinatorNotAvailable,
        NotCoordinator,
        WaitingForCoordinator,
        LeaderNotAvailable,
        NotLeaderForPartition,
        // Of a topic that was just created: librdkafka's own code, and the nodes'.
        UnknownPartition,
        UnknownTopicOrPartition,
    ];
    error.rdkafka_error_code().is_some_and(|code| moving.contains(&code))
}

/// As [`committed`], for the consumer's group.
pub(super) fn committed_by(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    brokers: &str,
) -> Result<BTreeMap<i32, u64>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, brokers);
    let mut wanted = TopicPartitionList::new();
    for partition in partitions(consumer, topic, brokers)? {
        wanted.add_partition(topic, partition);
    }
    let offsets = retry_while_moving(|patience| consumer.committed_offsets(wanted.clone(), patience))
        .map_err(failed)?;
    let known = offsets.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), u64::try_from(offset).ok()?)),
        _ => None,
    });
    Ok(known.collect())
}

impl Reader {
    /// Reads from the first record of each partition whose timestamp is not before `timestamp` (Unix milliseconds) on;
    /// earlier ones may follow it. [`Reader::next`] ends at the present end of the topic.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn since(settings: &KafkaSettings, topic: &str, timestamp: i64) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        let mut reader = Self::from_start(settings, topic)?;
        let ends: Vec<i32> = reader.open.keys().copied().collect();
        let found = offsets_for_time(&reader.consumer, topic, &ends, timestamp, &settings.brokers)?;
        if ends.is_empty() {
            return Ok(reader);
        }
        let mut assignment = TopicPartitionList::new();
        for partition in ends {
            let end = reader.open.get(&partition).copied();
            match found.get(&partition) {
                Some(offset) if end.is_some_and(|end| *offset < end) => assignment
                    .add_partition_offset(topic, partition, Offset::Offset(*offset))
                    .map_err(failed)?,
                // No record of the partition is that recent.
                _ => drop(reader.open.remove(&partition)),
            }
        }
        reader.consumer.assign(&assignment).map_err(failed)?;
        Ok(reader)
    }
}

/// For each partition, the offset of the first record whose timestamp is not before `timestamp` (Unix milliseconds); the offset
/// of the next record if there is none.
///
/// # Errors
///
/// [`BrokerError`] says what the operator can do; trying again may help.
pub fn offsets_at(
    settings: &KafkaSettings,
    topic: &str,
    timestamp: i64,
) -> Result<BTreeMap<i32, u64>, BrokerError> {
    let consumer = StandaloneConsumer::new(&client::consumer(settings, &[]), Quiet)
        .map_err(|error| BrokerError::from_rdkafka(error, &settings.brokers))?;
    let ends = ends(&consumer, topic, &settings.brokers)?;
    let partitions: Vec<i32> = ends.keys().copied().collect();
    let found = offsets_for_time(&consumer, topic, &partitions, timestamp, &settings.brokers)?;
    let offset = |(partition, (_, next)): (i32, (u64, u64))| {
        (partition, found.get(&partition).map_or(next, |offset| offset.unsigned_abs()))
    };
    Ok(ends.into_iter().map(offset).collect())
}

/// The offsets of the first records that are not older than `timestamp`, of the partitions that have one.
fn offsets_for_time(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    partitions: &[i32],
    timestamp: i64,
    brokers: &str,
) -> Result<BTreeMap<i32, i64>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, brokers);
    let mut wanted = TopicPartitionList::new();
    for partition in partitions {
        wanted.add_partition_offset(topic, *partition, Offset::Offset(timestamp)).map_err(failed)?;
    }
    if wanted.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let found = retry_while_moving(|patience| consumer.offsets_for_times(wanted.clone(), patience));
    let mut offsets = BTreeMap::new();
    for found in found.map_err(failed)?.elements() {
        found.error().map_err(failed)?;
        if let Offset::Offset(offset) = found.offset() {
            offsets.insert(found.partition(), offset);
        }
    }
    Ok(offsets)
}

/// For each partition of a topic: the offset of its oldest record, and the offset of the next record.
///
/// # Errors
///
/// [`BrokerError`] says what the operator can do; trying again may help.
pub fn watermarks(settings: &KafkaSettings, topic: &str) -> Result<BTreeMap<i32, (u64, u64)>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let consumer = StandaloneConsumer::new(&client::consumer(settings, &[]), Quiet).map_err(failed)?;
    ends(&consumer, topic, &settings.brokers)
}

/// As [`watermarks`], with an existing consumer.
pub(super) fn ends(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    brokers: &str,
) -> Result<BTreeMap<i32, (u64, u64)>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, brokers);
    let mut all = BTreeMap::new();
    for partition in partitions(consumer, topic, brokers)? {
        let (low, high) = ends_of(consumer, topic, partition).map_err(failed)?;
        all.insert(partition, (low.max(0).unsigned_abs(), high.max(0).unsigned_abs()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    fn send(brokers: &str, partition: i32, key: &str) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a producer");
        producer.send(BaseRecord::<str, str>::to("people").partition(partition).key(key)).expect("room");
        producer.flush(Duration::from_secs(10)).expect("an acknowledgement");
    }

    #[test]
    fn what_is_written_while_a_topic_is_read_is_followed() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("people", 2, 1).unwrap();
        let settings = KafkaSettings { brokers: cluster.bootstrap_servers(), ..KafkaSettings::default() };
        let send = |partition, key| send(&settings.brokers, partition, key);
        send(0, "anna");
        send(1, "bert");
        let mut reader = Reader::from_start(&settings, "people").unwrap();
        // Behind the ends that the reader knows.
        send(0, "carl");
        send(1, "dora");
        let key = |record: &Received<'_>| String::from_utf8(record.key().unwrap().to_vec()).unwrap();
        let mut read = BTreeSet::new();
        while let Some(record) = reader.next().unwrap() {
            read.insert(key(&record));
        }
        assert_eq!(read, BTreeSet::from(["anna".into(), "bert".into()]));
        let since = Instant::now();
        while read.len() < 4 && since.elapsed() < Duration::from_secs(20) {
            if let Ok(Some(record)) = reader.follow(Duration::from_millis(100)) {
                assert!(read.insert(key(&record)), "read twice");
            }
        }
        assert_eq!(read.len(), 4, "{read:?}");
    }
}
