//! Rules that do their worst, and the frames around them.

use super::FailureKind::*;
use super::fixtures::{ALL_UNKNOWN, Bench, Guest, NOTHING, judge};
use super::*;
use crate::config::{Limits, RuleKind, RuleSettings};
use crate::judgement::{Decision, StrangerEvent};
use std::time::{Duration, Instant};

/// Frame 1 runs `worst`, every other frame is answered: so each failing call is followed by a good one on
/// the same rules.
fn worst_at_frame_1(worst: &str) -> Guest {
    let module = format!("(func $worst {worst})");
    let answer = format!(
        "{} (if (i64.eq (local.get $sequence) (i64.const 1)) (then (call $worst))) {}",
        "(local $i i32) (local $at i32)",
        ALL_UNKNOWN.replace("(local $i i32) (local $at i32)", "")
    );
    Guest { module, answer, ..Guest::default() }
}

fn survives_with(guest: &Guest, change: impl FnOnce(&mut Limits)) -> (RuleFailure, Duration) {
    let bench = Bench::new();
    let mut settings = bench.rule("policy", RuleKind::MatchingPolicy, &guest.component());
    change(&mut settings.limits);
    let rules = bench.load(&[settings]).unwrap();
    let mut memory = Memory::new();
    judge(&rules, &mut memory, 0, 1).unwrap();
    let start = Instant::now();
    let failure = judge(&rules, &mut memory, 1, 1).unwrap_err();
    let took = start.elapsed();
    assert_eq!(judge(&rules, &mut memory, 2, 3).unwrap().subjects.len(), 3);
    // More often than there are places in the pool.
    if took < Duration::from_millis(20) {
        for _ in 0..100 {
            judge(&rules, &mut memory, 1, 1).unwrap_err();
        }
        judge(&rules, &mut memory, 3, 1).unwrap();
    }
    assert_eq!(failure.rule, "policy");
    (failure, took)
}

fn survives(guest: &Guest) -> (RuleFailure, Duration) {
    survives_with(guest, |_| ())
}

