//! The rules of a configuration, made ready once.

use super::FrameFacts;
use super::breaker::Breakers;
use super::call::{Call, FrameContext};
use super::chain::{self, Condition};
use super::compiled::CodeCache;
use super::component::{ComponentFile, contract_of};
use super::contract::{Diagnostic, Introduction, RulePre};
use super::engine::Sandbox;
use super::error::{FailureKind, LoadError, Problem, RuleError, RuleFailure};
use super::http::Hosts;
use super::instance_pool::InstancePool;
use super::limits::{DIAGNOSTICS, LOAD_TIME, MESSAGE_BYTES, presentable};
use super::log_rate::LogRate;
use super::rule_state::RuleState;
use super::settings::to_json;
use super::wasi_grants::WasiGrants;
use crate::RuleMeter;
use everyframe_config::{Limits, OnFailure, RuleKind, RuleSettings, camera_patterns};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tokio::runtime::{Handle, RuntimeFlavor};
use wasmtime::Engine;
use wasmtime::component::Component;
use wildmatch::WildMatch;

/// The rules of a configuration, ready to judge. One for the process; share it in an `Arc`.
pub struct Rules {
    pub(super) sandbox: Sandbox,
    pub(super) runtime: Handle,
    pub(super) chain: chain::Chain,
    pub(super) news: Mutex<Vec<Condition>>,
    descriptions: Vec<RuleDescription>,
    warnings: Vec<Problem>,
}

/// One rule, ready to be instantiated: made when the configuration is loaded, kept until the next one is.
pub(super) struct RuleReady {
    pub(super) name: String,
    pub(super) kind: RuleKind,
    /// Patterns of the cameras that it is asked about.
    pub(super) cameras: Vec<WildMatch>,
    /// Where faces are that it is told of; empty: everywhere.
    pub(super) zones: Vec<String>,
    pub(super) schedule: Option<String>,
    pub(super) on_failure: OnFailure,
    pub(super) limits: Limits,
    /// What it may reach besides the contract.
    pub(super) granted: WasiGrants,
    /// A JSON object.
    pub(super) settings: String,
    pub(super) pre: Box<dyn RulePre>,
    pub(super) breakers: Breakers,
    pub(super) instance_pool: InstancePool,
    pub(super) logs: Arc<LogRate>,
    pub(super) meter: RuleMeter,
}

impl RuleReady {
    /// `settings` is a JSON object.
    pub(super) fn new(
        rule: &RuleSettings,
        granted: WasiGrants,
        settings: String,
        pre: Box<dyn RulePre>,
    ) -> Self {
        Self {
            name: rule.name.clone(),
            kind: rule.kind,
            cameras: camera_patterns(&rule.cameras),
            zones: rule.zones.clone(),
            schedule: rule.schedule.clone(),
            on_failure: rule.on_failure,
            limits: rule.limits.clone(),
            granted,
            settings,
            pre,
            breakers: Breakers::new(rule.breaker),
            instance_pool: InstancePool::new(rule.reuse),
            logs: Arc::new(LogRate::new(rule.limits.log_rate)),
            meter: RuleMeter::default(),
        }
    }
}

/// Which rule this is, to the byte: each result names the rules that judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDescription {
    /// Its name in the configuration.
    pub name: String,
    /// Which world it is of.
    pub kind: RuleKind,
    /// What it calls itself.
    pub title: String,
    /// Its own version.
    pub version: String,
    /// One sentence of its own about it.
    pub about: String,
    /// JSON Schema of its settings.
    pub settings_schema: String,
    /// The version of the contract it was built against.
    pub contract: &'static str,
    /// Of the component file, hexadecimal.
    pub sha256: String,
}

