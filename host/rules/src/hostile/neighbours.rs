//! Effects of a rule on the frames and rules after it.

use crate::FailureKind::*;
use crate::RuleState;
use crate::fixtures::{Bench, judge};
use everyframe_config::{RuleKind, RuleSettings};
use everyframe_test_guests::Guest;
use everyframe_types::judgement::{Decision, StrangerEvent};

const SET: &str =
    r#"(import "everyframe:rules/state@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))"#;

/// Answers "undecided" about face 0 if it has state, else "unknown". Then stores state and runs `then`.
fn with_state(then: &str) -> Guest {
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
fn a_failed_frame_does_not_change_the_state() {
    let trap = "(if (i64.eq (local.get $sequence) (i64.const 1)) (then unreachable))";
    let bench = Bench::new();
    let rules = bench.policy(&with_state(trap)).unwrap();
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
fn a_fresh_instance_has_fresh_memory() {
    // Undecided if a page in the middle of the memory is not zero. Then writes to each page.
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
fn a_later_failure_reverts_an_earlier_rules_state() {
    let bench = Bench::new();
    let alerting = Guest { world: "alerting", answer: "unreachable".into(), ..Guest::default() };
    let rules = bench
        .load(&[
            bench.rule("alerts", RuleKind::Alerting, &alerting.component()),
            bench.rule("policy", RuleKind::MatchingPolicy, &with_state("").component()),
        ])
        .unwrap();
    let mut state = RuleState::new();
    assert_eq!(judge(&rules, &mut state, 0, 1).unwrap_err().rule, "alerts");
    assert_eq!(state.bytes(), 0);
}

/// Returns the stranger "test" for face 0, first seen; nothing if no face is unknown.
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

/// Raises one alert without a face. All its texts are "test".
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
fn a_rule_gets_the_results_of_the_rules_before_it() {
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
    // For two faces the rule returns two strangers, and the second one has face 0 and an empty id.
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
fn a_replay_gets_the_same_random_numbers() {
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
