//! Guests written in WebAssembly text, made into components in the test.

use super::{FrameFacts, Memory, People, Person, RuleError, RuleFailure, Rules};
use everyframe_config::{Limits, RuleKind, RuleSettings};
use everyframe_types::face::{Detection, Embedding, Face, Point, Rect, Track};
use everyframe_types::judgement::Judgement;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../wit/0.1.0/rules.wit");

const WASI: &str = include_str!("fixtures.wit");

/// A guest: the bodies of its functions, in WebAssembly text. By default it takes any settings, and
/// answers a matching policy's question with "unknown" for faces 0 to n.
#[derive(Clone)]
pub(super) struct Guest {
    /// Its world in the contract.
    pub world: &'static str,
    /// More imports of the world, in WIT.
    pub wit: &'static str,
    /// The contract's version.
    pub version: &'static str,
    /// The size of its memory when it starts, in pages of 64 KiB.
    pub pages: u32,
    /// Fields of the core module; imports first.
    pub module: String,
    /// Returns the address of its description. No parameters.
    pub describe: String,
    /// Returns the address of so many bytes. Parameters: the former address, its length, alignment, length.
    pub realloc: String,
    /// Returns the address of the list of diagnostics. Parameters: `$settings`, `$settings_length`.
    pub configure: String,
    /// Returns the address of the list of answers. Parameters: `$sequence` (i64), `$faces` (the address of
    /// the list), `$n` (its length).
    pub answer: String,
}

/// "Unknown" for faces 0 to n. A verdict takes 20 bytes: face at 0, decision at 4, its payload from 8 on.
pub(super) const ALL_UNKNOWN: &str = r#"
    (local $i i32) (local $at i32)
    (loop $next
        (if (i32.lt_u (local.get $i) (local.get $n)) (then
            (local.set $at (i32.add (i32.const 32768) (i32.mul (local.get $i) (i32.const 20))))
            (i32.store (local.get $at) (local.get $i))
            (i32.store8 offset=4 (local.get $at) (i32.const 1))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $next))))
    (i32.store (i32.const 80) (i32.const 32768))
    (i32.store (i32.const 84) (local.get $n))
    (i32.const 80)
"#;

/// The next free bytes; from the beginning each time while `$again` is set, for guests that call the host for ever.
pub(super) const BUMP: &str = r#"
    (local $at i32)
    (if (global.get $again) (then (return (i32.const 65536))))
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    (local.get $at)
"#;

/// Two addresses below: an empty list.
pub(super) const NOTHING: &str = "(i32.const 96)";

impl Default for Guest {
    fn default() -> Self {
        Self {
            world: "matching-policy",
            wit: "",
            version: "0.1.0",
            pages: 2,
            module: String::new(),
            describe: "(i32.const 16)".into(),
            realloc: BUMP.into(),
            configure: NOTHING.into(),
            answer: ALL_UNKNOWN.into(),
        }
    }
}

impl Guest {
    pub(super) fn answering(answer: &str) -> Self {
        Self { answer: answer.into(), ..Self::default() }
    }

    pub(super) fn core_module(&self) -> Vec<u8> {
        let Self { version, pages, module, describe, realloc, configure, answer, .. } = self;
        let function = match self.world {
            "matching-policy" => "matching@VERSION#decide",
            "unknown-person" => "strangers@VERSION#observe",
            _ => "alerts@VERSION#judge",
        }
        .replace("VERSION", version);
        let text = format!(
            r#"(module
                {module}
                (memory (export "memory") {pages})
                (global $top (mut i32) (i32.const 65536))
                (data (i32.const 8) "test")
                ;; description: four times "test"
                (data (i32.const 16) "\08\00\00\00\04\00\00\00\08\00\00\00\04\00\00\00\08\00\00\00\04\00\00\00\08\00\00\00\04\00\00\00")
                ;; one diagnostic, an error: "test": "test"; its list at 104
                (data (i32.const 104) "\70\00\00\00\01\00\00\00\01\00\00\00\08\00\00\00\04\00\00\00\08\00\00\00\04\00\00\00")
                (global $again (mut i32) (i32.const 0))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export "everyframe:rules/rule@{version}#describe") (result i32) {describe})
                (func (export "everyframe:rules/rule@{version}#configure")
                    (param $settings i32) (param $settings_length i32) (result i32) {configure})
                (func (export "everyframe:rules/{function}")
                    (param $camera i32) (param i32) (param $session i32) (param i32)
                    (param $sequence i64) (param $captured_at i64) (param i32) (param i32)
                    (param $schedules i32) (param $schedule_count i32)
                    (param $faces i32) (param $n i32) (result i32) {answer}))"#
        );
        wat::parse_str(text).unwrap()
    }

    pub(super) fn component(&self) -> Vec<u8> {
        let mut module = self.core_module();
        let mut resolve = Resolve::default();
        resolve.push_str("rules.wit", &CONTRACT.replace("0.1.0", self.version)).unwrap();
        resolve.push_str("wasi.wit", WASI).unwrap();
        let world = format!(
            "package test:guest; world guest {{ include everyframe:rules/{}@{}; {} }}",
            self.world, self.version, self.wit
        );
        let package = resolve.push_str("guest.wit", &world).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
        ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
    }
}

/// A folder with components, and a runtime.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Writes a file and names it in a rule's settings.
    pub(super) fn rule(&self, name: &str, kind: RuleKind, bytes: &[u8]) -> RuleSettings {
        let component: PathBuf = self.folder.path().join(format!("{name}.wasm"));
        std::fs::write(&component, bytes).unwrap();
        // Time for a busy machine; a test that is about time sets its own.
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

/// A gallery of these people.
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
    memory: &mut Memory,
    sequence: u64,
    faces: u32,
) -> Result<Judgement, RuleFailure> {
    judge_at("gate", rules, memory, sequence, faces)
}

/// The same, of another camera.
pub(super) fn judge_at(
    camera: &str,
    rules: &Rules,
    memory: &mut Memory,
    sequence: u64,
    faces: u32,
) -> Result<Judgement, RuleFailure> {
    let people: Arc<dyn People> = Arc::new(Enrolled(&["anna"]));
    let frame = FrameFacts { camera, ..facts(sequence) };
    rules.judge(&frame, (0..faces).map(face).collect(), &people, memory)
}