impl Rules {
    /// Reads, checks and compiles every component, and lets each rule check its settings.
    ///
    /// Component paths must be absolute. `runtime` must be multi-threaded with its timer enabled: it wakes
    /// guests that wait. May be called from any thread; takes about 0.1 s for a Rust rule, and 11 s for a
    /// Python one, unless its code is in the `cache`.
    ///
    /// # Errors
    ///
    /// All problems of all rules at once.
    pub fn load(
        settings: &[RuleSettings],
        runtime: Handle,
        cache: Option<&CodeCache>,
    ) -> Result<Rules, RuleError> {
        let problems = check_settings(settings);
        if !problems.is_empty() {
            return Err(RuleError { problems });
        }
        let engine_problem = |message: String| RuleError {
            problems: vec![Problem {
                rule: String::new(),
                key: String::new(),
                error: LoadError::Engine(message),
            }],
        };
        if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err(engine_problem("it needs a multi-threaded tokio runtime".into()));
        }
        // A thread of its own: the caller may be a thread of the runtime, which must not block on it.
        std::thread::scope(|scope| scope.spawn(|| load(settings, runtime, cache)).join())
            .unwrap_or_else(|_| Err(engine_problem("loading panicked; report this as a bug".into())))
    }

    /// Has each rule's calls counted by its own meter from now on.
    pub fn measure(&mut self, meter_of: impl Fn(&str) -> RuleMeter) {
        self.chain.measure(meter_of);
    }

    /// The rule of that name, if there is one.
    pub fn describes(&self, rule: &str) -> Option<&RuleDescription> {
        self.descriptions.iter().find(|description| description.name == rule)
    }

    /// The component and the settings of a rule, if there is one of that name.
    pub fn configured(&self, rule: &str) -> Option<(&str, &str)> {
        Some((&self.describes(rule)?.sha256, self.chain.settings_of(rule)?))
    }

    /// One for each rule, in the order of the configuration.
    pub fn descriptions(&self) -> &[RuleDescription] {
        &self.descriptions
    }

    /// What the rules remarked about settings that they took all the same.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("descriptions", &self.descriptions).finish_non_exhaustive()
    }
}

fn load(settings: &[RuleSettings], runtime: Handle, cache: Option<&CodeCache>) -> Result<Rules, RuleError> {
    let sandbox = Sandbox::new(settings).map_err(|error| {
        let error = LoadError::Engine(format!("{error:#}"));
        RuleError { problems: vec![Problem { rule: String::new(), key: String::new(), error }] }
    })?;
    let (mut ready, mut descriptions) = (Vec::new(), Vec::new());
    let (mut warnings, mut problems) = (Vec::new(), Vec::new());
    // Rules of one component share its code: it is compiled once, and is in the processor's caches once.
    let mut code = HashMap::new();
    for rule in settings {
        let problem = |(key, error): (String, LoadError)| Problem { rule: rule.name.clone(), key, error };
        match load_rule(rule, &sandbox, &runtime, cache, &mut code) {
            Ok((rule, description, remarks)) => {
                ready.push(rule);
                descriptions.push(description);
                warnings.extend(remarks.into_iter().map(problem));
            }
            Err(errors) => problems.extend(errors.into_iter().map(problem)),
        }
    }
    if !problems.is_empty() {
        return Err(RuleError { problems });
    }
    let chain = chain::Chain::new(ready);
    Ok(Rules { sandbox, runtime, chain, news: Mutex::default(), descriptions, warnings })
}

/// What can be said before a file is read.
fn check_settings(settings: &[RuleSettings]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |rule: &str, key: &str, message: String| {
        problems.push(Problem { rule: rule.into(), key: key.into(), error: LoadError::Setting(message) });
    };
    let mut names = HashSet::new();
    for rule in settings {
        let right = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if rule.name.is_empty() || rule.name.len() > 64 || !rule.name.chars().all(right) {
            problem(
                &presentable(&rule.name, 64),
                "name",
                "must be 1 to 64 letters, digits, `-` or `_`".into(),
            );
        }
        if !names.insert(&rule.name) {
            problem(&rule.name, "name", "another rule has this name too; give each its own".into());
        }
        if rule.cameras.is_empty() {
            problem(&rule.name, "cameras", "names no camera; leave it out for all of them".into());
        }
        for (key, message) in out_of_range(rule) {
            problem(&rule.name, key, message);
        }
    }
    if settings.iter().all(|rule| rule.kind != RuleKind::MatchingPolicy) {
        problem("", "", "no rule is of kind `matching-policy`; add one".into());
    }
    problems
}

/// What is wrong with a rule's limits and grants.
pub(super) fn out_of_range(rule: &RuleSettings) -> Vec<(&'static str, String)> {
    let hosts = Hosts::of(&rule.grants).err().map(|message| ("grants.http", message));
    rule.limits.out_of_range().into_iter().chain(hosts).collect()
}

/// The component's code, out of the cache where there is one.
pub(super) fn compiled(
    file: &ComponentFile,
    engine: &Engine,
    cache: Option<&CodeCache>,
) -> Result<Component, LoadError> {
    cache.map_or_else(|| file.compile(engine), |cache| cache.compile(file, engine))
}

pub(super) type Keyed = (String, LoadError);

pub(super) fn at((key, error): (&str, LoadError)) -> Vec<Keyed> {
    vec![(key.to_owned(), error)]
}

