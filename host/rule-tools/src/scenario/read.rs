//! From the file's shape to frames that can be put to a rule; every problem with file, line and key.

use super::expect::NO_TIME;
use super::file::{self, File};
use super::{Enrolled, Entry, MONDAY, Scenario, ScenarioFrame, time};
use everyframe_config::{KeyLines, Problem, RuleKind};
use everyframe_rules::kind_name;
use everyframe_types::face::{Candidate, Detection, Embedding, Face, Person, Point, Rect, Track};
use everyframe_types::judgement::{Decision, Stranger, Subject};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// The first frame's time, if it says none: ten o'clock.
const START: i64 = MONDAY + 10 * 3_600_000;
/// From frame to frame, if they say none.
const STEP: i64 = 100;

impl Scenario {
    /// Reads a scenario for a kind of rule; `file` names it in problems.
    ///
    /// # Errors
    ///
    /// Every problem; only the first, where the text is not of the shape of a scenario.
    pub fn parse(text: &str, file: &Path, kind: RuleKind) -> Result<Self, Vec<Problem>> {
        let places = KeyLines::parse(text);
        let read: File = places.read(file).map_err(|problem| vec![problem])?;
        let mut reader = Reader {
            kind,
            places,
            file,
            problems: Vec::new(),
            camera: "gate".into(),
            before: START - STEP,
            cameras: HashMap::new(),
        };
        let people = reader.people(read.people);
        if read.frames.is_empty() {
            reader.problem("frames", "there is none; add a `[[frames]]`");
        }
        let frames = read.frames.into_iter().enumerate().map(|(at, frame)| reader.frame(at, frame)).collect();
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        Ok(Self { about: read.about, kind, settings: read.settings, people: Arc::new(people), frames })
    }
}

/// What of one camera came before.
#[derive(Default)]
struct Before {
    frames: u64,
    /// The tracks of its last frame, and since when each has been there.
    tracks: HashMap<u64, i64>,
}

struct Reader<'a> {
    kind: RuleKind,
    places: KeyLines,
    file: &'a Path,
    problems: Vec<Problem>,
    /// The frame before's.
    camera: String,
    before: i64,
    cameras: HashMap<String, Before>,
}

