//! How many alerts a channel has not dealt with.

use crate::channel::Channel;
use everyframe_config::{Config, KafkaSettings};
use everyframe_kafka::{BrokerError, Observer, Reader};
use std::collections::BTreeMap;

/// The most records that are counted one by one for each partition.
const MAX_COUNTED: i64 = 10_000;

/// Counts the backlog of one channel.
pub struct Backlog {
    kafka: KafkaSettings,
    topic: String,
    observer: Observer,
    /// The last range of each partition, and the records in it. The markers of transactions have offsets, too, so an idle channel's
    /// range need not be empty.
    counted: BTreeMap<i32, (i64, i64, u64)>,
}

impl Backlog {
    /// Of the channel with this name.
    ///
    /// # Errors
    ///
    /// A property that librdkafka does not accept.
    pub fn new(config: &Config, channel: &str) -> Result<Self, BrokerError> {
        let group = Channel::group(&config.kafka, channel);
        let kafka = KafkaSettings { group, ..config.kafka.clone() };
        let topic = config.topics.alerts.clone();
        Ok(Self { observer: Observer::new(&kafka, &topic)?, kafka, topic, counted: BTreeMap::new() })
    }

    /// Counts the alerts from the committed offsets on; none if the channel was never started.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] says what the operator can do; trying again may help.
    pub fn count(&mut self) -> Result<Option<u64>, BrokerError> {
        let committed = self.observer.committed()?;
        if committed.is_empty() {
            return Ok(None);
        }
        let mut sum = 0;
        for (partition, (oldest, end)) in self.observer.ends()? {
            // What retention deleted does not come any more.
            let from = committed.get(&partition).copied().unwrap_or(oldest).max(oldest);
            let offset = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
            sum += self.count_range(partition, offset(from), offset(end))?;
        }
        Ok(Some(sum))
    }

    fn count_range(&mut self, partition: i32, from: i64, end: i64) -> Result<u64, BrokerError> {
        if from >= end {
            return Ok(0);
        }
        if let Some((_, _, known)) = self.counted.get(&partition).filter(|it| (it.0, it.1) == (from, end)) {
            return Ok(*known);
        }
        // Of a long backlog, the offsets are near enough.
        let counted_from = from.max(end - MAX_COUNTED);
        let mut reader = Reader::of_range(&self.kafka, &self.topic, partition, counted_from..end)?;
        let mut records = (counted_from - from).unsigned_abs();
        while reader.next()?.is_some() {
            records += 1;
        }
        self.counted.insert(partition, (from, end, records));
        Ok(records)
    }
}
