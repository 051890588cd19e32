//! Sizing: how many hosts, partitions and brokers a site needs. Pure formulas; `everyframe plan` prints them with numbers.

use serde::Serialize;
use std::time::Duration;

/// The load of a site, and the available machines.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Demand {
    /// Number of cameras.
    pub cameras: u32,
    /// Frames per second of each camera.
    pub fps: f64,
    /// Mean size of a frame, bytes.
    pub frame_bytes: f64,
    /// Processor time of a frame on one core, seconds.
    pub seconds_per_frame: f64,
    /// The share of time that a consumer may be busy, above 0 and below 1.
    pub target_load: f64,
    /// The longest outage of all hosts without losing frames, seconds.
    pub outage: f64,
    /// Number of copies of each record.
    pub replication: u32,
    /// The sustained throughput of a broker, including replication, bytes per second.
    pub broker_bytes: f64,
    /// Number of cores of each host for frames.
    pub cores_per_host: u32,
}

/// The size of a site.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plan {
    /// Frames per second of all cameras.
    pub frames_per_second: f64,
    /// Bytes per second of all cameras.
    pub bytes_per_second: f64,
    /// Number of consumers, each on one core, without head-room.
    pub consumers_busy: u64,
    /// Number of consumers with head-room.
    pub consumers: u64,
    /// Number of hosts.
    pub hosts: u64,
    /// Number of partitions of the frames topic.
    pub partitions: u64,
    /// Number of brokers.
    pub brokers: u64,
    /// Retention time of the frames topic (`retention.ms`), in seconds.
    pub retention: f64,
    /// Retention size of each partition of the frames topic (`retention.bytes`).
    pub retention_bytes: f64,
    /// Disk for the frames on each broker, bytes.
    pub disk_per_broker: f64,
    /// Time to process the backlog after the longest outage, seconds.
    pub catch_up: f64,
}

/// The comfortable throughput of one partition, bytes per second: its records are appended to one file.
pub const PARTITION_BYTES: f64 = 10e6;
/// Partitions for each host, so that the number of hosts can be doubled without moving cameras between partitions.
pub const PARTITIONS_PER_HOST: u64 = 2;
/// Retention time as a factor of the outage: time to detect it and to catch up.
pub const RETENTION_RESERVE: f64 = 1.25;
/// Cameras are not spread evenly over partitions: the fullest one may hold twice its share.
pub const UNEVEN: f64 = 2.0;
/// The largest share of a disk that is used.
pub const DISK_USE: f64 = 0.8;

/// Rounds up to a whole number. A number that exceeds a whole number only by a rounding error becomes that number.
fn round_up(number: f64) -> u64 {
    (number - 1e-9 * number.abs().max(1.0)).ceil().max(0.0) as u64
}

/// Sizes a site.
///
/// - consumers = cameras × fps × seconds per frame ÷ target load
/// - hosts = consumers ÷ cores per host
/// - partitions = the greater of 2 × hosts and bytes/s ÷ 10 MB/s
/// - brokers = bytes/s × replication ÷ what one takes, and no fewer than the replication
/// - retention = outage × 1.25; bytes of a partition = bytes/s × retention ÷ partitions × 2
/// - disk of a broker = bytes/s × retention × replication ÷ brokers ÷ 0.8
/// - catching up = outage × arrival ÷ (capacity − arrival), where capacity = consumers ÷ seconds per frame
pub fn plan(demand: &Demand) -> Plan {
    let frames_per_second = f64::from(demand.cameras) * demand.fps;
    let bytes_per_second = frames_per_second * demand.frame_bytes;
    let work = frames_per_second * demand.seconds_per_frame;
    let consumers = round_up(work / demand.target_load).max(1);
    let hosts = consumers.div_ceil(u64::from(demand.cores_per_host.max(1)));
    let partitions = (PARTITIONS_PER_HOST * hosts).max(round_up(bytes_per_second / PARTITION_BYTES));
    let copies = f64::from(demand.replication.max(1));
    let brokers =
        round_up(bytes_per_second * copies / demand.broker_bytes).max(u64::from(demand.replication.max(1)));
    let retention = demand.outage * RETENTION_RESERVE;
    let capacity = consumers as f64 / demand.seconds_per_frame;
    Plan {
        frames_per_second,
        bytes_per_second,
        consumers_busy: round_up(work).max(1),
        consumers,
        hosts,
        partitions,
        brokers,
        retention,
        retention_bytes: bytes_per_second * retention / partitions as f64 * UNEVEN,
        disk_per_broker: bytes_per_second * retention * copies / brokers as f64 / DISK_USE,
        catch_up: demand.outage * frames_per_second / (capacity - frames_per_second),
    }
}

