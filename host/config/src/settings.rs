//! The settings of the configuration file. Relative paths are relative to its folder.

use crate::camera_settings::CameraSettings;
use crate::channel_settings::ChannelSettings;
use crate::privacy_settings::PrivacySettings;
use crate::property::Property;
use crate::rules::RuleSettings;
use crate::site_settings::{MaskSettings, ScheduleSettings, ZoneSettings};
use crate::web_settings::WebSettings;
use everyframe_types::machine::host_name;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The whole configuration file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// The names of the topics.
    pub topics: Topics,
    /// How many frames are processed at once.
    pub intake: IntakeSettings,
    /// How results, alerts and state are delivered.
    pub publish: PublishSettings,
    /// Detection, tracking and embedding.
    pub vision: VisionSettings,
    /// The search in the gallery.
    pub gallery: GallerySettings,
    /// Metrics, health checks and lag.
    pub observe: ObserveSettings,
    /// The HTTP API and the dashboard.
    pub web: WebSettings,
    /// Keys, consent, purposes, retention.
    pub privacy: PrivacySettings,
    /// Reloading of rules and the site.
    pub reload: ReloadSettings,
    /// The cameras: their agents read them, and hosts raise an alert when one sends nothing.
    pub cameras: Vec<CameraSettings>,
    /// Named parts of cameras' pictures, for rules.
    pub zones: Vec<ZoneSettings>,
    /// Parts of cameras' pictures that are painted over.
    pub masks: Vec<MaskSettings>,
    /// Named hours of the week, for rules.
    pub schedules: Vec<ScheduleSettings>,
    /// The rules. Rules of the same kind are called in this order. At least one must be a `matching-policy`.
    pub rules: Vec<RuleSettings>,
    /// The channels, which tell people and programs of alerts.
    pub channels: Vec<ChannelSettings>,
}

/// `[kafka]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// Bootstrap brokers: `host:port`, separated by commas.
    pub brokers: String,
    /// The consumer group that shares the work.
    pub group: String,
    /// A permanent name of this host that no other host of the group has (static membership). The host then keeps its partitions
    /// over a restart that is shorter than the session timeout, and a successor with this name stops it from writing at once.
    pub instance: Option<String>,
    /// Other properties of librdkafka, for all clients. They override Everyframe's defaults. Each is a value, or the place of a
    /// value: `{ env = "NAME" }` or `{ file = "PATH" }`.
    pub properties: BTreeMap<String, Property>,
    /// Properties for consumers only: `session.timeout.ms`, `fetch.min.bytes`.
    pub consumer: BTreeMap<String, Property>,
    /// Properties for producers only: `compression.type`, `linger.ms`.
    pub producer: BTreeMap<String, Property>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        let none = BTreeMap::new;
        let (brokers, group) = ("127.0.0.1:9092".into(), "everyframe".into());
        Self { brokers, group, instance: None, properties: none(), consumer: none(), producer: none() }
    }
}

impl KafkaSettings {
    /// The transactional id of this host, made of the instance's name. Without one, the id is unique to this process.
    pub fn transactional_id(&self) -> String {
        let group = &self.group;
        match &self.instance {
            Some(instance) => format!("{group}-{instance}"),
            None => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                let nanoseconds = now.map_or(0, |now| now.as_nanos());
                format!("{group}-{}-{:x}-{nanoseconds:x}", host_name(), std::process::id())
            }
        }
    }

    /// The tables of properties, with their keys.
    pub fn tables(&self) -> [(&'static str, &BTreeMap<String, Property>); 3] {
        [("properties", &self.properties), ("consumer", &self.consumer), ("producer", &self.producer)]
    }

    /// Reads every value that is kept elsewhere. `folder` is the base of relative paths. Returns a dotted key and a message for each
    /// problem.
    pub(super) fn resolve_properties(&mut self, folder: &Path) -> Vec<(String, String)> {
        let tables = [
            ("properties", &mut self.properties),
            ("consumer", &mut self.consumer),
            ("producer", &mut self.producer),
        ];
        let all = tables.into_iter().flat_map(|(table, properties)| {
            properties.iter_mut().map(move |(name, property)| (table, name, property))
        });
        let found = all.filter_map(|(table, name, property)| {
            Some((format!("kafka.{table}.{name}"), property.resolve(name, folder).err()?))
        });
        found.collect()
    }
}

