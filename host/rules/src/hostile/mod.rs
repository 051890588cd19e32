//! Hostile rules: the outcome of their own frames, and of the frames, rules and cameras around them.
//!
//! [`calls`] lists the attacks of a call, and [`loads`] the components that must not load. Each is a guest of a few lines. One
//! host runs them all, beside a rule that behaves.

mod answers;
mod calls;
mod endurance;
mod granted;
mod limits;
mod loads;
mod neighbours;

use super::fixtures::{Bench, judge_at};
use super::{FailureKind, RuleFailure, RuleState, Rules};
use everyframe_config::{Limits, RuleKind, RuleSettings};
use everyframe_test_guests::{ALL_UNKNOWN, Guest};
use everyframe_types::judgement::{Decision, Judgement};
use std::time::{Duration, Instant};

/// One attack of a rule during a call.
struct Attack {
    /// What the rule does.
    name: &'static str,
    guest: Guest,
    limits: Limits,
    /// True if the attack needs one successful frame first.
    prepared: bool,
    outcome: Outcome,
}

/// The required outcome of the frame.
enum Outcome {
    /// The rule fails, with this text in the message.
    Fails(FailureKind, &'static str),
    /// The host refuses the request, and the rule answers nevertheless.
    Answers,
}

impl Attack {
    fn new(name: &'static str, guest: Guest, outcome: Outcome) -> Self {
        // An attack that is to reach its time limit gets a short one. The others get a long one, for busy machines.
        let time_ms = if matches!(outcome, Outcome::Fails(FailureKind::TimedOut, _)) { 20 } else { 10_000 };
        let limits = Limits { time_ms, memory_mb: 8, ..Limits::default() };
        Self { name, guest, limits, prepared: false, outcome }
    }

    fn with(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }
}

/// A host with a rule for each attack, each at its own camera, and one rule that behaves, at all of these and at `door`.
struct Host<'a> {
    attacks: &'a [Attack],
    rules: Rules,
    state: RuleState,
    sequence: u64,
    _bench: Bench,
}

impl<'a> Host<'a> {
    fn new(attacks: &'a [Attack]) -> Self {
        let bench = Bench::new();
        let mut settings: Vec<RuleSettings> = Vec::new();
        for (at, Attack { guest, limits, .. }) in attacks.iter().enumerate() {
            let kind = match guest.world {
                "matching-policy" => RuleKind::MatchingPolicy,
                "unknown-person" => RuleKind::UnknownPerson,
                _ => RuleKind::Alerting,
            };
            let rule = bench.rule(&format!("worst-{at}"), kind, &guest.component());
            settings.push(RuleSettings {
                limits: limits.clone(),
                cameras: vec![format!("gate-{at}")],
                ..rule
            });
        }
        let good = bench.rule("good", RuleKind::MatchingPolicy, &Guest::default().component());
        settings.push(RuleSettings { limits: Limits { time_ms: 10_000, ..good.limits.clone() }, ..good });
        let rules = bench.load(&settings).unwrap();
        let mut host = Self { attacks, rules, state: RuleState::new(), sequence: 0, _bench: bench };
        for at in (0..attacks.len()).filter(|at| attacks[*at].prepared) {
            // Repeated, in case the machine is too busy for the time limit.
            assert!((0..20).any(|_| host.attack(at).0.is_ok()), "{}", attacks[at].name);
        }
        host
    }

    /// Runs the attack on one frame, and returns how long that took.
    fn attack(&mut self, at: usize) -> (Result<Judgement, RuleFailure>, Duration) {
        self.sequence += 1;
        let start = Instant::now();
        let judged = judge_at(&format!("gate-{at}"), &self.rules, &mut self.state, self.sequence, 1);
        (judged, start.elapsed())
    }

    /// Describes an outcome that is not the required one.
    fn find_fault(&self, at: usize, judged: &Result<Judgement, RuleFailure>) -> Option<String> {
        let fine = match (judged, &self.attacks[at].outcome) {
            (Ok(judgement), Outcome::Answers) => judgement.subjects[0].decision == Decision::Unknown,
            (Err(failure), Outcome::Fails(kind, words)) => {
                failure.rule == format!("worst-{at}")
                    && failure.kind == *kind
                    && failure.message.contains(words)
                    && failure.message.len() < 1500
                    && !failure.message.contains('\x1b')
            }
            _ => false,
        };
        let made =
            || judged.as_ref().map(|it| it.subjects[0].decision.clone()).map_err(|it| (it.kind, &it.message));
        (!fine).then(|| format!("{}: {:?}", self.attacks[at].name, made()))
    }

    /// Judges three unknown faces of another camera in the same lane; true if that succeeds.
    fn neighbour_succeeds(&mut self) -> bool {
        let judged = judge_at("door", &self.rules, &mut self.state, self.sequence, 3);
        judged.is_ok_and(|it| {
            it.subjects.len() == 3 && it.subjects.iter().all(|subject| subject.decision == Decision::Unknown)
        })
    }
}

/// When a call must be stopped at the latest: its limit, a fifth of it, one tick of the engine's clock, and 5 ms for wake-ups
/// and instantiation.
fn latest(limits: &Limits) -> Duration {
    let limit = Duration::from_millis(limits.time_ms);
    limit + limit / 5 + super::limits::TICK + Duration::from_millis(5)
}

#[test]
fn every_attack_is_contained() {
    let attacks = calls::all();
    assert!(attacks.len() >= 40, "{}", attacks.len());
    let mut host = Host::new(&attacks);
    let mut faults = Vec::new();
    for (at, attack) in attacks.iter().enumerate() {
        // The machine may be busy: only a call that is late every time is a fault.
        let mut fastest = Duration::MAX;
        for try_ in 0..20 {
            let (judged, took) = host.attack(at);
            faults.extend(host.find_fault(at, &judged));
            if !host.neighbour_succeeds() {
                faults.push(format!("{}: the neighbour failed", attack.name));
            }
            fastest = fastest.min(took);
            if try_ >= 2 && fastest <= latest(&attack.limits) {
                break;
            }
        }
        if fastest > latest(&attack.limits) {
            faults.push(format!("{}: took {fastest:?}", attack.name));
        }
        println!("{:>8.1} ms  {}", fastest.as_secs_f64() * 1e3, attack.name);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A guest that runs `code` and then answers "unknown". `imports` are those of the core module, `wit` those of its world.
fn after(wit: &'static str, imports: &str, code: &str) -> Guest {
    Guest {
        wit,
        module: format!("{imports} (func $worst {code})"),
        answer: ALL_UNKNOWN.replacen("(loop $next", "(call $worst) (loop $next", 1),
        ..Guest::default()
    }
}
