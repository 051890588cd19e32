//! One frame through the rules: matching policy, unknown-person rule, alert rules.

use super::answers::{check_alerts, check_size, check_strangers, check_verdicts};
use super::call::{Call, Scene};
use super::contract::{Answer, Question};
use super::error::{FailureKind, RuleFailure};
use super::limits::{MESSAGE_BYTES, presentable};
use super::load::{RuleReady, Rules};
use super::memory::{Changes, Memory};
use super::{FrameFacts, People};
use crate::config::RuleKind;
use crate::face::Face;
use crate::judgement::{Decision, Judgement, Subject};
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
        let mut faces = Some(faces);
        let mut judgement = Judgement::default();
        for rule in &self.chain.0 {
            let fail = |(kind, message)| RuleFailure { rule: rule.name.clone(), kind, message };
            let mut ask = async |question| {
                let (answer, changed) = self.ask(rule, frame, &scene, memory, question).await?;
                changes.push(changed);
                Ok(answer)
            };
            match rule.kind {
                RuleKind::MatchingPolicy => {
                    let faces = faces.take().unwrap_or_default();
                    let answer = ask(Question::Decide(&faces)).await?;
                    let Answer::Verdicts(verdicts) = answer else { return Err(fail(mixed_up())) };
                    let decisions = check_verdicts(verdicts, &faces, &**people).map_err(fail)?;
                    judgement.subjects = faces
                        .into_iter()
                        .zip(decisions)
                        .map(|(face, decision)| Subject { face, decision, stranger: None })
                        .collect();
                }
                RuleKind::UnknownPerson => {
                    let unknown: Vec<&Face> = judgement
                        .subjects
                        .iter()
                        .filter(|subject| subject.decision == Decision::Unknown)
                        .map(|subject| &subject.face)
                        .collect();
                    let answer = ask(Question::Observe(unknown.clone())).await?;
                    let Answer::Strangers(strangers) = answer else { return Err(fail(mixed_up())) };
                    for (index, stranger) in check_strangers(strangers, &unknown).map_err(fail)? {
                        for subject in judgement.subjects.iter_mut().filter(|it| it.face.index == index) {
                            subject.stranger = Some(stranger.clone());
                        }
                    }
                }
                RuleKind::Alerting => {
                    let subjects = &judgement.subjects;
                    let answer = ask(Question::Judge(subjects)).await?;
                    let Answer::Alerts(alerts) = answer else { return Err(fail(mixed_up())) };
                    let has = |index| subjects.iter().any(|subject| subject.face.index == index);
                    let alerts = check_alerts(alerts, &rule.name, subjects.len(), has).map_err(fail)?;
                    judgement.alerts.extend(alerts);
                }
            }
        }
        Ok((judgement, changes))
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
