//! Each limit, set lower than its default, is enforced, and the message names its key.

use super::{Bench, after};
use crate::FailureKind::*;
use crate::fixtures::{Enrolled, face, facts, judge, runtime};
use crate::{FailureKind, LoadedComponent, RuleFailure, RuleState};
use everyframe_config::{Limits, RuleKind, RuleSettings};
use everyframe_test_guests::Guest;
use everyframe_types::face::{Face, People};
use everyframe_types::judgement::{Decision, Subject};
use std::sync::Arc;

/// Judges a frame with four faces.
fn judge_four_faces(guest: &Guest, limits: Limits) -> Result<(), RuleFailure> {
    let bench = Bench::new();
    let rule = bench.rule("policy", RuleKind::MatchingPolicy, &guest.component());
    let rules = bench.load(&[RuleSettings { limits, ..rule }]).unwrap();
    judge(&rules, &mut RuleState::new(), 0, 4).map(|_| ())
}

/// The guest fails with the low limit, with a message that names the key, and succeeds with the high limit.
fn assert_limit(guest: &Guest, low: Limits, high: Limits, kind: FailureKind, key: &str) {
    let failure = judge_four_faces(guest, low).unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(&format!("`limits.{key}`")), "{failure}");
    judge_four_faces(guest, high).unwrap();
}

#[test]
fn the_time_of_a_call_is_limited() {
    let guest = after(
        "",
        "",
        "(local $n i32) (loop (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 300000000))))",
    );
    let with = |time_ms| Limits { time_ms, ..Limits::default() };
    assert_limit(&guest, with(20), with(60_000), TimedOut, "time_ms");
}

#[test]
fn the_memory_of_a_call_is_limited() {
    let guest = after("", "", "(if (i32.eq (memory.grow (i32.const 32)) (i32.const -1)) (then unreachable))");
    let with = |memory_mb| Limits { memory_mb, ..Limits::default() };
    assert_limit(&guest, with(2), with(3), OutOfMemory, "memory_mb");
}

#[test]
fn the_table_elements_of_a_call_are_limited() {
    let guest = after(
        "",
        "(table $t 1 funcref)",
        "(if (i32.eq (table.grow $t (ref.null func) (i32.const 99)) (i32.const -1)) (then unreachable))",
    );
    let with = |table_elements| Limits { table_elements, ..Limits::default() };
    assert_limit(&guest, with(99), with(101), OutOfTable, "table_elements");
}

#[test]
fn the_resources_and_handles_of_a_call_are_limited() {
    let imports = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $subscribe (param i64) (result i32)))"#;
    let wit = "import wasi:clocks/monotonic-clock@0.2.6;";
    let guest = after(wit, imports, &"(drop (call $subscribe (i64.const 1)))".repeat(8));
    let with = |resources| Limits { resources, ..Limits::default() };
    // Each takes two resources: the deadline, and its pollable.
    assert_limit(&guest, with(10), with(16), TooManyResources, "resources");
    let with = |handles| Limits { handles, ..Limits::default() };
    assert_limit(&guest, with(7), with(8), TooManyResources, "handles");
}

#[test]
fn the_size_of_an_answer_is_limited() {
    // An "unknown" counts for 32 bytes.
    let with = |output_bytes| Limits { output_bytes, ..Limits::default() };
    assert_limit(&Guest::default(), with(127), with(128), OutputTooLarge, "output_bytes");
}

#[test]
fn the_bytes_of_a_host_call_are_limited() {
    let log = r#"(import "everyframe:rules/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let guest = after("", log, "(call $log (i32.const 1) (i32.const 0) (i32.const 6000))");
    let with = |bytes| Limits { transfer_bytes: Some(bytes), ..Limits::default() };
    assert_limit(&guest, with(5000), with(7000), TransferTooLarge, "transfer_bytes");
}

/// The error of loading a component that exceeds a limit before it runs.
fn load_error(guest: &Guest, limits: Limits) -> String {
    let bench = Bench::new();
    let rule = bench.rule("policy", RuleKind::MatchingPolicy, &guest.component());
    // A second rule with a higher limit: the pool, which both share, has room for both.
    let large = Limits { memory_mb: 64, ..Limits::default() };
    let other = RuleSettings {
        limits: large,
        ..bench.rule("other", RuleKind::MatchingPolicy, &Guest::default().component())
    };
    bench.load(&[RuleSettings { limits, ..rule }, other]).unwrap_err().to_string()
}

#[test]
fn the_parts_of_a_component_are_limited_by_rule() {
    let limits = Limits { instances: 1, ..Limits::default() };
    // Its import adds two core instances.
    let log = r#"(import "everyframe:rules/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let message = load_error(&after("", log, ""), limits);
    assert!(message.contains("`limits.instances`"), "{message}");
    let guest = Guest { pages: 100, ..Guest::default() };
    let message = load_error(&guest, Limits { memory_mb: 4, ..Limits::default() });
    assert!(message.contains("`limits.memory_mb`"), "{message}");
    let tables =
        Guest { module: "(table 1 funcref) (table 1 funcref) (table 1 funcref)".into(), ..Guest::default() };
    let message = load_error(&tables, Limits { tables: 2, ..Limits::default() });
    assert!(message.contains("`limits.tables`"), "{message}");
    let elements = Guest { module: "(table 5000 funcref)".into(), ..Guest::default() };
    let message = load_error(&elements, Limits { table_elements: 4000, ..Limits::default() });
    assert!(message.contains("`limits.table_elements`"), "{message}");
}

#[test]
fn a_limit_out_of_range_is_named() {
    let bench = Bench::new();
    let rule = bench.rule("policy", RuleKind::MatchingPolicy, b"never read");
    let limits = Limits { tables: 0, log_line_bytes: 1, ..Limits::default() };
    let message = bench.load(&[RuleSettings { limits, ..rule }]).unwrap_err().to_string();
    assert!(message.contains("rules.policy.limits.tables: must be 1 to 64 tables, is 0"), "{message}");
    assert!(message.contains("rules.policy.limits.log_line_bytes: must be 16 to"), "{message}");
}

#[test]
fn refusals_that_do_not_fail_the_call_are_counted() {
    let imports = r#"(import "everyframe:rules/log@0.1.0" "write" (func $log (param i32 i32 i32)))
        (import "everyframe:rules/state@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))"#;
    let log = "(call $log (i32.const 0) (i32.const 8) (i32.const 4))".repeat(5);
    let set = "(call $set (i32.const 8) (i32.const 4) (i32.const 0) (i32.const 2000) (i32.const 0) (i64.const 0) (i32.const 400))".repeat(3);
    let guest = after("", imports, &format!("{log} {set}"));
    let bench = Bench::new();
    let rule = RuleSettings {
        limits: Limits { log_lines: 3, state_bytes: 1000, ..Limits::default() },
        ..bench.rule("policy", RuleKind::MatchingPolicy, &guest.component())
    };
    let component = LoadedComponent::read(&rule, runtime().handle().clone(), None).unwrap();
    let rule_runner = component.configure(&rule).unwrap();
    let face: Face = face(0);
    let subject = Subject { face, decision: Decision::Undecided { reason: String::new() }, stranger: None };
    let people: Arc<dyn People> = Arc::new(Enrolled(&[]));
    let (_, cost) = rule_runner.evaluate(&facts(0), &[subject], &people, &mut RuleState::new()).unwrap();
    assert_eq!((cost.log_lines_dropped, cost.state_refused, cost.http_refused), (2, 3, 0));
}
