//! Shared by this crate's tests: rules loaded from guests, and frames and faces to judge.

use super::{FrameFacts, RuleError, RuleFailure, RuleState, Rules};
use everyframe_config::{Limits, RuleKind, RuleSettings};
use everyframe_test_guests::Guest;
use everyframe_types::face::{Detection, Embedding, Face, People, Person, Point, Rect, Track};
use everyframe_types::judgement::Judgement;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;

/// A folder with components, and a runtime.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Writes a component file and returns a rule's settings for it.
    pub(super) fn rule(&self, name: &str, kind: RuleKind, bytes: &[u8]) -> RuleSettings {
        let component: PathBuf = self.folder.path().join(format!("{name}.wasm"));
        std::fs::write(&component, bytes).unwrap();
        // Enough time for a busy machine; a test of the time limit sets its own.
        let limits = Limits { time_ms: 2000, memory_mb: 8, ..Limits::default() };
        RuleSettings { limits, breaker: 0, ..RuleSettings::new(name, kind, component) }
    }

    /// Loads one matching policy.
    pub(super) fn policy(&self, guest: &Guest) -> Result<Rules, RuleError> {
        self.load(&[self.rule("policy", RuleKind::MatchingPolicy, &guest.component())])
    }

    pub(super) fn load(&self, rules: &[RuleSettings]) -> Result<Rules, RuleError> {
        Rules::load(rules, runtime().handle().clone(), None)
    }
}

pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    })
}

/// A gallery with these people.
pub(super) struct Enrolled(pub(super) &'static [&'static str]);

impl People for Enrolled {
    fn find(&self, person: &str) -> Option<Person> {
        self.0.contains(&person).then(|| Person { id: person.into(), name: person.into(), samples: 1 })
    }
}

pub(super) fn face(index: u32) -> Face {
    Face {
        index,
        detection: Detection {
            bounds: Rect { x: 10.0, y: 10.0, width: 50.0, height: 60.0 },
            landmarks: [Point::default(); 5],
            score: 0.9,
        },
        quality: 0.8,
        track: Track { id: u64::from(index), started_at: 0 },
        embedding: Embedding::from_raw(&[1.0, 2.0, 3.0]),
        candidates: vec![],
        zones: vec![],
    }
}

pub(super) fn facts(sequence: u64) -> FrameFacts<'static> {
    FrameFacts {
        camera: "gate",
        session: "s",
        sequence,
        captured_at: 1_700_000_000_000,
        width: 640,
        height: 480,
        schedules: &[],
    }
}

/// Judges a frame of camera `gate` with this many faces; "anna" is enrolled.
pub(super) fn judge(
    rules: &Rules,
    state: &mut RuleState,
    sequence: u64,
    faces: u32,
) -> Result<Judgement, RuleFailure> {
    judge_at("gate", rules, state, sequence, faces)
}

/// Judges a frame of another camera.
pub(super) fn judge_at(
    camera: &str,
    rules: &Rules,
    state: &mut RuleState,
    sequence: u64,
    faces: u32,
) -> Result<Judgement, RuleFailure> {
    let people: Arc<dyn People> = Arc::new(Enrolled(&["anna"]));
    let frame = FrameFacts { camera, ..facts(sequence) };
    rules.judge(&frame, (0..faces).map(face).collect(), &people, state)
}
