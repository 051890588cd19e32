//! Estimates when retention deletes an unread frame. Pure.
//!
//! Let `N` be the unread records of a partition, `a` the age of the oldest one, `p` the records processed and `q` those
//! arriving in a second, `b` the bytes of a record.
//!
//! *By time* (`retention.ms` = `R`): a record is deleted when its age is `R`. In a second of processing the group gets on
//! by `v = p ÷ max(q, N ÷ a)` seconds of arrivals, `N ÷ a` being how dense the unread ones lie; so the oldest age grows by
//! `1 − v` each second, and meets `R` after
//!
//! ```text
//! (R − a) ÷ (1 − v)        if v < 1; never if not
//! ```
//!
//! With nothing processed that is `R − a`.
//!
//! *By size* (`retention.bytes` = `S`, of the partition): the oldest unread record is deleted when it and all after it
//! are more than `S` bytes. They are `N·b`, and grow by `(q − p)·b` each second:
//!
//! ```text
//! (S − N·b) ÷ ((q − p)·b)  if q > p; never if not
//! ```
//!
//! The lesser of the two counts. If the group catches up before, after `N ÷ (p − q)`, retention never meets it; nor does
//! it if the oldest unread record is younger than the time over which the rates were measured: all that was there before
//! has been read. Kafka deletes whole segments, and only when the last record of a segment is old enough (or the rest is
//! still large enough without it): it comes later than this, never sooner.

use everyframe_kafka::Retention;
use std::time::Duration;

/// What there is to read in a partition, and how quickly it changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backlog {
    /// Unread records.
    pub lag: u64,
    /// Age of the oldest of them.
    pub age: Duration,
    /// Records that arrive in a second.
    pub arrival: f64,
    /// Records that are processed in a second.
    pub processing: f64,
    /// Mean size of a record.
    pub bytes_per_record: f64,
    /// The time over which the rates were measured.
    pub window: Duration,
}

/// The earliest time after which retention overtakes the group, if rates stay as they are; none if it never does.
pub fn time_left(backlog: &Backlog, retention: Retention) -> Option<Duration> {
    let Backlog { lag, age, arrival, processing, bytes_per_record, window } = *backlog;
    if lag == 0 || (age <= window && processing > 0.0) {
        return None;
    }
    let (unread, age) = (lag as f64, age.as_secs_f64());
    let by_time = retention.time.and_then(|time| {
        let density = if age > 0.0 { unread / age } else { 0.0 };
        let densest = arrival.max(density);
        let advance = if densest > 0.0 { processing / densest } else { 0.0 };
        let left = (time.as_secs_f64() - age).max(0.0);
        (advance < 1.0).then(|| left / (1.0 - advance))
    });
    let by_size = retention.bytes.and_then(|bytes| {
        let left = (bytes as f64 - unread * bytes_per_record).max(0.0);
        let growth = (arrival - processing) * bytes_per_record;
        (growth > 0.0 || left == 0.0).then(|| if left == 0.0 { 0.0 } else { left / growth })
    });
    let first = match (by_time, by_size) {
        (Some(one), Some(other)) => one.min(other),
        (one, other) => one.or(other)?,
    };
    let caught_up = if processing > arrival { unread / (processing - arrival) } else { f64::INFINITY };
    (first < caught_up).then(|| Duration::try_from_secs_f64(first).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn backlog(lag: u64, age: Duration, arrival: f64, processing: f64) -> Backlog {
        let window = Duration::from_secs(5);
        Backlog { lag, age, arrival, processing, bytes_per_record: 50_000.0, window }
    }

    fn day() -> Retention {
        Retention { time: Some(24 * HOUR), bytes: None }
    }

    #[test]
    fn without_processing_the_rest_of_the_retention_is_left() {
        assert_eq!(time_left(&backlog(36_000, HOUR, 10.0, 0.0), day()), Some(23 * HOUR));
        assert_eq!(time_left(&backlog(36_000, HOUR, 0.0, 0.0), day()), Some(23 * HOUR));
        assert_eq!(time_left(&backlog(1_000_000, 30 * HOUR, 10.0, 0.0), day()), Some(Duration::ZERO));
    }

    #[test]
    fn half_as_fast_as_the_frames_come_takes_twice_as_long() {
        assert_eq!(time_left(&backlog(36_000, HOUR, 10.0, 5.0), day()), Some(46 * HOUR));
    }

    #[test]
    fn a_group_that_keeps_up_is_never_overtaken() {
        assert_eq!(time_left(&backlog(36_000, HOUR, 10.0, 10.0), day()), None);
        assert_eq!(time_left(&backlog(0, Duration::ZERO, 10.0, 0.0), day()), None);
        // The oldest unread frame came while the rates were measured.
        assert_eq!(time_left(&backlog(20, Duration::from_secs(2), 10.0, 5.0), day()), None);
    }

    #[test]
    fn a_backlog_may_grow_too_old_before_it_is_read() {
        // 20 hours of 10 frames a second, read at 5 a second: 40 hours.
        let slow = backlog(720_000, 20 * HOUR, 0.0, 5.0);
        assert_eq!(time_left(&slow, day()), Some(8 * HOUR));
        let quick = Backlog { processing: 9.0, ..slow };
        assert_eq!(
            time_left(&quick, day()),
            None,
            "read in 22 hours, after 2 of which the oldest age is 20.2"
        );
    }

    #[test]
    fn by_size_the_backlog_grows_up_to_the_retention() {
        let bytes = Retention { time: None, bytes: Some(36_000 * 50_000 * 3) };
        assert_eq!(time_left(&backlog(36_000, HOUR, 10.0, 0.0), bytes), Some(2 * HOUR));
        assert_eq!(time_left(&backlog(36_000, HOUR, 10.0, 5.0), bytes), Some(4 * HOUR));
        assert_eq!(time_left(&backlog(36_000, HOUR, 10.0, 11.0), bytes), None);
        assert_eq!(time_left(&backlog(200_000, HOUR, 10.0, 5.0), bytes), Some(Duration::ZERO));
        let both = Retention { time: Some(2 * HOUR), ..bytes };
        assert_eq!(time_left(&backlog(36_000, HOUR, 10.0, 0.0), both), Some(HOUR));
        assert_eq!(time_left(&backlog(36_000, HOUR, 10.0, 0.0), Retention::default()), None);
    }

    fn seconds(time: Option<Duration>) -> f64 {
        time.map_or(f64::INFINITY, |time| time.as_secs_f64())
    }

    proptest! {
        #[test]
        fn more_work_never_gives_more_time(
            lag in 1u64..1_000_000, age in 6u64..100_000, more in 0u64..1_000_000,
            arrival in 0f64..1000.0, processing in 0f64..1000.0, faster in 0f64..1000.0,
            time in proptest::option::of(1u64..1_000_000), bytes in proptest::option::of(1u64..1 << 40),
        ) {
            let retention = Retention { time: time.map(Duration::from_secs), bytes };
            let now = backlog(lag, Duration::from_secs(age), arrival, processing);
            let left = seconds(time_left(&now, retention)) * 1.000001 + 0.001;
            let busier = Backlog { arrival: arrival + faster, ..now };
            prop_assert!(seconds(time_left(&busier, retention)) <= left);
            let longer = Backlog { lag: lag + more, ..now };
            prop_assert!(seconds(time_left(&longer, retention)) <= left);
            let idle = Backlog { processing: 0.0, ..now };
            prop_assert!(seconds(time_left(&idle, retention)) <= left);
        }
    }
}
