//! Measures the time that rules take for a frame: the three shipped rules, fresh instances, one thread and all cores.
//!
//!     cargo bench -p everyframe-rules --bench rules
//!
//! The components are in `EVERYFRAME_PLUGINS`, or in the folder where `make` builds them.
#![allow(clippy::unwrap_used, missing_docs)]

use everyframe_config::{RuleKind, RuleSettings};
use everyframe_rules::{FrameFacts, RuleState, Rules};
use everyframe_types::face::{Candidate, Detection, Embedding, Face, People, Person, Point, Rect, Track};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

const PLUGINS: [(&str, &str, RuleKind); 3] = [
    ("matching", "matching_policy.wasm", RuleKind::MatchingPolicy),
    ("strangers", "unknown_person.wasm", RuleKind::UnknownPerson),
    ("alerts", "alerting.wasm", RuleKind::Alerting),
];

struct Enrolled;

impl People for Enrolled {
    fn find(&self, person: &str) -> Option<Person> {
        (person == "anna").then(|| Person { id: person.into(), name: "Anna".into(), samples: 3 })
    }
}

fn plugins() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    from("EVERYFRAME_PLUGINS").unwrap_or_else(|| {
        from("EVERYFRAME_CACHE")
            .or_else(|| from("XDG_CACHE_HOME").map(|cache| cache.join("everyframe")))
            .or_else(|| from("HOME").map(|home| home.join(".cache/everyframe")))
            .unwrap_or_default()
            .join("target/components/wasip2")
    })
}

fn settings() -> Vec<RuleSettings> {
    let folder = plugins();
    let rule = |(name, file, kind): (&str, &str, RuleKind)| RuleSettings::new(name, kind, folder.join(file));
    PLUGINS.into_iter().map(rule).collect()
}

/// The first face is Anna's; the others are of strangers who stay.
fn face(index: u32) -> Face {
    let raw: Vec<f32> = (0..128).map(|i| ((i * (index + 3)) as f32).sin()).collect();
    let similarity = if index == 0 { 0.8 } else { 0.1 };
    Face {
        index,
        detection: Detection {
            bounds: Rect { x: 10.0, y: 10.0, width: 120.0, height: 140.0 },
            landmarks: [Point::default(); 5],
            score: 0.9,
        },
        quality: 0.8,
        track: Track { id: u64::from(index) + 1, started_at: 1_700_000_000_000 },
        embedding: Embedding::from_raw(&raw),
        candidates: (0..5)
            .map(|i| Candidate {
                person: if i == 0 { "anna".into() } else { format!("person-{i}") },
                similarity: similarity - i as f32 * 0.05,
            })
            .collect(),
        zones: Vec::new(),
    }
}

/// Simulates the effect of a frame's inference on the caches: reads as much memory as the weights of both models take.
struct Inference(Vec<u64>);

impl Inference {
    const BYTES: usize = 40 << 20;

    fn new() -> Self {
        Self(vec![1; Self::BYTES / 8])
    }

    fn run(&self) {
        std::hint::black_box(self.0.iter().fold(0u64, |sum, weight| sum.wrapping_add(*weight)));
    }
}

/// Judges `frames` frames of one camera at 10 frames a second, each after an inference if one is given. Returns the
/// microseconds of each, sorted.
fn judge(rules: &Rules, camera: &str, faces: u32, frames: u64, inference: Option<&Inference>) -> Vec<f64> {
    let people: Arc<dyn People> = Arc::new(Enrolled);
    let mut state = RuleState::new();
    let seen: Vec<Face> = (0..faces).map(face).collect();
    let warm_up = frames / 10 + 1;
    let mut took = Vec::new();
    for sequence in 0..frames + warm_up {
        let captured_at = 1_700_000_000_000 + sequence as i64 * 100;
        let session = "bench";
        let frame =
            FrameFacts { camera, session, sequence, captured_at, width: 1280, height: 720, schedules: &[] };
        let seen = seen.clone();
        if let Some(inference) = inference {
            inference.run();
        }
        let start = Instant::now();
        rules.judge(&frame, seen, &people, &mut state).unwrap();
        if sequence >= warm_up {
            took.push(start.elapsed().as_nanos() as f64 / 1e3);
        }
    }
    took.sort_by(f64::total_cmp);
    took
}

