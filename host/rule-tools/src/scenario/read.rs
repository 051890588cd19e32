//! Parses a scenario file into frames. Every problem has its file, line and key.

use super::expect::NOT_A_TIME;
use super::file::{self, File};
use super::{Enrolled, Entry, MONDAY, Scenario, ScenarioFrame, parse_time};
use everyframe_config::{KeyLines, Problem, RuleKind};
use everyframe_rules::kind_name;
use everyframe_types::face::{Candidate, Detection, Embedding, Face, Person, Point, Rect, Track};
use everyframe_types::judgement::{Decision, Stranger, Subject};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// The default time of the first frame: ten o'clock.
const START: i64 = MONDAY + 10 * 3_600_000;
/// The default time between frames, milliseconds.
const STEP: i64 = 100;

impl Scenario {
    /// Parses a scenario for a kind of rule. `file` names it in problems.
    ///
    /// # Errors
    ///
    /// Every problem, to be shown to the author. Only the first one if the text is not valid TOML or has unknown keys.
    pub fn parse(text: &str, file: &Path, kind: RuleKind) -> Result<Self, Vec<Problem>> {
        let places = KeyLines::parse(text);
        let read: File = places.read(file).map_err(|problem| vec![problem])?;
        let mut reader = Reader {
            kind,
            places,
            file,
            problems: Vec::new(),
            camera: "gate".into(),
            previous_at: START - STEP,
            cameras: HashMap::new(),
        };
        let people = reader.read_people(read.people);
        if read.frames.is_empty() {
            reader.add_problem("frames", "there is none; add a `[[frames]]`");
        }
        let frames =
            read.frames.into_iter().enumerate().map(|(at, frame)| reader.read_frame(at, frame)).collect();
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        Ok(Self { about: read.about, kind, settings: read.settings, people: Arc::new(people), frames })
    }
}

/// What the reader remembers of one camera.
#[derive(Default)]
struct CameraHistory {
    frames: u64,
    /// The tracks of its last frame, and when each began, Unix milliseconds.
    tracks: HashMap<u64, i64>,
}

struct Reader<'a> {
    kind: RuleKind,
    places: KeyLines,
    file: &'a Path,
    problems: Vec<Problem>,
    /// The previous frame's camera.
    camera: String,
    /// The previous frame's time, Unix milliseconds.
    previous_at: i64,
    cameras: HashMap<String, CameraHistory>,
}