impl Reader<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>) {
        let (line, message) = (self.places.line(key), message.into());
        self.problems.push(Problem { file: self.file.to_owned(), line, key: key.to_owned(), message });
    }

    fn people(&mut self, people: Vec<file::Enrolled>) -> Enrolled {
        let mut enrolled = BTreeMap::new();
        for (at, file::Enrolled { id, name, samples }) in people.into_iter().enumerate() {
            let name = name.unwrap_or_else(|| id.clone());
            let person = Person { id: id.clone(), name, samples: samples.unwrap_or(1) };
            if enrolled.insert(id.clone(), person).is_some() {
                self.problem(&format!("people[{at}].id"), format!("`{id}` is there already"));
            }
        }
        Enrolled(enrolled)
    }

    fn frame(&mut self, at: usize, frame: file::Frame) -> ScenarioFrame {
        let key = format!("frames[{at}]");
        if let Some(camera) = frame.camera {
            if camera.is_empty() {
                self.problem(&format!("{key}.camera"), "is empty; give the camera's id, or leave it out");
            }
            self.camera = camera;
        }
        let camera = self.camera.clone();
        let now = self.time(&format!("{key}.at"), frame.at.as_deref()).unwrap_or(self.before + STEP);
        self.before = now;
        let mut before = self.cameras.remove(&camera).unwrap_or_default();
        before.frames += 1;
        let tracks_before = std::mem::take(&mut before.tracks);
        let mut subjects = Vec::with_capacity(frame.faces.len());
        for (index, face) in (0..).zip(frame.faces) {
            let key = format!("{key}.faces[{index}]");
            let id = face.track.unwrap_or(u64::from(index) + 1);
            let started_at = self
                .time(&format!("{key}.track_started_at"), face.track_started_at.as_deref())
                .or(tracks_before.get(&id).copied())
                .unwrap_or(now);
            if before.tracks.insert(id, started_at).is_some() {
                let message = format!("another face of this frame is of track {id}; give each its own");
                self.problem(&format!("{key}.track"), message);
            }
            subjects.push(self.subject(&key, index, face, Track { id, started_at }, now));
        }
        let expect = frame.expect.map(|entries| self.expected(&key, &entries, subjects.len()));
        let sequence = before.frames;
        self.cameras.insert(camera.clone(), before);
        ScenarioFrame {
            camera,
            sequence,
            at: now,
            width: frame.width.unwrap_or(1280),
            height: frame.height.unwrap_or(720),
            schedules: frame.schedules,
            subjects,
            expect,
            line: self.places.line(&key),
        }
    }

    fn subject(&mut self, key: &str, index: u32, face: file::Face, track: Track, now: i64) -> Subject {
        let decision = self.decision(key, &face);
        let stranger = face.stranger.map(|stranger| {
            let key = format!("{key}.stranger");
            if self.kind != RuleKind::Alerting {
                self.is_not_for(&key, "no rule of this kind is told of it");
            } else if decision != Decision::Unknown {
                self.problem(&key, "only an unknown face can be a stranger's; say `unknown = true`");
            }
            let seen = self.time(&format!("{key}.first_seen_at"), stranger.first_seen_at.as_deref());
            Stranger {
                id: stranger.id,
                event: stranger.event,
                first_seen_at: seen.unwrap_or(now),
                dwell: stranger.dwell_ms.unwrap_or(0),
                visits: stranger.visits.unwrap_or(1),
            }
        });
        let candidates = face.candidates.map_or_else(Vec::new, |candidates| {
            if self.kind != RuleKind::MatchingPolicy {
                self.is_not_for(&format!("{key}.candidates"), "only a matching policy is told of candidates");
            }
            let candidates = candidates.into_iter();
            let mut candidates: Vec<Candidate> =
                candidates.map(|(person, similarity)| Candidate { person, similarity }).collect();
            candidates.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
            candidates
        });
        let embedding = face.embedding.and_then(|values| {
            let embedding = Embedding::from_raw(&values);
            if embedding.is_none() {
                self.problem(
                    &format!("{key}.embedding"),
                    "has no direction; give numbers that are not all 0",
                );
            }
            embedding
        });
        let [x, y, width, height] = face.bounds.unwrap_or([100.0 + 200.0 * index as f32, 100.0, 80.0, 100.0]);
        let mut share = |name: &str, value: Option<f32>, default: f32| {
            let value = value.unwrap_or(default);
            if !(0.0..=1.0).contains(&value) {
                self.problem(&format!("{key}.{name}"), format!("must be from 0 to 1, is {value}"));
            }
            value
        };
        let (score, quality) = (share("score", face.score, 0.95), share("quality", face.quality, 0.8));
        let detection =
            Detection { bounds: Rect { x, y, width, height }, landmarks: [Point::default(); 5], score };
        let zones = face.zones;
        let face = Face { index, detection, quality, track, embedding, candidates, zones };
        Subject { face, decision, stranger }
    }

    fn decision(&mut self, key: &str, face: &file::Face) -> Decision {
        if face.confidence.is_some() && face.known.is_none() {
            self.problem(&format!("{key}.confidence"), "goes with `known`");
        }
        if self.kind == RuleKind::MatchingPolicy {
            for (name, given) in [
                ("known", face.known.is_some()),
                ("unknown", face.unknown.is_some()),
                ("undecided", face.undecided.is_some()),
            ] {
                if given {
                    self.is_not_for(
                        &format!("{key}.{name}"),
                        "a matching policy is to say that; give `candidates`",
                    );
                }
            }
            return Decision::Undecided { reason: String::new() };
        }
        match (&face.known, face.unknown, &face.undecided) {
            (Some(person), None, None) => {
                let confidence = face.confidence.unwrap_or(0.9);
                if !(0.0..=1.0).contains(&confidence) {
                    self.problem(
                        &format!("{key}.confidence"),
                        format!("must be from 0 to 1, is {confidence}"),
                    );
                }
                Decision::Known { person: person.clone(), confidence }
            }
            (None, Some(true), None) => Decision::Unknown,
            (None, None, Some(reason)) => Decision::Undecided { reason: reason.clone() },
            _ => {
                let message = "say one of `known = \"ID\"`, `unknown = true`, `undecided = \"WHY\"`";
                self.problem(key, message);
                Decision::Unknown
            }
        }
    }

    fn expected(&mut self, key: &str, entries: &[toml::Table], faces: usize) -> Vec<Entry> {
        let read = |(at, table): (usize, &toml::Table)| match Entry::read(self.kind, table) {
            Ok(entry) => Some(entry),
            Err((name, message)) => {
                let dot = if name.is_empty() { "" } else { "." };
                self.problem(&format!("{key}.expect[{at}]{dot}{name}"), message);
                None
            }
        };
        let read: Vec<Entry> = entries.iter().enumerate().filter_map(read).collect();
        if self.kind == RuleKind::MatchingPolicy && entries.len() != faces {
            let message =
                format!("has {} entries for {faces} faces; a matching policy decides on each", entries.len());
            self.problem(&format!("{key}.expect"), message);
        }
        read
    }

    fn time(&mut self, key: &str, text: Option<&str>) -> Option<i64> {
        let text = text?;
        let read = time(text);
        if read.is_none() {
            self.problem(key, format!("`{text}` {NO_TIME}"));
        }
        read
    }

    fn is_not_for(&mut self, key: &str, why: &str) {
        let kind = kind_name(self.kind);
        self.problem(key, format!("is not for a rule of kind `{kind}`: {why}"));
    }
}
