//! The rules of a configuration: loaded once, then judging frames.

use super::chain::{Chain, Condition};
use super::code_cache::CodeCache;
use super::component_file::ComponentFile;
use super::error::{LoadError, Problem, RuleError, RuleFailure};
use super::frame::FrameFacts;
use super::limits::presentable;
use super::load_rule::{
    AcceptedRule, RuleDescription, check_limits_and_grants, compile, configure, convert_settings,
};
use super::meter::RuleMeter;
use super::previous_judgement::PreviousJudgement;
use super::rule_state::RuleState;
use super::sandbox::Sandbox;
use everyframe_config::{OnFailure, RuleKind, RuleSettings};
use everyframe_types::face::{Face, People};
use everyframe_types::judgement::Judgement;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::runtime::{Handle, RuntimeFlavor};
use wasmtime::component::Component;

/// The rules of a configuration, ready to judge. One for the process; share it in an `Arc`.
pub struct Rules {
    runtime: Handle,
    chain: Chain,
    descriptions: Vec<RuleDescription>,
    warnings: Vec<Problem>,
}

impl Rules {
    /// Reads, checks and compiles every component, and lets each rule check its settings.
    ///
    /// Component paths must be absolute. `runtime` must be multi-threaded with its timer enabled: it wakes guests that wait.
    /// May be called from any thread. Takes about 0.1 s for a Rust rule, and 11 s for a Python rule unless its code is in the
    /// `cache`.
    ///
    /// # Errors
    ///
    /// All problems of all rules. Show them; a running host keeps its current rules.
    pub fn load(
        settings: &[RuleSettings],
        runtime: Handle,
        cache: Option<&CodeCache>,
    ) -> Result<Rules, RuleError> {
        let problems = check_settings(settings);
        if !problems.is_empty() {
            return Err(RuleError { problems });
        }
        if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err(engine_problem("it needs a multi-threaded tokio runtime".into()));
        }
        // On its own thread: the caller may be a thread of the runtime, which must not block on the runtime.
        std::thread::scope(|scope| scope.spawn(|| load_rules(settings, runtime, cache)).join())
            .unwrap_or_else(|_| Err(engine_problem("loading panicked; report this as a bug".into())))
    }

    /// Makes each rule count its calls in the meter of its name.
    pub fn set_meters(&mut self, meter_for: impl Fn(&str) -> RuleMeter) {
        self.chain.set_meters(meter_for);
    }

    /// Drops the instances of rules with `reuse = true`, with all that is in their memory.
    pub fn drop_instances(&self) {
        self.chain.drop_instances();
    }

    /// The description of the rule of that name, if there is one.
    pub fn description(&self, rule: &str) -> Option<&RuleDescription> {
        self.descriptions.iter().find(|description| description.name == rule)
    }

    /// The SHA-256 of a rule's component and the rule's settings as JSON, if there is a rule of that name.
    pub fn component_and_settings(&self, rule: &str) -> Option<(&str, &str)> {
        Some((&self.description(rule)?.sha256, &self.chain.find_rule(rule)?.settings))
    }

    /// The descriptions of all rules, in the order of the configuration.
    pub fn descriptions(&self) -> &[RuleDescription] {
        &self.descriptions
    }

    /// The rules' warnings about settings that they accepted.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// True if the lane waits and tries the frame again when this rule fails (`on_failure = "stop"`).
    pub fn stops_on_failure(&self, rule: &str) -> bool {
        self.chain.find_rule(rule).is_some_and(|rule| rule.on_failure == OnFailure::Stop)
    }

    /// The rules that began to fail or recovered since the last call.
    pub fn take_conditions(&self) -> Vec<Condition> {
        self.chain.take_conditions()
    }

    /// Judges one frame, also a frame without faces. Blocks the calling thread, which must not be one of the runtime's.
    /// Several threads may judge at once, each with its lane's state.
    ///
    /// # Errors
    ///
    /// A rule failed and the state did not change. Retry the frame if [`Rules::stops_on_failure`], park it otherwise.
    pub fn judge(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        state: &mut RuleState,
    ) -> Result<Judgement, RuleFailure> {
        self.judge_with(frame, faces, people, state, None)
    }

    /// Judges a frame again from its stored result, whose faces have no embeddings. Where a matching policy or an
    /// unknown-person rule requests an embedding, its previous output is used. The judgement's `blind` names these rules.
    ///
    /// # Errors
    ///
    /// A rule failed: a host would park the frame.
    pub fn rejudge(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        state: &mut RuleState,
        previous: &PreviousJudgement<'_>,
    ) -> Result<Judgement, RuleFailure> {
        self.judge_with(frame, faces, people, state, Some(previous))
    }

    fn judge_with(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        state: &mut RuleState,
        previous: Option<&PreviousJudgement<'_>>,
    ) -> Result<Judgement, RuleFailure> {
        let (mut judgement, changes) =
            self.runtime.block_on(self.chain.judge_frame(frame, faces, people, state, previous))?;
        judgement.state = state.apply(frame.camera, changes, frame.captured_at);
        Ok(judgement)
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("descriptions", &self.descriptions).finish_non_exhaustive()
    }
}

