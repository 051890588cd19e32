//! Alerts about cameras of the configuration that send nothing at all: neither frames nor notices of their agents.

use super::announcer::Announcer;
use super::error::ObserveError;
use super::heard_cameras::HeardCameras;
use super::metrics::Metrics;
use everyframe_config::{CameraSettings, Config};
use everyframe_kafka::watermarks;
use everyframe_types::camera_notice::format_milliseconds;
use everyframe_types::event::{CloudEvent, rfc3339};
use everyframe_types::machine::unix_ms;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// `type` of these events.
pub const CAMERA: &str = "everyframe.camera.v1";
/// How often the cameras are checked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often the partitions are counted, while none is known.
const COUNT_INTERVAL: Duration = Duration::from_secs(30);
/// How often the thread checks whether the host ends.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The agent tells of a silent camera first, milliseconds.
const GRACE: i64 = 5_000;

/// A camera of the configuration of which nothing is heard, or is heard again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CameraData {
    /// The camera's id.
    pub camera: String,
    /// Silent, or back.
    pub state: CameraPresence,
    /// Since when nothing was heard of it, Unix milliseconds.
    pub since: i64,
    /// One sentence for a person.
    pub text: String,
}

/// Whether anything is heard of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CameraPresence {
    /// Neither frames nor notices: its agent does not run, or does not reach Kafka.
    Silent,
    /// It is heard again.
    Back,
}

/// Which cameras are silent. Pure.
#[derive(Debug, Default)]
struct SilentCameras {
    /// Since when, Unix milliseconds.
    open: BTreeMap<String, i64>,
}

/// A camera at one moment.
struct Presence<'a> {
    camera: &'a str,
    silent_after: i64,
    /// When it was heard of last; else, since when this host listens.
    heard: i64,
    /// Its agent told that it is away.
    is_known_away: bool,
}

impl SilentCameras {
    /// The cameras that became silent, or are back. A camera that is not among `cameras` is another host's now.
    fn update(&mut self, cameras: &[Presence<'_>], now: i64) -> Vec<(String, CameraPresence, i64)> {
        let (mut news, mut open) = (Vec::new(), BTreeMap::new());
        for presence in cameras {
            let since = self.open.get(presence.camera).copied();
            let is_silent = !presence.is_known_away && now - presence.heard >= presence.silent_after + GRACE;
            match (since, is_silent) {
                (None, true) => {
                    open.insert(presence.camera.to_owned(), presence.heard);
                    news.push((presence.camera.to_owned(), CameraPresence::Silent, presence.heard));
                }
                (Some(since), false) => {
                    news.push((presence.camera.to_owned(), CameraPresence::Back, since));
                }
                (since, _) => open.extend(since.map(|since| (presence.camera.to_owned(), since))),
            }
        }
        self.open = open;
        news
    }
}

/// Watches the cameras of the configuration until `stop` is set.
///
/// # Errors
///
/// The thread cannot be made: the host must not start.
pub fn start(config: &Config, metrics: Arc<Metrics>, stop: Arc<AtomicBool>) -> Result<(), ObserveError> {
    metrics.expect_cameras(config.cameras.clone());
    let monitor = Monitor {
        config: config.clone(),
        announcer: Announcer::new(config),
        metrics,
        silent: SilentCameras::default(),
        owned_since: BTreeMap::new(),
        partitions: None,
        counted: None,
    };
    let run = move || monitor.run(&stop);
    std::thread::Builder::new().name("cameras".into()).spawn(run).map_err(ObserveError::Thread)?;
    Ok(())
}

struct Monitor {
    config: Config,
    announcer: Announcer,
    metrics: Arc<Metrics>,
    silent: SilentCameras,
    /// By partition of this host: since when, Unix milliseconds.
    owned_since: BTreeMap<i32, i64>,
    /// The number of partitions of the frames topic.
    partitions: Option<u32>,
    counted: Option<Instant>,
}

impl Monitor {
    fn run(mut self, stop: &AtomicBool) {
        let mut next = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(CHECK_INTERVAL);
            if Instant::now() < next {
                continue;
            }
            next = Instant::now() + INTERVAL;
            let expected = self.metrics.expected_cameras();
            if !expected.is_empty() {
                self.check(&expected);
            }
        }
    }