#[test]
fn an_endless_loop_is_stopped() {
    let (failure, took) = survives(&worst_at_frame_1("(loop (br 0))"));
    assert_eq!(failure.kind, TimedOut);
    assert!(failure.message.contains("computing"), "{failure}");
    // Not a measurement: only that it was the limit of 100 ms that stopped it.
    assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn an_endless_loop_of_host_calls_is_stopped() {
    let mut guest = worst_at_frame_1(
        "(loop (call $set (i32.const 8) (i32.const 4) (i32.const 8) (i32.const 4) (i32.const 0) (i64.const 0) (i32.const 200)) (br 0))",
    );
    guest.module.insert_str(0, SET);
    assert_eq!(survives(&guest).0.kind, TimedOut);
}

#[test]
fn a_guest_that_sleeps_is_abandoned() {
    // A day, and longer than time itself.
    for nanoseconds in ["86400000000000", "-1"] {
        let mut guest =
            worst_at_frame_1(&format!("(call $block (call $subscribe (i64.const {nanoseconds})))"));
        guest.wit = "import wasi:clocks/monotonic-clock@0.2.6;";
        guest.module.insert_str(
            0,
            r#"(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $subscribe (param i64) (result i32)))
               (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))"#,
        );
        let (failure, took) = survives(&guest);
        assert_eq!(failure.kind, TimedOut);
        assert!(failure.message.contains("waiting"), "{failure}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_guest_that_hoards_host_resources_traps() {
    let mut guest = worst_at_frame_1("(loop (drop (call $subscribe (i64.const 1))) (br 0))");
    guest.wit = "import wasi:clocks/monotonic-clock@0.2.6;";
    guest.module.insert_str(
        0,
        r#"(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $subscribe (param i64) (result i32)))"#,
    );
    assert_eq!(survives(&guest).0.kind, Trapped);
}

#[test]
fn a_memory_eater_is_told_from_a_panic() {
    let eater = "(loop (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br 0))";
    let (failure, _) = survives(&worst_at_frame_1(eater));
    assert_eq!(failure.kind, OutOfMemory);
    assert!(failure.message.contains("8 MiB"), "{failure}");
    let (failure, _) = survives(&worst_at_frame_1("unreachable"));
    assert_eq!(failure.kind, Trapped);
}

#[test]
fn a_guest_that_can_do_without_refused_memory_is_fine() {
    let guest = worst_at_frame_1("(drop (memory.grow (i32.const 60000)))");
    let bench = Bench::new();
    judge(&bench.policy(&guest).unwrap(), &mut Memory::new(), 1, 1).unwrap();
}

#[test]
fn a_memory_larger_than_the_limit_is_not_loaded() {
    let guest = Guest { pages: 1000, ..Guest::default() };
    let bench = Bench::new();
    let mut settings = bench.rule("policy", RuleKind::MatchingPolicy, &guest.component());
    settings.limits.memory_mb = 16;
    let message = bench.load(&[settings]).unwrap_err().to_string();
    assert!(message.contains("raise `limits.memory_mb`"), "{message}");
}

#[test]
fn endless_recursion_traps() {
    assert_eq!(survives(&worst_at_frame_1("(call $worst)")).0.kind, Trapped);
}

#[test]
fn an_answer_outside_of_memory_is_refused() {
    for answer in [
        "(i32.const -16)",
        "(i32.store (i32.const 80) (i32.const 8)) (i32.store (i32.const 84) (i32.const 100000000)) (i32.const 80)",
    ] {
        let bench = Bench::new();
        let rules = bench.policy(&Guest::answering(answer)).unwrap();
        for sequence in 0..100 {
            judge(&rules, &mut Memory::new(), sequence, 1).unwrap_err();
        }
    }
}

#[test]
fn an_answer_beyond_the_limit_is_refused() {
    // The list of all faces takes 32 bytes a face.
    let bench = Bench::new();
    let mut settings = bench.rule("policy", RuleKind::MatchingPolicy, &Guest::default().component());
    settings.limits.output_bytes = 100;
    let rules = bench.load(&[settings]).unwrap();
    assert!(judge(&rules, &mut Memory::new(), 0, 3).is_ok());
    assert_eq!(judge(&rules, &mut Memory::new(), 0, 4).unwrap_err().kind, OutputTooLarge);
}

#[test]
fn nonsense_is_refused() {
    // face 7, unknown
    let not_there = "(i32.store (i32.const 200) (i32.const 7)) (i32.store8 (i32.const 204) (i32.const 1))";
    // face 0, known "test" (not enrolled), confidence 0.5
    let nobody = "(i32.store (i32.const 208) (i32.const 8)) (i32.store (i32.const 212) (i32.const 4)) (f32.store (i32.const 216) (f32.const 0.5))";
    // face 0, known "anna", confidence NaN
    let not_a_number = r#"(i32.store (i32.const 300) (i32.const 0x616e6e61)) (i32.store (i32.const 208) (i32.const 300)) (i32.store (i32.const 212) (i32.const 4)) (f32.store (i32.const 216) (f32.const nan))"#;
    for (verdict, expected) in [
        (not_there, "face 7"),
        (nobody, "\"test\", who is not in the gallery"),
        (not_a_number, "confidence NaN"),
    ] {
        let answer = format!(
            "{verdict} (i32.store (i32.const 80) (i32.const 200)) (i32.store (i32.const 84) (i32.const 1)) (i32.const 80)"
        );
        let bench = Bench::new();
        let rules = bench.policy(&Guest::answering(&answer)).unwrap();
        let failure = judge(&rules, &mut Memory::new(), 0, 1).unwrap_err();
        assert_eq!(failure.kind, Nonsense);
        assert!(failure.message.contains(expected), "{failure}");
        // A verdict too many, on an empty frame.
        assert_eq!(judge(&rules, &mut Memory::new(), 0, 0).unwrap_err().kind, Nonsense);
    }
    let bench = Bench::new();
    let silent = bench.policy(&Guest::answering(NOTHING)).unwrap();
    assert!(judge(&silent, &mut Memory::new(), 0, 0).is_ok());
    assert_eq!(judge(&silent, &mut Memory::new(), 0, 1).unwrap_err().kind, Nonsense);
}

const SET: &str =
    r#"(import "everyframe:rules/state@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))"#;

/// Answers "undecided" about face 0 if it remembers something, else "unknown"; remembers; then does
/// `then`.
fn remembering(then: &str) -> Guest {
    Guest {
        module: format!(
            r#"(import "everyframe:rules/state@0.1.0" "get" (func $get (param i32 i32 i32))) {SET}"#
        ),
        answer: format!(
            r#"(call $get (i32.const 8) (i32.const 4) (i32.const 200))
               (call $set (i32.const 8) (i32.const 4) (i32.const 8) (i32.const 4) (i32.const 0) (i64.const 0) (i32.const 240))
               (i32.store8 (i32.const 304) (i32.add (i32.const 1) (i32.load8_u (i32.const 200))))
               (i32.store (i32.const 80) (i32.const 300)) (i32.store (i32.const 84) (i32.const 1))
               {then}
               (i32.const 80)"#
        ),
        ..Guest::default()
    }
}

#[test]
fn a_frame_that_failed_leaves_no_trace_in_the_state() {
    let trap = "(if (i64.eq (local.get $sequence) (i64.const 1)) (then unreachable))";
    let bench = Bench::new();
    let rules = bench.policy(&remembering(trap)).unwrap();
    let mut memory = Memory::new();
    let decision = |memory: &mut Memory, sequence| {
        judge(&rules, memory, sequence, 1).map(|judgement| judgement.subjects[0].decision.clone())
    };
    assert_eq!(decision(&mut memory, 1).unwrap_err().kind, Trapped);
    assert_eq!(memory.bytes(), 0);
    assert_eq!(decision(&mut memory, 2).unwrap(), Decision::Unknown);
    assert!(matches!(decision(&mut memory, 3).unwrap(), Decision::Undecided { .. }));
}

#[test]
fn an_instance_leaves_nothing_to_the_next_one() {
    // Undecided if a page in the middle of the memory is not as it was made; then writes to each page.
    let answer = r#"
        (local $at i32)
        (i32.store8 (i32.const 304) (i32.add (i32.const 1) (i32.load8_u (i32.const 100000))))
        (local.set $at (i32.const 4000))
        (loop $next
            (i32.store8 (local.get $at) (i32.const 1))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 131072))))
        (i32.store8 (i32.const 100000) (i32.const 1))
        (i32.store (i32.const 80) (i32.const 300)) (i32.store (i32.const 84) (i32.const 1))
        (i32.const 80)"#;
    let bench = Bench::new();
    let rules = bench.policy(&Guest::answering(answer)).unwrap();
    for sequence in 0..200 {
        let judgement = judge(&rules, &mut Memory::new(), sequence, 1).unwrap();
        assert_eq!(judgement.subjects[0].decision, Decision::Unknown);
    }
}

