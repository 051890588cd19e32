//! Runs one rule on its own, outside a chain, for the tools of rule authors.
//!
//! The rule is loaded and evaluated like the rules of a chain. The caller supplies the results of the rules before it.

use super::code_cache::CodeCache;
use super::component_file::ComponentFile;
use super::component_info::ComponentInfo;
use super::error::{LoadError, Problem, RuleFailure};
use super::evaluate::{Evaluation, RuleOutput, evaluate};
use super::frame::{FrameContext, FrameFacts};
use super::load_rule::{
    AcceptedRule, ConfiguredRule, RuleDescription, check_limits_and_grants, compile, configure,
    convert_settings,
};
use super::loaded_rule::LoadedRule;
use super::meter::CallCost;
use super::rule_state::RuleState;
use super::sandbox::Sandbox;
use everyframe_config::{RuleKind, RuleSettings};
use everyframe_types::face::{Face, People};
use everyframe_types::judgement::Subject;
use std::sync::Arc;
use tokio::runtime::Handle;
use wasmtime::component::Component;

/// A component that is compiled and has not run yet.
pub struct LoadedComponent {
    sandbox: Sandbox,
    runtime: Handle,
    component: Component,
    info: ComponentInfo,
}

/// A rule that accepted its settings.
pub struct RuleRunner<'a> {
    component: &'a LoadedComponent,
    rule: LoadedRule,
    description: RuleDescription,
    warnings: Vec<Problem>,
}

impl LoadedComponent {
    /// Reads and compiles the component of a rule. `runtime` must be multi-threaded with its timer enabled. The calling thread
    /// must not be one of the runtime's.
    ///
    /// # Errors
    ///
    /// The key of the rule's table that is at fault, and what is wrong.
    pub fn read(
        rule: &RuleSettings,
        runtime: Handle,
        cache: Option<&CodeCache>,
    ) -> Result<Self, (&'static str, LoadError)> {
        let file = ComponentFile::read(rule)?;
        let sandbox = Sandbox::new(&[RuleSettings { reuse: true, ..rule.clone() }])
            .map_err(|error| ("", LoadError::Engine(format!("{error:#}"))))?;
        let component = compile(&file, &sandbox.engine, cache).map_err(|error| ("component", error))?;
        let info = ComponentInfo::read(&sandbox.engine, &component, file.size(), file.sha256);
        Ok(Self { sandbox, runtime, component, info })
    }

    /// The component's kinds, versions, imports, size and checksum.
    pub fn component_info(&self) -> &ComponentInfo {
        &self.info
    }

    /// The rule's description of itself, whether it accepts these settings or not.
    ///
    /// # Errors
    ///
    /// Every reason why the rule's `describe` and `configure` cannot be called.
    pub fn describe(&self, rule: &RuleSettings) -> Result<RuleDescription, Vec<Problem>> {
        Ok(self.call_configure(rule)?.description)
    }

    /// Has the rule check its settings, as when a configuration is loaded.
    ///
    /// # Errors
    ///
    /// Every reason why a host would not load the rule.
    pub fn configure(&self, rule: &RuleSettings) -> Result<RuleRunner<'_>, Vec<Problem>> {
        let AcceptedRule { rule, description, warnings } = self.call_configure(rule)?.accept()?;
        Ok(RuleRunner { component: self, rule, description, warnings })
    }

    fn call_configure(&self, rule: &RuleSettings) -> Result<ConfiguredRule, Vec<Problem>> {
        let problems = check_limits_and_grants(rule);
        if !problems.is_empty() {
            return Err(problems);
        }
        let settings = convert_settings(rule)?;
        configure(rule, settings, &self.component, &self.info.sha256, &self.sandbox, &self.runtime)
    }
}

impl RuleRunner<'_> {
    /// The rule's description of itself.
    pub fn description(&self) -> &RuleDescription {
        &self.description
    }

    /// The rule's warnings about settings that it accepted.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The rule's kind.
    pub fn kind(&self) -> RuleKind {
        self.rule.kind
    }

    /// Evaluates the rule on one frame: a matching policy on the faces of undecided subjects, an unknown-person rule on those
    /// of unknown ones, an alert rule on all. Its state changes only if it succeeds.
    ///
    /// # Errors
    ///
    /// The rule failed, as it would in a chain. The next frame can be evaluated.
    pub fn evaluate(
        &self,
        frame: &FrameFacts<'_>,
        subjects: &[Subject],
        people: &Arc<dyn People>,
        state: &mut RuleState,
    ) -> Result<(RuleOutput, CallCost), RuleFailure> {
        let faces: Vec<Face> = subjects.iter().map(|subject| subject.face.clone()).collect();
        let context = FrameContext::new(&faces, people);
        let LoadedComponent { sandbox, runtime, .. } = self.component;
        let Evaluation { output, changes, cost, .. } =
            runtime.block_on(evaluate(&self.rule, sandbox, frame, &context, state, subjects))?;
        state.apply(frame.camera, vec![changes], frame.captured_at);
        Ok((output, cost))
    }
}
