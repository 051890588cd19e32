//! Several rules of a kind: which of them judge a frame, whose result counts, and which are skipped.

use super::fixtures::{Bench, Enrolled, face, facts, judge};
use super::{FailureKind, FrameFacts, RuleState, Rules};
use everyframe_config::OnFailure;
use everyframe_config::RuleKind::{Alerting, MatchingPolicy, UnknownPerson};
use everyframe_test_guests::{ALL_UNKNOWN, Guest, NOTHING};
use everyframe_types::face::{Face, People};
use everyframe_types::judgement::Decision;
use std::sync::Arc;

/// A policy that leaves every face undecided, with the reason "test".
fn undecided() -> Guest {
    let verdict = "(i32.store8 offset=4 (local.get $at) (i32.const 2))
        (i32.store offset=8 (local.get $at) (i32.const 8)) (i32.store offset=12 (local.get $at) (i32.const 4))";
    Guest::answering(&ALL_UNKNOWN.replace("(i32.store8 offset=4 (local.get $at) (i32.const 1))", verdict))
}

/// An alert rule that raises one alert for each face.
fn one_alert_a_face() -> Guest {
    // An alert takes 44 bytes: severity at 0, then four texts, and the face from 36 on.
    let answer = r#"
        (local $i i32) (local $at i32)
        (loop $next
            (if (i32.lt_u (local.get $i) (local.get $n)) (then
                (local.set $at (i32.add (i32.const 32768) (i32.mul (local.get $i) (i32.const 44))))
                (i64.store offset=4 align=4 (local.get $at) (i64.const 0x400000008))
                (i64.store offset=12 align=4 (local.get $at) (i64.const 0x400000008))
                (i64.store offset=20 align=4 (local.get $at) (i64.const 0x400000008))
                (i64.store offset=28 align=4 (local.get $at) (i64.const 0x400000008))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $next))))
        (i32.store (i32.const 80) (i32.const 32768))
        (i32.store (i32.const 84) (local.get $n))
        (i32.const 80)"#;
    Guest { world: "alerting", ..Guest::answering(answer) }
}

fn traps(world: &'static str) -> Guest {
    Guest { world, ..Guest::answering("unreachable") }
}

#[test]
fn the_next_policy_gets_undecided_faces() {
    let bench = Bench::new();
    let policy = |name: &str, guest: &Guest| bench.rule(name, MatchingPolicy, &guest.component());
    let (first, second) = (policy("first", &undecided()), policy("second", &Guest::default()));
    let mut state = RuleState::new();
    let rules = bench.load(&[first.clone(), second]).unwrap();
    let subjects = judge(&rules, &mut state, 0, 2).unwrap().subjects;
    assert!(subjects.iter().all(|subject| subject.decision == Decision::Unknown), "{subjects:?}");

    // In the other order no face is left for it, and it still judges the frame.
    let rules = bench.load(&[policy("second", &Guest::default()), first.clone()]).unwrap();
    let subjects = judge(&rules, &mut state, 1, 2).unwrap().subjects;
    assert!(subjects.iter().all(|subject| subject.decision == Decision::Unknown), "{subjects:?}");

    let rules = bench.load(&[first]).unwrap();
    let subjects = judge(&rules, &mut state, 2, 1).unwrap().subjects;
    assert_eq!(subjects[0].decision, Decision::Undecided { reason: "test".into() });
}

#[test]
fn a_rule_judges_only_its_own_cameras() {
    let bench = Bench::new();
    let mut policy = bench.rule("policy", MatchingPolicy, &Guest::default().component());
    let mut others = bench.rule("others", Alerting, &traps("alerting").component());
    for (cameras, asked) in [(vec!["door-*", "yard"], false), (vec!["yard", "g?te"], true), (vec!["*"], true)]
    {
        others.cameras = cameras.iter().map(ToString::to_string).collect();
        let rules = bench.load(&[policy.clone(), others.clone()]).unwrap();
        assert_eq!(judge(&rules, &mut RuleState::new(), 0, 1).is_err(), asked, "{cameras:?}");
    }
    policy.cameras = vec!["door-*".into()];
    let rules = bench.load(&[policy]).unwrap();
    let subjects = judge(&rules, &mut RuleState::new(), 0, 1).unwrap().subjects;
    let reason = "no matching policy is asked about it".into();
    assert_eq!(subjects[0].decision, Decision::Undecided { reason });
}

/// Answers "unknown" in an instance's first frame and "undecided" after that. Traps at frame 5.
fn counts() -> Guest {
    let kind = "(if (result i32) (global.get $seen) (then (i32.const 2)) (else (i32.const 1)))";
    let answer = ALL_UNKNOWN
        .replace("(i32.store8 offset=4 (local.get $at) (i32.const 1))", &format!(
            "(i32.store8 offset=4 (local.get $at) {kind})
             (i32.store offset=8 (local.get $at) (i32.const 8)) (i32.store offset=12 (local.get $at) (i32.const 4))
             (global.set $seen (i32.const 1))"
        ))
        .replace("(loop $next", "(if (i64.eq (local.get $sequence) (i64.const 5)) (then unreachable)) (loop $next");
    Guest { module: "(global $seen (mut i32) (i32.const 0))".into(), ..Guest::answering(&answer) }
}

