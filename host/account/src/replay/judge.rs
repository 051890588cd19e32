//! Judges past frames with the rules of a configuration.

use super::stored::Past;
use everyframe_config::{Config, Site};
use everyframe_rules::{FrameFacts, PreviousJudgement, RuleFailure, RuleState, Rules};
use everyframe_types::face::{Face, People, Person};
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
}

/// The people of the gallery, and the candidates of the past judgement.
struct Known {
    enrolled: Arc<BTreeMap<String, Person>>,
    then: Vec<String>,
}

impl People for Known {
    fn find(&self, person: &str) -> Option<Person> {
        let then = || self.then.iter().find(|id| *id == person);
        let gone = |id: &String| Person { id: id.clone(), name: id.clone(), samples: 0 };
        self.enrolled.get(person).cloned().or_else(|| then().map(gone))
    }
}

impl Judge {
    /// `enrolled` are the people of the gallery, by id.
    pub fn new(config: &Config, rules: Rules, enrolled: Arc<BTreeMap<String, Person>>) -> Self {
        let (states, blind) = (HashMap::new(), HashMap::new());
        Self { rules, site: Site::new(config), enrolled, states, blind }
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

    /// Judges a frame whose faces were detected and embedded again.
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
        self.rules.judge(&facts, faces, &people, self.states.entry(past.place.0).or_default())
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
        Arc::new(Known { enrolled: self.enrolled.clone(), then })
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