/// `[topics]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// The frames of the cameras.
    pub frames: String,
    /// One result for each frame.
    pub results: String,
    /// One record for each alert.
    pub alerts: String,
    /// Frames that could not be processed, with their bytes and the reason.
    pub dead_letters: String,
    /// The enrolled people (compacted).
    pub gallery: String,
    /// Views of strangers, for all cameras (compacted, short retention).
    pub strangers: String,
    /// The state of rules (compacted). It has as many partitions as the frames topic.
    pub state: String,
    /// Who acknowledged which alert, and which alerts are muted (compacted).
    pub acknowledgements: String,
    /// The health of channels and of receivers of callbacks, and messages that could not be delivered (compacted, 30 days).
    pub notifications: String,
    /// The data keys of people, encrypted (compacted), and the ids of people who were erased.
    pub keys: String,
    /// Who enrolled, searched, looked at pictures, erased, or changed a rule.
    pub trail: String,
    /// Number of partitions of the frames, results and state topics when Everyframe creates them.
    pub partitions: i32,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            frames: "frames".into(),
            results: "everyframe.results".into(),
            alerts: "everyframe.alerts".into(),
            dead_letters: "everyframe.dead-letters".into(),
            gallery: "everyframe.gallery".into(),
            strangers: "everyframe.strangers".into(),
            state: "everyframe.state".into(),
            acknowledgements: "everyframe.acknowledgements".into(),
            notifications: "everyframe.notifications".into(),
            keys: "everyframe.keys".into(),
            trail: "everyframe.trail".into(),
            partitions: 4,
        }
    }
}

/// `[intake]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IntakeSettings {
    /// The most bytes of frames in memory for one partition. Beyond it, the partition is paused, unless it has too few frames to
    /// keep all workers busy.
    pub lane_bytes: usize,
    /// Number of vision workers, each with one thread and its own model sessions. 0: one for each core.
    pub workers: usize,
    /// How often offsets of processed frames are committed, milliseconds.
    pub commit_interval_ms: u64,
    /// How long a revoked partition may take to finish the frames that are being processed, milliseconds.
    pub drain_timeout_ms: u64,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        Self { lane_bytes: 12 << 20, workers: 0, commit_interval_ms: 500, drain_timeout_ms: 20_000 }
    }
}

/// The delivery guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Exactly once if the broker supports transactions, otherwise at least once.
    #[default]
    Auto,
    /// Exactly once. The host does not start without transactions.
    ExactlyOnce,
    /// At least once: a frame that a crash interrupts is processed again, with the same ids.
    AtLeastOnce,
}

/// `[publish]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PublishSettings {
    /// Exactly once or at least once.
    pub delivery: Delivery,
    /// How long a batch collects results, milliseconds. A batch with an alert or a new stranger is sent at once.
    pub interval_ms: u64,
    /// The largest number of frames in a batch.
    pub batch_frames: usize,
    /// A partition stops when more than this share of its last 200 frames was parked, 0 to 1. 1: never.
    pub dead_letter_share: f32,
}

impl Default for PublishSettings {
    fn default() -> Self {
        Self { delivery: Delivery::Auto, interval_ms: 500, batch_frames: 1000, dead_letter_share: 0.5 }
    }
}

/// `[vision]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VisionSettings {
    /// The ONNX Runtime library. By default, the one in `ORT_DYLIB_PATH`, otherwise that of `make setup`.
    pub onnxruntime: Option<PathBuf>,
    /// The folder of the models and their manifests. By default, that of `make setup`.
    pub models: Option<PathBuf>,
    /// Frames with more pixels are parked without decoding.
    pub max_pixels: u64,
    /// Frames whose decoding takes more processor time are parked, milliseconds. The decoder of WebP cannot be stopped: `max_pixels`
    /// limits it.
    pub max_decode_ms: u64,
    /// The face detector.
    pub detector: DetectorSettings,
    /// The face embedder.
    pub embedder: EmbedderSettings,
    /// The tracker, which follows faces from frame to frame.
    pub tracker: TrackerSettings,
}

impl Default for VisionSettings {
    fn default() -> Self {
        Self {
            onnxruntime: None,
            models: None,
            max_pixels: 50_000_000,
            max_decode_ms: 5000,
            detector: DetectorSettings::default(),
            embedder: EmbedderSettings::default(),
            tracker: TrackerSettings::default(),
        }
    }
}

/// The execution provider of a model, and its precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// The fastest provider whose results agree with the reference. It is measured once on each machine.
    #[default]
    Auto,
    /// ONNX Runtime's CPU provider.
    Cpu,
    /// OpenVINO in 32-bit floats.
    Openvino,
    /// OpenVINO in bfloat16, for processors with AMX or AVX512-BF16.
    OpenvinoBf16,
    /// An NVIDIA GPU, by CUDA. `auto` never chooses it.
    Cuda,
    /// An NVIDIA GPU, by TensorRT. `auto` never chooses it.
    Tensorrt,
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Openvino => "openvino",
            Self::OpenvinoBf16 => "openvino-bf16",
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
        })
    }
}

