//! Writes a scenario from frames that a host judged: their decisions then, and the rule's output.

use super::update::format_list;
use super::{Entry, format_time};
use everyframe_config::RuleKind;
use everyframe_rules::RuleOutput;
use everyframe_types::face::{Face, Person};
use everyframe_types::judgement::{Decision, Subject};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use toml_edit::{Array, InlineTable, Value};

/// The default size of a scenario's frame, pixels. It is not written.
const SIZE: (u32, u32) = (1280, 720);

/// Frames of one camera, in order, as one rule judged them.
#[derive(Debug, Clone)]
pub struct Recording {
    /// What the scenario is about, one sentence.
    pub about: String,
    /// The rule's kind.
    pub kind: RuleKind,
    /// The rule's settings.
    pub settings: toml::Table,
    /// The people whom the rule may look up.
    pub people: Vec<Person>,
    /// The camera's id.
    pub camera: String,
    /// The frames.
    pub frames: Vec<RecordedFrame>,
}

/// One frame of a recording.
#[derive(Debug, Clone)]
pub struct RecordedFrame {
    /// When the frame was captured, Unix milliseconds.
    pub at: i64,
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Names of the active schedules.
    pub schedules: Vec<String>,
    /// The faces that the rule got, with their decisions.
    pub subjects: Vec<Subject>,
    /// The rule's output, by the faces' own indices; none if it failed.
    pub output: Option<RuleOutput>,
    /// False for a frame whose output is written as a comment, not as expectation.
    pub is_expected: bool,
}

impl RecordedFrame {
    /// The output's entries. A face's index is its position among the faces that the rule got.
    fn entries(&self) -> Option<Vec<Entry>> {
        let position = |face: u32| {
            (0..)
                .zip(&self.subjects)
                .find(|(_, subject)| subject.face.index == face)
                .map(|(position, _)| position)
        };
        let entries = Entry::from_output(self.output.as_ref()?).into_iter();
        Some(entries.map(|entry| entry.map_face(position)).collect())
    }
}

impl Recording {
    /// Writes the scenario. Embeddings are not written. Where a rule would request one, there is a substitute: one unit vector
    /// for each stranger, orthogonal to all others.
    ///
    /// # Errors
    ///
    /// The settings cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut text = format!("about = {}\n", Value::from(self.about.as_str()));
        if !self.settings.is_empty() {
            let settings = toml::Table::from_iter([("settings".to_owned(), self.settings.clone().into())]);
            text += &format!("\n{}", toml::to_string(&settings)?);
        }
        for Person { id, name, samples } in &self.people {
            let (id, name) = (Value::from(id.as_str()), Value::from(name.as_str()));
            text += &format!("\n[[people]]\nid = {id}\nname = {name}\nsamples = {samples}\n");
        }
        let embeddings = SubstituteEmbeddings::new(&self.frames);
        let mut tracks: HashMap<u64, i64> = HashMap::new();
        for (number, frame) in self.frames.iter().enumerate() {
            text += "\n[[frames]]\n";
            if number == 0 {
                text += &format!("camera = {}\n", Value::from(self.camera.as_str()));
            }
            text += &format!("at = \"{}\"\n", format_time(frame.at));
            if frame.size != SIZE {
                text += &format!("width = {}\nheight = {}\n", frame.size.0, frame.size.1);
            }
            if !frame.schedules.is_empty() {
                let names: Array = frame.schedules.iter().map(String::as_str).collect();
                text += &format!("schedules = {names}\n");
            }
            let before = std::mem::take(&mut tracks);
            if !frame.subjects.is_empty() {
                text += "faces = [\n";
                for subject in &frame.subjects {
                    // By default a track begins with the frame before that has it, or with this frame.
                    let track = subject.face.track;
                    let is_default = before.get(&track.id).copied().unwrap_or(frame.at) == track.started_at;
                    tracks.insert(track.id, track.started_at);
                    text += &format!("  {},\n", self.format_face(subject, !is_default, &embeddings));
                }
                text += "]\n";
            }
            let Some(entries) = frame.entries() else { continue };
            let entries = format_list(&entries).to_string();
            match frame.is_expected {
                true => text += &format!("expect = {entries}\n"),
                false => {
                    text += "# the rule had state from earlier frames, which is not in this scenario; its output was:\n";
                    entries.lines().for_each(|line| text += &format!("# {line}\n"));
                }
            }
        }
        Ok(text)
    }

    fn format_face(
        &self,
        subject: &Subject,
        with_track_start: bool,
        embeddings: &SubstituteEmbeddings,
    ) -> InlineTable {
        let face = &subject.face;
        let mut table = InlineTable::new();
        if self.kind == RuleKind::MatchingPolicy {
            let candidates = face.candidates.iter();
            let candidates: InlineTable =
                candidates.map(|it| (it.person.as_str(), decimal(it.similarity))).collect();
            table.insert("candidates", candidates.into());
        } else {
            match &subject.decision {
                Decision::Known { person, confidence } => {
                    table.insert("known", person.as_str().into());
                    table.insert("confidence", decimal(*confidence));
                }
                Decision::Unknown => drop(table.insert("unknown", true.into())),
                Decision::Undecided { reason } => drop(table.insert("undecided", reason.as_str().into())),
            }
        }
        if self.kind == RuleKind::Alerting
            && let Some(stranger) = &subject.stranger
        {
            table.insert("stranger", format_stranger(stranger).into());
        }
        table.insert("track", integer(face.track.id));
        if with_track_start {
            table.insert("track_started_at", format_time(face.track.started_at).into());
        }
        let bounds = face.detection.bounds;
        let bounds: Array =
            [bounds.x, bounds.y, bounds.width, bounds.height].map(decimal).into_iter().collect();
        table.insert("bounds", bounds.into());
        table.insert("score", decimal(face.detection.score));
        table.insert("quality", decimal(face.quality));
        if !face.zones.is_empty() {
            let zones: Array = face.zones.iter().map(String::as_str).collect();
            table.insert("zones", zones.into());
        }
        if let Some(embedding) = embeddings.find(self.kind, subject) {
            table.insert("embedding", embedding.into());
        }
        table.fmt();
        table
    }
}

