//! What a rule leaves to the frames and rules after it.

use crate::FailureKind::*;
use crate::RuleState;
use crate::fixtures::{Bench, judge};
use everyframe_config::{RuleKind, RuleSettings};
use everyframe_test_guests::Guest;
use everyframe_types::judgement::{Decision, StrangerEvent};

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
    let mut state = RuleState::new();
    let decision = |state: &mut RuleState, sequence| {
        judge(&rules, state, sequence, 1).map(|judgement| judgement.subjects[0].decision.clone())
    };
    assert_eq!(decision(&mut state, 1).unwrap_err().kind, Trapped);
    assert_eq!(state.bytes(), 0);
    assert_eq!(decision(&mut state, 2).unwrap(), Decision::Unknown);
    assert!(matches!(decision(&mut state, 3).unwrap(), Decision::Undecided { .. }));
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
        let judgement = judge(&rules, &mut RuleState::new(), sequence, 1).unwrap();
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
    let mut state = RuleState::new();
    assert_eq!(judge(&rules, &mut state, 0, 1).unwrap_err().rule, "alerts");
    assert_eq!(state.bytes(), 0);
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
    let mut state = RuleState::new();
    let judgement = judge(&rules, &mut state, 0, 1).unwrap();
    let named = judgement.subjects[0].stranger.clone().unwrap();
    assert_eq!((named.id.as_str(), named.event, named.visits), ("test", Some(StrangerEvent::FirstSeen), 1));
    let raised: Vec<_> = judgement.alerts.iter().map(|alert| alert.rule.as_str()).collect();
    assert_eq!(raised, ["alarm-2", "alarm-1"]);

    let empty = judge(&rules, &mut state, 1, 0).unwrap();
    assert_eq!((empty.subjects.len(), empty.alerts.len()), (0, 2));
    // Two faces are asked about, and the second answer names face 0 with a length of nothing.
    assert_eq!(judge(&rules, &mut state, 2, 2).unwrap_err().kind, Nonsense);
}

#[test]
fn many_threads_judge_at_once() {
    let bench = Bench::new();
    let rules = bench.load(&three_rules(&bench)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                let mut state = RuleState::new();
                for sequence in 0..50 {
                    judge(&rules, &mut state, sequence, 1).unwrap();
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
        |sequence| judge(&rules, &mut RuleState::new(), sequence, 1).unwrap().subjects[0].decision.clone();
    assert_eq!(reason(1), reason(1));
    assert_ne!(reason(1), reason(2));
}
