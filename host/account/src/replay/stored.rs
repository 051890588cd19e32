//! Reads a window of the results and alerts topics.

use super::progress::Progress;
use crate::audit::{CLOCKS_APART, Offsets};
use everyframe_config::{Config, KafkaSettings};
use everyframe_gallery::{GalleryError, Sample};
use everyframe_kafka::{BrokerError, Reader, offsets_at, watermarks};
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
    /// Only frames of cameras that match one of these; of all cameras if there are none.
    pub cameras: Vec<WildMatch>,
}

impl Window {
    /// True if the window includes a record of this time, Unix milliseconds.
    pub fn includes_time(&self, timestamp: i64) -> bool {
        self.since.is_none_or(|since| timestamp >= since) && self.until.is_none_or(|until| timestamp < until)
    }

    /// True if the window includes the camera.
    pub fn includes_camera(&self, camera: &str) -> bool {
        self.cameras.is_empty() || self.cameras.iter().any(|pattern| pattern.matches(camera))
    }

    /// The window without an end and with an earlier start, so that records with the time of another clock are included.
    pub fn with_tolerance(&self) -> Self {
        let since = self.since.map(|since| since.saturating_sub(CLOCKS_APART));
        Self { since, until: None, cameras: self.cameras.clone() }
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
/// not results of this version. Ends early if `progress` is stopped.
///
/// # Errors
///
/// The brokers do not answer, or `visit` failed: show the message.
pub fn visit_results<E: From<BrokerError>>(
    config: &Config,
    window: &Window,
    progress: &Progress,
    mut visit: impl FnMut(Past) -> Result<(), E>,
) -> Result<u64, E> {
    // A host that was interrupted processes frames again, with the same ids.
    let mut known: HashMap<i32, Offsets> = HashMap::new();
    let mut unreadable = 0;
    let topic = &config.topics.results;
    // The reader first: it waits for open transactions, so that the ends that are found next are behind them.
    let mut reader = window.open(&config.kafka, topic)?;
    let mut span = Span::find(&config.kafka, topic, window)?;
    progress.begin(span.len());
    while !span.is_read()
        && progress.stop_reason().is_none()
        && let Some(record) = reader.next()?
    {
        progress.advance(span.pass(record.partition(), record.offset().unsigned_abs()));
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

/// The offsets of a topic that a window may concern.
#[derive(Debug, Default)]
struct Span {
    /// For each partition that is not read to the end of the window: the next offset, and the end.
    open: BTreeMap<i32, (u64, u64)>,
}

impl Span {
    /// # Errors
    ///
    /// The brokers do not answer.
    fn find(settings: &KafkaSettings, topic: &str, window: &Window) -> Result<Self, BrokerError> {
        let mut open = watermarks(settings, topic)?;
        if let Some(since) = window.since {
            for (partition, first) in offsets_at(settings, topic, since.max(0))? {
                open.entry(partition).and_modify(|(next, _)| *next = first);
            }
        }
        if let Some(until) = window.until {
            // Records after it may have an earlier time, by another clock.
            for (partition, last) in offsets_at(settings, topic, until.saturating_add(CLOCKS_APART).max(0))? {
                open.entry(partition).and_modify(|(_, end)| *end = last);
            }
        }
        open.retain(|_, (next, end)| next < end);
        Ok(Self { open })
    }

    /// The number of offsets that are not passed.
    fn len(&self) -> u64 {
        self.open.values().map(|(next, end)| end - next).sum()
    }

    /// Passes an offset. Returns the number of offsets that were passed with it: some have no record.
    fn pass(&mut self, partition: i32, offset: u64) -> u64 {
        let Some((next, end)) = self.open.get_mut(&partition) else { return 0 };
        let now = (offset + 1).min(*end);
        let passed = now.saturating_sub(*next);
        *next = now.max(*next);
        if *next >= *end {
            self.open.remove(&partition);
        }
        passed
    }

    /// True if every partition is read to the end of the window.
    fn is_read(&self) -> bool {
        self.open.is_empty()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_offsets_without_records() {
        let mut span = Span { open: [(0, (10, 20)), (1, (0, 5))].into() };
        assert_eq!(span.len(), 15);
        assert_eq!([span.pass(0, 9), span.pass(0, 12), span.pass(0, 12), span.pass(2, 7)], [0, 3, 0, 0]);
        assert_eq!([span.pass(0, 25), span.pass(1, 4)], [7, 5]);
        assert!(span.is_read() && span.len() == 0);
    }

    #[test]
    fn a_window_includes_cameras_of_any_pattern() {
        let window = |patterns: &[&str]| Window {
            cameras: patterns.iter().map(|it| WildMatch::new(it)).collect(),
            ..Window::default()
        };
        assert!(window(&[]).includes_camera("gate-1"));
        assert!(window(&["yard", "gate-*"]).includes_camera("gate-1"));
        assert!(!window(&["yard"]).includes_camera("gate-1"));
    }
}
