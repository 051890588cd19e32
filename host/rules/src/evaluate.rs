//! Evaluates one rule on one frame, and checks its answer.

use super::answer_checks::{check_alerts, check_size, check_strangers, check_verdicts};
use super::contract::{Answer, Input};
use super::error::{FailureKind, Fault, RuleFailure};
use super::frame::{FrameContext, FrameFacts};
use super::host_state::HostState;
use super::instance_pool::PooledInstance;
use super::limits::{MESSAGE_BYTES, presentable};
use super::loaded_rule::LoadedRule;
use super::meter::CallCost;
use super::rule_state::{RuleState, StateChanges};
use super::sandbox::Sandbox;
use everyframe_config::RuleKind;
use everyframe_types::face::Face;
use everyframe_types::judgement::{Alert, Decision, Stranger, Subject};
use std::time::Instant;
use tokio::sync::SemaphorePermit;

/// The checked answer of a rule to one frame.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleOutput {
    /// The decisions of a matching policy, with the `face.index` of each: one per undecided face, in the order of the faces.
    Decisions(Vec<(u32, Decision)>),
    /// Of an unknown-person rule, by `face.index`.
    Strangers(Vec<(u32, Stranger)>),
    /// Of an alert rule.
    Alerts(Vec<Alert>),
}

/// A rule's output, with everything else that the call produced.
pub(super) struct Evaluation {
    pub(super) output: RuleOutput,
    /// Applied only if the whole frame succeeds.
    pub(super) changes: StateChanges,
    /// Faces whose embedding the rule requested and that have none.
    pub(super) missing_embeddings: Vec<u32>,
    pub(super) cost: CallCost,
}

/// Evaluates a rule on a frame. `subjects` has the results of the rules before it.
///
/// # Errors
///
/// The rule failed. Its state changes are dropped.
pub(super) async fn evaluate(
    rule: &LoadedRule,
    sandbox: &Sandbox,
    frame: &FrameFacts<'_>,
    context: &FrameContext,
    state: &RuleState,
    subjects: &[Subject],
) -> Result<Evaluation, RuleFailure> {
    let fail = |fault| rule.policy.failure(fault);
    let is_in_zones =
        |it: &&Subject| rule.zones.is_empty() || it.face.zones.iter().any(|zone| rule.zones.contains(zone));
    let subjects: Vec<&Subject> = subjects.iter().filter(is_in_zones).collect();
    let faces_with = |wanted: fn(&Decision) -> bool| -> Vec<&Face> {
        subjects.iter().filter(|it| wanted(&it.decision)).map(|subject| &subject.face).collect()
    };
    let input = match rule.kind {
        RuleKind::MatchingPolicy => Input::Decide(faces_with(is_undecided)),
        RuleKind::UnknownPerson => Input::Observe(faces_with(|it| *it == Decision::Unknown)),
        RuleKind::Alerting => Input::Judge(subjects.clone()),
    };
    let faces = match &input {
        Input::Decide(faces) | Input::Observe(faces) => faces.clone(),
        Input::Judge(_) => Vec::new(),
    };
    // The slot is released last, after the instance is dropped or back in its pool.
    let Answered { _slot, answer, mut pooled, cost } =
        call_instance(rule, sandbox, frame, context, state, input).await?;
    let output = match (rule.kind, answer) {
        (RuleKind::MatchingPolicy, Answer::Verdicts(verdicts)) => {
            let decisions = check_verdicts(verdicts, &faces, context.people()).map_err(fail)?;
            RuleOutput::Decisions(faces.iter().map(|face| face.index).zip(decisions).collect())
        }
        (RuleKind::UnknownPerson, Answer::Strangers(strangers)) => {
            RuleOutput::Strangers(check_strangers(strangers, &faces).map_err(fail)?)
        }
        (RuleKind::Alerting, Answer::Alerts(alerts)) => {
            let has_face = |index| subjects.iter().any(|subject| subject.face.index == index);
            let checked = check_alerts(alerts, rule.name(), subjects.len(), has_face);
            RuleOutput::Alerts(checked.map_err(fail)?)
        }
        _ => return Err(fail(wrong_answer())),
    };
    let host_state = pooled.store.data_mut();
    let missing_embeddings = host_state.missing_embeddings.clone();
    let changes = host_state.take_changes(rule.name());
    rule.instance_pool.give_back(pooled);
    Ok(Evaluation { output, changes, missing_embeddings, cost })
}

