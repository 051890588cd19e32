//! One rule on its own, outside any chain: for the tools of those who write rules.
//!
//! It is made ready and consulted as the chain's rules are; only what was decided before is put by hand.

use super::call::FrameContext;
use super::compiled::CodeCache;
use super::component::ComponentFile;
use super::component_info::ComponentInfo;
use super::engine::Sandbox;
use super::error::{LoadError, Problem, RuleFailure};
use super::evaluate::{Consulted, RuleOutput, evaluate};
use super::load::{Introduced, Keyed, RuleReady, compiled, introduce, json_of, out_of_range};
use super::rule_state::RuleState;
use super::{FrameFacts, RuleDescription};
use crate::CallCost;
use everyframe_config::{RuleKind, RuleSettings};
use everyframe_types::face::{Face, People};
use everyframe_types::judgement::Subject;
use std::sync::Arc;
use tokio::runtime::Handle;
use wasmtime::component::Component;

/// A component, compiled and not yet run.
pub struct LoadedComponent {
    sandbox: Sandbox,
    runtime: Handle,
    component: Component,
    component_info: ComponentInfo,
}

/// A rule that has taken its settings.
pub struct RuleRunner<'a> {
    opened: &'a LoadedComponent,
    ready: RuleReady,
    description: RuleDescription,
    warnings: Vec<Problem>,
}

impl LoadedComponent {
    /// Reads and compiles the component of a rule. `runtime` must be multi-threaded with its timer enabled, and this
    /// thread none of its own.
    ///
    /// # Errors
    ///
    /// The key of the rule's table at fault, and what is wrong.
    pub fn read(
        rule: &RuleSettings,
        runtime: Handle,
        cache: Option<&CodeCache>,
    ) -> Result<Self, (&'static str, LoadError)> {
        let file = ComponentFile::read(rule)?;
        let sandbox = Sandbox::new(&[RuleSettings { reuse: true, ..rule.clone() }])
            .map_err(|error| ("", LoadError::Engine(format!("{error:#}"))))?;
        let component = compiled(&file, &sandbox.engine, cache).map_err(|error| ("component", error))?;
        let component_info = ComponentInfo::of(&sandbox.engine, &component, file.size(), file.sha256);
        Ok(Self { sandbox, runtime, component, component_info })
    }

    /// What it is made of.
    pub fn component_info(&self) -> &ComponentInfo {
        &self.component_info
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
    pub fn ready(&self, rule: &RuleSettings) -> Result<RuleRunner<'_>, Vec<Problem>> {
        let (ready, description, remarks) = self
            .introduce(rule)
            .and_then(Introduced::accepted)
            .map_err(|problems| keyed_to(rule, problems))?;
        Ok(RuleRunner { opened: self, ready, description, warnings: keyed_to(rule, remarks) })
    }

    fn introduce(&self, rule: &RuleSettings) -> Result<Introduced, Vec<Keyed>> {
        let wrong = out_of_range(rule);
        if !wrong.is_empty() {
            let setting = |(key, message): (&str, String)| (key.into(), LoadError::Setting(message));
            return Err(wrong.into_iter().map(setting).collect());
        }
        let settings = json_of(rule)?;
        introduce(rule, settings, &self.component, &self.component_info.sha256, &self.sandbox, &self.runtime)
    }
}

fn keyed_to(rule: &RuleSettings, problems: Vec<Keyed>) -> Vec<Problem> {
    problems.into_iter().map(|(key, error)| Problem { rule: rule.name.clone(), key, error }).collect()
}

impl RuleRunner<'_> {
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

    /// Asks it about one frame, in an instance of its own: a matching policy who the undecided subjects' faces are, an
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
        memory: &mut RuleState,
    ) -> Result<(RuleOutput, CallCost), RuleFailure> {
        let faces: Vec<Face> = subjects.iter().map(|subject| subject.face.clone()).collect();
        let scene = FrameContext::new(&faces, people);
        let LoadedComponent { sandbox, runtime, .. } = self.opened;
        let Consulted { opinion, changes, cost, .. } =
            runtime.block_on(evaluate(&self.ready, sandbox, frame, &scene, memory, subjects))?;
        memory.apply(frame.camera, vec![changes], frame.captured_at);
        Ok((opinion, cost))
    }
}
