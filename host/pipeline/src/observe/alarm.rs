//! The alarm of a running host before retention deletes unread frames: one event when a partition comes into danger, one
//! when it is out of it.

use super::announcer::Announcer;
use super::error::ObserveError;
use super::metrics::Metrics;
use crate::lag::{PartitionLag, Sampler, sentence};
use everyframe_config::{Config, ObserveSettings};
use everyframe_kafka::{BrokerError, LogOnce, Retention};
use everyframe_types::event::{CloudEvent, rfc3339};
use everyframe_types::machine::unix_ms;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// `type` of the alarm's events.
pub const RETENTION: &str = "everyframe.retention.v1";

/// How often the thread checks whether the host ends.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A partition whose unread frames retention is about to delete, or has begun to; or one that is out of danger again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionData {
    /// The frames topic.
    pub topic: String,
    /// The consumer group that has not read the frames.
    pub group: String,
    /// The partition.
    pub partition: i32,
    /// In danger, or out of it.
    pub state: RetentionState,
    /// Since when it has been in danger, Unix milliseconds.
    pub since: i64,
    /// Frames that are there and unread.
    pub lag: u64,
    /// Frames that were deleted before the group came to them.
    pub deleted_unread: u64,
    /// Seconds until frames are deleted unread, if nothing changes; none if they never are.
    pub seconds_left: Option<f64>,
    /// One sentence for a person.
    pub text: String,
}

/// Whether the alarm begins or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RetentionState {
    /// Frames will be deleted unread, or were.
    Danger,
    /// The group has caught up far enough.
    Over,
}

/// Which partitions are in danger. Pure.
#[derive(Debug, Default)]
pub struct Alarms {
    /// By partition: since when, Unix milliseconds.
    open: BTreeMap<i32, i64>,
}

/// When the alarm is raised for a partition.
#[derive(Debug, Clone, Copy)]
pub struct AlarmThreshold {
    /// The alarm is raised when less than this time is left. For a topic that keeps frames for less than twice this time, it is
    /// half of what the topic keeps; otherwise every short stop would raise it.
    pub time_left: Duration,
    /// How long the topic keeps frames.
    pub retention: Option<Retention>,
    /// Frames younger than this raise no alarm: they arrived between two measurements of the host.
    pub interval: Duration,
}

impl AlarmThreshold {
    /// The threshold that `[observe]` sets, for a topic with this retention.
    pub fn new(observe: &ObserveSettings, retention: Option<Retention>) -> Self {
        let configured = Duration::try_from_secs_f64(observe.retention_alarm_h * 3600.0);
        Self {
            time_left: configured.unwrap_or(Duration::MAX),
            retention,
            interval: Duration::from_secs(observe.lag_interval_s),
        }
    }

    /// The time left at which the alarm is raised for a partition.
    fn for_partition(&self, lag: &PartitionLag) -> Duration {
        let by_time = self.retention.and_then(|kept| kept.time);
        // What is kept by size is so many seconds of arrivals.
        let rate = lag.arrival.zip(lag.bytes_per_record).map(|(arrival, bytes)| arrival * bytes);
        let by_size = self.retention.and_then(|kept| kept.bytes).zip(rate);
        let by_size = by_size.and_then(|(bytes, rate)| Duration::try_from_secs_f64(bytes as f64 / rate).ok());
        [by_time, by_size]
            .into_iter()
            .flatten()
            .fold(self.time_left, |threshold, kept| threshold.min(kept / 2))
    }

    /// True if the partition is in danger; none if that is not known.
    fn threatens(&self, lag: &PartitionLag, is_open: bool) -> Option<bool> {
        if lag.deleted_unread > 0 && lag.committed.is_some() {
            return Some(true);
        }
        if lag.lag == 0 {
            return Some(false);
        }
        let age = lag.age?;
        lag.arrival?;
        // A raised alarm ends only above a higher threshold, because estimates fluctuate.
        let threshold = self.for_partition(lag);
        let threshold = if is_open { threshold.saturating_add(threshold / 10) } else { threshold };
        Some(age > self.interval && lag.time_left.is_some_and(|left| left <= threshold))
    }
}

