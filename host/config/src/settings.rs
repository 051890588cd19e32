//! The TOML, field by field. Paths are relative to the folder of the configuration file.

use crate::property::Property;
use crate::rules::RuleSettings;
use crate::site_settings::{MaskSettings, ScheduleSettings, ZoneSettings};
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
    /// How much is taken in at once.
    pub intake: IntakeSettings,
    /// How results, alerts and state are delivered.
    pub publish: PublishSettings,
    /// Detection, tracking and embedding.
    pub vision: VisionSettings,
    /// The search among the enrolled people.
    pub gallery: GallerySettings,
    /// How the host can be watched.
    pub observe: ObserveSettings,
    /// When rules are read again.
    pub reload: ReloadSettings,
    /// Parts of cameras' pictures that rules know by name.
    pub zones: Vec<ZoneSettings>,
    /// Parts of cameras' pictures that nobody is to look at.
    pub masks: Vec<MaskSettings>,
    /// Hours of the week that rules know by name.
    pub schedules: Vec<ScheduleSettings>,
    /// The rules, each kind asked in this order; at least one is a `matching-policy`.
    pub rules: Vec<RuleSettings>,
}

/// `[kafka]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// Bootstrap brokers: `host:port`, separated by commas.
    pub brokers: String,
    /// The consumer group that shares the work.
    pub group: String,
    /// A name for this host that is its own in the group, and stays: it then keeps its partitions over a restart that
    /// is shorter than the session timeout (static membership), and its successor stops it from writing at once.
    pub instance: Option<String>,
    /// Any other property of librdkafka, for every client; these win over our defaults. A value, or where it is to be
    /// found: `{ env = "NAME" }`, `{ file = "path" }`.
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
    /// What this host's transactions are known by: its instance's name, or one that no other process has.
    pub fn transactional_id(&self) -> String {
        let group = &self.group;
        match &self.instance {
            Some(instance) => format!("{group}-{instance}"),
            None => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
                let nanoseconds = now.map_or(0, |now| now.as_nanos());
                format!("{group}-{}-{:x}-{nanoseconds:x}", host.trim(), std::process::id())
            }
        }
    }

    /// The tables of properties, with their keys.
    pub fn tables(&self) -> [(&'static str, &BTreeMap<String, Property>); 3] {
        [("properties", &self.properties), ("consumer", &self.consumer), ("producer", &self.producer)]
    }

    /// Finds every value that is kept elsewhere; `folder` is the base of paths. What cannot be found comes back as
    /// dotted key and message.
    pub(super) fn find_properties(&mut self, folder: &Path) -> Vec<(String, String)> {
        let tables = [
            ("properties", &mut self.properties),
            ("consumer", &mut self.consumer),
            ("producer", &mut self.producer),
        ];
        let all = tables.into_iter().flat_map(|(table, properties)| {
            properties.iter_mut().map(move |(name, property)| (table, name, property))
        });
        let found = all.filter_map(|(table, name, property)| {
            Some((format!("kafka.{table}.{name}"), property.find(name, folder).err()?))
        });
        found.collect()
    }
}

/// `[topics]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// Where cameras put frames.
    pub frames: String,
    /// One result for each frame.
    pub results: String,
    /// One record for each alert.
    pub alerts: String,
    /// Frames that could not be processed, with their bytes and the reason.
    pub dead_letters: String,
    /// The enrolled people (compacted).
    pub gallery: String,
    /// What rules keep (compacted); it has as many partitions as the frames topic.
    pub state: String,
    /// Partitions of the frames topic and the results topic where Everyframe creates them.
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
            state: "everyframe.state".into(),
            partitions: 4,
        }
    }
}

/// `[intake]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IntakeSettings {
    /// Bytes of frames that one partition may hold in memory; beyond it, the partition is paused, unless it has fewer
    /// frames than keep the workers busy.
    pub lane_bytes: usize,
    /// Vision workers, one thread and one set of model sessions each; 0 means one for each core.
    pub workers: usize,
    /// How often finished offsets are committed, milliseconds.
    pub commit_interval_ms: u64,
    /// How long a revoked partition may take to finish the frames it has begun, milliseconds.
    pub drain_timeout_ms: u64,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        Self { lane_bytes: 12 << 20, workers: 0, commit_interval_ms: 500, drain_timeout_ms: 20_000 }
    }
}

/// How often a frame's result may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Exactly once where the broker has transactions, else at least once.
    #[default]
    Auto,
    /// Exactly once, or the host does not start.
    ExactlyOnce,
    /// At least once: a frame that a crash cuts short is done again, under the same ids.
    AtLeastOnce,
}