#[test]
fn a_later_rules_failure_undoes_what_an_earlier_one_remembered() {
    let bench = Bench::new();
    let alerting = Guest { world: "alerting", answer: "unreachable".into(), ..Guest::default() };
    let rules = bench
        .load(&[
            bench.rule("alerts", RuleKind::Alerting, &alerting.component()),
            bench.rule("policy", RuleKind::MatchingPolicy, &remembering("").component()),
        ])
        .unwrap();
    let mut memory = Memory::new();
    assert_eq!(judge(&rules, &mut memory, 0, 1).unwrap_err().rule, "alerts");
    assert_eq!(memory.bytes(), 0);
}

/// Names face 0 "test", first seen; nothing if no face is unknown.
fn stranger() -> Guest {
    Guest {
        world: "unknown-person",
        answer: "(i32.store (i32.const 204) (i32.const 8)) (i32.store (i32.const 208) (i32.const 4))
                 (i32.store8 (i32.const 212) (i32.const 1)) (i32.store (i32.const 232) (i32.const 1))
                 (i32.store (i32.const 80) (i32.const 200)) (i32.store (i32.const 84) (local.get $n))
                 (i32.const 80)"
            .into(),
        ..Guest::default()
    }
}

/// Raises one alert, all of whose words are "test", about no face.
fn alarm() -> Guest {
    let words: String = (0..4)
        .map(|i| {
            let at = 204 + 8 * i;
            format!(
                "(i32.store (i32.const {at}) (i32.const 8)) (i32.store (i32.const {}) (i32.const 4))",
                at + 4
            )
        })
        .collect();
    Guest {
        world: "alerting",
        answer: format!(
            "{words} (i32.store (i32.const 80) (i32.const 200)) (i32.store (i32.const 84) (i32.const 1)) (i32.const 80)"
        ),
        ..Guest::default()
    }
}