fn format_stranger(stranger: &everyframe_types::judgement::Stranger) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert("id", stranger.id.as_str().into());
    if let Some(event) = stranger.event {
        table.insert("event", event.as_str().into());
    }
    table.insert("first_seen_at", format_time(stranger.first_seen_at).into());
    table.insert("dwell_ms", integer(stranger.dwell));
    table.insert("visits", integer(u64::from(stranger.visits)));
    table
}

fn integer(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// The shortest decimal number that parses to the same `f32`.
fn decimal(number: f32) -> Value {
    number.to_string().parse().unwrap_or(f64::from(number)).into()
}

/// The substitutes for the strangers' embeddings.
struct SubstituteEmbeddings {
    /// By track: the stranger's id.
    owners: HashMap<u64, String>,
    /// By stranger: the index of its unit vector's only 1.
    axes: BTreeMap<String, usize>,
}

impl SubstituteEmbeddings {
    fn new(frames: &[RecordedFrame]) -> Self {
        let subjects = frames.iter().flat_map(|frame| &frame.subjects);
        let owned = subjects.filter_map(|it| Some((it.face.track.id, it.stranger.as_ref()?.id.clone())));
        let owners: HashMap<u64, String> = owned.collect();
        let ids: BTreeSet<&String> = owners.values().collect();
        let axes = ids.into_iter().cloned().zip(0..).collect();
        Self { owners, axes }
    }

    fn find(&self, kind: RuleKind, subject: &Subject) -> Option<Array> {
        let Face { track, candidates, .. } = &subject.face;
        match kind {
            RuleKind::UnknownPerson => {
                let axis = *self.axes.get(self.owners.get(&track.id)?)?;
                Some((0..self.axes.len()).map(|place| i64::from(place == axis)).collect())
            }
            // A face without candidates that was decided to be unknown had an embedding.
            RuleKind::MatchingPolicy => {
                let had = candidates.is_empty() && subject.decision == Decision::Unknown;
                had.then(|| Array::from_iter([1]))
            }
            RuleKind::Alerting => None,
        }
    }
}
