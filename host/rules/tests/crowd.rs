//! The shipped rules and the examples stay within the host's limits for any number of faces.
//!
//! Only the time limit is longer here, for busy machines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use everyframe_config::{Limits, RuleKind, RuleSettings};
use everyframe_rules::{CodeCache, FrameFacts, RuleState, Rules};
use everyframe_types::face::{Candidate, Detection, Embedding, Face, People, Person, Point, Rect, Track};
use everyframe_types::judgement::{Alert, Decision};
use everyframe_types::record::camera_id;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

const CROWDS: [u32; 7] = [0, 1, 99, 100, 101, 500, 1000];
const NOON: i64 = 1_777_636_800_000;

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
});

/// A component by its name, as `make build-rules build-test-rules` builds them.
fn component(name: &str) -> PathBuf {
    let folder = std::env::var_os("EVERYFRAME_PLUGINS").expect("EVERYFRAME_PLUGINS is set: run `make test`");
    let shipped = PathBuf::from(folder).join(name).with_extension("wasm");
    let other = shipped.parent().unwrap().with_file_name(name).with_extension("wasm");
    [shipped, other].into_iter().find(|path| path.exists()).unwrap_or_else(|| {
        panic!("the component {name} is not built: run `make build-rules build-test-rules`")
    })
}

fn rule(name: &str, kind: RuleKind, settings: &str) -> RuleSettings {
    let limits = Limits { time_ms: 60_000, ..Limits::default() };
    let settings = settings.parse().unwrap();
    RuleSettings { limits, settings, ..RuleSettings::new(name, kind, component(name)) }
}

fn shipped() -> Vec<RuleSettings> {
    vec![
        rule("matching_policy", RuleKind::MatchingPolicy, ""),
        rule("unknown_person", RuleKind::UnknownPerson, ""),
        rule("alerting", RuleKind::Alerting, ""),
    ]
}

/// A gallery where everybody is enrolled, with the longest ids and names.
struct Everybody;

fn person_id(number: u32) -> String {
    format!("{number:04}{}", "門".repeat(41))
}

impl People for Everybody {
    fn find(&self, person: &str) -> Option<Person> {
        Some(Person { id: person.into(), name: "名".repeat(66), samples: 1 })
    }
}

/// A face with its own embedding. Every second one is a stranger's.
fn face(index: u32, crowd_since: i64) -> Face {
    let mut seed = index.wrapping_mul(2_654_435_761).wrapping_add(1);
    let looks: Vec<f32> = (0..128)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as f32 / 32_768.0 - 1.0
        })
        .collect();
    let similarity = if index.is_multiple_of(2) { 0.9 } else { 0.1 };
    Face {
        index,
        detection: Detection {
            bounds: Rect { x: 1.0, y: 1.0, width: 50.0, height: 60.0 },
            landmarks: [Point::default(); 5],
            score: 0.9,
        },
        quality: 0.8,
        track: Track {
            id: u64::from(index) + (crowd_since - NOON).unsigned_abs() * 10_000,
            started_at: crowd_since,
        },
        embedding: Embedding::from_raw(&looks),
        candidates: vec![Candidate { person: person_id(index), similarity }],
        zones: vec![],
    }
}

fn load(rules: &[RuleSettings]) -> Rules {
    // The shipped rules are loaded with each example, and compiling them takes most of the time.
    let cache = CodeCache::in_folder(Path::new(env!("CARGO_TARGET_TMPDIR")));
    Rules::load(rules, RUNTIME.handle().clone(), Some(&cache)).unwrap_or_else(|error| panic!("{error}"))
}

/// Judges a crowd that stays, is hidden for a moment, and comes back on other tracks. Returns the alerts by kind, and the most
/// strangers in one frame.
fn judge_crowd(rules: &Rules, crowd: u32) -> (BTreeMap<String, Vec<Alert>>, u32) {
    let people: Arc<dyn People> = Arc::new(Everybody);
    let camera = camera_id(Some("門".repeat(200).as_bytes()), 0);
    let mut state = RuleState::new();
    let (mut alerts, mut named) = (BTreeMap::<String, Vec<Alert>>::new(), 0);
    for (at, since) in [(0, 0), (400, 0), (500, 0), (900, 900), (1400, 900), (2000, 900)] {
        let facts = FrameFacts {
            camera: &camera,
            session: "s",
            sequence: 0,
            captured_at: NOON + at,
            width: 1280,
            height: 720,
            schedules: &[],
        };
        let faces = (0..crowd).map(|index| face(index, NOON + since)).collect();
        let judgement = rules
            .judge(&facts, faces, &people, &mut state)
            .unwrap_or_else(|failure| panic!("{crowd} faces, {at} ms: {failure}"));
        assert!(judgement.skipped.is_empty());
        let strangers = judgement.subjects.iter().filter(|it| it.stranger.is_some()).count() as u32;
        named = named.max(strangers);
        let known =
            judgement.subjects.iter().filter(|it| matches!(it.decision, Decision::Known { .. })).count();
        assert_eq!(known as u32, crowd.div_ceil(2));
        for alert in judgement.alerts {
            alerts.entry(alert.kind.clone()).or_default().push(alert);
        }
    }
    (alerts, named)
}

#[test]
fn the_shipped_rules_judge_any_crowd() {
    let rules = load(&shipped());
    for crowd in CROWDS {
        let (alerts, named) = judge_crowd(&rules, crowd);
        assert_eq!(named, crowd / 2, "every stranger has an id");
        let strangers = alerts.get("first-seen").map_or(&[][..], Vec::as_slice);
        match crowd {
            500.. => {
                let text = format!("{} strangers at once seen for the first time at ", crowd / 2);
                assert!(strangers.iter().any(|alert| alert.text.starts_with(&text)), "{strangers:?}");
            }
            _ => assert_eq!(strangers.len() as u32, crowd / 2),
        }
    }
}

#[test]
fn the_example_rules_judge_any_crowd() {
    let people: Vec<String> = (0..1000).map(person_id).collect();
    let greetings: String = people.iter().map(|id| format!("\"{id}\" = \"Welcome, {{name}}!\"\n")).collect();
    let all = format!("{people:?}");
    let examples = [
        ("absent_too_long", RuleKind::Alerting, format!("people = {all}\nafter_ms = 1\n")),
        ("after_hours", RuleKind::Alerting, String::new()),
        ("deny_list", RuleKind::Alerting, format!("denied = {all}\n")),
        ("loitering", RuleKind::Alerting, "after_ms = 1\nknown_may = false\n".into()),
        ("never_for", RuleKind::Alerting, "never = [\"x\"]\n".into()),
        ("not_this_person", RuleKind::MatchingPolicy, String::new()),
        ("once_per_visit", RuleKind::Alerting, String::new()),
        ("person_zone_schedule", RuleKind::Alerting, format!("person = \"{}\"\n", people[0])),
        ("strangers_only", RuleKind::Alerting, String::new()),
        ("tail_gating", RuleKind::Alerting, "sure_after_ms = 0\n".into()),
        ("vip_greeting", RuleKind::Alerting, format!("[people]\n{greetings}")),
    ];
    for (name, kind, settings) in examples {
        let example = rule(name, kind, &settings);
        let mut rules = shipped();
        match kind {
            RuleKind::MatchingPolicy => rules[0] = example,
            _ => rules.push(example),
        }
        let rules = load(&rules);
        // Fewer crowds: the test above has the others, and the shipped rules take most of the time here.
        for crowd in [1, 101, 1000] {
            judge_crowd(&rules, crowd);
        }
    }
}