fn engine_problem(message: String) -> RuleError {
    RuleError { problems: vec![Problem::new("", "", LoadError::Engine(message))] }
}

fn load_rules(
    settings: &[RuleSettings],
    runtime: Handle,
    cache: Option<&CodeCache>,
) -> Result<Rules, RuleError> {
    let sandbox = Sandbox::new(settings).map_err(|error| engine_problem(format!("{error:#}")))?;
    let (mut rules, mut descriptions) = (Vec::new(), Vec::new());
    let (mut warnings, mut problems) = (Vec::new(), Vec::new());
    // By SHA-256. Rules of one component share its code: it is compiled once, and is in the processor's caches once.
    let mut components = HashMap::new();
    for rule in settings {
        match load_rule(rule, &sandbox, &runtime, cache, &mut components) {
            Ok(accepted) => {
                rules.push(accepted.rule);
                descriptions.push(accepted.description);
                warnings.extend(accepted.warnings);
            }
            Err(errors) => problems.extend(errors),
        }
    }
    if !problems.is_empty() {
        return Err(RuleError { problems });
    }
    Ok(Rules { runtime, chain: Chain::new(rules, sandbox), descriptions, warnings })
}

fn load_rule(
    rule: &RuleSettings,
    sandbox: &Sandbox,
    runtime: &Handle,
    cache: Option<&CodeCache>,
    components: &mut HashMap<String, Component>,
) -> Result<AcceptedRule, Vec<Problem>> {
    let problem = |key: &str, error| vec![Problem::new(&rule.name, key, error)];
    let settings = convert_settings(rule)?;
    let file = ComponentFile::read(rule).map_err(|(key, error)| problem(key, error))?;
    let component = match components.get(&file.sha256) {
        Some(component) => component.clone(),
        None => {
            let component =
                compile(&file, &sandbox.engine, cache).map_err(|error| problem("component", error))?;
            components.insert(file.sha256.clone(), component.clone());
            component
        }
    };
    configure(rule, settings, &component, &file.sha256, sandbox, runtime)?.accept()
}

/// The problems that are found before any file is read.
fn check_settings(settings: &[RuleSettings]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    for rule in settings {
        let mut add = |rule: &str, key: &str, message: &str| {
            problems.push(Problem::new(rule, key, LoadError::Setting(message.into())));
        };
        let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if rule.name.is_empty() || rule.name.len() > 64 || !rule.name.chars().all(is_valid) {
            add(&presentable(&rule.name, 64), "name", "must be 1 to 64 letters, digits, `-` or `_`");
        }
        if !names.insert(&rule.name) {
            add(&rule.name, "name", "another rule has this name too; give each rule its own");
        }
        if rule.cameras.is_empty() {
            add(&rule.name, "cameras", "names no camera; leave it out for all cameras");
        }
        problems.extend(check_limits_and_grants(rule));
    }
    if settings.iter().all(|rule| rule.kind != RuleKind::MatchingPolicy) {
        let message = "no rule is of kind `matching-policy`; add one".into();
        problems.push(Problem::new("", "", LoadError::Setting(message)));
    }
    problems
}