/// `[publish]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PublishSettings {
    /// Exactly once or at least once.
    pub delivery: Delivery,
    /// How long a batch gathers, milliseconds; one with an alert does not wait.
    pub interval_ms: u64,
    /// The largest batch, frames.
    pub batch_frames: usize,
    /// A partition stops when more than this share of its last 200 frames had to be parked, 0 to 1; 1: never.
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
    /// The ONNX Runtime library; without it: `ORT_DYLIB_PATH`, then what `make setup` put into the cache.
    pub onnxruntime: Option<PathBuf>,
    /// The folder with the models and their manifests; without it: what `make setup` put into the cache.
    pub models: Option<PathBuf>,
    /// Pictures with more pixels than this are parked undecoded.
    pub max_pixels: u64,
    /// Pictures that take more processor time than this to decode are parked, milliseconds.
    pub max_decode_ms: u64,
    /// The face detector.
    pub detector: DetectorSettings,
    /// The face embedder.
    pub embedder: EmbedderSettings,
    /// How faces are followed.
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

/// Which engine runs a model, and in which precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Measure all on this machine once, and take the fastest whose answers agree.
    #[default]
    Auto,
    /// ONNX Runtime's own.
    Cpu,
    /// OpenVINO in 32-bit floats.
    Openvino,
    /// OpenVINO in bfloat16, for processors with AMX or AVX512-BF16.
    OpenvinoBf16,
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Openvino => "openvino",
            Self::OpenvinoBf16 => "openvino-bf16",
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
    /// Faces are looked for in a picture scaled down to at most this many pixels on its longer side.
    pub max_side: u32,
    /// Detections below this score are dropped, 0 to 1.
    pub score: f32,
    /// Of two detections that overlap by more than this (intersection over union), the better stays.
    pub overlap: f32,
}

impl Default for DetectorSettings {
    fn default() -> Self {
        // Score: in the 977 frames of the footage, real faces score 0.89 or more and everything else less than 0.5;
        // OpenCV Zoo's demo of YuNet, from which the overlap is, takes 0.6 too.
        //
        // Longer side: 640 finds the same faces in the footage, in half the detector's time for frames of
        // 960 × 540. But in 1920 × 1080 a face 40 pixels wide then has landmarks too coarse to align it by: its
        // embedding has a cosine of 0.73 to the same face large, against 0.91 with 960, and 30 pixels 0.36 against
        // 0.74. Cameras of 640 × 480 and less pay nothing for it.
        Self {
            model: "yunet-2023mar".into(),
            provider: Provider::Auto,
            max_side: 960,
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
    /// Embed every face of every frame, instead of each track once in a while.
    pub every_face: bool,
    /// A track's face is embedded again after this long, milliseconds of frame time.
    pub refresh_ms: u64,
    /// A track's face is embedded again when its quality is better than the last one's by this factor.
    pub better_by: f32,
    /// A face of lower quality is not embedded, 0 to 1.
    pub min_quality: f32,
}

impl Default for EmbedderSettings {
    fn default() -> Self {
        Self {
            model: "sface-2021dec".into(),
            provider: Provider::Auto,
            every_face: false,
            refresh_ms: 500,
            better_by: 1.15,
            min_quality: 0.0,
        }
    }
}

/// `[vision.tracker]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrackerSettings {
    /// A face continues a track if their boxes overlap by at least this (intersection over union).
    pub overlap: f32,
    /// A track ends when its face was not seen for this long, milliseconds of frame time.
    pub lost_after_ms: u64,
}

impl Default for TrackerSettings {
    fn default() -> Self {
        Self { overlap: 0.3, lost_after_ms: 1000 }
    }
}

/// `[gallery]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GallerySettings {
    /// How many candidates the matching policy is given for each face.
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
    /// Where the host answers `/metrics`, `/health/live` and `/health/ready`: `127.0.0.1:9464`. Empty: nowhere. There is
    /// no authentication: let it listen only where who may watch can reach it.
    pub listen: String,
    /// How often the host looks at what is unread, seconds; 0: never, and there is no alarm either.
    pub lag_interval_s: u64,
    /// With less time than this until retention deletes frames unread, the host gives alarm, hours; where frames are kept
    /// for less than twice this, by age or by size, with less than half of what they are kept for.
    pub retention_alarm_h: f64,
    /// Without an answer from Kafka for this long, the host is not ready, seconds.
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
    /// Whether rules, zones, masks and schedules are read again when the configuration file or a component has changed. At
    /// SIGHUP and by `everyframe rule reload` they always are.
    pub watch: bool,
}

impl Default for ReloadSettings {
    fn default() -> Self {
        Self { watch: true }
    }
}
