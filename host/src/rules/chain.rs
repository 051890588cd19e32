//! One frame through the rules: matching policies, unknown-person rules, alert rules.
//!
//! A policy is asked about the faces that those before it left undecided, an unknown-person rule about all that are
//! unknown, an alert rule about everything. Each sees every frame of its cameras, also when there is no face for it.

use super::call::Scene;
use super::consult::{Opinion, consult, is_undecided};
use super::error::{FailureKind, RuleFailure};
use super::load::{RuleReady, Rules};
use super::memory::{Changes, Memory};
use super::{FrameFacts, People};
use crate::config::{OnFailure, RuleKind};
use crate::face::Face;
use crate::judgement::{Decision, Judgement, Skipped, Subject};
use crate::premises::is_meant;
use std::sync::Arc;

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

    /// Those that are asked about a frame.
    fn of<'a>(&'a self, frame: &'a FrameFacts<'_>) -> impl Iterator<Item = &'a RuleReady> {
        let holds = |schedule: &String| frame.schedules.contains(schedule);
        self.0.iter().filter(move |rule| {
            is_meant(&rule.cameras, frame.camera) && rule.schedule.as_ref().is_none_or(holds)
        })
    }
}

/// What is said of a face when no matching policy is asked about its camera, at this time, or where it is.
const NO_POLICY: &str = "no matching policy is asked about it";

impl Opinion {
    /// The first rule that decides about a face, or names a stranger, wins: it was asked earlier.
    fn enter(self, judgement: &mut Judgement) {
        match self {
            Self::Decisions(decisions) => {
                for (index, decision) in decisions {
                    judgement.of_face(index, |subject| subject.decision = decision);
                }
            }
            Self::Strangers(strangers) => {
                for (index, stranger) in strangers {
                    judgement.of_face(index, |subject| {
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

impl Rules {
    /// Judges one frame, also one without faces. Blocks the calling thread, which must not be one of the
    /// runtime's; several may judge at once, each with the memory of its lane.
    ///
    /// # Errors
    ///
    /// A rule failed: the memory is as it was before, and the frame is to be parked.
    pub fn judge(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        memory: &mut Memory,
    ) -> Result<Judgement, RuleFailure> {
        let (mut judgement, changes) =
            self.runtime.block_on(self.judge_frame(frame, faces, people, memory))?;
        judgement.state = memory.apply(frame.camera, changes, frame.captured_at);
        Ok(judgement)
    }

    async fn judge_frame(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        memory: &Memory,
    ) -> Result<(Judgement, Vec<Changes>), RuleFailure> {
        let scene = Scene::new(&faces, people);
        let mut changes = Vec::with_capacity(self.chain.0.len());
        let undecided = || Decision::Undecided { reason: NO_POLICY.into() };
        let subjects = faces.into_iter().map(|face| Subject { face, decision: undecided(), stranger: None });
        let mut judgement = Judgement { subjects: subjects.collect(), ..Judgement::default() };
        for rule in self.chain.of(frame) {
            match consult(rule, &self.sandbox, frame, &scene, memory, &judgement.subjects).await {
                Ok(consulted) => {
                    changes.push(consulted.changes);
                    consulted.opinion.enter(&mut judgement);
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