/// `[vision.detector]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorSettings {
    /// The manifest's name in the models' folder.
    pub model: String,
    /// Which engine runs it.
    pub provider: Provider,
    /// The longer side of the picture in which faces are detected, pixels. Larger pictures are scaled down.
    pub max_side: u32,
    /// Faces whose longer side has fewer pixels of the frame cannot be recognised: they are not embedded, and need not be found
    /// in every frame.
    pub min_face: u32,
    /// Every so many frames of a camera, the whole picture is searched for faces. In the frames between, only what changed since
    /// then is searched. 1: every frame is searched as a whole.
    pub full_search_every: u32,
    /// Detections of a lower score are dropped, 0 to 1.
    pub score: f32,
    /// Of two detections that overlap by more than this (intersection over union, 0 to 1), only the better one is kept.
    pub overlap: f32,
}

impl Default for DetectorSettings {
    fn default() -> Self {
        // Score: in the 977 frames of the footage, real faces score 0.89 or more and everything else less than 0.5. The demo of
        // YuNet in OpenCV Zoo, which is also the source of the overlap, uses 0.6, too.
        //
        // Longer side: 640 finds the same faces in the footage, in half the detector's time for frames of 960 × 540. But in
        // 1920 × 1080, the landmarks of a face of 40 pixels are then too coarse for alignment: the cosine of its embedding to the
        // same face in large is 0.73, with 960 it is 0.91 (30 pixels: 0.36 and 0.74). Cameras of up to 640 × 480 are not affected.
        Self {
            model: "yunet-2023mar".into(),
            provider: Provider::Auto,
            max_side: 960,
            min_face: 24,
            full_search_every: 10,
            score: 0.6,
            overlap: 0.3,
        }
    }
}

/// `[vision.embedder]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedderSettings {
    /// The manifest's name in the models' folder.
    pub model: String,
    /// Which engine runs it.
    pub provider: Provider,
    /// Embed every face of every frame, instead of reusing the embedding of its track.
    pub every_face: bool,
    /// The face of a track is embedded again after this time, milliseconds of frame time.
    pub refresh_ms: u64,
    /// The face of a track is embedded again when its quality is better by this factor than that of the last embedded view.
    pub better_by: f32,
    /// Faces of a lower quality are not embedded, 0 to 1.
    pub min_quality: f32,
}

impl Default for EmbedderSettings {
    fn default() -> Self {
        Self {
            model: "sface-2021dec".into(),
            provider: Provider::Auto,
            every_face: false,
            refresh_ms: 1000,
            better_by: 1.15,
            min_quality: 0.0,
        }
    }
}

/// `[vision.tracker]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrackerSettings {
    /// A face continues a track if their boxes overlap by at least this (intersection over union, 0 to 1).
    pub overlap: f32,
    /// A track ends when its face was not detected with at least `[vision.detector] score` for this time, milliseconds of frame
    /// time.
    pub lost_after_ms: u64,
    /// A detection with a lower score than `[vision.detector] score` continues a track if it has at least this score, 0.1 to 1. It
    /// never begins one, and is not embedded. 1: such detections are dropped.
    pub low_score: f32,
}

impl Default for TrackerSettings {
    fn default() -> Self {
        Self { overlap: 0.3, lost_after_ms: 1000, low_score: 0.3 }
    }
}

/// `[gallery]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GallerySettings {
    /// Number of candidates for each face that the matching policy gets.
    pub candidates: usize,
}

impl Default for GallerySettings {
    fn default() -> Self {
        Self { candidates: 5 }
    }
}

/// `[observe]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ObserveSettings {
    /// The address at which the host serves `/metrics`, `/health/live` and `/health/ready`: `127.0.0.1:9464`. Empty: none. There is
    /// no authentication, so choose an address that only authorised people can reach.
    pub listen: String,
    /// How often the host measures the lag, seconds. 0: never, and there is no retention alarm.
    pub lag_interval_s: u64,
    /// The retention alarm is raised when frames will be deleted unread in less than this time, hours. If frames are kept for less
    /// than twice this time, by age or by size, it is raised at half of the time for which they are kept.
    pub retention_alarm_h: f64,
    /// The host is not ready after this time without an answer from Kafka, seconds.
    pub away_after_s: u64,
}

impl Default for ObserveSettings {
    fn default() -> Self {
        Self { listen: String::new(), lag_interval_s: 30, retention_alarm_h: 24.0, away_after_s: 10 }
    }
}

/// `[reload]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadSettings {
    /// Reload rules, zones, masks and schedules when the configuration file or a component changes. SIGHUP and
    /// `everyframe rule reload` always reload them.
    pub watch: bool,
}

impl Default for ReloadSettings {
    fn default() -> Self {
        Self { watch: true }
    }
}
