//! When each camera was heard of last, and how it is: for metrics, and for the alert about a silent one.

use everyframe_types::camera_notice::NoticeKind;
use everyframe_types::frame::Frame;
use everyframe_types::machine::unix_ms;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many cameras are kept. Their ids come from outside.
const CAMERAS: usize = 1000;
/// A partition whose last record was older than this when it was read has a backlog, milliseconds.
const BACKLOG: i64 = 10_000;
/// A partition of which nothing was read for this long has no backlog, milliseconds.
const QUIET: i64 = 5_000;

/// What is known of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeardCamera {
    /// The partition of its records.
    pub partition: i32,
    /// The time of its last record, frame or notice, Unix milliseconds.
    pub last_record: i64,
    /// The time of its last frame, Unix milliseconds; 0 if there was none.
    last_frame: i64,
    frames: u64,
    bytes: u64,
    damaged: u64,
    dropped: u64,
    /// The state that its agent told last.
    state: Option<NoticeKind>,
}

/// The last record of a partition.
#[derive(Debug, Clone, Copy)]
struct LastRecord {
    recorded_at: i64,
    read_at: i64,
}

#[derive(Debug, Default)]
struct Heard {
    cameras: HashMap<Arc<str>, HeardCamera>,
    partitions: BTreeMap<i32, LastRecord>,
}

/// The cameras of this host's partitions.
#[derive(Debug, Default)]
pub struct HeardCameras(Mutex<Heard>);

impl HeardCameras {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a record of the frames topic.
    pub fn record(&self, frame: &Frame) {
        // An operator sent it again, not the camera.
        if frame.is_replayed() {
            return;
        }
        let now = unix_ms();
        let mut heard = self.lock();
        let (partition, recorded_at) = (frame.position.partition, frame.recorded_at);
        heard.partitions.insert(partition, LastRecord { recorded_at, read_at: now });
        if !heard.cameras.contains_key(&frame.camera) && heard.cameras.len() >= CAMERAS {
            return;
        }
        let camera = heard.cameras.entry(frame.camera.clone()).or_insert(HeardCamera {
            partition,
            last_record: recorded_at,
            last_frame: 0,
            frames: 0,
            bytes: 0,
            damaged: 0,
            dropped: 0,
            state: None,
        });
        (camera.partition, camera.last_record) = (partition, camera.last_record.max(recorded_at));
        match &frame.notice {
            Some(notice) => match notice.kind {
                NoticeKind::Damaged => camera.damaged = camera.damaged.saturating_add(notice.frames),
                NoticeKind::Dropped => camera.dropped = camera.dropped.saturating_add(notice.frames),
                kind if notice.to.is_none() => camera.state = Some(kind),
                kind if camera.state == Some(kind) => camera.state = None,
                _ => {}
            },
            None if frame.is_frame() => {
                camera.last_frame = camera.last_frame.max(recorded_at);
                camera.frames += 1;
                camera.bytes += frame.picture.len() as u64;
                camera.state = camera.state.filter(|state| *state != NoticeKind::Away);
            }
            None => {}
        }
    }

    /// What is known of a camera; none if it was not heard of.
    pub fn find(&self, camera: &str) -> Option<HeardCamera> {
        self.lock().cameras.get(camera).copied()
    }

    /// True if old records of this partition are being read: silence means nothing then.
    pub fn has_backlog(&self, partition: i32, now: i64) -> bool {
        let heard = self.lock();
        let last = heard.partitions.get(&partition);
        last.is_some_and(|last| last.read_at - last.recorded_at > BACKLOG && now - last.read_at < QUIET)
    }
}

impl HeardCamera {
    /// True if its agent told that it is away: the alert about that is out.
    pub fn is_away(&self) -> bool {
        self.state == Some(NoticeKind::Away)
    }
}

/// The collector that a registry reads.
#[derive(Debug)]
pub struct ByCamera(pub Arc<HeardCameras>);

