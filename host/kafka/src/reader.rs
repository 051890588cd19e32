//! Reads a topic without a group: from its start to its end as it was, or onwards.

use crate::client::{self, TIMEOUT};
use crate::error::BrokerError;
use crate::topics::partitions;
use everyframe_config::KafkaSettings;
use everyframe_types::record::IncomingRecord;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one question to a broker may take before it is asked again.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Longer than a transaction of ours may take, and than a broker takes to notice that one was left open.
const OPEN_TRANSACTION: Duration = Duration::from_secs(60);

/// One record as it was read.
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
    pub fn headers(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        let all = self.0.headers().into_iter().flat_map(|headers| headers.iter());
        all.map(move |header| (header.key.to_owned(), text(header.value)))
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
            let (_, end) = ends_of(&consumer, topic, partition).map_err(failed)?;
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
            let (low, end) = ends_of(&all, topic, partition).map_err(failed)?;
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

/// Reads the value of the record at this place; none if retention has deleted it.
///
/// # Errors
///
/// The brokers do not answer, or refuse this user.
pub fn read_at(
    settings: &KafkaSettings,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Vec<u8>>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let consumer = reading_consumer(settings, "read_committed")?;
    if !partitions(&consumer, topic, &settings.brokers)?.contains(&partition) {
        return Ok(None);
    }
    let (low, end) = ends_of(&consumer, topic, partition).map_err(failed)?;
    if !(low..end).contains(&offset) {
        return Ok(None);
    }
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(offset)).map_err(failed)?;
    consumer.assign(&assignment).map_err(failed)?;
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                return Ok((message.offset() == offset)
                    .then(|| message.payload().map(<[u8]>::to_vec).unwrap_or_default()));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(Err(error)) if Instant::now() > deadline => return Err(failed(error)),
            None if Instant::now() > deadline => {
                return Err(BrokerError::Unreachable {
                    brokers: settings.brokers.clone(),
                    reason: format!("no record of {topic}/{partition} for {} s", TIMEOUT.as_secs()),
                });
            }
            Some(Err(_)) | None => {}
        }
    }
}

/// librdkafka wants a group for any assignment; this one is never joined and never commits.
fn reading_consumer(settings: &KafkaSettings, isolation: &str) -> Result<BaseConsumer<Quiet>, BrokerError> {
    let defaults =
        [("group.id", "everyframe-reader"), ("enable.partition.eof", "true"), ("isolation.level", isolation)];
    client::consumer(settings, &defaults)
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
        let (_, stable) =
            ends_of(consumer, topic, partition).map_err(|error| BrokerError::from_rdkafka(error, brokers))?;
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
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "reader: {reason}");
    }
}

impl ConsumerContext for Quiet {}

/// For each partition that the group has committed: its offset.
pub fn committed(settings: &KafkaSettings, topic: &str) -> Result<BTreeMap<i32, u64>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let consumer: BaseConsumer<Quiet> = client::consumer(settings, &[("group.id", &settings.group)])
        .create_with_context(Quiet)
        .map_err(failed)?;
    committed_by(&consumer, topic, &settings.brokers)
}

/// Asks the brokers for something, each time with so much patience, for as long as the one that knows it is being found.
///
/// librdkafka forgets a question that waited for a bootstrap address when it learns which node is behind it, and tells by
/// an error or not at all; asked again, the node answers.
fn asked_again<T>(ask: impl Fn(Duration) -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match ask(ATTEMPT) {
            Err(error) if is_moving(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(200));
            }
            answer => return answer,
        }
    }
}

/// The oldest offset of a partition, and the next one.
fn ends_of(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
    asked_again(|patience| consumer.fetch_watermarks(topic, partition, patience))
}

/// True while a group's coordinator or a partition's leader is being found: it has just been chosen, or has moved.
fn is_moving(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode::{
        BrokerTransportFailure, CoordinatorLoadInProgress, CoordinatorNotAvailable, DestroyBroker,
        LeaderNotAvailable, NotCoordinator, NotLeaderForPartition, OperationTimedOut,
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
        UnknownTopicOrPartition,
    ];
    error.rdkafka_error_code().is_some_and(|code| moving.contains(&code))
}

/// The same, of the group whose name the consumer has.
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
    let offsets =
        asked_again(|patience| consumer.committed_offsets(wanted.clone(), patience)).map_err(failed)?;
    let known = offsets.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), u64::try_from(offset).ok()?)),
        _ => None,
    });
    Ok(known.collect())
}

impl Reader {
    /// From the first record of each partition whose timestamp is not before `timestamp` (Unix milliseconds) on; after it,
    /// earlier ones may still come. [`Reader::next`] ends where the topic ended at this moment.
    pub fn since(settings: &KafkaSettings, topic: &str, timestamp: i64) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
        let mut reader = Self::from_start(settings, topic)?;
        let mut wanted = TopicPartitionList::new();
        for partition in reader.open.keys() {
            let at = Offset::Offset(timestamp);
            wanted.add_partition_offset(topic, *partition, at).map_err(failed)?;
        }
        if wanted.count() == 0 {
            return Ok(reader);
        }
        let mut assignment = TopicPartitionList::new();
        let found = asked_again(|patience| reader.consumer.offsets_for_times(wanted.clone(), patience));
        for found in found.map_err(failed)?.elements() {
            found.error().map_err(failed)?;
            let (partition, end) = (found.partition(), reader.open.get(&found.partition()).copied());
            match found.offset() {
                Offset::Offset(offset) if end.is_some_and(|end| offset < end) => assignment
                    .add_partition_offset(topic, partition, Offset::Offset(offset))
                    .map_err(failed)?,
                // Nothing there is as young as that.
                _ => drop(reader.open.remove(&partition)),
            }
        }
        reader.consumer.assign(&assignment).map_err(failed)?;
        Ok(reader)
    }
}

/// For each partition of a topic: the offset of its oldest record, and the one that the next record will get.
pub fn watermarks(settings: &KafkaSettings, topic: &str) -> Result<BTreeMap<i32, (u64, u64)>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let consumer: BaseConsumer<Quiet> =
        client::consumer(settings, &[]).create_with_context(Quiet).map_err(failed)?;
    ends(&consumer, topic, &settings.brokers)
}

/// The same, by a consumer that is there.
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