impl Reader<'_> {
    fn add_problem(&mut self, key: &str, message: impl Into<String>) {
        let (line, message) = (self.places.line(key), message.into());
        self.problems.push(Problem { file: self.file.to_owned(), line, key: key.to_owned(), message });
    }

    fn read_people(&mut self, people: Vec<file::Enrolled>) -> Enrolled {
        let mut enrolled = BTreeMap::new();
        for (at, file::Enrolled { id, name, samples }) in people.into_iter().enumerate() {
            let name = name.unwrap_or_else(|| id.clone());
            let person = Person { id: id.clone(), name, samples: samples.unwrap_or(1) };
            if enrolled.insert(id.clone(), person).is_some() {
                self.add_problem(
                    &format!("people[{at}].id"),
                    format!("`{id}` is enrolled twice; give each person one entry"),
                );
            }
        }
        Enrolled(enrolled)
    }

    fn read_frame(&mut self, at: usize, frame: file::Frame) -> ScenarioFrame {
        let key = format!("frames[{at}]");
        if let Some(camera) = frame.camera {
            if camera.is_empty() {
                self.add_problem(&format!("{key}.camera"), "is empty; give the camera's id, or leave it out");
            }
            self.camera = camera;
        }
        let camera = self.camera.clone();
        let now =
            self.read_time(&format!("{key}.at"), frame.at.as_deref()).unwrap_or(self.previous_at + STEP);
        self.previous_at = now;
        let mut history = self.cameras.remove(&camera).unwrap_or_default();
        history.frames += 1;
        let previous_tracks = std::mem::take(&mut history.tracks);
        let mut subjects = Vec::with_capacity(frame.faces.len());
        for (index, face) in (0..).zip(frame.faces) {
            let key = format!("{key}.faces[{index}]");
            let id = face.track.unwrap_or(u64::from(index) + 1);
            let started_at = self
                .read_time(&format!("{key}.track_started_at"), face.track_started_at.as_deref())
                .or(previous_tracks.get(&id).copied())
                .unwrap_or(now);
            if history.tracks.insert(id, started_at).is_some() {
                let message = format!("another face of this frame has track {id}; give each face its own");
                self.add_problem(&format!("{key}.track"), message);
            }
            subjects.push(self.read_subject(&key, index, face, Track { id, started_at }, now));
        }
        let expect = frame.expect.map(|entries| self.read_expected(&key, &entries, subjects.len()));
        let sequence = history.frames;
        self.cameras.insert(camera.clone(), history);
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

    fn read_subject(&mut self, key: &str, index: u32, face: file::Face, track: Track, now: i64) -> Subject {
        let decision = self.read_decision(key, &face);
        let stranger = face.stranger.map(|stranger| {
            let key = format!("{key}.stranger");
            if self.kind != RuleKind::Alerting {
                self.add_wrong_kind(&key, "rules of this kind do not get strangers");
            } else if decision != Decision::Unknown {
                self.add_problem(&key, "only an unknown face can be a stranger's; add `unknown = true`");
            }
            let seen = self.read_time(&format!("{key}.first_seen_at"), stranger.first_seen_at.as_deref());
            Stranger {
                id: stranger.id,
                event: stranger.event,
                first_seen_at: seen.unwrap_or(now),
                dwell: stranger.dwell_ms.unwrap_or(0),
                visits: stranger.visits.unwrap_or(1),
                ..Stranger::default()
            }
        });
        let candidates = face.candidates.map_or_else(Vec::new, |candidates| {
            if self.kind != RuleKind::MatchingPolicy {
                self.add_wrong_kind(&format!("{key}.candidates"), "only a matching policy gets candidates");
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
                self.add_problem(&format!("{key}.embedding"), "must not be all zeros");
            }
            embedding
        });
        let [x, y, width, height] = face.bounds.unwrap_or([100.0 + 200.0 * index as f32, 100.0, 80.0, 100.0]);
        let mut check_fraction = |name: &str, value: Option<f32>, default: f32| {
            let value = value.unwrap_or(default);
            if !(0.0..=1.0).contains(&value) {
                self.add_problem(&format!("{key}.{name}"), format!("must be from 0 to 1, is {value}"));
            }
            value
        };
        let (score, quality) =
            (check_fraction("score", face.score, 0.95), check_fraction("quality", face.quality, 0.8));
        let detection =
            Detection { bounds: Rect { x, y, width, height }, landmarks: [Point::default(); 5], score };
        let zones = face.zones;
        let face = Face { index, detection, quality, track, embedding, candidates, zones };
        Subject { face, decision, stranger }
    }

    fn read_decision(&mut self, key: &str, face: &file::Face) -> Decision {
        if face.confidence.is_some() && face.known.is_none() {
            self.add_problem(&format!("{key}.confidence"), "is only valid with `known`");
        }
        if self.kind == RuleKind::MatchingPolicy {
            for (name, given) in [
                ("known", face.known.is_some()),
                ("unknown", face.unknown.is_some()),
                ("undecided", face.undecided.is_some()),
            ] {
                if given {
                    self.add_wrong_kind(
                        &format!("{key}.{name}"),
                        "a matching policy decides that; give `candidates`",
                    );
                }
            }
            return Decision::Undecided { reason: String::new() };
        }
        match (&face.known, face.unknown, &face.undecided) {
            (Some(person), None, None) => {
                let confidence = face.confidence.unwrap_or(0.9);
                if !(0.0..=1.0).contains(&confidence) {
                    self.add_problem(
                        &format!("{key}.confidence"),
                        format!("must be from 0 to 1, is {confidence}"),
                    );
                }
                Decision::Known { person: person.clone(), confidence }
            }
            (None, Some(true), None) => Decision::Unknown,
            (None, None, Some(reason)) => Decision::Undecided { reason: reason.clone() },
            _ => {
                let message = "give one of `known = \"ID\"`, `unknown = true`, `undecided = \"WHY\"`";
                self.add_problem(key, message);
                Decision::Unknown
            }
        }
    }

    fn read_expected(&mut self, key: &str, entries: &[toml::Table], faces: usize) -> Vec<Entry> {
        let read = |(at, table): (usize, &toml::Table)| match Entry::read(self.kind, table) {
            Ok(entry) => Some(entry),
            Err((name, message)) => {
                let dot = if name.is_empty() { "" } else { "." };
                self.add_problem(&format!("{key}.expect[{at}]{dot}{name}"), message);
                None
            }
        };
        let read: Vec<Entry> = entries.iter().enumerate().filter_map(read).collect();
        if self.kind == RuleKind::MatchingPolicy && entries.len() != faces {
            let message = format!(
                "has {} entries for {faces} faces; a matching policy decides about each face",
                entries.len()
            );
            self.add_problem(&format!("{key}.expect"), message);
        }
        read
    }

    fn read_time(&mut self, key: &str, text: Option<&str>) -> Option<i64> {
        let text = text?;
        let read = parse_time(text);
        if read.is_none() {
            self.add_problem(key, format!("`{text}` {NOT_A_TIME}"));
        }
        read
    }

    fn add_wrong_kind(&mut self, key: &str, why: &str) {
        let kind = kind_name(self.kind);
        self.add_problem(key, format!("is not valid for a rule of kind `{kind}`: {why}"));
    }
}
