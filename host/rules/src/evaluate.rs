//! One rule and one frame: the question by what was decided before it, and the checked answer.

use super::FrameFacts;
use super::answers::{check_alerts, check_size, check_strangers, check_verdicts};
use super::call::{Call, FrameContext};
use super::contract::{Answer, Question};
use super::engine::Sandbox;
use super::error::{FailureKind, RuleFailure};
use super::instance_pool::Spare;
use super::limits::{MESSAGE_BYTES, presentable};
use super::load::RuleReady;
use super::rule_state::{Changes, RuleState};
use crate::CallCost;
use everyframe_config::RuleKind;
use everyframe_types::face::Face;
use everyframe_types::judgement::{Alert, Decision, Stranger, Subject};
use std::time::Instant;
use tokio::sync::SemaphorePermit;

/// What a rule makes of a frame; checked.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleOutput {
    /// Of a matching policy, by `face.index`: one for each face that was undecided, in the order of the faces.
    Decisions(Vec<(u32, Decision)>),
    /// Of an unknown-person rule, by `face.index`.
    Strangers(Vec<(u32, Stranger)>),
    /// Of an alert rule.
    Alerts(Vec<Alert>),
}

/// A rule's opinion, and what it took.
pub(super) struct Consulted {
    pub(super) opinion: RuleOutput,
    /// What it keeps from now on, if the frame goes well.
    pub(super) changes: Changes,
    /// Faces whose embedding it asked for, and which have none.
    pub(super) missed: Vec<u32>,
    pub(super) cost: CallCost,
}

/// What a rule makes of the frame, by what was decided before it.
pub(super) async fn evaluate(
    rule: &RuleReady,
    sandbox: &Sandbox,
    frame: &FrameFacts<'_>,
    scene: &FrameContext,
    memory: &RuleState,
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
    // The place is given back last, when the instance has gone.
    let Answered { _place, answer, mut spare, cost } =
        ask(rule, sandbox, frame, scene, memory, question).await?;
    let opinion = match (rule.kind, answer) {
        (RuleKind::MatchingPolicy, Answer::Verdicts(verdicts)) => {
            let decisions = check_verdicts(verdicts, &asked, scene.people()).map_err(fail)?;
            RuleOutput::Decisions(asked.iter().map(|face| face.index).zip(decisions).collect())
        }
        (RuleKind::UnknownPerson, Answer::Strangers(strangers)) => {
            RuleOutput::Strangers(check_strangers(strangers, &asked).map_err(fail)?)
        }
        (RuleKind::Alerting, Answer::Alerts(alerts)) => {
            let has = |index| subjects.iter().any(|subject| subject.face.index == index);
            RuleOutput::Alerts(check_alerts(alerts, &rule.name, subjects.len(), has).map_err(fail)?)
        }
        _ => return Err(fail(mixed_up())),
    };
    let call = spare.store.data_mut();
    let (missed, changes) = (call.missed.clone(), call.close(&rule.name));
    rule.instance_pool.keep(spare);
    Ok(Consulted { opinion, changes, missed, cost })
}

pub(super) fn is_undecided(decision: &Decision) -> bool {
    matches!(decision, Decision::Undecided { .. })
}

/// An answer of the right size, and the instance that gave it.
struct Answered<'a> {
    /// Its place in the pool.
    _place: SemaphorePermit<'a>,
    answer: Answer,
    spare: Spare,
    cost: CallCost,
}

/// One question to one rule: in an instance of its own, unless the rule's instances stay.
async fn ask<'a>(
    rule: &RuleReady,
    sandbox: &'a Sandbox,
    frame: &FrameFacts<'_>,
    scene: &FrameContext,
    memory: &RuleState,
    question: Question<'_>,
) -> Result<Answered<'a>, RuleFailure> {
    let fail = |(kind, message)| RuleFailure { rule: rule.name.clone(), kind, message };
    let Some(_place) = sandbox.place().await else {
        return Err(fail((FailureKind::NotRun, "the host is stopping".into())));
    };
    let (start, time) = (Instant::now(), rule.limits.time());
    let (mut store, stayed) = match rule.instance_pool.take() {
        Some(Spare { mut store, instance }) => {
            store.data_mut().renew(rule, frame, scene, memory);
            sandbox.allow(&mut store, &rule.limits, time);
            (store, Some(instance))
        }
        None => {
            let call =
                Call::new(rule, frame, scene, memory).map_err(|why| fail((FailureKind::NotRun, why)))?;
            (sandbox.store(call, &rule.limits, time), None)
        }
    };
    let asked = async {
        let instance = match stayed {
            Some(instance) => instance,
            None => match rule.pre.instantiate(&mut store, &rule.settings).await? {
                Ok(instance) => instance,
                Err(refusals) => return Ok(Err(refusals)),
            },
        };
        let answer = instance.ask(&mut store, frame, question).await?;
        Ok(Ok((instance, answer)))
    };
    let (instance, answer) = match sandbox.within(time, asked).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(refusals)) => {
            let said: Vec<String> = refusals.iter().map(|it| format!("{}: {}", it.key, it.message)).collect();
            return Err(fail((FailureKind::RefusedSettings, presentable(&said.join("; "), MESSAGE_BYTES))));
        }
        Err(stopped) => return Err(fail(stopped.diagnose(store.data(), &rule.limits, time))),
    };
    check_size(&answer, rule.limits.output_bytes).map_err(fail)?;
    let call = store.data();
    let cost = CallCost {
        time: start.elapsed(),
        fuel: store.get_fuel().map_or(0, |left| u64::MAX - left),
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
    Ok(Answered { _place, answer, spare: Spare { store, instance }, cost })
}

/// The bindings answer each question in kind; this is not reached.
fn mixed_up() -> (FailureKind, String) {
    (FailureKind::NotRun, "the host got the answer to another question; report this as a bug".into())
}
