//! One rule on its own, outside any chain: for the tools of those who write rules.
//!
//! It is called as the chain calls it, in the same sandbox and with the same checks of its answers; only the
//! question is put by hand.

use super::anatomy::Anatomy;
use super::answers::{check_alerts, check_size, check_strangers, check_verdicts};
use super::call::{Call, Scene};
use super::component::{ComponentFile, contract_of};
use super::contract::{Answer, Question};
use super::engine::Sandbox;
use super::error::{FailureKind, LoadError, Problem, RuleFailure};
use super::limits::{MESSAGE_BYTES, presentable};
use super::load::{Keyed, RuleReady, introduce, keyed};
use super::memory::Memory;
use super::settings::to_json;
use super::{FrameFacts, People, RuleDescription};
use crate::config::{RuleKind, RuleSettings};
use crate::face::Face;
use crate::judgement::{Alert, Decision, Stranger, Subject};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use wasmtime::component::Component;

/// A component, compiled and not yet run.
pub struct Opened {
    sandbox: Sandbox,
    runtime: Handle,
    component: Component,
    anatomy: Anatomy,
}

/// A rule that has taken its settings.
pub struct Solo<'a> {
    opened: &'a Opened,
    ready: RuleReady,
    description: RuleDescription,
    warnings: Vec<Problem>,
}

/// What a rule answered; checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Of a matching policy: one for each face, in the order of the faces.
    Decisions(Vec<Decision>),
    /// Of an unknown-person rule, by `face.index`.
    Strangers(Vec<(u32, Stranger)>),
    /// Of an alert rule.
    Alerts(Vec<Alert>),
}

/// What one call took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// The instance's start included.
    pub time: Duration,
    /// Linear memory at its largest, bytes.
    pub memory: usize,
}

impl Opened {
    /// Reads and compiles the component of a rule. `runtime` must be multi-threaded with its timer enabled, and this
    /// thread none of its own.
    ///
    /// # Errors
    ///
    /// The key of the rule's table at fault, and what is wrong.
    pub fn read(rule: &RuleSettings, runtime: Handle) -> Result<Self, (&'static str, LoadError)> {
        let file = ComponentFile::read(rule)?;
        let sandbox = Sandbox::new(rule.limits.memory_bytes())
            .map_err(|error| ("", LoadError::Engine(format!("{error:#}"))))?;
        let component = file.compile(&sandbox.engine).map_err(|error| ("component", error))?;
        let anatomy = Anatomy::of(&sandbox.engine, &component, file.size(), file.sha256);
        Ok(Self { sandbox, runtime, component, anatomy })
    }

    /// What it is made of.
    pub fn anatomy(&self) -> &Anatomy {
        &self.anatomy
    }

    /// What the rule says about itself, whether it takes these settings or not.
    ///
    /// # Errors
    ///
    /// Everything for which it cannot be asked.
    pub fn describe(&self, rule: &RuleSettings) -> Result<RuleDescription, Vec<Problem>> {
        Ok(self.introduce(rule).map_err(|problems| keyed_to(rule, problems))?.description)
    }

    /// Has the rule take its settings, as it does when a configuration is loaded.
    ///
    /// # Errors
    ///
    /// Everything for which the configuration would be refused.
    pub fn ready(&self, rule: &RuleSettings) -> Result<Solo<'_>, Vec<Problem>> {
        let Introduced { ready, description, refusals, remarks } =
            self.introduce(rule).map_err(|problems| keyed_to(rule, problems))?;
        if !refusals.is_empty() {
            return Err(keyed_to(rule, refusals.into_iter().chain(remarks).collect()));
        }
        Ok(Solo { opened: self, ready, description, warnings: keyed_to(rule, remarks) })
    }

    fn introduce(&self, rule: &RuleSettings) -> Result<Introduced, Vec<Keyed>> {
        let at = |(key, error): (&str, LoadError)| vec![(key.to_owned(), error)];
        let limits = rule.limits.out_of_range();
        if !limits.is_empty() {
            let setting = |(key, message): (&str, &str)| (key.into(), LoadError::Setting(message.into()));
            return Err(limits.into_iter().map(setting).collect());
        }
        let settings = to_json(&rule.settings).map_err(|not| {
            let message = format!("{} is no number that a rule can be given; write a finite one", not.value);
            at((&format!("settings.{}", not.key), LoadError::Setting(message)))
        })?;
        let contract = contract_of(&self.sandbox.engine, &self.component, rule.kind).map_err(at)?;
        let pre = (contract.bind)(&self.sandbox, &self.component, rule.kind)
            .map_err(|error| at(("component", error)))?;
        let ready = RuleReady::new(rule, settings, pre);
        let introduction = self
            .runtime
            .block_on(introduce(&ready, &self.sandbox))
            .map_err(|failure| at(("component", LoadError::Failed(failure))))?;
        let (refusals, remarks): (Vec<_>, Vec<_>) =
            introduction.diagnostics.into_iter().partition(|diagnostic| diagnostic.refuses);
        let description = RuleDescription {
            name: rule.name.clone(),
            kind: rule.kind,
            title: presentable(&introduction.name, 128),
            version: presentable(&introduction.version, 64),
            about: presentable(&introduction.about, 1 << 10),
            settings_schema: introduction.settings_schema,
            contract: contract.version,
            sha256: self.anatomy.sha256.clone(),
        };
        let keyed = |diagnostics: Vec<_>| diagnostics.into_iter().map(keyed).collect();
        Ok(Introduced { ready, description, refusals: keyed(refusals), remarks: keyed(remarks) })
    }
}