impl Alarms {
    /// The alarms that begin or end, given the lag of this host's partitions; `now` in Unix milliseconds.
    pub fn update<'a>(
        &mut self,
        lags: impl IntoIterator<Item = &'a PartitionLag>,
        threshold: AlarmThreshold,
        now: i64,
    ) -> Vec<(&'a PartitionLag, RetentionState, i64)> {
        let (mut news, mut open) = (Vec::new(), BTreeMap::new());
        for lag in lags {
            let since = self.open.get(&lag.partition).copied();
            match (since, threshold.threatens(lag, since.is_some())) {
                (None, Some(true)) => {
                    open.insert(lag.partition, now);
                    news.push((lag, RetentionState::Danger, now));
                }
                (Some(since), Some(false)) => news.push((lag, RetentionState::Over, since)),
                (since, _) => open.extend(since.map(|since| (lag.partition, since))),
            }
        }
        // A partition that another host has by now is reported by that host.
        self.open = open;
        news
    }

    /// The partition in danger that is most urgent, of those that were given to the last [`Alarms::update`]: one whose frames
    /// were deleted unread, else the one with the least time left.
    pub fn most_urgent<'a>(&self, lags: &'a [PartitionLag]) -> Option<&'a PartitionLag> {
        let in_danger = lags.iter().filter(|lag| self.open.contains_key(&lag.partition));
        in_danger.min_by_key(|lag| (lag.deleted_unread == 0, lag.time_left.unwrap_or(Duration::MAX)))
    }
}

/// Measures the lag until `stop` is set.
///
/// # Errors
///
/// The connection to Kafka or the thread cannot be made: the host must not start.
pub fn start(config: &Config, metrics: Arc<Metrics>, stop: Arc<AtomicBool>) -> Result<(), ObserveError> {
    let watch = Watch::new(config, metrics)?;
    let watch = move || watch.run(&stop);
    std::thread::Builder::new().name("lag".into()).spawn(watch).map_err(ObserveError::Thread)?;
    Ok(())
}

struct Watch {
    config: Config,
    sampler: Sampler,
    announcer: Announcer,
    metrics: Arc<Metrics>,
    alarms: Alarms,
    log_once: LogOnce,
}

impl Watch {
    fn new(config: &Config, metrics: Arc<Metrics>) -> Result<Self, BrokerError> {
        Ok(Self {
            config: config.clone(),
            sampler: Sampler::new(config)?,
            announcer: Announcer::new(config),
            metrics,
            alarms: Alarms::default(),
            log_once: LogOnce::default(),
        })
    }

    fn run(mut self, stop: &AtomicBool) {
        let interval = Duration::from_secs(self.config.observe.lag_interval_s);
        let mut next = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(CHECK_INTERVAL);
            if Instant::now() < next || self.metrics.partitions().lanes().is_empty() {
                continue;
            }
            next = Instant::now() + interval;
            match self.sampler.sample() {
                Ok(lags) => {
                    self.log_once.recovered("the lag is known again");
                    self.report(&lags);
                    self.metrics.partitions().set_lags(lags, self.sampler.retention().is_some());
                }
                Err(error) => {
                    self.log_once.warn(&format!("the lag is not known: {error}; trying again"));
                    self.metrics.partitions().set_lags(Vec::new(), false);
                }
            }
        }
    }

    fn report(&mut self, lags: &[PartitionLag]) {
        let threshold = AlarmThreshold::new(&self.config.observe, self.sampler.retention());
        let lanes = self.metrics.partitions().lanes();
        let ours = lags.iter().filter(|lag| lanes.iter().any(|lane| lane.partition == lag.partition));
        let now = unix_ms();
        for (lag, state, since) in self.alarms.update(ours, threshold, now) {
            let text = match state {
                RetentionState::Danger => sentence(lag),
                RetentionState::Over => {
                    format!(
                        "camera traffic on partition {} is no longer about to be deleted unread",
                        lag.partition
                    )
                }
            };
            match state {
                RetentionState::Danger => {
                    tracing::warn!("{text}; start more hosts, or lengthen the topic's retention");
                }
                RetentionState::Over => tracing::info!("{text}"),
            }
            let event = event(&self.config, lag, state, since, now, text);
            self.announcer.publish(&lag.partition.to_string(), &event);
        }
    }
}

