//! One frame through the rules: matching policies, unknown-person rules, alert rules.
//!
//! A policy is asked about the faces that those before it left undecided, an unknown-person rule about all that are
//! unknown, an alert rule about everything. Each sees every frame of its cameras, also when there is no face for it.

use super::answers::{check_alerts, check_size, check_strangers, check_verdicts};
use super::call::{Call, Scene};
use super::contract::{Answer, Question};
use super::error::{FailureKind, RuleFailure};
use super::limits::{MESSAGE_BYTES, presentable};
use super::load::{RuleReady, Rules};
use super::memory::{Changes, Memory};
use super::{FrameFacts, People};
use crate::config::{OnFailure, RuleKind};
use crate::face::Face;
use crate::judgement::{Alert, Decision, Judgement, Skipped, Stranger, Subject};
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

    /// Those that are asked about a camera.
    fn of<'a>(&'a self, camera: &'a str) -> impl Iterator<Item = &'a RuleReady> {
        self.0.iter().filter(move |rule| rule.cameras.iter().any(|pattern| pattern.matches(camera)))
    }
}

/// What is said of a face when no matching policy is asked about its camera.
const NO_POLICY: &str = "no matching policy has this camera";

/// A checked answer, by `face.index`.
enum Opinion {
    Decisions(Vec<(u32, Decision)>),
    Strangers(Vec<(u32, Stranger)>),
    Alerts(Vec<Alert>),
}

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

fn is_undecided(decision: &Decision) -> bool {
    matches!(decision, Decision::Undecided { .. })
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
        for rule in self.chain.of(frame.camera) {
            match self.consult(rule, frame, &scene, &**people, memory, &judgement).await {
                Ok((opinion, changed)) => {
                    changes.push(changed);
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

    /// What a rule makes of the frame, by what was decided before it.
    async fn consult(
        &self,
        rule: &RuleReady,
        frame: &FrameFacts<'_>,
        scene: &Scene,
        people: &dyn People,
        memory: &Memory,
        judgement: &Judgement,
    ) -> Result<(Opinion, Changes), RuleFailure> {
        let fail = |(kind, message)| RuleFailure { rule: rule.name.clone(), kind, message };
        let subjects = &judgement.subjects;
        let faces_that_are = |wanted: fn(&Decision) -> bool| -> Vec<&Face> {
            subjects.iter().filter(|it| wanted(&it.decision)).map(|subject| &subject.face).collect()
        };
        let question = match rule.kind {
            RuleKind::MatchingPolicy => Question::Decide(faces_that_are(is_undecided)),
            RuleKind::UnknownPerson => Question::Observe(faces_that_are(|it| *it == Decision::Unknown)),
            RuleKind::Alerting => Question::Judge(subjects),
        };
        let asked = match &question {
            Question::Decide(faces) | Question::Observe(faces) => faces.clone(),
            Question::Judge(_) => Vec::new(),
        };
        let (answer, changes) = self.ask(rule, frame, scene, memory, question).await?;
        let opinion = match (rule.kind, answer) {
            (RuleKind::MatchingPolicy, Answer::Verdicts(verdicts)) => {
                let decisions = check_verdicts(verdicts, &asked, people).map_err(fail)?;
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
        Ok((opinion, changes))
    }

    /// One question to one rule, in an instance of its own.
    async fn ask(
        &self,
        rule: &RuleReady,
        frame: &FrameFacts<'_>,
        scene: &Scene,
        memory: &Memory,
        question: Question<'_>,
    ) -> Result<(Answer, Changes), RuleFailure> {
        let fail = |(kind, message)| RuleFailure { rule: rule.name.clone(), kind, message };
        let Some(_place) = self.sandbox.place().await else {
            return Err(fail((FailureKind::NotRun, "the host is stopping".into())));
        };
        let call = Call::new(&rule.name, &rule.limits, frame, scene, memory);
        let time = rule.limits.time();
        let mut store = self.sandbox.store(call, &rule.limits, time);
        let asked = rule.pre.ask(&mut store, &rule.settings, frame, question);
        let answer = match self.sandbox.within(time, asked).await {
            Ok(answer) => answer,
            Err(stopped) => return Err(fail(stopped.diagnose(store.data(), &rule.limits, time))),
        };
        check_size(&answer, rule.limits.output_bytes).map_err(fail)?;
        if let Answer::Refused(diagnostics) = &answer {
            let said: Vec<String> =
                diagnostics.iter().map(|it| format!("{}: {}", it.key, it.message)).collect();
            return Err(fail((FailureKind::RefusedSettings, presentable(&said.join("; "), MESSAGE_BYTES))));
        }
        let call = store.into_data();
        let said = call.stderr(MESSAGE_BYTES);
        if !said.is_empty() {
            tracing::debug!(target: "everyframe::rule", rule = %rule.name, camera = %frame.camera, sequence = frame.sequence, "standard error: {said}");
        }
        Ok((answer, call.close(&rule.name)))
    }
}

/// The bindings answer each question in kind; this is not reached.
fn mixed_up() -> (FailureKind, String) {
    (FailureKind::NotRun, "the host got the answer to another question; report this as a bug".into())
}
