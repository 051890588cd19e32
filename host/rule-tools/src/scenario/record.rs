//! A scenario of frames that a host judged: what was decided then, and what the rule answered.

use super::update::list;
use super::{Entry, written};
use everyframe_config::RuleKind;
use everyframe_rules::RuleOutput;
use everyframe_types::face::{Face, Person};
use everyframe_types::judgement::{Decision, StrangerEvent, Subject};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use toml_edit::{Array, InlineTable, Value};

/// What a reader takes for the size of a frame that says none.
const SIZE: (u32, u32) = (1280, 720);

/// Frames of one camera, in their order, as one rule saw them.
#[derive(Debug, Clone)]
pub struct Recording {
    /// One sentence.
    pub about: String,
    /// The rule's kind.
    pub kind: RuleKind,
    /// The rule's settings.
    pub settings: toml::Table,
    /// Whom it may look up.
    pub people: Vec<Person>,
    /// The camera's id.
    pub camera: String,
    /// The frames.
    pub frames: Vec<Recorded>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// When it was taken, Unix milliseconds.
    pub at: i64,
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// The schedules that held, by name.
    pub schedules: Vec<String>,
    /// The faces that the rule was told of, as they were decided upon.
    pub subjects: Vec<Subject>,
    /// What the rule answered, by the faces' own indices; none if it failed.
    pub answer: Option<RuleOutput>,
    /// False for a frame of which the answer is told, but not expected.
    pub is_expected: bool,
}

impl Recorded {
    /// The answer's entries, with the faces called by their place among those that the rule was told of.
    fn entries(&self) -> Option<Vec<Entry>> {
        let place = |face: u32| {
            (0..).zip(&self.subjects).find(|(_, subject)| subject.face.index == face).map(|(place, _)| place)
        };
        let entries = Entry::of(self.answer.as_ref()?).into_iter();
        Some(entries.map(|entry| entry.with_faces(place)).collect())
    }
}

impl Recording {
    /// The text of the scenario. Embeddings are not told: where a rule would ask for one, there is a stand-in, one for
    /// each stranger, at right angles to all others.
    ///
    /// # Errors
    ///
    /// The settings cannot be written.
    pub fn text(&self) -> Result<String, toml::ser::Error> {
        let mut text = format!("about = {}\n", Value::from(self.about.as_str()));
        if !self.settings.is_empty() {
            let settings = toml::Table::from_iter([("settings".to_owned(), self.settings.clone().into())]);
            text += &format!("\n{}", toml::to_string(&settings)?);
        }
        for Person { id, name, samples } in &self.people {
            let (id, name) = (Value::from(id.as_str()), Value::from(name.as_str()));
            text += &format!("\n[[people]]\nid = {id}\nname = {name}\nsamples = {samples}\n");
        }
        let looks = Looks::of(&self.frames);
        let mut tracks: HashMap<u64, i64> = HashMap::new();
        for (number, frame) in self.frames.iter().enumerate() {
            text += "\n[[frames]]\n";
            if number == 0 {
                text += &format!("camera = {}\n", Value::from(self.camera.as_str()));
            }
            text += &format!("at = \"{}\"\n", written(frame.at));
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
                    // A reader takes it from the frame before, or for the frame's own time.
                    let track = subject.face.track;
                    let is_clear = before.get(&track.id).copied().unwrap_or(frame.at) == track.started_at;
                    tracks.insert(track.id, track.started_at);
                    text += &format!("  {},\n", self.face(subject, !is_clear, &looks));
                }
                text += "]\n";
            }
            let Some(entries) = frame.entries() else { continue };
            let entries = list(&entries).to_string();
            match frame.is_expected {
                true => text += &format!("expect = {entries}\n"),
                false => {
                    text += "# what the rule kept from before is not here; then it answered:\n";
                    entries.lines().for_each(|line| text += &format!("# {line}\n"));
                }
            }
        }
        Ok(text)
    }

    fn face(&self, subject: &Subject, tell_start: bool, looks: &Looks) -> InlineTable {
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
            table.insert("stranger", stranger_of(stranger).into());
        }
        table.insert("track", whole(face.track.id));
        if tell_start {
            table.insert("track_started_at", written(face.track.started_at).into());
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
        if let Some(embedding) = looks.stand_in(self.kind, subject) {
            table.insert("embedding", embedding.into());
        }
        table.fmt();
        table
    }
}

fn stranger_of(stranger: &everyframe_types::judgement::Stranger) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert("id", stranger.id.as_str().into());
    if let Some(event) = stranger.event {
        let name = match event {
            StrangerEvent::FirstSeen => "first-seen",
            StrangerEvent::Returned => "returned",
            StrangerEvent::Loitering => "loitering",
        };
        table.insert("event", name.into());
    }
    table.insert("first_seen_at", written(stranger.first_seen_at).into());
    table.insert("dwell_ms", whole(stranger.dwell));
    table.insert("visits", whole(u64::from(stranger.visits)));
    table
}

fn whole(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// As short as it can be without being another `f32`.
fn decimal(number: f32) -> Value {
    number.to_string().parse().unwrap_or(f64::from(number)).into()
}

/// What strangers look like in a recording.
struct Looks {
    /// By track: whose it is.
    owners: HashMap<u64, String>,
    /// The strangers' axes.
    axes: BTreeMap<String, usize>,
}

impl Looks {
    fn of(frames: &[Recorded]) -> Self {
        let subjects = frames.iter().flat_map(|frame| &frame.subjects);
        let owned = subjects.filter_map(|it| Some((it.face.track.id, it.stranger.as_ref()?.id.clone())));
        let owners: HashMap<u64, String> = owned.collect();
        let ids: BTreeSet<&String> = owners.values().collect();
        let axes = ids.into_iter().cloned().zip(0..).collect();
        Self { owners, axes }
    }

    fn stand_in(&self, kind: RuleKind, subject: &Subject) -> Option<Array> {
        let Face { track, candidates, .. } = &subject.face;
        match kind {
            RuleKind::UnknownPerson => {
                let axis = *self.axes.get(self.owners.get(&track.id)?)?;
                Some((0..self.axes.len()).map(|place| i64::from(place == axis)).collect())
            }
            // Nobody is like it, and yet it was decided upon: it had one.
            RuleKind::MatchingPolicy => {
                let had = candidates.is_empty() && subject.decision == Decision::Unknown;
                had.then(|| Array::from_iter([1]))
            }
            RuleKind::Alerting => None,
        }
    }
}