/// A rule that has been given its settings, and what it said to them.
struct Introduced {
    ready: RuleReady,
    description: RuleDescription,
    refusals: Vec<Keyed>,
    remarks: Vec<Keyed>,
}

fn keyed_to(rule: &RuleSettings, problems: Vec<Keyed>) -> Vec<Problem> {
    problems.into_iter().map(|(key, error)| Problem { rule: rule.name.clone(), key, error }).collect()
}

impl Solo<'_> {
    /// What it says about itself.
    pub fn description(&self) -> &RuleDescription {
        &self.description
    }

    /// What it remarked about settings that it took all the same.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Its kind.
    pub fn kind(&self) -> RuleKind {
        self.ready.kind
    }

    /// Asks it about one frame, in an instance of its own: a matching policy who the subjects' faces are, an
    /// unknown-person rule about those that are unknown, an alert rule about all. What it remembers is changed only
    /// if it answers well.
    ///
    /// # Errors
    ///
    /// It failed, as it would in a chain.
    pub fn ask(
        &self,
        frame: &FrameFacts<'_>,
        subjects: &[Subject],
        people: &Arc<dyn People>,
        memory: &mut Memory,
    ) -> Result<(Reply, Cost), RuleFailure> {
        let fail = |(kind, message)| RuleFailure { rule: self.ready.name.clone(), kind, message };
        let faces: Vec<Face> = subjects.iter().map(|subject| subject.face.clone()).collect();
        let scene = Scene::new(&faces, people);
        let unknown: Vec<&Face> = subjects
            .iter()
            .filter(|subject| subject.decision == Decision::Unknown)
            .map(|subject| &subject.face)
            .collect();
        let question = match self.ready.kind {
            RuleKind::MatchingPolicy => Question::Decide(faces.iter().collect()),
            RuleKind::UnknownPerson => Question::Observe(unknown.clone()),
            RuleKind::Alerting => Question::Judge(subjects),
        };
        let RuleReady { name, limits, settings, pre, .. } = &self.ready;
        let start = Instant::now();
        let call = Call::new(name, limits, frame, &scene, memory);
        let time = limits.time();
        let mut store = self.opened.sandbox.store(call, limits, time);
        let asked = pre.ask(&mut store, settings, frame, question);
        let answer = match self.opened.runtime.block_on(self.opened.sandbox.within(time, asked)) {
            Ok(answer) => answer,
            Err(stopped) => return Err(fail(stopped.diagnose(store.data(), limits, time))),
        };
        let call = store.into_data();
        let cost = Cost { time: start.elapsed(), memory: call.guard.memory() };
        check_size(&answer, limits.output_bytes).map_err(fail)?;
        let reply = match answer {
            Answer::Verdicts(verdicts) => Reply::Decisions(
                check_verdicts(verdicts, &faces.iter().collect::<Vec<_>>(), &**people).map_err(fail)?,
            ),
            Answer::Strangers(strangers) => {
                Reply::Strangers(check_strangers(strangers, &unknown).map_err(fail)?)
            }
            Answer::Alerts(alerts) => {
                let has = |index| faces.iter().any(|face| face.index == index);
                Reply::Alerts(check_alerts(alerts, name, faces.len(), has).map_err(fail)?)
            }
            Answer::Refused(diagnostics) => {
                let said: Vec<String> =
                    diagnostics.iter().map(|it| format!("{}: {}", it.key, it.message)).collect();
                let message = presentable(&said.join("; "), MESSAGE_BYTES);
                return Err(fail((FailureKind::RefusedSettings, message)));
            }
        };
        memory.apply(frame.camera, vec![call.close(name)], frame.captured_at);
        Ok((reply, cost))
    }
}
