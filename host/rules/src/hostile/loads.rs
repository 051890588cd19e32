//! Components that must not load. The host says why.

use super::Bench;
use crate::fixtures::runtime;
use crate::{LoadedComponent, Rules};
use everyframe_config::{Limits, RuleKind, RuleSettings};
use everyframe_test_guests::{Guest, NOTHING};
use std::time::{Duration, Instant};

struct Component {
    name: &'static str,
    bytes: Vec<u8>,
    limits: Limits,
    /// Text in the error's message.
    refused: &'static str,
}

fn component(name: &'static str, bytes: Vec<u8>, refused: &'static str) -> Component {
    let limits = Limits { time_ms: 100, memory_mb: 8, ..Limits::default() };
    Component { name, bytes, limits, refused }
}

fn parse_wat(component: &str) -> Vec<u8> {
    wat::parse_str(component).unwrap()
}

fn guest(change: impl FnOnce(&mut Guest)) -> Vec<u8> {
    let mut guest = Guest::default();
    change(&mut guest);
    guest.component()
}

/// A component of `count` core instances of one module with these fields.
fn instances(count: usize, fields: &str) -> Vec<u8> {
    parse_wat(&format!(
        "(component (core module $m {fields}) {})",
        "(core instance (instantiate $m))".repeat(count)
    ))
}

fn all() -> Vec<Component> {
    let good = Guest::default().component();
    let half = good[..good.len() / 2].to_vec();
    let mut bent = good.clone();
    let middle = bent.len() / 2;
    bent[middle..middle + 64].fill(0xff);
    let machine_code = wasmtime::Engine::default().precompile_component(&good).unwrap();
    // A description at 400: a name of `bytes` bytes from address 0, and three empty texts.
    let named = |bytes: u32| format!("(i32.store (i32.const 404) (i32.const {bytes})) (i32.const 400)");
    let list = |length: u32| format!("(i32.store (i32.const 404) (i32.const {length})) (i32.const 400)");
    vec![
        component(
            "loops in describe",
            guest(|it| it.describe = "(loop (br 0)) unreachable".into()),
            "2000 ms",
        ),
        component(
            "loops in configure",
            guest(|it| it.configure = "(loop (br 0)) unreachable".into()),
            "2000 ms",
        ),
        component(
            "loops in start",
            guest(|it| it.module = "(func $s (loop (br 0))) (start $s)".into()),
            "2000 ms",
        ),
        component("traps in describe", guest(|it| it.describe = "unreachable".into()), "unreachable"),
        component("traps in configure", guest(|it| it.configure = "unreachable".into()), "unreachable"),
        component(
            "traps in start",
            guest(|it| it.module = "(func $s unreachable) (start $s)".into()),
            "unreachable",
        ),
        component(
            "recurses in start",
            guest(|it| it.module = "(func $s (call $s)) (start $s)".into()),
            "call stack exhausted",
        ),
        component(
            "eats memory in start",
            guest(|it| {
                it.module =
            "(func $s (loop (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br 0))) (start $s)".into()
            }),
            "`limits.memory_mb`",
        ),
        component(
            "describes itself from outside of its memory",
            guest(|it| it.describe = "(i32.const -16)".into()),
            "pointer",
        ),
        component("has a name of four GiB", guest(|it| it.describe = named(u32::MAX)), "out of bounds"),
        component(
            "has a name that is not UTF-8",
            guest(|it| {
                it.describe = format!("(i32.store8 (i32.const 3) (i32.const 0xff)) {}", named(8));
            }),
            "utf-8",
        ),
        component(
            "has a name of four MiB",
            guest(|it| {
                it.pages = 100;
                it.describe = named(4 << 20);
            }),
            "answered with more than",
        ),
        component(
            "makes a hundred million diagnostics",
            guest(|it| it.configure = list(100_000_000)),
            "out of bounds",
        ),
        component(
            "makes 300,000 diagnostics",
            guest(|it| {
                it.pages = 120;
                it.configure = list(300_000);
            }),
            "answered with more than",
        ),
        component(
            "makes a diagnostic of an invalid severity",
            guest(|it| {
                it.configure = "(i32.store8 (i32.const 112) (i32.const 9)) (i32.const 104)".into();
            }),
            "discriminant",
        ),
        component("is of another kind", guest(|it| it.world = "alerting"), "write `kind = \"alerting\"`"),
        component("is of a newer contract", guest(|it| it.version = "0.3.0"), "upgrade everyframe"),
        component(
            "is of a contract that never existed",
            guest(|it| it.version = "0.0.7"),
            "build the rule against",
        ),
        component("is not a rule", parse_wat("(component)"), "is not a rule"),
        component(
            "imports a function that the contract does not have",
            parse_wat(
                r#"(component
            (import "everyframe:rules/state@0.1.0" (instance (export "steal" (func))))
            (instance $i) (export "everyframe:rules/matching@0.1.0" (instance $i)))"#,
            ),
            "steal",
        ),
        component(
            "exports no function of its kind",
            parse_wat(
                r#"(component
            (instance $i) (export "everyframe:rules/matching@0.1.0" (instance $i)))"#,
            ),
            "0.1.0",
        ),
        component(
            "has functions of another shape",
            parse_wat(
                r#"(component
            (core module $m (func (export "f"))) (core instance $c (instantiate $m))
            (func $f (canon lift (core func $c "f")))
            (instance $i (export "decide" (func $f)) ) (export "everyframe:rules/matching@0.1.0" (instance $i))
            (instance $j (export "describe" (func $f)) (export "configure" (func $f)))
            (export "everyframe:rules/rule@0.1.0" (instance $j)))"#,
            ),
            "expected 1-tuple",
        ),
        component(
            "imports the host's own interfaces",
            parse_wat(
                r#"(component
            (import "everyframe:host/admin@0.1.0" (instance))
            (instance $i) (export "everyframe:rules/matching@0.1.0" (instance $i)))"#,
            ),
            "everyframe:host/admin@0.1.0",
        ),
        component(
            "imports HTTP requests",
            guest(|it| {
                it.wit = "import wasi:http/outgoing-handler@0.2.6; import wasi:http/types@0.2.6;";
                it.module =
                    r#"(import "wasi:http/outgoing-handler@0.2.6" "handle" (func (param i32 i32 i32 i32)))"#
                        .into();
            }),
            "[rules.grants] http = ",
        ),
        component(
            "imports an HTTP server",
            parse_wat(
                r#"(component
            (import "wasi:http/incoming-handler@0.2.6" (instance))
            (instance $i) (export "everyframe:rules/matching@0.1.0" (instance $i)))"#,
            ),
            "which no rule may use",
        ),
        component(
            "imports another version of WASI",
            parse_wat(
                r#"(component
            (import "wasi:cli/environment@0.3.0" (instance))
            (instance $i) (export "everyframe:rules/matching@0.1.0" (instance $i)))"#,
            ),
            "wasi:cli/environment@0.3.0",
        ),
        component(
            "has a name that would clear a terminal",
            parse_wat(
                r#"(component
            (import "bad-\u{1b}" (func)))"#
                    .replace(r"\u{1b}", "x")
                    .as_str(),
            ),
            "is not a rule",
        ),
        component("ends in the middle", half, "is damaged"),
        component("is overwritten in the middle", bent, "is damaged"),
        component("is empty", Vec::new(), "is not a WebAssembly component"),
        component("is a picture", b"\xff\xd8\xff\xe0 JFIF".to_vec(), "is not a WebAssembly component"),
        component("is text", b"(component)".to_vec(), "is not a WebAssembly component"),
        component("is a core module", Guest::default().core_module(), "is a core module"),
        component("is machine code", machine_code, "is machine code"),
        Component {
            limits: Limits { component_mb: 1, ..Limits::default() },
            ..component("is larger than a component may be", vec![0; (1 << 20) + 1], "`limits.component_mb`")
        },
        component("is made of 101 core instances", instances(101, ""), "`limits.instances`"),
        component("has five memories", instances(5, "(memory 1)"), "`limits.memories`"),
        component("has 17 tables", instances(17, "(table 1 funcref)"), "`limits.tables`"),
        component("begins with 100 MiB", guest(|it| it.pages = 1600), "`limits.memory_mb`"),
        component(
            "begins with a table of a million",
            guest(|it| it.module = "(table 1000000 funcref)".into()),
            "`limits.table_elements`",
        ),
        component(
            "begins with memories that are too large together",
            instances(4, "(memory 40)"),
            "is not a rule",
        ),
        component(
            "is nested ninety-nine deep",
            {
                let (open, close) = ("(component ".repeat(99), ")".repeat(99));
                parse_wat(&format!("{open}{close}"))
            },
            "is not a rule",
        ),
        component(
            "blocks in a block, fifty thousand deep",
            {
                let (open, close) = ("block ".repeat(50_000), "end ".repeat(50_000));
                guest(|it| it.module = format!("(func {open}{close})"))
            },
            "",
        ),
    ]
}

