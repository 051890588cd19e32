//! Judges one frame with all rules: matching policies, unknown-person rules, alert rules.
//!
//! A matching policy gets the faces that the policies before it left undecided, an unknown-person rule all unknown faces, an
//! alert rule all faces. Each judges every frame of its cameras, even if there is no face for it.

use super::breaker::Change;
use super::error::{FailureKind, Fault, RuleFailure};
use super::evaluate::{Evaluation, RuleOutput, evaluate, is_undecided};
use super::frame::{FrameContext, FrameFacts};
use super::loaded_rule::LoadedRule;
use super::meter::RuleMeter;
use super::previous_judgement::PreviousJudgement;
use super::rule_state::{RuleState, StateChanges};
use super::sandbox::Sandbox;
use everyframe_config::{OnFailure, RuleKind, matches_camera};
use everyframe_types::face::{Face, People};
use everyframe_types::judgement::{Decision, Judgement, Skipped, Stranger, Subject};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tracing::Instrument as _;

/// The rules of a configuration in the order of evaluation, with the sandbox that they run in.
pub(super) struct Chain {
    rules: Vec<LoadedRule>,
    sandbox: Sandbox,
    conditions: Mutex<Vec<Condition>>,
}

/// A rule that began to fail on a camera's frames, or recovered. Reported to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The rule's name.
    pub rule: String,
    /// The camera on whose frames the rule fails or succeeds again.
    pub camera: String,
    /// True if the rule failed so often in a row that it is paused for the camera; false if it succeeded again.
    pub is_failing: bool,
    /// The message of the last failure; empty if the rule succeeded.
    pub message: String,
}

/// The reason of an undecided face that no matching policy covers, because of its camera, its time or its zones.
const NO_POLICY: &str = "no matching policy is asked about it";

impl RuleOutput {
    /// Adds the output to the judgement. If several rules name a stranger for a face, the first one wins.
    fn add_to(self, judgement: &mut Judgement) {
        match self {
            Self::Decisions(decisions) => {
                for (index, decision) in decisions {
                    judgement.update_face(index, |subject| subject.decision = decision);
                }
            }
            Self::Strangers(strangers) => {
                for (index, stranger) in strangers {
                    judgement.update_face(index, |subject| {
                        subject.stranger.get_or_insert(stranger);
                    });
                }
            }
            Self::Alerts(alerts) => judgement.alerts.extend(alerts),
        }
    }

    /// Removes the strangers who were erased, and returns them with the `face.index` of each. A rule can name one of them still: it
    /// keeps the id in a form of its own, or makes it of something that did not change.
    fn remove_erased(&mut self, people: &dyn People) -> Vec<(u32, String)> {
        let Self::Strangers(strangers) = self else { return Vec::new() };
        strangers.iter_mut().for_each(|(_, stranger)| stranger.merged.retain(|id| !people.is_erased(id)));
        let is_erased = |(_, stranger): &mut (u32, Stranger)| people.is_erased(&stranger.id);
        strangers.extract_if(.., is_erased).map(|(face, stranger)| (face, stranger.id)).collect()
    }
}

/// Records a failed rule with `on_failure = "skip"`. The faces that a matching policy left undecided get the reason.
fn skip_rule(rule: &LoadedRule, failure: RuleFailure, judgement: &mut Judgement) {
    tracing::debug!(target: "everyframe::rule", "skipped: {failure}");
    if rule.kind == RuleKind::MatchingPolicy {
        for subject in judgement.subjects.iter_mut().filter(|subject| is_undecided(&subject.decision)) {
            subject.decision = Decision::Undecided { reason: format!("rule {} failed", rule.name()) };
        }
    }
    let (rule, message) = (failure.rule, failure.message);
    judgement.skipped.push(Skipped { rule, reason: failure.kind.reason().to_owned(), message });
}

impl Chain {
    /// Sorts the rules by kind. Rules of one kind stay in the order of the configuration.
    pub(super) fn new(mut rules: Vec<LoadedRule>, sandbox: Sandbox) -> Self {
        rules.sort_by_key(|rule| match rule.kind {
            RuleKind::MatchingPolicy => 0,
            RuleKind::UnknownPerson => 1,
            RuleKind::Alerting => 2,
        });
        Self { rules, sandbox, conditions: Mutex::default() }
    }

    /// Gives each rule the meter of its name, which also keeps its last log lines.
    pub(super) fn set_meters(&mut self, meter_for: impl Fn(&str) -> RuleMeter) {
        for rule in &mut self.rules {
            rule.meter = meter_for(rule.name());
            rule.policy.log_sink.recent = rule.meter.recent_log().clone();
        }
    }

    pub(super) fn drop_instances(&self) {
        self.rules.iter().for_each(|rule| rule.instance_pool.drop_all());
    }

