//! One rule and one frame: the question by what was decided before it, and the checked answer.

use super::FrameFacts;
use super::answers::{check_alerts, check_size, check_strangers, check_verdicts};
use super::call::{Call, Scene};
use super::contract::{Answer, Question};
use super::engine::Sandbox;
use super::error::{FailureKind, RuleFailure};
use super::limits::{MESSAGE_BYTES, presentable};
use super::load::RuleReady;
use super::memory::{Changes, Memory};
use crate::config::RuleKind;
use crate::face::Face;
use crate::judgement::{Alert, Decision, Stranger, Subject};
use crate::observe::CallCost;
use std::time::Instant;

/// What a rule makes of a frame; checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Opinion {
    /// Of a matching policy, by `face.index`: one for each face that was undecided, in the order of the faces.
    Decisions(Vec<(u32, Decision)>),
    /// Of an unknown-person rule, by `face.index`.
    Strangers(Vec<(u32, Stranger)>),
    /// Of an alert rule.
    Alerts(Vec<Alert>),
}

/// A rule's opinion, and what it took.
pub(super) struct Consulted {
    pub(super) opinion: Opinion,
    /// What it keeps from now on, if the frame goes well.
    pub(super) changes: Changes,
    /// Faces whose embedding it asked for, and which have none.
    pub(super) missed: Vec<u32>,
    pub(super) cost: CallCost,
}

/// What a rule makes of the frame, by what was decided before it.
pub(super) async fn consult(
    rule: &RuleReady,
    sandbox: &Sandbox,
    frame: &FrameFacts<'_>,
    scene: &Scene,
    memory: &Memory,
    subjects: &[Subject],
) -> Result<Consulted, RuleFailure> {
    let fail = |(kind, message)| RuleFailure { rule: rule.name.clone(), kind, message };
    let is_told =
        |it: &&Subject| rule.zones.is_empty() || it.face.zones.iter().any(|zone| rule.zones.contains(zone));
    let subjects: Vec<&Subject> = subjects.iter().filter(is_told).collect();
    let faces_that_are = |wanted: fn(&Decision) -> bool| -> Vec<&Face> {
        subjects.iter().filter(|it| wanted(&it.decision)).map(|subject| &subject.face).collect()
    };
    let question = match rule.kind {
        RuleKind::MatchingPolicy => Question::Decide(faces_that_are(is_undecided)),
        RuleKind::UnknownPerson => Question::Observe(faces_that_are(|it| *it == Decision::Unknown)),
        RuleKind::Alerting => Question::Judge(subjects.clone()),
    };
    let asked = match &question {
        Question::Decide(faces) | Question::Observe(faces) => faces.clone(),
        Question::Judge(_) => Vec::new(),
    };
    let (answer, call, cost) = ask(rule, sandbox, frame, scene, memory, question).await?;
    let opinion = match (rule.kind, answer) {
        (RuleKind::MatchingPolicy, Answer::Verdicts(verdicts)) => {
            let decisions = check_verdicts(verdicts, &asked, scene.people()).map_err(fail)?;
            Opinion::Decisions(asked.iter().map(|face| face.index).zip(decisions).collect())
        }
        (RuleKind::UnknownPerson, Answer::Strangers(strangers)) => {
            Opinion::Strangers(check_strangers(strangers, &asked).map_err(fail)?)
        }
        (RuleKind::Alerting, Answer::Alerts(alerts)) => {
            let has = |index| subjects.iter().any(|subject| subject.face.index == index);
            Opinion::Alerts(check_alerts(alerts, &rule.name, subjects.len(), has).map_err(fail)?)
        }
        _ => return Err(fail(mixed_up())),
    };
    let missed = call.missed.clone();
    Ok(Consulted { opinion, changes: call.close(&rule.name), missed, cost })
}

pub(super) fn is_undecided(decision: &Decision) -> bool {
    matches!(decision, Decision::Undecided { .. })
}

/// One question to one rule, in an instance of its own.
async fn ask(
    rule: &RuleReady,
    sandbox: &Sandbox,
    frame: &FrameFacts<'_>,
    scene: &Scene,
    memory: &Memory,
    question: Question<'_>,
) -> Result<(Answer, Call, CallCost), RuleFailure> {
    let fail = |(kind, message)| RuleFailure { rule: rule.name.clone(), kind, message };
    let Some(_place) = sandbox.place().await else {
        return Err(fail((FailureKind::NotRun, "the host is stopping".into())));
    };
    let start = Instant::now();
    let call = Call::new(rule, frame, scene, memory).map_err(|why| fail((FailureKind::NotRun, why)))?;
    let time = rule.limits.time();
    let mut store = sandbox.store(call, &rule.limits, time);
    let asked = rule.pre.ask(&mut store, &rule.settings, frame, question);
    let answer = match sandbox.within(time, asked).await {
        Ok(answer) => answer,
        Err(stopped) => return Err(fail(stopped.diagnose(store.data(), &rule.limits, time))),
    };
    check_size(&answer, rule.limits.output_bytes).map_err(fail)?;
    if let Answer::Refused(diagnostics) = &answer {
        let said: Vec<String> = diagnostics.iter().map(|it| format!("{}: {}", it.key, it.message)).collect();
        return Err(fail((FailureKind::RefusedSettings, presentable(&said.join("; "), MESSAGE_BYTES))));
    }
    let fuel = store.get_fuel().map_or(0, |left| u64::MAX - left);
    let call = store.into_data();
    let cost = CallCost {
        time: start.elapsed(),
        fuel,
        memory: call.guard.memory(),
        state: call.state.bytes(),
        log_lines_dropped: call.log.dropped(),
        state_refused: call.state.refused(),
        http_refused: call.caller.refused,
    };
    let said = call.stderr(MESSAGE_BYTES);
    if !said.is_empty() {
        tracing::debug!(target: "everyframe::rule", rule = %rule.name, camera = %frame.camera, sequence = frame.sequence, "standard error: {said}");
    }
    Ok((answer, call, cost))
}

/// The bindings answer each question in kind; this is not reached.
fn mixed_up() -> (FailureKind, String) {
    (FailureKind::NotRun, "the host got the answer to another question; report this as a bug".into())
}
