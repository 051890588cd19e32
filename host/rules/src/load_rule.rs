//! Loads one rule: binds its component, and has it check its settings.

use super::code_cache::CodeCache;
use super::component_file::ComponentFile;
use super::component_imports::check_component;
use super::contract::{Diagnostic, SelfDescription};
use super::error::{FailureKind, Fault, LoadError, Problem, RuleFailure};
use super::frame::{FrameContext, FrameFacts};
use super::host_state::HostState;
use super::limits::{LOAD_TIME, MAX_DIAGNOSTICS, MESSAGE_BYTES, presentable};
use super::loaded_rule::LoadedRule;
use super::rule_state::RuleState;
use super::sandbox::Sandbox;
use super::settings_json::settings_json;
use super::wasi_grants::WasiGrants;
use super::wasi_http::GrantedHosts;
use everyframe_config::{RuleKind, RuleSettings};
use tokio::runtime::Handle;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Identifies a rule to the byte. Each result names the rules that judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDescription {
    /// The rule's name in the configuration.
    pub name: String,
    /// The rule's kind.
    pub kind: RuleKind,
    /// The rule's own name.
    pub title: String,
    /// The rule's own version.
    pub version: String,
    /// The rule's own description, one sentence.
    pub about: String,
    /// JSON Schema of the rule's settings.
    pub settings_schema: String,
    /// The version of the contract that the rule was built against.
    pub contract: &'static str,
    /// SHA-256 of the component file, hexadecimal.
    pub sha256: String,
}

/// A rule that has run `describe` and `configure`, and its diagnostics.
pub(super) struct ConfiguredRule {
    rule: LoadedRule,
    pub(super) description: RuleDescription,
    diagnostics: Vec<Diagnostic>,
}

/// A rule that accepted its settings.
pub(super) struct AcceptedRule {
    pub(super) rule: LoadedRule,
    pub(super) description: RuleDescription,
    pub(super) warnings: Vec<Problem>,
}

impl ConfiguredRule {
    /// # Errors
    ///
    /// The rule's errors about its settings, followed by its warnings.
    pub(super) fn accept(self) -> Result<AcceptedRule, Vec<Problem>> {
        let Self { rule, description, diagnostics } = self;
        let (mut errors, mut warnings): (Vec<_>, Vec<_>) =
            diagnostics.into_iter().partition(|diagnostic| diagnostic.is_error);
        errors.truncate(MAX_DIAGNOSTICS);
        warnings.truncate(MAX_DIAGNOSTICS);
        let problem = |diagnostic| settings_problem(rule.name(), diagnostic);
        if errors.is_empty() {
            let warnings = warnings.into_iter().map(problem).collect();
            return Ok(AcceptedRule { rule, description, warnings });
        }
        Err(errors.into_iter().chain(warnings).map(problem).collect())
    }
}

/// The problems of a rule's limits and grants, by key.
pub(super) fn check_limits_and_grants(rule: &RuleSettings) -> Vec<Problem> {
    let hosts = GrantedHosts::parse(&rule.grants).err().map(|message| ("grants.http", message));
    let problem = |(key, message): (&str, String)| Problem::new(&rule.name, key, LoadError::Setting(message));
    rule.limits.out_of_range().into_iter().chain(hosts).map(problem).collect()
}

/// Compiles a component, with the cache if there is one.
///
/// # Errors
///
/// The component does not compile.
pub(super) fn compile(
    file: &ComponentFile,
    engine: &Engine,
    cache: Option<&CodeCache>,
) -> Result<Component, LoadError> {
    cache.map_or_else(|| file.compile(engine), |cache| cache.compile(file, engine))
}

/// Converts a rule's settings to JSON.
///
/// # Errors
///
/// A number that JSON cannot express.
pub(super) fn convert_settings(rule: &RuleSettings) -> Result<String, Vec<Problem>> {
    settings_json(&rule.settings).map_err(|number| {
        let message = format!("{} cannot be passed to a rule; write a finite number", number.value);
        vec![Problem::new(&rule.name, format!("settings.{}", number.key), LoadError::Setting(message))]
    })
}

/// Binds a component to a rule, and calls its `describe` and `configure` with the settings, a JSON object.
///
/// # Errors
///
/// The component does not match the configuration or the contract, or the rule failed in one of the two calls.
pub(super) fn configure(
    rule: &RuleSettings,
    settings: String,
    component: &Component,
    sha256: &str,
    sandbox: &Sandbox,
    runtime: &Handle,
) -> Result<ConfiguredRule, Vec<Problem>> {
    let problem = |key: &str, error| vec![Problem::new(&rule.name, key, error)];
    let contract =
        check_component(&sandbox.engine, component, rule).map_err(|(key, error)| problem(key, error))?;
    let grants = WasiGrants::new(&rule.grants)
        .map_err(|message| problem("grants.http", LoadError::Setting(message)))?;
    let pre = (contract.bind)(&sandbox.linker, component, rule.kind)
        .map_err(|error| problem("component", error))?;
    let loaded = LoadedRule::new(rule, grants, settings, pre);
    let described = runtime
        .block_on(call_describe(&loaded, sandbox))
        .map_err(|failure| problem("component", LoadError::Failed(failure)))?;
    let description = RuleDescription {
        name: rule.name.clone(),
        kind: rule.kind,
        title: presentable(&described.name, 128),
        version: presentable(&described.version, 64),
        about: presentable(&described.about, 1 << 10),
        settings_schema: described.settings_schema,
        contract: contract.version,
        sha256: sha256.to_owned(),
    };
    Ok(ConfiguredRule { rule: loaded, description, diagnostics: described.diagnostics })
}

fn settings_problem(rule: &str, diagnostic: Diagnostic) -> Problem {
    let key = match presentable(&diagnostic.key, 128) {
        key if key.is_empty() => "settings".to_owned(),
        key => format!("settings.{key}"),
    };
    Problem::new(rule, key, LoadError::Settings(presentable(&diagnostic.message, MESSAGE_BYTES)))
}

async fn call_describe(rule: &LoadedRule, sandbox: &Sandbox) -> Result<SelfDescription, RuleFailure> {
    let policy = &rule.policy;
    let state = HostState::new(policy, &FrameFacts::default(), &FrameContext::empty(), &RuleState::new())
        .map_err(|message| policy.failure(Fault::new(FailureKind::NotRun, message)))?;
    let time = policy.limits.time().max(LOAD_TIME);
    let mut store = sandbox.create_store(state, &policy.limits, time);
    let described = sandbox.run_with_timeout(time, rule.pre.describe(&mut store, &rule.settings)).await;
    described.map_err(|error| policy.failure(error.into_fault(store.data(), &policy.limits, time)))
}
