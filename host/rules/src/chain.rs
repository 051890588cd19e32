//! One frame through the rules: matching policies, unknown-person rules, alert rules.
//!
//! A policy is asked about the faces that those before it left undecided, an unknown-person rule about all that are
//! unknown, an alert rule about everything. Each sees every frame of its cameras, also when there is no face for it.

use super::FrameFacts;
use super::breaker::Change;
use super::call::FrameContext;
use super::error::{FailureKind, RuleFailure};
use super::evaluate::{Consulted, RuleOutput, evaluate, is_undecided};
use super::load::{RuleReady, Rules};
use super::rejudge::Before;
use super::rule_state::{Changes, RuleState};
use crate::RuleMeter;
use everyframe_config::{OnFailure, RuleKind, matches_camera};
use everyframe_types::face::{Face, People};
use everyframe_types::judgement::{Decision, Judgement, Skipped, Subject};
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use tracing::Instrument as _;

/// The rules in the order in which they are asked.
pub(super) struct Chain(Vec<RuleReady>);

impl Chain {
    /// Rules of one kind stay in the order of the configuration.
    pub(super) fn new(mut rules: Vec<RuleReady>) -> Self {
        rules.sort_by_key(|rule| match rule.kind {
            RuleKind::MatchingPolicy => 0,
            RuleKind::UnknownPerson => 1,
            RuleKind::Alerting => 2,
        });
        Self(rules)
    }

    pub(super) fn measure(&mut self, meter_of: impl Fn(&str) -> RuleMeter) {
        self.0.iter_mut().for_each(|rule| rule.meter = meter_of(&rule.name));
    }

    /// A rule's settings, a JSON object.
    pub(super) fn settings_of(&self, rule: &str) -> Option<&str> {
        self.0.iter().find(|it| it.name == rule).map(|rule| &*rule.settings)
    }

    /// Those that are asked about a frame.
    fn of<'a>(&'a self, frame: &'a FrameFacts<'_>) -> impl Iterator<Item = &'a RuleReady> {
        let holds = |schedule: &String| frame.schedules.contains(schedule);
        self.0.iter().filter(move |rule| {
            matches_camera(&rule.cameras, frame.camera) && rule.schedule.as_ref().is_none_or(holds)
        })
    }
}

/// What is said of a face when no matching policy is asked about its camera, at this time, or where it is.
const NO_POLICY: &str = "no matching policy is asked about it";

impl RuleOutput {
    /// The first rule that decides about a face, or names a stranger, wins: it was asked earlier.
    fn enter(self, judgement: &mut Judgement) {
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
}

/// A rule that failed has no opinion; a face that it left undecided says why.
fn skip(rule: &RuleReady, failure: RuleFailure, judgement: &mut Judgement) {
    tracing::debug!(target: "everyframe::rule", "passed over: {failure}");
    if rule.kind == RuleKind::MatchingPolicy {
        for subject in judgement.subjects.iter_mut().filter(|subject| is_undecided(&subject.decision)) {
            subject.decision = Decision::Undecided { reason: format!("rule {} failed", rule.name) };
        }
    }
    let (rule, message) = (failure.rule, failure.message);
    judgement.skipped.push(Skipped { rule, reason: failure.kind.reason().to_owned(), message });
}

/// A rule came into a condition that an operator should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The rule's name.
    pub rule: String,
    /// The camera on whose frames it fails, or answers again.
    pub camera: String,
    /// True if it failed so often that it is not asked for a while; false if it answers again.
    pub is_failing: bool,
    /// Why it failed last; empty if it answers.
    pub message: String,
}

impl Rules {
    /// True if frames wait while this rule fails.
    pub fn stops_for(&self, rule: &str) -> bool {
        self.chain.0.iter().any(|it| it.name == rule && it.on_failure == OnFailure::Stop)
    }