#[test]
fn hostile_components_are_refused_and_a_good_one_loads() {
    let components = all();
    assert!(components.len() >= 40, "{}", components.len());
    let mut faults = Vec::new();
    let bench = Bench::new();
    for Component { name, bytes, limits, refused } in components {
        let start = Instant::now();
        let rule = RuleSettings { limits, ..bench.rule("worst", RuleKind::MatchingPolicy, &bytes) };
        match bench.load(std::slice::from_ref(&rule)) {
            Ok(_) if refused.is_empty() => {}
            Ok(_) => faults.push(format!("{name}: was loaded")),
            Err(error) => {
                let message = error.to_string();
                let shown = message.lines().count() == 1 && !message.contains('\x1b') && message.len() < 2000;
                if !message.contains(refused) || !shown || error.problems.len() != 1 {
                    faults.push(format!("{name}: {message}"));
                }
            }
        }
        // The authors' tools also read components that a host does not load.
        let _ = LoadedComponent::read(&rule, runtime().handle().clone(), None)
            .map(|component| component.describe(&rule).is_ok());
        let took = start.elapsed();
        // Twice the time limit of `describe` and `configure`, and the time to compile.
        if took > Duration::from_secs(20) {
            faults.push(format!("{name}: took {took:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let good = bench.rule("good", RuleKind::MatchingPolicy, &Guest::default().component());
    assert!(Rules::load(&[good], runtime().handle().clone(), None).is_ok());
}

#[test]
fn at_most_a_hundred_warnings_are_reported() {
    // Diagnostics of 20 bytes each, all of them empty warnings.
    let bytes = guest(|it| {
        it.pages = 10;
        it.configure = format!(
            "(i32.store (i32.const 400) (i32.const 131072)) (i32.store (i32.const 404) (i32.const 5000)) {}",
            NOTHING.replace("96", "400")
        );
    });
    let bench = Bench::new();
    let rules = bench.load(&[bench.rule("chatty", RuleKind::MatchingPolicy, &bytes)]).unwrap();
    assert_eq!(rules.warnings().len(), 100);
}