pub(super) fn is_undecided(decision: &Decision) -> bool {
    matches!(decision, Decision::Undecided { .. })
}

/// An answer of an allowed size, and the instance that gave it.
struct Answered<'a> {
    /// The instance's slot in the sandbox.
    _slot: SemaphorePermit<'a>,
    answer: Answer,
    pooled: PooledInstance,
    cost: CallCost,
}

/// Calls a fresh instance, or a pooled one if the rule's instances are reused.
async fn call_instance<'a>(
    rule: &LoadedRule,
    sandbox: &'a Sandbox,
    frame: &FrameFacts<'_>,
    context: &FrameContext,
    state: &RuleState,
    input: Input<'_>,
) -> Result<Answered<'a>, RuleFailure> {
    let policy = &rule.policy;
    let fail = |fault| policy.failure(fault);
    let Some(_slot) = sandbox.acquire_slot().await else {
        return Err(fail(Fault::new(FailureKind::NotRun, "the host is stopping")));
    };
    let (start, time) = (Instant::now(), policy.limits.time());
    let (mut store, reused, generation) = match rule.instance_pool.take() {
        Some(PooledInstance { mut store, instance, generation }) => {
            store.data_mut().attach_frame(policy, frame, context, state);
            sandbox.reset_budget(&mut store, &policy.limits, time);
            (store, Some(instance), generation)
        }
        None => {
            let host_state = HostState::new(policy, frame, context, state)
                .map_err(|message| fail(Fault::new(FailureKind::NotRun, message)))?;
            let generation = rule.instance_pool.generation();
            (sandbox.create_store(host_state, &policy.limits, time), None, generation)
        }
    };
    let call = async {
        let instance = match reused {
            Some(instance) => instance,
            None => match rule.pre.instantiate(&mut store, &rule.settings).await? {
                Ok(instance) => instance,
                Err(refusals) => return Ok(Err(refusals)),
            },
        };
        let answer = instance.call(&mut store, frame, input).await?;
        Ok(Ok((instance, answer)))
    };
    let (instance, answer) = match sandbox.run_with_timeout(time, call).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(refusals)) => {
            let messages: Vec<String> =
                refusals.iter().map(|it| format!("{}: {}", it.key, it.message)).collect();
            let message = presentable(&messages.join("; "), MESSAGE_BYTES);
            return Err(fail(Fault::new(FailureKind::RefusedSettings, message)));
        }
        Err(error) => return Err(fail(error.into_fault(store.data(), &policy.limits, time))),
    };
    check_size(&answer, policy.limits.output_bytes).map_err(fail)?;
    let host_state = store.data();
    let cost = CallCost {
        time: start.elapsed(),
        fuel: store.get_fuel().map_or(0, |left| u64::MAX - left),
        memory: host_state.guard.memory(),
        state: host_state.state.bytes(),
        log_lines_dropped: host_state.log.dropped(),
        state_refused: host_state.state.refused(),
        http_refused: host_state.http_client.refused,
    };
    let stderr = host_state.stderr(MESSAGE_BYTES);
    if !stderr.is_empty() {
        let (camera, sequence) = (frame.camera, frame.sequence);
        tracing::debug!(target: "everyframe::rule", rule = %rule.name(), %camera, sequence, "standard error: {stderr}");
    }
    Ok(Answered { _slot, answer, pooled: PooledInstance { store, instance, generation }, cost })
}

/// The bindings return an answer of the input's kind, so this is not reached.
fn wrong_answer() -> Fault {
    Fault::new(FailureKind::NotRun, "the host got an answer of another kind; report this as a bug")
}