#[test]
fn a_reused_instance_is_kept_until_it_fails() {
    let bench = Bench::new();
    let fresh = bench.rule("policy", MatchingPolicy, &counts().component());
    let mut reused = fresh.clone();
    reused.reuse = true;
    let unknown = |rules: &Rules, frame: u64| {
        let judgement = judge(rules, &mut RuleState::new(), frame, 1).unwrap();
        judgement.subjects[0].decision == Decision::Unknown
    };
    let rules = bench.load(&[fresh]).unwrap();
    assert!((0..4).all(|frame| unknown(&rules, frame)), "every frame has a fresh instance");

    let rules = bench.load(&[reused]).unwrap();
    let seen: Vec<bool> = (0..4).map(|frame| unknown(&rules, frame)).collect();
    assert_eq!(seen, [true, false, false, false]);
    assert!(judge(&rules, &mut RuleState::new(), 5, 1).is_err());
    assert!(unknown(&rules, 6), "another instance");
    assert!(!unknown(&rules, 7));
    rules.drop_instances();
    assert!(unknown(&rules, 8), "another instance");
    assert!(!unknown(&rules, 9));
}

#[test]
fn a_rule_judges_only_while_its_schedule_is_active() {
    let bench = Bench::new();
    let policy = bench.rule("policy", MatchingPolicy, &Guest::default().component());
    let mut at_night = bench.rule("at-night", Alerting, &traps("alerting").component());
    at_night.schedule = Some("night".into());
    let rules = bench.load(&[policy, at_night]).unwrap();
    let people: Arc<dyn People> = Arc::new(Enrolled(&[]));
    for (schedules, asked) in [(vec![], false), (vec!["day"], false), (vec!["day", "night"], true)] {
        let schedules: Vec<String> = schedules.into_iter().map(String::from).collect();
        let frame = FrameFacts { schedules: &schedules, ..facts(0) };
        let judged = rules.judge(&frame, vec![face(0)], &people, &mut RuleState::new());
        assert_eq!(judged.is_err(), asked, "{schedules:?}");
    }
}

#[test]
fn a_rule_gets_only_the_faces_in_its_zones() {
    let bench = Bench::new();
    let mut policy = bench.rule("policy", MatchingPolicy, &Guest::default().component());
    policy.zones = vec!["door".into(), "yard".into()];
    // It raises one alert for each face that it gets. An alert about any other face would be refused.
    let mut counts = bench.rule("counts", Alerting, &one_alert_a_face().component());
    counts.zones = vec!["door".into()];
    let rules = bench.load(&[policy, counts]).unwrap();
    let people: Arc<dyn People> = Arc::new(Enrolled(&[]));
    let faces = [vec!["door"], vec!["yard", "else"], vec![]];
    let faces = (0..)
        .zip(faces)
        .map(|(index, zones)| Face { zones: zones.into_iter().map(String::from).collect(), ..face(index) });
    let judgement = rules.judge(&facts(0), faces.collect(), &people, &mut RuleState::new()).unwrap();
    let decisions: Vec<_> = judgement.subjects.into_iter().map(|it| it.decision).collect();
    let reason = "no matching policy is asked about it".into();
    assert_eq!(decisions, [Decision::Unknown, Decision::Unknown, Decision::Undecided { reason }]);
    assert_eq!(judgement.alerts.len(), 1);
}

#[test]
fn a_failed_rule_is_skipped_or_its_frame_parked() {
    let bench = Bench::new();
    let skipped = |name: &str, kind, guest: &Guest| {
        let mut rule = bench.rule(name, kind, &guest.component());
        rule.on_failure = OnFailure::Skip;
        rule
    };
    let rules = [
        skipped("policy", MatchingPolicy, &traps("matching-policy")),
        skipped("strangers", UnknownPerson, &traps("unknown-person")),
        skipped("alerts", Alerting, &traps("alerting")),
        bench.rule("others", Alerting, &Guest { world: "alerting", ..Guest::answering(NOTHING) }.component()),
    ];
    let loaded = bench.load(&rules).unwrap();
    let mut state = RuleState::new();
    let judgement = judge(&loaded, &mut state, 0, 1).unwrap();
    let names: Vec<_> = judgement.skipped.iter().map(|skipped| skipped.rule.as_str()).collect();
    assert_eq!(names, ["policy", "strangers", "alerts"]);
    assert!(judgement.skipped.iter().all(|skipped| skipped.reason == FailureKind::Trapped.reason()));
    let reason = "rule policy failed".into();
    assert_eq!(judgement.subjects[0].decision, Decision::Undecided { reason });

    // The next policy gets the faces of the failed one.
    let [policy, ..] = rules;
    let next = bench.rule("next", MatchingPolicy, &Guest::default().component());
    let loaded = bench.load(&[policy.clone(), next]).unwrap();
    assert_eq!(judge(&loaded, &mut state, 1, 1).unwrap().subjects[0].decision, Decision::Unknown);

    let parked = everyframe_config::RuleSettings { on_failure: OnFailure::Park, ..policy };
    let loaded = bench.load(&[parked]).unwrap();
    assert_eq!(judge(&loaded, &mut state, 2, 1).unwrap_err().kind, FailureKind::Trapped);
}
