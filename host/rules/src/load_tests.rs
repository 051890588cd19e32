//! Components and settings that are refused at load, and their messages.

use super::fixtures::Bench;
use super::*;
use everyframe_config::RuleKind::{Alerting, MatchingPolicy, UnknownPerson};
use everyframe_config::{Limits, RuleSettings};
use everyframe_test_guests::Guest;

fn problem(bench: &Bench, rule: RuleSettings) -> String {
    let problems = bench.load(&[rule]).unwrap_err().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn a_rule_is_described_and_pinned() {
    let bench = Bench::new();
    let mut rule = bench.rule("policy", MatchingPolicy, &Guest::default().component());
    let rules = bench.load(std::slice::from_ref(&rule)).unwrap();
    let described = rules.descriptions()[0].clone();
    assert_eq!((described.name.as_str(), described.title.as_str()), ("policy", "test"));
    assert_eq!((described.contract, described.sha256.len()), ("0.1.0", 64));

    rule.sha256 = Some(described.sha256.to_uppercase());
    assert!(bench.load(std::slice::from_ref(&rule)).is_ok());
    rule.sha256 = Some("0".repeat(64));
    let message = problem(&bench, rule.clone());
    assert!(message.starts_with("rules.policy.sha256: "), "{message}");
    assert!(message.contains(&described.sha256), "{message}");
    rule.sha256 = Some("abc".into());
    assert!(problem(&bench, rule).contains("64 hexadecimal digits"));
}

#[test]
fn a_file_that_is_not_a_component_is_explained() {
    let bench = Bench::new();
    let component = Guest::default().component();
    let machine_code = {
        let engine = wasmtime::Engine::default();
        engine.precompile_component(&component).unwrap()
    };
    for (bytes, expected) in [
        (Guest::default().core_module(), "is a core module: build it as a component"),
        (machine_code, "is machine code"),
        (component[..component.len() / 2].to_vec(), "is damaged"),
        (component[..8].to_vec(), "is not a rule"),
        (component[..6].to_vec(), "is not a WebAssembly component"),
        (Vec::new(), "is not a WebAssembly component"),
        (b"(component)".to_vec(), "is not a WebAssembly component"),
    ] {
        let message = problem(&bench, bench.rule("policy", MatchingPolicy, &bytes));
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let mut absent = bench.rule("policy", MatchingPolicy, &component);
    absent.component = bench.folder.path().join("absent.wasm");
    assert!(problem(&bench, absent.clone()).contains("cannot read"));
    absent.component = bench.folder.path().into();
    assert!(problem(&bench, absent).contains("not a regular file"));
}

#[test]
fn a_rule_of_another_kind_is_refused_with_its_kind() {
    let bench = Bench::new();
    let stranger = Guest { world: "unknown-person", ..Guest::default() }.component();
    let message = problem(&bench, bench.rule("policy", MatchingPolicy, &stranger));
    assert!(message.starts_with("rules.policy.kind: the configuration says `matching-policy`"), "{message}");
    assert!(message.contains("write `kind = \"unknown-person\"`"), "{message}");
}

#[test]
fn a_newer_contract_names_the_side_to_upgrade() {
    let bench = Bench::new();
    let guest = Guest { version: "0.3.0", ..Guest::default() };
    let message = problem(&bench, bench.rule("policy", MatchingPolicy, &guest.component()));
    assert!(
        message.contains("everyframe:rules/matching@0.3.0") && message.contains("upgrade everyframe"),
        "{message}"
    );
}

#[test]
fn a_rule_that_refuses_its_settings_is_not_loaded() {
    let bench = Bench::new();
    let guest = Guest { configure: "(i32.const 104)".into(), ..Guest::default() };
    let message = problem(&bench, bench.rule("policy", MatchingPolicy, &guest.component()));
    assert_eq!(message, "rules.policy.settings.test: test");
}

#[test]
fn a_setting_that_is_not_finite_is_named() {
    let bench = Bench::new();
    let mut rule = bench.rule("policy", MatchingPolicy, &Guest::default().component());
    rule.settings = "threshold = nan".parse().unwrap();
    assert!(problem(&bench, rule).starts_with("rules.policy.settings.threshold: NaN"));
}

#[test]
fn a_rule_that_traps_or_loops_in_configure_is_not_loaded() {
    let bench = Bench::new();
    for (configure, expected) in [("unreachable", "unreachable"), ("(loop (br 0)) unreachable", "2000 ms")] {
        let guest = Guest { configure: configure.into(), ..Guest::default() };
        let message = problem(&bench, bench.rule("policy", MatchingPolicy, &guest.component()));
        assert!(message.contains("could not take its settings") && message.contains(expected), "{message}");
    }
}

#[test]
fn every_problem_of_every_rule_is_listed() {
    let bench = Bench::new();
    let good = Guest::default().component();
    let mut pinned = bench.rule("a", MatchingPolicy, &good);
    pinned.sha256 = Some("0".repeat(64));
    let rules = [pinned, bench.rule("b", UnknownPerson, &good), bench.rule("c", Alerting, b"?")];
    let error = bench.load(&rules).unwrap_err();
    let keys: Vec<_> = error.problems.iter().map(|p| format!("{}.{}", p.rule, p.key)).collect();
    assert_eq!(keys, ["a.sha256", "b.kind", "c.component"]);
    assert_eq!(error.to_string().lines().count(), 3);
}

#[test]
fn rules_that_cannot_work_together_are_refused() {
    let bench = Bench::new();
    let rule = |name: &str, kind| bench.rule(name, kind, b"never read");
    for (rules, expected) in [
        (vec![], "no rule is of kind `matching-policy`"),
        (vec![rule("a", Alerting)], "no rule is of kind `matching-policy`"),
        (
            vec![RuleSettings { cameras: vec![], ..rule("a", MatchingPolicy) }],
            "rules.a.cameras: names no camera",
        ),
        (vec![rule("a", MatchingPolicy), rule("a", Alerting)], "rules.a.name: another rule"),
        (vec![rule("a b", MatchingPolicy)], "letters, digits"),
        (
            vec![RuleSettings {
                limits: Limits { memory_mb: 0, ..Limits::default() },
                ..rule("a", MatchingPolicy)
            }],
            "rules.a.limits.memory_mb",
        ),
    ] {
        let message = bench.load(&rules).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn rules_can_be_loaded_from_a_runtime_thread() {
    let bench = Bench::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let rule = bench.rule("policy", MatchingPolicy, &Guest::default().component());
    runtime.block_on(async { Rules::load(&[rule], tokio::runtime::Handle::current(), None) }).unwrap();
}