    pub(super) fn find_rule(&self, name: &str) -> Option<&LoadedRule> {
        self.rules.iter().find(|rule| rule.name() == name)
    }

    /// The conditions since the last call.
    pub(super) fn take_conditions(&self) -> Vec<Condition> {
        std::mem::take(&mut *self.conditions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The rules that judge a frame, by its camera and its schedules.
    fn rules_for<'a>(&'a self, frame: &'a FrameFacts<'_>) -> impl Iterator<Item = &'a LoadedRule> {
        let is_active = |schedule: &String| frame.schedules.contains(schedule);
        self.rules.iter().filter(move |rule| {
            matches_camera(&rule.cameras, frame.camera) && rule.schedule.as_ref().is_none_or(is_active)
        })
    }

    /// Judges one frame. The state changes are returned, not applied. If a frame has no embeddings, a rule that requests one gets
    /// its output from `previous`.
    ///
    /// # Errors
    ///
    /// A rule without `on_failure = "skip"` failed, or the host could not run one.
    pub(super) async fn judge_frame(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        state: &RuleState,
        previous: Option<&PreviousJudgement<'_>>,
    ) -> Result<(Judgement, Vec<StateChanges>), RuleFailure> {
        let context = FrameContext::new(&faces, people);
        let mut changes = Vec::with_capacity(self.rules.len());
        let undecided = || Decision::Undecided { reason: NO_POLICY.into() };
        let subjects = faces.into_iter().map(|face| Subject { face, decision: undecided(), stranger: None });
        let mut judgement = Judgement { subjects: subjects.collect(), ..Judgement::default() };
        for rule in self.rules_for(frame) {
            match self.evaluate_unless_paused(rule, frame, &context, state, &judgement.subjects).await {
                Ok(evaluation) => {
                    let missing = evaluation.missing_embeddings;
                    let mut output = evaluation.output;
                    if !missing.is_empty() {
                        judgement.blind.push(rule.name().to_owned());
                    }
                    if let Some(previous) = previous {
                        output = previous.replace_output(rule.name(), output, &missing, &judgement.subjects);
                    }
                    let mut of_rule = evaluation.changes;
                    let erased = output.remove_erased(people.as_ref());
                    if !erased.is_empty() {
                        let (faces, ids): (Vec<u32>, Vec<String>) = erased.into_iter().unzip();
                        judgement.erased.extend(faces);
                        of_rule.delete_named(&ids);
                    }
                    changes.push(of_rule);
                    output.add_to(&mut judgement);
                }
                Err(failure) if rule.on_failure == OnFailure::Skip && failure.kind != FailureKind::NotRun => {
                    skip_rule(rule, failure, &mut judgement);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok((judgement, changes))
    }

    /// Evaluates a rule, unless its breaker for the camera is open. Records the result in breaker and meter.
    async fn evaluate_unless_paused(
        &self,
        rule: &LoadedRule,
        frame: &FrameFacts<'_>,
        context: &FrameContext,
        state: &RuleState,
        subjects: &[Subject],
    ) -> Result<Evaluation, RuleFailure> {
        // With `on_failure = "stop"` the lane itself pauses, so the breaker is not used.
        if rule.on_failure != OnFailure::Stop && !rule.breakers.allows_call(frame.camera, Instant::now()) {
            rule.meter.record_failure(FailureKind::NotAsked.reason());
            let message = "paused for this camera: it failed too often in a row on the camera's frames";
            return Err(rule.policy.failure(Fault::new(FailureKind::NotAsked, message)));
        }
        let span = tracing::debug_span!(
            target: "everyframe::rule",
            "call",
            rule = %rule.name(),
            camera = frame.camera,
            sequence = frame.sequence
        );
        let result = evaluate(rule, &self.sandbox, frame, context, state, subjects).instrument(span).await;
        match &result {
            Ok(evaluation) => rule.meter.record_call(&evaluation.cost),
            Err(failure) => rule.meter.record_failure(failure.kind.reason()),
        }
        // A call that the host could not run says nothing about the rule.
        let failure = result.as_ref().err().filter(|failure| failure.kind != FailureKind::NotRun);
        let change = match result.is_ok() || failure.is_some() {
            true => rule.breakers.record(frame.camera, result.is_ok(), Instant::now()),
            false => None,
        };
        rule.meter.set_paused(rule.breakers.count_open());
        if let Some(change) = change {
            self.conditions.lock().unwrap_or_else(PoisonError::into_inner).push(Condition {
                rule: rule.name().to_owned(),
                camera: frame.camera.to_owned(),
                is_failing: change == Change::Opened,
                message: failure.map(|failure| failure.message.clone()).unwrap_or_default(),
            });
        }
        result
    }
}
