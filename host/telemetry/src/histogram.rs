//! A histogram without locks: it counts something of every frame.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The unit and the bucket bounds of a histogram.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// How many units of the observed values make one unit of the exported ones, such as nanoseconds in a second.
    unit: f64,
    /// Upper bounds of the buckets, ascending, in the unit of the observed values.
    bounds: &'static [u64],
}

const MS: u64 = 1_000_000;

/// CPU time of one stage of one frame.
pub const STAGE: Scale = Scale {
    unit: 1e9,
    bounds: &[
        MS / 10,
        MS / 4,
        MS / 2,
        MS,
        2 * MS,
        4 * MS,
        8 * MS,
        16 * MS,
        32 * MS,
        64 * MS,
        128 * MS,
        256 * MS,
        1024 * MS,
    ],
};

/// Time of one call of a rule.
pub const CALL: Scale = Scale {
    unit: 1e9,
    bounds: &[
        MS / 200,
        MS / 100,
        MS / 50,
        MS / 20,
        MS / 10,
        MS / 4,
        MS / 2,
        MS,
        2 * MS,
        5 * MS,
        10 * MS,
        50 * MS,
        200 * MS,
        1000 * MS,
    ],
};

/// Time that people or frames wait.
pub const DELAY: Scale = Scale {
    unit: 1e9,
    bounds: &[
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        1000 * MS,
        2500 * MS,
        5000 * MS,
        10_000 * MS,
        30_000 * MS,
        120_000 * MS,
    ],
};

/// Numbers of frames.
pub const FRAMES: Scale = Scale { unit: 1.0, bounds: &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] };

/// Counts values in buckets, with their sum.
#[derive(Clone)]
pub struct Histogram(Arc<Inner>);

struct Inner {
    scale: Scale,
    /// By bucket; the last one is for values above all bounds.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new(scale: Scale) -> Self {
        let counts = std::iter::repeat_with(AtomicU64::default).take(scale.bounds.len() + 1).collect();
        Self(Arc::new(Inner { scale, counts, sum: AtomicU64::default() }))
    }

    /// Counts a value, in the scale's own unit.
    pub fn observe(&self, value: u64) {
        let bucket = self.0.scale.bounds.partition_point(|bound| *bound < value);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration, in nanoseconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The value below which this share of the values lies (0.99 for the 99th percentile), in the exported unit; none without any
    /// value. Within a bucket, values are taken as evenly spread; those above all bounds count as the last bound.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let Inner { scale, counts, .. } = &*self.0;
        let counts: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let wanted = counts.iter().sum::<u64>() as f64 * share.clamp(0.0, 1.0);
        let (mut below, mut lower) = (0, 0.0);
        for (count, bound) in counts.iter().zip(scale.bounds) {
            let upper = *bound as f64 / scale.unit;
            if *count > 0 && (below + count) as f64 >= wanted {
                return Some(lower + (upper - lower) * ((wanted - below as f64) / *count as f64).max(0.0));
            }
            (below, lower) = (below + count, upper);
        }
        counts.iter().any(|count| *count > 0).then_some(lower)
    }

    /// The sum of all values, in the exported unit.
    pub fn sum(&self) -> f64 {
        self.0.sum.load(Ordering::Relaxed) as f64 / self.0.scale.unit
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").field("sum", &self.sum()).finish_non_exhaustive()
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Inner { scale, counts, .. } = &*self.0;
        let shown = scale.bounds.iter().map(|bound| *bound as f64 / scale.unit);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = shown.chain([f64::INFINITY]).zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_the_bucket_of_their_value() {
        let histogram = Histogram::new(FRAMES);
        assert_eq!(histogram.quantile(0.5), None);
        (0..99).for_each(|_| histogram.observe(15));
        histogram.observe(150);
        let [median, p99, highest] = [0.5, 0.99, 1.0].map(|share| histogram.quantile(share).unwrap_or(0.0));
        assert!((10.0..=20.0).contains(&median) && (median..=20.0).contains(&p99), "{median} {p99}");
        assert!((100.0..=200.0).contains(&highest), "{highest}");
        (0..1000).for_each(|_| histogram.observe(1_000_000));
        assert_eq!(histogram.quantile(0.5), Some(1000.0), "above all bounds");
    }
}
