//! Reads single records by their place.

use crate::client::TIMEOUT;
use crate::error::BrokerError;
use crate::reader::{Quiet, ends, headers_of, reading_consumer};
use crate::standalone_consumer::StandaloneConsumer;
use crate::topics::partitions;
use everyframe_config::KafkaSettings;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// A record that was read by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The key; none if it has none.
    pub key: Option<Vec<u8>>,
    /// The value; empty for a tombstone.
    pub value: Vec<u8>,
    /// The headers, as text.
    pub headers: Vec<(String, String)>,
}

impl StoredRecord {
    /// The last header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads single records by their place. It keeps its connections, so the second record comes in a few milliseconds.
pub struct RecordReader {
    consumer: StandaloneConsumer<Quiet>,
    brokers: String,
    /// The partitions of the topics that were read.
    partitions: HashMap<String, Vec<i32>>,
}

impl RecordReader {
    /// Creates the client, which connects in the background.
    ///
    /// # Errors
    ///
    /// A property that librdkafka does not accept: the operator must change it.
    pub fn new(settings: &KafkaSettings) -> Result<Self, BrokerError> {
        // Only one record of each fetch is used. A larger record comes whole all the same.
        let more = [
            ("fetch.message.max.bytes", "65536"),
            ("queued.min.messages", "1"),
            ("fetch.wait.max.ms", "10"),
            // A place that retention has deleted is an error, not another place.
            ("auto.offset.reset", "error"),
        ];
        Ok(Self {
            consumer: reading_consumer(settings, "read_committed", &more)?,
            brokers: settings.brokers.clone(),
            partitions: HashMap::new(),
        })
    }

    /// Reads the record at this place; none if there is none: retention has deleted it, or it is not written or committed yet.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, or refuse this user.
    pub fn read(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<Option<StoredRecord>, BrokerError> {
        if offset < 0 || !self.has_partition(topic, partition)? {
            return Ok(None);
        }
        let failed = |error| BrokerError::from_rdkafka(error, &self.brokers);
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Offset(offset)).map_err(failed)?;
        self.consumer.assign(&assignment).map_err(failed)?;
        let found = self.poll(topic, partition, offset);
        self.consumer.unassign().map_err(failed)?;
        found
    }

    /// The first and the next offset of each partition of a topic, as [`watermarks`](crate::watermarks), by the open connections.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, refuse this user, or have no such topic.
    pub fn watermarks(&self, topic: &str) -> Result<BTreeMap<i32, (u64, u64)>, BrokerError> {
        ends(&self.consumer, topic, &self.brokers)
    }

    /// True if the topic has the partition. librdkafka would wait for a partition that does not exist.
    fn has_partition(&mut self, topic: &str, partition: i32) -> Result<bool, BrokerError> {
        if self.partitions.get(topic).is_some_and(|known| known.contains(&partition)) {
            return Ok(true);
        }
        let known = match partitions(&self.consumer, topic, &self.brokers) {
            Ok(known) => known,
            Err(BrokerError::NoTopic(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let has_partition = known.contains(&partition);
        self.partitions.insert(topic.to_owned(), known);
        Ok(has_partition)
    }

    fn poll(&self, topic: &str, partition: i32, offset: i64) -> Result<Option<StoredRecord>, BrokerError> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message))
                    if message.topic() == topic
                        && message.partition() == partition
                        && message.offset() >= offset =>
                {
                    let record = || StoredRecord {
                        key: message.key().map(<[u8]>::to_vec),
                        value: message.payload().map(<[u8]>::to_vec).unwrap_or_default(),
                        headers: headers_of(&message),
                    };
                    return Ok((message.offset() == offset).then(record));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) if is_no_place(&error) => return Ok(None),
                Some(Err(error)) if Instant::now() > deadline => {
                    return Err(BrokerError::from_rdkafka(error, &self.brokers));
                }
                None if Instant::now() > deadline => {
                    return Err(BrokerError::Unreachable {
                        brokers: self.brokers.clone(),
                        reason: format!("no record for {} s", TIMEOUT.as_secs()),
                    });
                }
                Some(_) | None => {}
            }
        }
    }
}

/// True if no record has that place, or ever had.
fn is_no_place(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
        )
    )
}
