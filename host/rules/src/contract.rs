//! What the chain asks of a rule, whatever version of the contract the rule was built against.
//!
//! Each released version has one file that translates between these types and its own bindings
//! (`v0_1_0.rs`). The chain, the checks and the limits know no version.

use super::FrameFacts;
use super::call::Call;
use super::engine::Sandbox;
use super::error::LoadError;
use super::v0_1_0;
use everyframe_config::RuleKind;
use everyframe_types::face::Face;
use everyframe_types::judgement::{Alert, Decision, Stranger, Subject};
use std::future::Future;
use std::pin::Pin;
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

/// The contract's package, without its version.
pub(super) const PACKAGE: &str = "everyframe:rules";

/// A call under way. Dropping it abandons the guest where it stands.
pub(super) type Calling<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// A rule ready to be instantiated: made once, by one version of the contract.
pub(super) trait RulePre: Send + Sync {
    /// Makes an instance, has it describe itself and take its settings (a JSON object).
    fn introduce<'a>(&'a self, store: &'a mut Store<Call>, settings: &'a str) -> Calling<'a, Introduction>;

    /// Makes an instance that takes its settings, or says why it refuses them.
    fn instantiate<'a>(
        &'a self,
        store: &'a mut Store<Call>,
        settings: &'a str,
    ) -> Calling<'a, Result<Box<dyn Instance>, Vec<Diagnostic>>>;
}

/// An instance that has taken its settings.
pub(super) trait Instance: Send + Sync {
    /// Asks it about one frame; `store` is its own.
    fn ask<'a>(
        &'a self,
        store: &'a mut Store<Call>,
        frame: &'a FrameFacts<'a>,
        question: Question<'a>,
    ) -> Calling<'a, Answer>;
}

/// What a rule says about itself.
pub(super) struct Introduction {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) about: String,
    pub(super) settings_schema: String,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// What a rule says about its settings.
#[derive(Debug)]
pub(super) struct Diagnostic {
    pub(super) refuses: bool,
    pub(super) key: String,
    pub(super) message: String,
}

/// The question of each kind of rule.
pub(super) enum Question<'a> {
    /// To a matching policy: who are these?
    Decide(Vec<&'a Face>),
    /// To an unknown-person rule: which strangers are these?
    Observe(Vec<&'a Face>),
    /// To an alert rule: should somebody hear of this?
    Judge(Vec<&'a Subject>),
}

/// An answer, by `face.index`, not checked yet.
#[derive(Debug)]
pub(super) enum Answer {
    /// To [`Question::Decide`].
    Verdicts(Vec<(u32, Decision)>),
    /// To [`Question::Observe`].
    Strangers(Vec<(u32, Stranger)>),
    /// To [`Question::Judge`]; `rule` is not filled in.
    Alerts(Vec<Alert>),
}

/// Binds a component that was built for a kind of rule.
type Bind = fn(&Sandbox, &Component, RuleKind) -> Result<Box<dyn RulePre>, LoadError>;

/// One version of the contract.
pub(super) struct Contract {
    /// `0.1.0`.
    pub(super) version: &'static str,
    /// Adds the interfaces that rules of this version import.
    pub(super) link: fn(&mut Linker<Call>) -> wasmtime::Result<()>,
    /// Binds a component of this version; fails if it does not fit.
    pub(super) bind: Bind,
}

/// Every version ever released, oldest first.
pub(super) const CONTRACTS: &[Contract] = &[v0_1_0::CONTRACT];

/// The interface that a component of a kind exports.
pub(super) fn interface_of(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::MatchingPolicy => "matching",
        RuleKind::UnknownPerson => "strangers",
        RuleKind::Alerting => "alerts",
    }
}
