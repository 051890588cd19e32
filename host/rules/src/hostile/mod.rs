//! Rules that do their worst: what becomes of their frames, and of the frames, rules and cameras around them.
//!
//! [`calls`] is the table of what is tried in a call, and [`loads`] of what is tried before one. Each is a guest of a
//! few lines; one host runs them all, beside a rule that behaves.

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

/// One thing that a rule tries when it is asked about a frame.
struct Attack {
    /// What it does, for a person.
    name: &'static str,
    guest: Guest,
    limits: Limits,
    /// It needs one frame that is answered before it can begin.
    prepared: bool,
    outcome: Outcome,
}

/// What has to become of the frame.
enum Outcome {
    /// The rule fails, with these words in the message.
    Fails(FailureKind, &'static str),
    /// The rule is refused what it wants, can do without, and answers.
    Answers,
}

impl Attack {
    fn of(name: &'static str, guest: Guest, outcome: Outcome) -> Self {
        // One that runs into its time limit is to do so soon; the others, however busy the machine is, are not.
        let time_ms = if matches!(outcome, Outcome::Fails(FailureKind::TimedOut, _)) { 20 } else { 10_000 };
        let limits = Limits { time_ms, memory_mb: 8, ..Limits::default() };
        Self { name, guest, limits, prepared: false, outcome }
    }

    fn with(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }
}

/// A host with a rule for each attack, each at a camera of its own, and one that behaves at all of them and at `door`.
struct Host<'a> {
    attacks: &'a [Attack],
    rules: Rules,
    memory: RuleState,
    sequence: u64,
    _bench: Bench,
}

impl<'a> Host<'a> {
    fn of(attacks: &'a [Attack]) -> Self {
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
        let mut host = Self { attacks, rules, memory: RuleState::new(), sequence: 0, _bench: bench };
        for at in (0..attacks.len()).filter(|at| attacks[*at].prepared) {
            // More than once where the machine is too busy for its time limit.
            assert!((0..20).any(|_| host.attack(at).0.is_ok()), "{}", attacks[at].name);
        }
        host
    }

    /// The attack on one frame, and how long that took.
    fn attack(&mut self, at: usize) -> (Result<Judgement, RuleFailure>, Duration) {
        self.sequence += 1;
        let start = Instant::now();
        let judged = judge_at(&format!("gate-{at}"), &self.rules, &mut self.memory, self.sequence, 1);
        (judged, start.elapsed())
    }

    /// What is wrong with that.
    fn fault(&self, at: usize, judged: &Result<Judgement, RuleFailure>) -> Option<String> {
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

    /// The other camera, in the same lane: three faces, all of them unknown.
    fn is_well(&mut self) -> bool {
        let judged = judge_at("door", &self.rules, &mut self.memory, self.sequence, 3);
        judged.is_ok_and(|it| {
            it.subjects.len() == 3 && it.subjects.iter().all(|subject| subject.decision == Decision::Unknown)
        })
    }
}

/// How late a call may be stopped: at its limit, and a fifth of it, one step of the clock and 5 ms for who sleeps and
/// for instantiation.
fn latest(limits: &Limits) -> Duration {
    let limit = Duration::from_millis(limits.time_ms);
    limit + limit / 5 + super::limits::TICK + Duration::from_millis(5)
}

#[test]
fn every_attack_is_contained_and_its_neighbours_are_well() {
    let attacks = calls::all();
    assert!(attacks.len() >= 40, "{}", attacks.len());
    let mut host = Host::of(&attacks);
    let mut faults = Vec::new();
    for (at, attack) in attacks.iter().enumerate() {
        // The machine may be busy with other things: only a call that is late each time is.
        let mut fastest = Duration::MAX;
        for try_ in 0..20 {
            let (judged, took) = host.attack(at);
            faults.extend(host.fault(at, &judged));
            if !host.is_well() {
                faults.push(format!("{}: the neighbour is not well", attack.name));
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

/// A guest that answers "unknown", after it did this; `imports` are of the core module, `wit` of its world.
fn after(wit: &'static str, imports: &str, deed: &str) -> Guest {
    Guest {
        wit,
        module: format!("{imports} (func $worst {deed})"),
        answer: ALL_UNKNOWN.replacen("(loop $next", "(call $worst) (loop $next", 1),
        ..Guest::default()
    }
}
