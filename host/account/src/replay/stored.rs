//! Reads a window of the results and alerts topics.

use crate::audit::{CLOCKS_APART, Offsets};
use everyframe_config::{Config, KafkaSettings};
use everyframe_gallery::{GalleryError, Sample};
use everyframe_kafka::{BrokerError, Reader};
use everyframe_rules::FrameFacts;
use everyframe_types::event::{AlertData, CloudEvent, FaceResult, ResultData};
use everyframe_types::face::{Detection, Face, Person, Point, Track};
use everyframe_types::judgement::{Alert, Subject};
use everyframe_types::record::IncomingRecord as _;
use everyframe_types::sequence_gap;
use std::collections::{BTreeMap, HashMap};
use wildmatch::WildMatch;

/// A selection of frames by time and camera.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Only frames whose record is not older than this, Unix milliseconds.
    pub since: Option<i64>,
    /// Only frames whose record is older than this, Unix milliseconds.
    pub until: Option<i64>,
    /// Only frames of cameras that match.
    pub camera: Option<WildMatch>,
}

impl Window {
    /// True if the window includes a record of this time, Unix milliseconds.
    pub fn includes_time(&self, timestamp: i64) -> bool {
        self.since.is_none_or(|since| timestamp >= since) && self.until.is_none_or(|until| timestamp < until)
    }

    /// True if the window includes the camera.
    pub fn includes_camera(&self, camera: &str) -> bool {
        self.camera.as_ref().is_none_or(|pattern| pattern.matches(camera))
    }

    /// The window without an end and with an earlier start, so that records with the time of another clock are included.
    pub fn with_tolerance(&self) -> Self {
        let since = self.since.map(|since| since.saturating_sub(CLOCKS_APART));
        Self { since, until: None, camera: self.camera.clone() }
    }

    /// Opens a reader of a topic from the start of the window on. Earlier records may be among those that it returns.
    ///
    /// # Errors
    ///
    /// The brokers do not answer: show the message.
    pub fn open(&self, settings: &KafkaSettings, topic: &str) -> Result<Reader, BrokerError> {
        match self.since {
            Some(since) => Reader::since(settings, topic, since.max(0)),
            None => Reader::from_start(settings, topic),
        }
    }
}

/// A frame and its past judgement.
#[derive(Debug, Clone)]
pub struct Past {
    /// Partition and offset in the frames topic.
    pub place: (i32, i64),
    /// The camera's id.
    pub camera: String,
    /// The agent's session.
    pub session: String,
    /// The frame's number in it.
    pub sequence: u64,
    /// When it was taken, Unix milliseconds.
    pub captured_at: i64,
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Its faces with their decisions, without landmarks and embeddings, which results do not have.
    pub subjects: Vec<Subject>,
    /// The rules that failed and were skipped.
    pub skipped: Vec<String>,
}

impl Past {
    fn from_result(result: ResultData) -> Option<Self> {
        Some(Self {
            place: (result.position.partition, result.position.offset),
            size: (result.width, result.height),
            subjects: result.faces.into_iter().map(subject).collect::<Option<_>>()?,
            skipped: result.skipped.into_iter().map(|skipped| skipped.rule).collect(),
            camera: result.camera,
            session: result.session,
            sequence: result.sequence,
            captured_at: result.captured_at,
        })
    }

    /// The facts about the frame for rules, with the active schedules.
    pub fn facts<'a>(&'a self, schedules: &'a [String]) -> FrameFacts<'a> {
        FrameFacts {
            camera: &self.camera,
            session: &self.session,
            sequence: self.sequence,
            captured_at: self.captured_at,
            width: self.size.0,
            height: self.size.1,
            schedules,
        }
    }
}

fn subject(face: FaceResult) -> Option<Subject> {
    let landmarks = [Point::default(); 5];
    let detection = Detection { bounds: face.bounds, landmarks, score: face.score };
    let track = Track { id: face.track.parse().ok()?, started_at: face.track_started_at };
    let (index, quality) = (face.index, face.quality);
    let (candidates, zones) = (face.candidates, face.zones);
    let face_then = Face { index, detection, quality, track, embedding: None, candidates, zones };
    Some(Subject { face: face_then, decision: face.decision, stranger: face.stranger })
}

/// Calls `visit` with every result in the window once, those of one camera in their order. Returns the number of records that are
/// not results of this version.
///
/// # Errors
///
/// The brokers do not answer, or `visit` failed: show the message.
pub fn visit_results<E: From<BrokerError>>(
    config: &Config,
    window: &Window,
    mut visit: impl FnMut(Past) -> Result<(), E>,
) -> Result<u64, E> {
    // A host that was interrupted processes frames again, with the same ids.
    let mut known: HashMap<i32, Offsets> = HashMap::new();
    let mut unreadable = 0;
    let mut reader = window.open(&config.kafka, &config.topics.results)?;
    while let Some(record) = reader.next()? {
        if !window.includes_time(record.timestamp()) {
            continue;
        }
        let event = serde_json::from_slice::<CloudEvent<ResultData>>(record.value().unwrap_or_default());
        let Some(past) = event.ok().and_then(|event| Past::from_result(event.data)) else {
            unreadable += 1;
            continue;
        };
        let (partition, offset) = past.place;
        if window.includes_camera(&past.camera)
            && known.entry(partition).or_default().insert(offset.unsigned_abs())
        {
            visit(past)?;
        }
    }
    Ok(unreadable)
}

/// The alerts by the place of their frame, in the order in which they were raised.
pub type Alerts = HashMap<(i32, i64), Vec<Alert>>;

/// Reads the alerts of the frames in a window, without those of the host itself. All are kept in memory: there are far fewer alerts
/// than frames.
///
/// # Errors
///
/// The brokers do not answer: show the message.
pub fn read_alerts(config: &Config, window: &Window) -> Result<Alerts, BrokerError> {
    let around = window.with_tolerance();
    let mut by_frame: HashMap<(i32, i64), BTreeMap<usize, Alert>> = HashMap::new();
    let mut reader = around.open(&config.kafka, &config.topics.alerts)?;
    while let Some(record) = reader.next()? {
        let event = serde_json::from_slice::<CloudEvent<AlertData>>(record.value().unwrap_or_default());
        let Ok(event) = event else { continue };
        let place = event.id.rsplit('/').next().and_then(|place| place.parse().ok()).unwrap_or(0);
        let data = event.data;
        if data.alert.rule != sequence_gap::HOST && window.includes_camera(&data.camera) {
            let frame = (data.position.partition, data.position.offset);
            by_frame.entry(frame).or_default().insert(place, data.alert);
        }
    }
    Ok(by_frame.into_iter().map(|(frame, alerts)| (frame, alerts.into_values().collect())).collect())
}

/// Reads the enrolled people, by id, without their templates.
///
/// # Errors
///
/// The brokers do not answer: show the message.
pub fn read_people(config: &Config) -> Result<BTreeMap<String, Person>, GalleryError> {
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    let samples = everyframe_gallery::read_samples(config)?.into_values();
    for Sample { person, name, .. } in samples.filter(|sample| !sample.negative) {
        let known =
            people.entry(person.clone()).or_insert(Person { id: person, name: String::new(), samples: 0 });
        known.name = name;
        known.samples += 1;
    }
    Ok(people)
}