impl Collector for ByCamera {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut cameras: Vec<(Arc<str>, HeardCamera)> =
            self.0.lock().cameras.iter().map(|(name, camera)| (name.clone(), *camera)).collect();
        cameras.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let now = unix_ms();
        let ages = cameras.iter().filter(|(_, camera)| camera.last_frame > 0);
        let ages =
            ages.map(|(name, camera)| (name, (now - camera.last_frame).max(0) as f64 / 1000.0)).collect();
        gauges(&mut encoder, "everyframe_camera_last_frame_age_seconds", "Age of the last frame.", ages)?;
        for (kind, help) in [
            (NoticeKind::Away, "1 while the agent gets no picture."),
            (NoticeKind::Frozen, "1 while the picture is always the same."),
            (NoticeKind::Black, "1 while the picture is black."),
        ] {
            let states = cameras.iter().map(|(name, camera)| {
                let is_so = camera.state == Some(kind);
                (name, if is_so { 1.0 } else { 0.0 })
            });
            gauges(&mut encoder, &format!("everyframe_camera_{}", kind.as_str()), help, states.collect())?;
        }
        for (name, help, value) in [
            ("frames", "Frames taken in.", (|camera: &HeardCamera| camera.frames) as fn(&HeardCamera) -> u64),
            ("frame_bytes", "Bytes of these frames.", |camera| camera.bytes),
            ("damaged_frames", "Damaged pictures, as the agent told.", |camera| camera.damaged),
            ("dropped_frames", "Pictures that a slow agent left out.", |camera| camera.dropped),
        ] {
            let name = format!("everyframe_camera_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for (camera, heard) in &cameras {
                let labels = [("camera", camera.as_ref())];
                let value = value(heard);
                family.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], _, f64>(&value, None)?;
            }
        }
        Ok(())
    }
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: Vec<(&Arc<str>, f64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (camera, value) in values {
        family.encode_family(&[("camera", camera.as_ref())])?.encode_gauge(&value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_types::camera_notice::CameraNotice;
    use everyframe_types::frame::Position;
    use std::time::Instant;

    fn record(recorded_at: i64, notice: Option<CameraNotice>) -> Frame {
        let position = Position { topic: "frames".into(), partition: 3, offset: 0 };
        Frame {
            identity: position.clone(),
            position,
            camera: "gate".into(),
            session: "s".into(),
            sequence: 0,
            captured_at: recorded_at,
            claimed_at: recorded_at,
            recorded_at,
            is_numbered: true,
            source: None,
            taken_in_at: Instant::now(),
            sequence_gap: None,
            notice,
            callback: None,
            picture: vec![0; 10],
        }
    }

    fn away(to: Option<i64>) -> CameraNotice {
        CameraNotice { kind: NoticeKind::Away, from: 5, to, frames: 0, reason: String::new() }
    }

    #[test]
    fn a_camera_is_away_until_its_agent_says_otherwise() {
        let heard = HeardCameras::default();
        let mut states = Vec::new();
        for (at, notice) in [
            (10, None),
            (20, Some(away(None))),
            (30, Some(away(Some(30)))),
            (40, Some(away(None))),
            // Its agent was killed, and another one sends.
            (50, None),
        ] {
            heard.record(&record(at, notice));
            let camera = heard.find("gate").unwrap();
            states.push((camera.last_record, camera.last_frame, camera.is_away()));
        }
        let expected = [(10, 10, false), (20, 10, true), (30, 10, false), (40, 10, true), (50, 50, false)];
        assert_eq!(states, expected);
        assert_eq!(heard.find("yard"), None);
    }

    #[test]
    fn old_records_are_a_backlog_while_they_are_read() {
        let heard = HeardCameras::default();
        let now = unix_ms();
        heard.record(&record(now - 60_000, None));
        assert!(heard.has_backlog(3, now));
        assert!(!heard.has_backlog(3, now + 60_000), "nothing more is read");
        heard.record(&record(now, None));
        assert!(!heard.has_backlog(3, now));
        assert!(!heard.has_backlog(4, now));
    }
}