fn three_rules(bench: &Bench) -> [RuleSettings; 4] {
    [
        bench.rule("alarm-2", RuleKind::Alerting, &alarm().component()),
        bench.rule("alarm-1", RuleKind::Alerting, &alarm().component()),
        bench.rule("strangers", RuleKind::UnknownPerson, &stranger().component()),
        bench.rule("policy", RuleKind::MatchingPolicy, &Guest::default().component()),
    ]
}

#[test]
fn the_rules_of_a_frame_see_what_those_before_them_made_of_it() {
    let bench = Bench::new();
    let rules = bench.load(&three_rules(&bench)).unwrap();
    let mut memory = Memory::new();
    let judgement = judge(&rules, &mut memory, 0, 1).unwrap();
    let named = judgement.subjects[0].stranger.clone().unwrap();
    assert_eq!((named.id.as_str(), named.event, named.visits), ("test", Some(StrangerEvent::FirstSeen), 1));
    let raised: Vec<_> = judgement.alerts.iter().map(|alert| alert.rule.as_str()).collect();
    assert_eq!(raised, ["alarm-2", "alarm-1"]);

    let empty = judge(&rules, &mut memory, 1, 0).unwrap();
    assert_eq!((empty.subjects.len(), empty.alerts.len()), (0, 2));
    // Two faces are asked about, and the second answer names face 0 with a length of nothing.
    assert_eq!(judge(&rules, &mut memory, 2, 2).unwrap_err().kind, Nonsense);
}

#[test]
fn many_threads_judge_at_once() {
    let bench = Bench::new();
    let rules = bench.load(&three_rules(&bench)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                let mut memory = Memory::new();
                for sequence in 0..50 {
                    judge(&rules, &mut memory, sequence, 1).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_replay_meets_the_same_random_numbers() {
    // Undecided about face 0; the reason is eight random characters.
    let guest = Guest {
        wit: "import wasi:random/random@0.2.6;",
        module: r#"(import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))"#.into(),
        answer: "(i64.store (i32.const 320) (i64.or (i64.const 0x4040404040404040) (i64.and (i64.const 0x1f1f1f1f1f1f1f1f) (call $random))))
                 (i32.store8 (i32.const 304) (i32.const 2))
                 (i32.store (i32.const 308) (i32.const 320)) (i32.store (i32.const 312) (i32.const 8))
                 (i32.store (i32.const 80) (i32.const 300)) (i32.store (i32.const 84) (i32.const 1))
                 (i32.const 80)"
            .into(),
        ..Guest::default()
    };
    let bench = Bench::new();
    let rules = bench.policy(&guest).unwrap();
    let reason =
        |sequence| judge(&rules, &mut Memory::new(), sequence, 1).unwrap().subjects[0].decision.clone();
    assert_eq!(reason(1), reason(1));
    assert_ne!(reason(1), reason(2));
}