fn event(
    config: &Config,
    lag: &PartitionLag,
    state: RetentionState,
    since: i64,
    now: i64,
    text: String,
) -> CloudEvent<RetentionData> {
    let (topic, partition) = (&config.topics.frames, lag.partition);
    let suffix = match state {
        RetentionState::Danger => "",
        RetentionState::Over => "/over",
    };
    CloudEvent {
        specversion: "1.0".into(),
        id: format!("{topic}/{partition}/retention/{since}{suffix}"),
        source: "everyframe".into(),
        kind: RETENTION.into(),
        subject: format!("{topic}/{partition}"),
        time: rfc3339(now),
        datacontenttype: "application/json".into(),
        data: RetentionData {
            topic: topic.clone(),
            group: config.kafka.group.clone(),
            partition,
            state,
            since,
            lag: lag.lag,
            deleted_unread: lag.deleted_unread,
            seconds_left: lag.time_left.map(|left| left.as_secs_f64()),
            text,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    fn lag(time_left: Option<Duration>) -> PartitionLag {
        PartitionLag {
            partition: 3,
            oldest: 0,
            next: 100,
            committed: Some(10),
            lag: 90,
            deleted_unread: 0,
            arrival: Some(1.0),
            processing: Some(0.0),
            age: Some(HOUR),
            bytes_per_record: Some(1.0),
            time_left,
        }
    }

    fn threshold(kept: Duration) -> AlarmThreshold {
        let retention = Some(Retention { time: Some(kept), bytes: None });
        AlarmThreshold { time_left: 24 * HOUR, retention, interval: MINUTE }
    }

    #[test]
    fn danger_is_reported_once_and_so_is_its_end() {
        let mut alarms = Alarms::default();
        let mut update = |of: PartitionLag, now| {
            let news = alarms.update([&of], threshold(100 * HOUR), now);
            news.first().map(|(_, state, since)| (*state, *since))
        };
        assert_eq!(update(lag(Some(25 * HOUR)), 1), None);
        assert_eq!(update(lag(Some(23 * HOUR)), 2), Some((RetentionState::Danger, 2)));
        assert_eq!(update(lag(Some(22 * HOUR)), 3), None);
        assert_eq!(update(lag(Some(25 * HOUR)), 4), None, "the estimate wavers");
        assert_eq!(update(PartitionLag { age: None, ..lag(None) }, 5), None, "nothing is known");
        assert_eq!(update(lag(None), 6), Some((RetentionState::Over, 2)));
        assert_eq!(update(lag(Some(HOUR)), 7), Some((RetentionState::Danger, 7)));
        assert_eq!(
            update(PartitionLag { lag: 0, age: None, ..lag(None) }, 8),
            Some((RetentionState::Over, 7))
        );
    }

    #[test]
    fn a_short_stop_is_no_danger_where_frames_are_kept_for_a_day() {
        let day = threshold(24 * HOUR);
        assert_eq!(day.threatens(&lag(Some(23 * HOUR)), false), Some(false));
        assert_eq!(day.threatens(&lag(Some(12 * HOUR)), false), Some(true));
        let young = PartitionLag { age: Some(MINUTE / 2), ..lag(Some(HOUR)) };
        assert_eq!(day.threatens(&young, false), Some(false), "it came since the last look");
    }

    #[test]
    fn a_burst_is_no_danger_where_few_bytes_are_kept() {
        let retention = Some(Retention { time: Some(100 * HOUR), bytes: Some(72_000_000) });
        let threshold = AlarmThreshold { time_left: 24 * HOUR, retention, interval: MINUTE };
        // Two hours of what comes in a second are kept.
        let of =
            |left| PartitionLag { arrival: Some(100.0), bytes_per_record: Some(100.0), ..lag(Some(left)) };
        assert_eq!(threshold.threatens(&of(110 * MINUTE), false), Some(false));
        assert_eq!(threshold.threatens(&of(59 * MINUTE), false), Some(true));
        let nothing_comes = PartitionLag { arrival: Some(0.0), ..of(23 * HOUR) };
        assert_eq!(threshold.threatens(&nothing_comes, false), Some(true), "they grow old all the same");
    }

    #[test]
    fn deleted_frames_are_danger_unless_the_group_is_new() {
        let gone = PartitionLag { deleted_unread: 5, lag: 0, time_left: None, ..lag(None) };
        assert_eq!(threshold(24 * HOUR).threatens(&gone, false), Some(true));
        let new = PartitionLag { committed: None, ..gone };
        assert_eq!(threshold(24 * HOUR).threatens(&new, false), Some(false));
    }

    #[test]
    fn deleted_frames_are_the_most_urgent_alarm() {
        let mut alarms = Alarms::default();
        let soon = lag(Some(HOUR));
        let later = PartitionLag { partition: 4, ..lag(Some(2 * HOUR)) };
        let deleted = PartitionLag { partition: 5, deleted_unread: 1, ..lag(None) };
        let calm = PartitionLag { partition: 6, ..lag(Some(90 * HOUR)) };
        let urgent =
            |alarms: &Alarms, lags: &[PartitionLag]| alarms.most_urgent(lags).map(|lag| lag.partition);
        let lags = [calm, later, soon, deleted];
        assert_eq!(urgent(&alarms, &lags), None, "no alarm was raised yet");
        alarms.update(&lags, threshold(100 * HOUR), 1);
        assert_eq!(urgent(&alarms, &lags[..1]), None);
        assert_eq!(urgent(&alarms, &lags[..3]), Some(3));
        assert_eq!(urgent(&alarms, &lags), Some(5));
    }

    #[test]
    fn a_revoked_partition_is_reported_by_its_new_host() {
        let (mut alarms, threshold) = (Alarms::default(), threshold(100 * HOUR));
        assert_eq!(alarms.update([&lag(Some(HOUR))], threshold, 1).len(), 1);
        assert!(alarms.update([], threshold, 2).is_empty());
        assert!(alarms.open.is_empty());
    }
}
