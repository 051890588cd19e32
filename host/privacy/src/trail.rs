//! Appends to the trail topic.

use crate::error::PrivacyError;
use crate::signature::Signer;
use crate::trail_entry::{NewTrailEntry, TrailEntry, TrailPoint, TrailRecord, random_id};
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Producer, Record, RecordReader};
use everyframe_types::machine::unix_ms;
use std::time::Duration;

/// How long the broker may take to acknowledge an entry.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How many records back the last entry of the chain is looked for: others may have lost races after it.
const LOOK_BACK: u64 = 64;
/// How often an entry is appended again after it lost a race. Each time, another one won.
const ATTEMPTS: usize = 100;

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// Kafka.
    #[error("the trail: {0}")]
    Broker(#[from] BrokerError),
    /// The signing key.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The last records of the topic are no entries.
    #[error("the last records of topic `{0}` are no entries of a trail: `everyframe trail verify` says more")]
    NotATrail(String),
    /// Others append all the time.
    #[error("the trail has too many writers; try again")]
    Busy,
}

/// Appends entries to the trail, each linked with the one before it.
pub struct Trail {
    config: Config,
    signer: Option<Signer>,
    producer: Producer,
    reader: RecordReader,
    /// Our last entry, and the offset after it: as long as the topic ends there, it is the head.
    last: Option<(u64, TrailPoint)>,
}

impl Trail {
    /// Opens the trail of a configuration.
    ///
    /// # Errors
    ///
    /// The signing key cannot be read, or Kafka does not accept the configuration.
    pub fn open(config: &Config) -> Result<Self, TrailError> {
        Ok(Self {
            config: config.clone(),
            signer: Signer::load(&config.privacy)?,
            producer: Producer::new(&config.kafka)?,
            reader: RecordReader::new(&config.kafka)?,
            last: None,
        })
    }

    /// Appends an entry, and returns its place. When this returns, the entry is in the topic and part of the chain. Append what
    /// is going to be done before it is done, so that nothing is done that the trail does not show.
    ///
    /// # Errors
    ///
    /// Kafka does not answer: do not do what the entry says.
    pub fn append(&mut self, new: &NewTrailEntry) -> Result<TrailPoint, TrailError> {
        let (id, at) = (random_id()?, unix_ms());
        for _ in 0..ATTEMPTS {
            let end = self.end()?;
            let head = match &self.last {
                Some((after, point)) if *after == end => Some(point.clone()),
                _ => self.find_head(end)?,
            };
            let entry = TrailEntry::after(head.as_ref(), &id, at, new);
            let point = entry.point();
            let value = TrailRecord::new(entry, self.signer.as_ref()).to_json();
            let key = jiff::Timestamp::from_millisecond(at).map_or(String::new(), |at| at.to_string());
            let record = Record {
                topic: &self.config.topics.trail,
                partition: Some(0),
                key: Some(&key.as_bytes()[..key.len().min(10)]),
                value: Some(&value),
                ..Record::default()
            };
            let (_, offset) = self.producer.send_and_locate(record, TIMEOUT)?;
            // The first record that follows the head is the one that counts.
            if !self.has_rival(end, offset.unsigned_abs(), point.number)? {
                self.last = Some((offset.unsigned_abs() + 1, point.clone()));
                return Ok(point);
            }
        }
        Err(TrailError::Busy)
    }

    /// The last entry of the chain; none if the trail is empty.
    ///
    /// # Errors
    ///
    /// Kafka does not answer.
    pub fn head(&mut self) -> Result<Option<TrailPoint>, TrailError> {
        let end = self.end()?;
        self.find_head(end)
    }

    fn end(&self) -> Result<u64, TrailError> {
        let ends = self.reader.watermarks(&self.config.topics.trail)?;
        Ok(ends.get(&0).map_or(0, |(_, end)| *end))
    }

    /// The entry with the highest number among the last records; of several with one number, the first counts.
    fn find_head(&mut self, end: u64) -> Result<Option<TrailPoint>, TrailError> {
        let mut head: Option<TrailEntry> = None;
        let mut is_empty = true;
        for offset in (end.saturating_sub(LOOK_BACK)..end).rev() {
            let Some(record) = self.read(offset)? else { break };
            is_empty = false;
            let Some(TrailRecord { entry, .. }) = record else { continue };
            match &head {
                // An entry that lost a race has the number of the winner or a lower one.
                Some(head) if entry.number < head.number => {
                    if entry.number + 1 == head.number && entry.hash() == head.previous {
                        break;
                    }
                }
                _ => head = Some(entry),
            }
        }
        match head {
            Some(head) => Ok(Some(head.point())),
            None if is_empty => Ok(None),
            None => Err(TrailError::NotATrail(self.config.topics.trail.clone())),
        }
    }

    /// True if a record between these offsets has the entry's number.
    fn has_rival(&mut self, from: u64, to: u64, number: u64) -> Result<bool, TrailError> {
        for offset in from..to {
            if let Some(Some(TrailRecord { entry, .. })) = self.read(offset)?
                && entry.number == number
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The record at an offset: none if there is none, or some of none if it is no entry.
    fn read(&mut self, offset: u64) -> Result<Option<Option<TrailRecord>>, TrailError> {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let record = self.reader.read(&self.config.topics.trail, 0, offset)?;
        Ok(record.map(|record| TrailRecord::parse(&record.value)))
    }
}
