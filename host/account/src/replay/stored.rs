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

/// Which frames are meant.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Only those whose record is not older, Unix milliseconds.
    pub since: Option<i64>,
    /// Only those whose record is older than this, Unix milliseconds.
    pub until: Option<i64>,
    /// Only of cameras that match.
    pub camera: Option<WildMatch>,
}

impl Window {
    /// True for a record of that time, Unix milliseconds.
    pub fn holds(&self, timestamp: i64) -> bool {
        self.since.is_none_or(|since| timestamp >= since) && self.until.is_none_or(|until| timestamp < until)
    }

    /// True for a camera that is meant.
    pub fn means(&self, camera: &str) -> bool {
        self.camera.as_ref().is_none_or(|pattern| pattern.matches(camera))
    }

    /// The same without an end, and with a beginning so much earlier that nothing is missed whose time is another clock's.
    pub fn widened(&self) -> Self {
        let since = self.since.map(|since| since.saturating_sub(CLOCKS_APART));
        Self { since, until: None, camera: self.camera.clone() }
    }

    /// Reads a topic from the window's beginning on; records before it may be among them.
    ///
    /// # Errors
    ///
    /// The brokers do not answer.
    pub fn open(&self, settings: &KafkaSettings, topic: &str) -> Result<Reader, BrokerError> {
        match self.since {
            Some(since) => Reader::since(settings, topic, since.max(0)),
            None => Reader::from_start(settings, topic),
        }
    }
}

/// A frame as it was judged.
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
    /// Unix milliseconds.
    pub captured_at: i64,
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Its faces as they were decided upon; without landmarks and embeddings, which results do not hold.
    pub subjects: Vec<Subject>,
    /// The rules that failed and were passed over.
    pub skipped: Vec<String>,
}

impl Past {
    fn of(result: ResultData) -> Option<Self> {
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

    /// What rules are told of it, with the schedules that hold.
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

/// Calls `visit` with every result in the window, each once, those of one camera in their order. Tells how many records
/// were no results of this version.
///
/// # Errors
///
/// The brokers do not answer, or `visit` fails.
pub fn results<E: From<BrokerError>>(
    config: &Config,
    window: &Window,
    mut visit: impl FnMut(Past) -> Result<(), E>,
) -> Result<u64, E> {
    // A host that was cut short does frames again; the ids are the same.
    let mut known: HashMap<i32, Offsets> = HashMap::new();
    let mut unreadable = 0;
    let mut reader = window.open(&config.kafka, &config.topics.results)?;
    while let Some(record) = reader.next()? {
        if !window.holds(record.timestamp()) {
            continue;
        }
        let event = serde_json::from_slice::<CloudEvent<ResultData>>(record.value().unwrap_or_default());
        let Some(past) = event.ok().and_then(|event| Past::of(event.data)) else {
            unreadable += 1;
            continue;
        };
        let (partition, offset) = past.place;
        if window.means(&past.camera) && known.entry(partition).or_default().insert(offset.unsigned_abs()) {
            visit(past)?;
        }
    }
    Ok(unreadable)
}

/// The alerts that rules raised, by the place of their frame and in the order in which they were raised.
pub type Alerts = HashMap<(i32, i64), Vec<Alert>>;

/// The alerts of the frames in a window, without those of the host itself. All are held: there are far fewer than frames.
///
/// # Errors
///
/// The brokers do not answer.
pub fn alerts(config: &Config, window: &Window) -> Result<Alerts, BrokerError> {
    let around = window.widened();
    let mut by_frame: HashMap<(i32, i64), BTreeMap<usize, Alert>> = HashMap::new();
    let mut reader = around.open(&config.kafka, &config.topics.alerts)?;
    while let Some(record) = reader.next()? {
        let event = serde_json::from_slice::<CloudEvent<AlertData>>(record.value().unwrap_or_default());
        let Ok(event) = event else { continue };
        let place = event.id.rsplit('/').next().and_then(|place| place.parse().ok()).unwrap_or(0);
        let data = event.data;
        if data.alert.rule != sequence_gap::HOST && window.means(&data.camera) {
            let frame = (data.position.partition, data.position.offset);
            by_frame.entry(frame).or_default().insert(place, data.alert);
        }
    }
    Ok(by_frame.into_iter().map(|(frame, alerts)| (frame, alerts.into_values().collect())).collect())
}

/// The enrolled people as they are now, by id; without their templates.
///
/// # Errors
///
/// The brokers do not answer.
pub fn people(config: &Config) -> Result<BTreeMap<String, Person>, GalleryError> {
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    for Sample { person, name, .. } in everyframe_gallery::read_samples(config)?.into_values() {
        let known =
            people.entry(person.clone()).or_insert(Person { id: person, name: String::new(), samples: 0 });
        known.name = name;
        known.samples += 1;
    }
    Ok(people)
}
