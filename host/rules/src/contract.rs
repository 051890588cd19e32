//! What the host calls in a rule and what it gets back, independent of the contract's version.
//!
//! Each released version has one file (`v0_1_0.rs`) that translates between these types and its own bindings.
//! Evaluation, checks and limits do not depend on a version.

use super::error::LoadError;
use super::frame::FrameFacts;
use super::host_state::HostState;
use everyframe_config::RuleKind;
use everyframe_types::face::Face;
use everyframe_types::judgement::{Alert, Decision, Stranger, Subject};
use std::future::Future;
use std::pin::Pin;
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

/// The contract's package, without its version.
pub(super) const PACKAGE: &str = "everyframe:rules";

/// A call in progress. Dropping it abandons the guest where it is.
pub(super) type CallFuture<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// A linked component, ready to be instantiated. Made once when the rule is loaded.
pub(super) trait RulePre: Send + Sync {
    /// Makes an instance and calls its `describe`, then its `configure` with the settings (a JSON object).
    fn describe<'a>(
        &'a self,
        store: &'a mut Store<HostState>,
        settings: &'a str,
    ) -> CallFuture<'a, SelfDescription>;

    /// Makes an instance and calls its `configure` with the settings; the inner error has its refusals.
    fn instantiate<'a>(
        &'a self,
        store: &'a mut Store<HostState>,
        settings: &'a str,
    ) -> CallFuture<'a, Result<Box<dyn Instance>, Vec<Diagnostic>>>;
}

/// An instance that accepted its settings.
pub(super) trait Instance: Send + Sync {
    /// Calls the function of its kind for one frame; `store` is its own.
    fn call<'a>(
        &'a self,
        store: &'a mut Store<HostState>,
        frame: &'a FrameFacts<'a>,
        input: Input<'a>,
    ) -> CallFuture<'a, Answer>;
}

/// What a rule returns from `describe` and `configure`.
pub(super) struct SelfDescription {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) about: String,
    pub(super) settings_schema: String,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// A rule's message about one of its settings.
#[derive(Debug)]
pub(super) struct Diagnostic {
    /// True for an error, false for a warning.
    pub(super) is_error: bool,
    pub(super) key: String,
    pub(super) message: String,
}

/// What a rule of each kind is called with.
pub(super) enum Input<'a> {
    /// A matching policy decides who these faces are.
    Decide(Vec<&'a Face>),
    /// An unknown-person rule identifies strangers among these faces.
    Observe(Vec<&'a Face>),
    /// An alert rule raises alerts about these subjects.
    Judge(Vec<&'a Subject>),
}

/// What a rule of each kind returns, by `face.index`. Not checked yet.
#[derive(Debug)]
pub(super) enum Answer {
    /// To [`Input::Decide`].
    Verdicts(Vec<(u32, Decision)>),
    /// To [`Input::Observe`]. A stranger may be shared with all cameras.
    Strangers(Vec<(u32, Stranger)>),
    /// To [`Input::Judge`]; `rule` is empty.
    Alerts(Vec<Alert>),
}

/// Links a component that was built for a kind of rule.
type Bind = fn(&Linker<HostState>, &Component, RuleKind) -> Result<Box<dyn RulePre>, LoadError>;

/// One version of the contract.
pub(super) struct Contract {
    /// `0.1.0`.
    pub(super) version: &'static str,
    /// Adds the interfaces that rules of this version import.
    pub(super) link: fn(&mut Linker<HostState>) -> wasmtime::Result<()>,
    /// Links a component of this version; fails if it does not match the contract.
    pub(super) bind: Bind,
}

/// The interface that a component of a kind exports.
pub(super) fn interface_of(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::MatchingPolicy => "matching",
        RuleKind::UnknownPerson => "strangers",
        RuleKind::Alerting => "alerts",
    }
}

/// Evaluation calls each rule with the input of its kind, so this is not reached.
pub(super) fn wrong_input() -> wasmtime::Error {
    wasmtime::Error::msg("the host called a rule with the input of another kind; report this as a bug")
}