fn report(what: &str, sorted: &[f64]) {
    let at = |share: usize| sorted[(sorted.len() * share / 100).min(sorted.len() - 1)];
    println!("{what:<52} p50 {:>7.1} µs   p99 {:>7.1} µs", at(50), at(99));
}

/// Measures whether ten alert rules on eight cameras slow each other down: the time of one of their calls relative to a call of
/// one rule alone on the same cameras, on one thread and on all cores. Measured in short turns, so that other load on the machine
/// affects all alike. Prints the median and its 95 % confidence interval.
fn contention(load: &dyn Fn(&[RuleSettings]) -> Rules, frames: u64) {
    let mut one = settings();
    one.remove(1);
    let mut ten = one.clone();
    ten.extend((2..=10).map(|number| RuleSettings { name: format!("alerts-{number}"), ..one[1].clone() }));
    let (none, one, ten) = (load(&one[..1]), load(&one), load(&ten));
    let (turns, share) = if frames > 1000 { (101, frames / 100) } else { (3, 1) };
    // Core time for each frame, microseconds.
    let took = |rules: &Rules, threads: usize| {
        let camera = |thread: usize| move |camera: &usize| camera % threads == thread;
        let at =
            |camera: usize| judge(rules, &format!("camera-{camera}"), 2, share, None).iter().sum::<f64>();
        let total: f64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|thread| scope.spawn(move || (0..8).filter(camera(thread)).map(at).sum::<f64>()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        total / (8 * share) as f64
    };
    for threads in [1, cores().min(8)] {
        let mut ratios: Vec<f64> = (0..turns)
            .map(|_| {
                let (policy, one, ten) = (took(&none, threads), took(&one, threads), took(&ten, threads));
                (ten - policy) / 10.0 / (one - policy)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (middle, away) = (turns / 2, (turns as f64).sqrt() as usize);
        println!(
            "ten alert rules, eight cameras, {threads} threads: a call costs {:.3} x one rule's ({:.3} to {:.3})",
            ratios[middle],
            ratios[middle - away],
            ratios[middle + away]
        );
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn main() {
    // `cargo test` runs benches too, without `--bench`: a few frames are enough then.
    let frames = if std::env::args().any(|arg| arg == "--bench") { 5_000 } else { 20 };
    let absent = settings().into_iter().find(|rule| !rule.component.exists());
    if let Some(rule) = absent {
        println!(
            "not measured: no {}; build the plugins, or set EVERYFRAME_PLUGINS",
            rule.component.display()
        );
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let load = |settings: &[RuleSettings]| Rules::load(settings, runtime.handle().clone(), None).unwrap();
    let start = Instant::now();
    let rules = load(&settings());
    println!("three rules read, checked and compiled in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    for faces in [0, 1, 2, 5, 20] {
        report(&format!("three rules, {faces} faces"), &judge(&rules, "gate", faces, frames, None));
    }
    let inference = Inference::new();
    for faces in [0, 1, 2] {
        let took = judge(&rules, "gate", faces, frames / 10, Some(&inference));
        report(&format!("three rules, {faces} faces, after an inference"), &took);
    }
    for count in 1..3 {
        let some = load(&settings()[..count]);
        report(&format!("the first {count} of them, 2 faces"), &judge(&some, "gate", 2, frames, None));
    }
    let threads = cores();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let rules = &rules;
            scope.spawn(move || judge(rules, &format!("camera-{thread}"), 2, frames, None));
        }
    });
    let total = (frames + frames / 10 + 1) as f64 * threads as f64;
    println!("{threads} threads, 2 faces: {:.0} frames/s", total / start.elapsed().as_secs_f64());
    contention(&load, frames);
}