    fn check(&mut self, expected: &[CameraSettings]) {
        let (now, metrics) = (unix_ms(), self.metrics.clone());
        let lanes = metrics.partitions().lanes();
        self.owned_since.retain(|partition, _| lanes.iter().any(|lane| lane.partition == *partition));
        for lane in &lanes {
            self.owned_since.entry(lane.partition).or_insert(now);
        }
        if self.partitions.is_none() && self.counted.is_none_or(|at| at.elapsed() >= COUNT_INTERVAL) {
            self.counted = Some(Instant::now());
            let counted = watermarks(&self.config.kafka, &self.config.topics.frames).ok();
            self.partitions = counted
                .and_then(|partitions| u32::try_from(partitions.len()).ok())
                .filter(|count| *count > 0);
        }
        let cameras: Vec<Presence<'_>> = expected
            .iter()
            .filter_map(|camera| self.presence(camera, metrics.heard_cameras(), now))
            .collect();
        for (camera, state, since) in self.silent.update(&cameras, now) {
            let text = match state {
                CameraPresence::Silent => format!(
                    "nothing is heard of camera {camera} for {}: its agent does not run, or does not reach Kafka",
                    format_milliseconds(now - since)
                ),
                CameraPresence::Back => {
                    format!("camera {camera} is heard again after {}", format_milliseconds(now - since))
                }
            };
            match state {
                CameraPresence::Silent => tracing::warn!(camera, "{text}"),
                CameraPresence::Back => tracing::info!(camera, "{text}"),
            }
            let event = event(CameraData { camera: camera.clone(), state, since, text }, now);
            self.announcer.publish(&camera, &event);
        }
    }

    /// A camera whose partition this host has; none if another host has it, or if nobody can tell.
    fn presence<'a>(
        &self,
        camera: &'a CameraSettings,
        heard: &HeardCameras,
        now: i64,
    ) -> Option<Presence<'a>> {
        let known = heard.find(&camera.id);
        let partition = match (known, self.partitions) {
            (Some(known), _) => known.partition,
            (None, Some(count)) => partition_of(&camera.id, count),
            (None, None) => return None,
        };
        let owned_since = *self.owned_since.get(&partition)?;
        if heard.has_backlog(partition, now) {
            return None;
        }
        Some(Presence {
            camera: &camera.id,
            silent_after: (camera.silent_after_s * 1000.0) as i64,
            heard: known.map_or(owned_since, |known| known.last_record.max(owned_since)),
            is_known_away: known.is_some_and(|known| known.is_away()),
        })
    }
}

/// The partition to which librdkafka's default partitioner, `consistent_random`, sends records with this key.
fn partition_of(key: &str, partitions: u32) -> i32 {
    let mut checksum = u32::MAX;
    for byte in key.bytes() {
        checksum ^= u32::from(byte);
        for _ in 0..8 {
            // CRC-32 of ISO 3309, reflected.
            checksum = checksum >> 1 ^ (0xedb8_8320 & 0u32.wrapping_sub(checksum & 1));
        }
    }
    i32::try_from(!checksum % partitions.max(1)).unwrap_or(0)
}

fn event(data: CameraData, now: i64) -> CloudEvent<CameraData> {
    let suffix = match data.state {
        CameraPresence::Silent => "",
        CameraPresence::Back => "/back",
    };
    CloudEvent {
        specversion: "1.0".into(),
        id: format!("{}/silent/{}{suffix}", data.camera, data.since),
        source: "everyframe".into(),
        kind: CAMERA.into(),
        subject: data.camera.clone(),
        time: rfc3339(now),
        datacontenttype: "application/json".into(),
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_camera_is_reported_once_and_so_is_its_return() {
        let mut silent = SilentCameras::default();
        let mut update = |heard, is_known_away, now| {
            let presence = Presence { camera: "gate", silent_after: 30_000, heard, is_known_away };
            silent.update(&[presence], now).first().map(|(_, state, since)| (*state, *since))
        };
        assert_eq!(update(1000, false, 35_000), None);
        assert_eq!(update(1000, false, 36_000), Some((CameraPresence::Silent, 1000)));
        assert_eq!(update(1000, false, 90_000), None);
        assert_eq!(update(91_000, false, 92_000), Some((CameraPresence::Back, 1000)));
        assert_eq!(update(91_000, true, 200_000), None, "its agent told");
    }

    #[test]
    fn a_camera_of_another_host_is_forgotten() {
        let mut silent = SilentCameras::default();
        let presence = || Presence { camera: "gate", silent_after: 0, heard: 0, is_known_away: false };
        assert_eq!(silent.update(&[presence()], 10_000).len(), 1);
        assert!(silent.update(&[], 11_000).is_empty());
        assert_eq!(silent.update(&[presence()], 12_000).len(), 1);
    }

    #[test]
    fn a_key_has_the_partition_of_its_checksum() {
        // The check value of CRC-32 is cbf43926.
        assert_eq!(partition_of("123456789", 1 << 30), 0x0bf4_3926);
        assert_eq!(partition_of("gate", 1), 0);
    }
}
