//! Judges past frames with the rules of a configuration.

use super::stored::Past;
use everyframe_config::{Config, Site};
use everyframe_gallery::{JudgedFrame, StrangerIndex, StrangerIndexWriter, shared_strangers};
use everyframe_rules::{FrameFacts, PreviousJudgement, RuleFailure, RuleState, Rules};
use everyframe_types::event::EventPosition;
use everyframe_types::face::{Embedding, Face, People, Person, RecentStranger};
use everyframe_types::judgement::{Judgement, Subject};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Judges past frames. Pass the frames of a partition in their order. The rules start with an empty state.
pub struct Judge {
    rules: Rules,
    site: Site,
    enrolled: Arc<BTreeMap<String, Person>>,
    states: HashMap<i32, RuleState>,
    /// By camera: the unknown-person rules that request embeddings.
    blind: HashMap<String, HashSet<String>>,
    /// The strangers that the frames so far have shared.
    writer: StrangerIndexWriter,
    strangers: Arc<StrangerIndex>,
}

/// All faces that are judged again are of one embedding model.
const MODEL: &str = "";

/// The people of the gallery, the candidates of the past judgement, and the strangers.
struct Known {
    enrolled: Arc<BTreeMap<String, Person>>,
    then: Vec<String>,
    strangers: Arc<StrangerIndex>,
}

impl People for Known {
    fn find(&self, person: &str) -> Option<Person> {
        let then = || self.then.iter().find(|id| *id == person);
        let gone = |id: &String| Person { id: id.clone(), name: id.clone(), samples: 0 };
        self.enrolled.get(person).cloned().or_else(|| then().map(gone))
    }

    fn recent_strangers(&self, face: &Embedding, count: usize, now: i64) -> Vec<RecentStranger> {
        self.strangers.find(face, count, now)
    }

    fn merged_into(&self, stranger: &str) -> Option<String> {
        self.strangers.merged_into(stranger).map(str::to_owned)
    }

    fn changed_at(&self, stranger: &str) -> Option<i64> {
        self.strangers.changed_at(stranger)
    }
}

impl Judge {
    /// `enrolled` are the people of the gallery, by id.
    pub fn new(config: &Config, rules: Rules, enrolled: Arc<BTreeMap<String, Person>>) -> Self {
        let (states, blind, site) = (HashMap::new(), HashMap::new(), Site::new(config));
        let writer = StrangerIndexWriter::new(MODEL);
        let strangers = Arc::new(writer.snapshot());
        Self { rules, site, enrolled, states, blind, writer, strangers }
    }

    /// Judges a frame with the faces of its stored result. Where a matching policy or an unknown-person rule requests an embedding,
    /// the past decision is kept, and `blind` lists the rule.
    ///
    /// # Errors
    ///
    /// A rule failed: count the frame as parked.
    pub fn from_result(&mut self, past: &Past) -> Result<Judgement, RuleFailure> {
        let schedules = self.site.schedules_at(past.captured_at);
        let facts = past.facts(&schedules);
        let faces: Vec<Face> =
            past.subjects.iter().map(|subject| self.with_zones(&facts, &subject.face)).collect();
        let people = self.people(&faces);
        if past.subjects.iter().any(|subject| subject.stranger.is_some())
            && !self.blind.contains_key(&past.camera)
        {
            let blind = self.find_blind_rules(&facts, &past.subjects, &faces, &people);
            self.blind.insert(past.camera.clone(), blind);
        }
        let blind = self.blind.get(&past.camera);
        let none = HashSet::new();
        let before = PreviousJudgement { subjects: &past.subjects, blind: blind.unwrap_or(&none) };
        let state = self.states.entry(past.place.0).or_default();
        self.rules.rejudge(&facts, faces, &people, state, &before)
    }

    /// Judges a frame whose faces were detected and embedded again. What it shares is known to the frames of all cameras from now on.
    ///
    /// # Errors
    ///
    /// A rule failed: count the frame as parked.
    pub fn from_frame(&mut self, past: &Past) -> Result<Judgement, RuleFailure> {
        let schedules = self.site.schedules_at(past.captured_at);
        let facts = past.facts(&schedules);
        let faces: Vec<Face> =
            past.subjects.iter().map(|subject| self.with_zones(&facts, &subject.face)).collect();
        let people = self.people(&faces);
        let state = self.states.entry(past.place.0).or_default();
        let judgement = self.rules.judge(&facts, faces, &people, state)?;
        let (partition, offset) = past.place;
        let position = EventPosition { topic: String::new(), partition, offset };
        let (camera, captured_at) = (past.camera.as_str(), past.captured_at);
        let shared =
            shared_strangers(&JudgedFrame { camera, captured_at, position, model: MODEL }, &judgement);
        if !shared.is_empty() {
            shared.into_iter().for_each(|record| self.writer.apply(&record.key(), record, captured_at));
            self.strangers = Arc::new(self.writer.snapshot());
        }
        Ok(judgement)
    }

    /// The face with its zones in this configuration.
    fn with_zones(&self, frame: &FrameFacts<'_>, face: &Face) -> Face {
        let size = (frame.width, frame.height);
        let zones = self.site.zones_of(frame.camera, size, &face.detection.bounds);
        Face { zones, ..face.clone() }
    }

    fn people(&self, faces: &[Face]) -> Arc<dyn People> {
        let candidates = faces.iter().flat_map(|face| &face.candidates);
        let then = candidates.map(|candidate| candidate.person.clone()).collect();
        Arc::new(Known { enrolled: self.enrolled.clone(), then, strangers: self.strangers.clone() })
    }

    /// Finds the rules that request embeddings. An unknown-person rule requests those of good faces only, and recognises others from
    /// these, so this must be known before the first frame in which it requests none.
    fn find_blind_rules(
        &self,
        frame: &FrameFacts<'_>,
        subjects: &[Subject],
        faces: &[Face],
        people: &Arc<dyn People>,
    ) -> HashSet<String> {
        let good = faces.iter().map(|face| Face { quality: 1.0, ..face.clone() }).collect();
        let nobody = HashSet::new();
        let before = PreviousJudgement { subjects, blind: &nobody };
        let asked = self.rules.rejudge(frame, good, people, &mut RuleState::new(), &before);
        asked.map(|judgement| judgement.blind.into_iter().collect()).unwrap_or_default()
    }
}
