//! The gauges of each partition, read when the metrics are scraped.

use crate::lag::PartitionLag;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// One partition's lane at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneState {
    /// The partition.
    pub partition: i32,
    /// Bytes of the frames that it holds.
    pub bytes: usize,
    /// How many these are.
    pub frames: usize,
    /// True while no more are taken in.
    pub is_paused: bool,
}

/// The partitions of this host.
#[derive(Default)]
pub struct Partitions {
    lanes: OnceLock<Box<dyn Fn() -> Vec<LaneState> + Send + Sync>>,
    lags: Mutex<Lags>,
}

/// The last measurement of the topic.
#[derive(Debug, Default)]
struct Lags {
    partitions: Vec<PartitionLag>,
    is_retention_known: bool,
}

impl Partitions {
    /// Sets the function that returns the lanes. Only the first call counts.
    pub fn set_lanes(&self, lanes: impl Fn() -> Vec<LaneState> + Send + Sync + 'static) {
        let _ = self.lanes.set(Box::new(lanes));
    }

    /// The lanes as they are now.
    pub fn lanes(&self) -> Vec<LaneState> {
        self.lanes.get().map(|lanes| lanes()).unwrap_or_default()
    }

    /// Sets the lags that were measured last.
    pub fn set_lags(&self, partitions: Vec<PartitionLag>, is_retention_known: bool) {
        *self.lags.lock().unwrap_or_else(PoisonError::into_inner) = Lags { partitions, is_retention_known };
    }
}

impl fmt::Debug for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partitions").field("lags", &self.lags).finish_non_exhaustive()
    }
}

/// The collector that a registry reads.
#[derive(Debug)]
pub struct ByPartition(pub Arc<Partitions>);

impl Collector for ByPartition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut lanes = self.0.lanes();
        lanes.sort_unstable_by_key(|lane| lane.partition);
        let of_lanes = |value: fn(&LaneState) -> usize| {
            lanes.iter().map(|lane| (lane.partition, value(lane) as u64)).collect::<Vec<_>>()
        };
        let owned = lanes.len() as u64;
        encoder
            .encode_descriptor(
                "everyframe_partitions_owned",
                "Partitions of this host.",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&owned)?;
        let bytes = of_lanes(|lane| lane.bytes);
        gauges(&mut encoder, "everyframe_lane_bytes", "Bytes of the frames that the lane holds.", &bytes)?;
        let frames = of_lanes(|lane| lane.frames);
        gauges(&mut encoder, "everyframe_lane_frames", "Frames that the lane holds.", &frames)?;
        let paused = of_lanes(|lane| usize::from(lane.is_paused));
        gauges(&mut encoder, "everyframe_lane_paused", "1 while the full lane takes nothing in.", &paused)?;

        let lags = self.0.lags.lock().unwrap_or_else(PoisonError::into_inner);
        let owned: Vec<&PartitionLag> = lags
            .partitions
            .iter()
            .filter(|lag| lanes.iter().any(|lane| lane.partition == lag.partition))
            .collect();
        let numbers = |value: &dyn Fn(&PartitionLag) -> Option<f64>| {
            owned.iter().filter_map(|lag| Some((lag.partition, value(lag)?))).collect::<Vec<_>>()
        };
        let committed: Vec<(i32, u64)> =
            owned.iter().filter_map(|lag| Some((lag.partition, lag.committed?))).collect();
        gauges(&mut encoder, "everyframe_committed_offset", "The group's offset.", &committed)?;
        let lag: Vec<(i32, u64)> = owned.iter().map(|lag| (lag.partition, lag.lag)).collect();
        gauges(&mut encoder, "everyframe_lag_frames", "Frames that are there and not processed.", &lag)?;
        let deleted: Vec<(i32, u64)> = owned.iter().map(|lag| (lag.partition, lag.deleted_unread)).collect();
        let help = "Frames that retention deleted before the group came to them.";
        gauges(&mut encoder, "everyframe_deleted_unread_frames", help, &deleted)?;
        let age = numbers(&|lag| Some(lag.age.map_or(0.0, |age| age.as_secs_f64())));
        let help = "Age of the oldest frame that is not processed.";
        gauges(&mut encoder, "everyframe_oldest_unread_age_seconds", help, &age)?;
        let known = lags.is_retention_known;
        let left = numbers(&|lag| match lag.time_left {
            Some(left) => Some(left.as_secs_f64()),
            // Nothing is known before there are rates.
            None => (known && lag.arrival.is_some()).then_some(f64::INFINITY),
        });
        let help = "When retention comes to a frame that is not processed, if nothing changes; +Inf: never.";
        gauges(&mut encoder, "everyframe_retention_seconds_left", help, &left)
    }
}

fn gauges<T: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(i32, T)],
) -> Result<(), fmt::Error> {
    if values.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (partition, value) in values {
        family.encode_family(&[("partition", *partition)])?.encode_gauge(value)?;
    }
    Ok(())
}