    /// What became of its rules since the last call.
    pub fn take_news(&self) -> Vec<Condition> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks a rule, unless it has failed too often on the camera's frames.
    async fn ask(
        &self,
        rule: &RuleReady,
        frame: &FrameFacts<'_>,
        scene: &FrameContext,
        state: &RuleState,
        subjects: &[Subject],
    ) -> Result<Consulted, RuleFailure> {
        // A lane that stops has pauses of its own.
        if rule.on_failure != OnFailure::Stop && !rule.breakers.lets_ask(frame.camera, Instant::now()) {
            rule.meter.failed(FailureKind::NotAsked.reason());
            let message = "it failed too often in a row on frames of this camera, and is not asked about them for a while".into();
            return Err(RuleFailure { rule: rule.name.clone(), kind: FailureKind::NotAsked, message });
        }
        let span = tracing::debug_span!(
            target: "everyframe::rule",
            "call",
            rule = %rule.name,
            camera = frame.camera,
            sequence = frame.sequence
        );
        let answer = evaluate(rule, &self.sandbox, frame, scene, state, subjects).instrument(span).await;
        match &answer {
            Ok(consulted) => rule.meter.called(&consulted.cost),
            Err(failure) => rule.meter.failed(failure.kind.reason()),
        }
        // What the host could not run says nothing of the rule.
        let failed = answer.as_ref().err().filter(|failure| failure.kind != FailureKind::NotRun);
        let change = match answer.is_ok() || failed.is_some() {
            true => rule.breakers.note(frame.camera, answer.is_ok(), Instant::now()),
            false => None,
        };
        rule.meter.set_paused(rule.breakers.count_open());
        if let Some(change) = change {
            self.news.lock().unwrap_or_else(PoisonError::into_inner).push(Condition {
                rule: rule.name.clone(),
                camera: frame.camera.to_owned(),
                is_failing: change == Change::LoadedComponent,
                message: failed.map(|failure| failure.message.clone()).unwrap_or_default(),
            });
        }
        answer
    }

    /// Judges one frame, also one without faces. Blocks the calling thread, which must not be one of the
    /// runtime's; several may judge at once, each with the memory of its lane.
    ///
    /// # Errors
    ///
    /// A rule failed: the memory is as it was before, and the frame is to be parked, or to wait until the rule answers
    /// ([`Rules::stops_for`]).
    pub fn judge(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        state: &mut RuleState,
    ) -> Result<Judgement, RuleFailure> {
        self.judge_or_rejudge(frame, faces, people, state, None)
    }

    pub(super) fn judge_or_rejudge(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        state: &mut RuleState,
        before: Option<&Before<'_>>,
    ) -> Result<Judgement, RuleFailure> {
        let (mut judgement, changes) =
            self.runtime.block_on(self.judge_frame(frame, faces, people, state, before))?;
        judgement.state = state.apply(frame.camera, changes, frame.captured_at);
        Ok(judgement)
    }

    async fn judge_frame(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        state: &RuleState,
        before: Option<&Before<'_>>,
    ) -> Result<(Judgement, Vec<Changes>), RuleFailure> {
        let scene = FrameContext::new(&faces, people);
        let mut changes = Vec::with_capacity(self.chain.0.len());
        let undecided = || Decision::Undecided { reason: NO_POLICY.into() };
        let subjects = faces.into_iter().map(|face| Subject { face, decision: undecided(), stranger: None });
        let mut judgement = Judgement { subjects: subjects.collect(), ..Judgement::default() };
        for rule in self.chain.of(frame) {
            match self.ask(rule, frame, &scene, state, &judgement.subjects).await {
                Ok(Consulted { mut opinion, changes: kept, missed, .. }) => {
                    if !missed.is_empty() {
                        judgement.blind.push(rule.name.clone());
                    }
                    if let Some(before) = before {
                        opinion = before.stand_in(&rule.name, opinion, &missed, &judgement.subjects);
                    }
                    changes.push(kept);
                    opinion.enter(&mut judgement);
                }
                Err(failure) if rule.on_failure == OnFailure::Skip && failure.kind != FailureKind::NotRun => {
                    skip(rule, failure, &mut judgement);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok((judgement, changes))
    }
}