impl Plan {
    /// Retention as a duration.
    pub fn retention_time(&self) -> Duration {
        Duration::try_from_secs_f64(self.retention).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ten_a_second() -> Demand {
        Demand {
            cameras: 1,
            fps: 10.0,
            frame_bytes: 100e3,
            seconds_per_frame: 0.5,
            target_load: 0.7,
            outage: 86_400.0,
            replication: 3,
            broker_bytes: 60e6,
            cores_per_host: 4,
        }
    }

    #[test]
    fn half_a_second_at_ten_frames_needs_five_consumers() {
        let plan = plan(&ten_a_second());
        assert_eq!((plan.consumers_busy, plan.consumers), (5, 8));
        assert_eq!((plan.hosts, plan.partitions, plan.brokers), (2, 4, 3));
        assert_eq!(plan.retention, 108_000.0);
        // A day's backlog of 10 frames per second; 8 consumers process 16 per second while 10 arrive.
        assert_eq!(plan.catch_up, 144_000.0);
    }

    #[test]
    fn a_thousand_cameras_are_sized() {
        let demand = Demand { cameras: 1000, seconds_per_frame: 0.015, cores_per_host: 16, ..ten_a_second() };
        let plan = plan(&demand);
        assert_eq!((plan.consumers, plan.hosts, plan.brokers), (215, 14, 50));
        assert_eq!(plan.partitions, 100);
        assert!(plan.partitions as f64 * PARTITION_BYTES >= plan.bytes_per_second);
    }

    fn demands() -> impl Strategy<Value = Demand> {
        let load = (1u32..5000, 0.1f64..60.0, 1e3f64..5e6, 0.001f64..2.0, 0.1f64..0.95);
        (load, 60.0f64..1e6, 1u32..5, 1e6f64..1e9, 1u32..128).prop_map(
            |(
                (cameras, fps, frame_bytes, seconds_per_frame, target_load),
                outage,
                replication,
                broker_bytes,
                cores,
            )| Demand {
                cameras,
                fps,
                frame_bytes,
                seconds_per_frame,
                target_load,
                outage,
                replication,
                broker_bytes,
                cores_per_host: cores,
            },
        )
    }

    proptest! {
        #[test]
        fn more_load_never_needs_less(demand in demands(), more in 1.0f64..10.0) {
            let before = plan(&demand);
            for demand in [
                Demand { fps: demand.fps * more, ..demand },
                Demand { cameras: demand.cameras + more as u32, ..demand },
                Demand { seconds_per_frame: demand.seconds_per_frame * more, ..demand },
                Demand { target_load: demand.target_load / more, ..demand },
            ] {
                let after = plan(&demand);
                prop_assert!(after.consumers >= before.consumers);
                prop_assert!(after.hosts >= before.hosts);
                prop_assert!(after.partitions >= before.partitions);
                prop_assert!(after.brokers >= before.brokers);
                prop_assert!(after.retention >= before.retention);
            }
        }

        #[test]
        fn a_plan_meets_its_demand(demand in demands()) {
            let plan = plan(&demand);
            let capacity = plan.consumers as f64 / demand.seconds_per_frame;
            prop_assert!(capacity * demand.target_load >= plan.frames_per_second * 0.999_999);
            prop_assert!(plan.hosts * u64::from(demand.cores_per_host) >= plan.consumers);
            prop_assert!(plan.partitions >= 2 * plan.hosts);
            prop_assert!(plan.brokers >= u64::from(demand.replication));
            prop_assert!(plan.brokers as f64 * demand.broker_bytes * 1.000_001
                >= plan.bytes_per_second * f64::from(demand.replication));
            prop_assert!(plan.catch_up > 0.0);
        }
    }
}
