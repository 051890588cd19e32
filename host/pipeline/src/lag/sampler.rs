//! Measures the lag of each partition, and the rates between two measurements.

use super::estimate::{Backlog, time_left};
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Observer, Retention};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The lag of one partition of the frames topic. Rates are none at the first measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionLag {
    /// The partition.
    pub partition: i32,
    /// The offset of the oldest record that retention left.
    pub oldest: u64,
    /// The offset that the next record will get.
    pub next: u64,
    /// The group's offset; none if it has committed nothing here.
    pub committed: Option<u64>,
    /// Unread records.
    pub lag: u64,
    /// Records that were deleted unread; until the group commits a later offset.
    pub deleted_unread: u64,
    /// Records that arrive in a second.
    pub arrival: Option<f64>,
    /// Records that are processed in a second.
    pub processing: Option<f64>,
    /// Age of the oldest unread record, by its timestamp; in JSON, seconds.
    #[serde(serialize_with = "seconds")]
    pub age: Option<Duration>,
    /// Mean size of the oldest unread records, bytes.
    pub bytes_per_record: Option<f64>,
    /// The earliest time after which retention deletes unread records, if nothing changes ([`time_left`]); none if it
    /// never does, or at the first measurement; in JSON, seconds.
    #[serde(serialize_with = "seconds")]
    pub time_left: Option<Duration>,
}

fn seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

/// Measures every partition of the frames topic. It never joins the group and commits nothing.
pub struct Sampler {
    observer: Observer,
    retention: Option<Retention>,
    last: Option<Look>,
}

/// What rates are measured from: by partition, the next offset and the one that the group reads next.
struct Look {
    at: Instant,
    offsets: BTreeMap<i32, (u64, u64)>,
}

impl Sampler {
    /// Connects in the background.
    ///
    /// # Errors
    ///
    /// A property that librdkafka does not accept: the operator must change it.
    pub fn new(config: &Config) -> Result<Self, BrokerError> {
        let observer = Observer::new(&config.kafka, &config.topics.frames)?;
        Ok(Self { observer, retention: None, last: None })
    }

    /// How long the topic keeps its records, at the last measurement; none if the broker does not say.
    pub fn retention(&self) -> Option<Retention> {
        self.retention
    }

    /// Measures the lag, and the rates since the last measurement: leave some seconds between them, several commits of the
    /// hosts. Reads a few unread records of each partition. Do not call it from asynchronous code.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, or refuse this user; try again later.
    pub fn sample(&mut self) -> Result<Vec<PartitionLag>, BrokerError> {
        self.retention = match self.observer.retention() {
            Ok(retention) => Some(retention),
            Err(error) => {
                // Reading a topic's configuration needs a right of its own.
                tracing::debug!(%error, "retention not known");
                None
            }
        };
        let (committed, at) = (self.observer.committed()?, Instant::now());
        let ends = self.observer.ends()?;
        let mut offsets = BTreeMap::new();
        let mut unread = BTreeMap::new();
        for (partition, (oldest, next)) in &ends {
            let reads_next = committed.get(partition).copied().unwrap_or(0);
            offsets.insert(*partition, (*next, reads_next));
            if reads_next.max(*oldest) < *next {
                unread.insert(*partition, reads_next.max(*oldest));
            }
        }
        let first = self.observer.peek(&unread)?;
        let last = self.last.replace(Look { at, offsets });
        let partitions = ends.into_iter().map(|(partition, (oldest, next))| {
            let reads_next = committed.get(&partition).copied().unwrap_or(0);
            let rates = last.as_ref().and_then(|last| {
                let (next_then, read_then) = *last.offsets.get(&partition)?;
                let window = at.saturating_duration_since(last.at);
                // Offsets go back when a topic is created again or a group is reset.
                let rate =
                    |now: u64, then: u64| now.saturating_sub(then) as f64 / window.as_secs_f64().max(1e-3);
                Some((window, rate(next, next_then), rate(reads_next, read_then)))
            });
            let mut lag = PartitionLag {
                partition,
                oldest,
                next,
                committed: committed.get(&partition).copied(),
                lag: next.saturating_sub(reads_next.max(oldest)),
                deleted_unread: oldest.saturating_sub(reads_next),
                arrival: rates.map(|(_, arrival, _)| arrival),
                processing: rates.map(|(.., processing)| processing),
                age: first.get(&partition).map(|first| first.age),
                bytes_per_record: first.get(&partition).map(|first| first.bytes_per_record),
                time_left: None,
            };
            lag.time_left = self.estimate(&lag, rates.map(|(window, ..)| window));
            lag
        });
        Ok(partitions.collect())
    }

    fn estimate(&self, lag: &PartitionLag, window: Option<Duration>) -> Option<Duration> {
        if lag.deleted_unread > 0 {
            return Some(Duration::ZERO);
        }
        let backlog = Backlog {
            lag: lag.lag,
            age: lag.age?,
            arrival: lag.arrival?,
            processing: lag.processing?,
            bytes_per_record: lag.bytes_per_record?,
            window: window?,
        };
        time_left(&backlog, self.retention?)
    }
}
