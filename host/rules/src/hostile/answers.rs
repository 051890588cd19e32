//! Answers that contradict the frame or the contract.

use super::Attack;
use super::Outcome::Fails;
use super::calls::{in_configure, wide};
use crate::FailureKind::*;
use everyframe_test_guests::{Guest, NOTHING};

/// A policy with one verdict, at 300: face at 300, decision at 304, its payload from 308 on.
pub(super) fn verdict(code: &str) -> Guest {
    list(code, 300, 1)
}

pub(super) fn list(code: &str, at: u32, length: u32) -> Guest {
    Guest::answering(&format!(
        "{code} (i32.store (i32.const 80) (i32.const {at})) (i32.store (i32.const 84) (i32.const {length})) (i32.const 80)"
    ))
}

const KNOWN_ANNA: &str =
    "(i32.store (i32.const 320) (i32.const 0x616e6e61)) (i32.store (i32.const 308) (i32.const 320))
    (i32.store (i32.const 312) (i32.const 4))";
pub(super) const UNDECIDED: &str = "(i32.store8 (i32.const 304) (i32.const 2))";

pub(super) fn answers() -> Vec<Attack> {
    let unknown = "(i32.store8 (i32.const 304) (i32.const 1))";
    let second = "(i32.store8 (i32.const 324) (i32.const 1))";
    let confident = |number: &str| format!("{KNOWN_ANNA} (f32.store (i32.const 316) (f32.const {number}))");
    let nonsense = |words| Fails(Nonsense, words);
    vec![
        Attack::new("answers nothing", Guest::answering(NOTHING), nonsense("no verdict for face 0")),
        Attack::new("has a confidence of NaN", verdict(&confident("nan")), nonsense("confidence NaN")),
        Attack::new("has an infinite confidence", verdict(&confident("inf")), nonsense("confidence inf")),
        Attack::new("has a confidence of minus infinity", verdict(&confident("-inf")), nonsense("confidence -inf")),
        Attack::new(
            "identifies somebody who is not enrolled",
            verdict("(i32.store (i32.const 308) (i32.const 8)) (i32.store (i32.const 312) (i32.const 4))"),
            nonsense("who is not in the gallery"),
        ),
        Attack::new(
            "decides about a face that does not exist",
            verdict(&format!("{unknown} (i32.store (i32.const 300) (i32.const 7))")),
            nonsense("face 7"),
        ),
        Attack::new("decides about a face twice", list(&format!("{unknown} {second}"), 300, 2), nonsense("two verdicts")),
        Attack::new(
            "gives a reason that is too long",
            wide(verdict(&format!("{UNDECIDED} (i32.store (i32.const 308) (i32.const 131072)) (i32.store (i32.const 312) (i32.const 50000))"))),
            Fails(OutputTooLarge, "`limits.output_bytes` is 10000"),
        )
        .with(|limits| limits.output_bytes = 10_000),
        Attack::new(
            "gives the same long reason for a thousand faces",
            wide(list(
                "(local $i i32) (local.set $i (i32.const 32768))
                 (loop $next
                    (i32.store8 offset=4 (local.get $i) (i32.const 2)) (i32.store offset=8 (local.get $i) (i32.const 131072))
                    (i32.store offset=12 (local.get $i) (i32.const 30000))
                    (local.set $i (i32.add (local.get $i) (i32.const 20)))
                    (br_if $next (i32.lt_u (local.get $i) (i32.const 52768))))",
                32768,
                1000,
            )),
            Fails(OutputTooLarge, "answered with more than"),
        ),
        Attack::new(
            "answers with 300,000 verdicts",
            wide(list("", 0, 300_000)),
            Fails(OutputTooLarge, "answered with more than"),
        ),
        Attack { prepared: true, ..Attack::new("refuses its settings after it was loaded", in_configure("(return (i32.const 104))"), Fails(RefusedSettings, "test: test")) },
        Attack { prepared: true, ..Attack::new("traps in configure", in_configure("unreachable"), Fails(Trapped, "unreachable")) },
    ]
}

/// Answers of the other two kinds.
pub(super) fn other_answers() -> Vec<Attack> {
    // face 0, "test", first seen, once; at 200.
    let stranger = |more: &str| Guest {
        world: "unknown-person",
        ..list(
            &format!(
                "(i32.store (i32.const 204) (i32.const 8)) (i32.store (i32.const 208) (i32.const 4))
                 (i32.store8 (i32.const 212) (i32.const 1)) (i32.store (i32.const 232) (i32.const 1)) {more}"
            ),
            200,
            1,
        )
    };
    // Four times "test", about no face; at 200.
    let alerts = |length: u32, more: &str| {
        let words: String = [204, 212, 220, 228]
            .map(|at| {
                format!(
                    "(i32.store (i32.const {at}) (i32.const 8)) (i32.store (i32.const {}) (i32.const 4))",
                    at + 4
                )
            })
            .concat();
        Guest { world: "alerting", ..list(&format!("{words} {more}"), 200, length) }
    };
    vec![
        Attack::new(
            "a stranger with an invalid event",
            stranger("(i32.store8 (i32.const 213) (i32.const 9))"),
            Fails(Trapped, "discriminant"),
        ),
        Attack::new(
            "a stranger with a dwell of more than a century",
            stranger("(i64.store (i32.const 224) (i64.const -1))"),
            Fails(Nonsense, "longer than a hundred years"),
        ),
        Attack::new(
            "a stranger for a face that does not exist",
            stranger("(i32.store (i32.const 200) (i32.const 5))"),
            Fails(Nonsense, "face 5"),
        ),
        Attack::new(
            "a stranger whose id has a line break",
            stranger(
                "(i32.store8 (i32.const 320) (i32.const 10)) (i32.store (i32.const 204) (i32.const 320)) (i32.store (i32.const 208) (i32.const 1))",
            ),
            Fails(Nonsense, "control characters"),
        ),
        Attack::new("raises 101 alerts", alerts(101, ""), Fails(Nonsense, "101 alerts")),
        Attack::new(
            "raises 100,000 alerts",
            wide(alerts(100_000, "")),
            Fails(OutputTooLarge, "answered with more than"),
        ),
        Attack::new(
            "an alert with an invalid severity",
            alerts(1, "(i32.store8 (i32.const 200) (i32.const 200))"),
            Fails(Trapped, "discriminant"),
        ),
        Attack::new(
            "an alert about a face that does not exist",
            alerts(
                1,
                "(i32.store8 (i32.const 236) (i32.const 1)) (i32.store (i32.const 240) (i32.const 77))",
            ),
            Fails(Nonsense, "face 77"),
        ),
    ]
}