fn load_rule(
    rule: &RuleSettings,
    sandbox: &Sandbox,
    runtime: &Handle,
    cache: Option<&CodeCache>,
    code: &mut HashMap<String, Component>,
) -> Result<(RuleReady, RuleDescription, Vec<Keyed>), Vec<Keyed>> {
    let settings = json_of(rule)?;
    let file = ComponentFile::read(rule).map_err(at)?;
    let component = match code.get(&file.sha256) {
        Some(component) => component.clone(),
        None => {
            let component =
                compiled(&file, &sandbox.engine, cache).map_err(|error| at(("component", error)))?;
            code.insert(file.sha256.clone(), component.clone());
            component
        }
    };
    introduce(rule, settings, &component, &file.sha256, sandbox, runtime)?.accepted()
}

/// A rule's settings as it takes them.
pub(super) fn json_of(rule: &RuleSettings) -> Result<String, Vec<Keyed>> {
    to_json(&rule.settings).map_err(|not| {
        let message = format!("{} is no number that a rule can be given; write a finite one", not.value);
        at((&format!("settings.{}", not.key), LoadError::Setting(message)))
    })
}

/// A rule that has been given its settings, and what it said to them.
pub(super) struct Introduced {
    ready: RuleReady,
    pub(super) description: RuleDescription,
    diagnostics: Vec<Diagnostic>,
}

impl Introduced {
    /// The rule and what it remarked; what it said if it refuses its settings.
    pub(super) fn accepted(self) -> Result<(RuleReady, RuleDescription, Vec<Keyed>), Vec<Keyed>> {
        let (mut refusals, mut remarks): (Vec<_>, Vec<_>) =
            self.diagnostics.into_iter().partition(|diagnostic| diagnostic.refuses);
        refusals.truncate(DIAGNOSTICS);
        remarks.truncate(DIAGNOSTICS);
        if refusals.is_empty() {
            return Ok((self.ready, self.description, remarks.into_iter().map(keyed).collect()));
        }
        refusals.extend(remarks);
        Err(refusals.into_iter().map(keyed).collect())
    }
}

/// Binds a component to a rule, and has it describe itself and check its settings, a JSON object.
pub(super) fn introduce(
    rule: &RuleSettings,
    settings: String,
    component: &Component,
    sha256: &str,
    sandbox: &Sandbox,
    runtime: &Handle,
) -> Result<Introduced, Vec<Keyed>> {
    let contract = contract_of(&sandbox.engine, component, rule).map_err(at)?;
    let granted =
        WasiGrants::new(&rule.grants).map_err(|message| at(("grants.http", LoadError::Setting(message))))?;
    let pre = (contract.bind)(sandbox, component, rule.kind).map_err(|error| at(("component", error)))?;
    let ready = RuleReady::new(rule, granted, settings, pre);
    let said = runtime
        .block_on(ask_for_introduction(&ready, sandbox))
        .map_err(|failure| at(("component", LoadError::Failed(failure))))?;
    let description = RuleDescription {
        name: rule.name.clone(),
        kind: rule.kind,
        title: presentable(&said.name, 128),
        version: presentable(&said.version, 64),
        about: presentable(&said.about, 1 << 10),
        settings_schema: said.settings_schema,
        contract: contract.version,
        sha256: sha256.to_owned(),
    };
    Ok(Introduced { ready, description, diagnostics: said.diagnostics })
}

fn keyed(diagnostic: Diagnostic) -> Keyed {
    let key = match presentable(&diagnostic.key, 128) {
        key if key.is_empty() => "settings".to_owned(),
        key => format!("settings.{key}"),
    };
    (key, LoadError::Settings(presentable(&diagnostic.message, MESSAGE_BYTES)))
}

async fn ask_for_introduction(rule: &RuleReady, sandbox: &Sandbox) -> Result<Introduction, RuleFailure> {
    let frame = FrameFacts::default();
    let fail = |(kind, message)| RuleFailure { rule: rule.name.clone(), kind, message };
    let call = Call::new(rule, &frame, &FrameContext::empty(), &RuleState::new())
        .map_err(|why| fail((FailureKind::NotRun, why)))?;
    let time = rule.limits.time().max(LOAD_TIME);
    let mut store = sandbox.store(call, &rule.limits, time);
    let introduced = sandbox.within(time, rule.pre.introduce(&mut store, &rule.settings)).await;
    introduced.map_err(|stopped| fail(stopped.diagnose(store.data(), &rule.limits, time)))
}
