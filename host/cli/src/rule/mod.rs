//! `everyframe rule`: what the author of a rule needs, without Kafka and cameras.

mod bench;
mod check;
mod inspect;
mod logs;
mod new;
mod record;
mod reload;
mod schema;
mod template;
mod test;

use super::WrongInput;
use anyhow::{Result, bail};
use everyframe_config::{Grants, RuleKind, RuleSettings};
use everyframe_rules::{ComponentInfo, LoadError, LoadedComponent, kind_name};
use std::path::Path;
use tokio::runtime::Runtime;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  everyframe rule new only-at-night --kind alerting --lang python
  everyframe rule inspect only-at-night.wasm
  everyframe rule check only-at-night.wasm --config everyframe.toml
  everyframe rule test only-at-night.wasm scenario.toml
  everyframe rule bench only-at-night.wasm scenario.toml
  everyframe rule record --rule only-at-night --camera gate --since 10m --output scenario.toml

Exit status: 0 if all is well, 1 if the rule has problems or its answers are not those expected, 2 if the command line is \
wrong, or a file is missing or has the wrong content.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a project for a rule, which builds as it is.
    New(new::Arguments),
    /// Show what a component is: its kind, what it says about itself, its settings, what it imports.
    Inspect(inspect::Arguments),
    /// Tell every problem that a host would have with a component and its settings.
    Check(check::Arguments),
    /// Put scenarios to a rule in its sandbox, and compare its answers with those expected.
    Test(test::Arguments),
    /// Write a scenario of what a camera saw: the frames that a host judged, and what its rule answered.
    Record(record::Arguments),
    /// Show what rules log, out of a host's log.
    Logs(logs::Arguments),
    /// Measure the time and memory of a rule's calls.
    Bench(bench::Arguments),
    /// Have the hosts on this machine read their rules again.
    Reload(reload::Arguments),
}

/// A kind of rule, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Who is this, is it sure.
    MatchingPolicy,
    /// A stranger, again, for how long.
    UnknownPerson,
    /// What somebody should hear of.
    Alerting,
}

/// A language for which there is a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// The quickest: a call takes tens of microseconds.
    Rust,
    /// By componentize-py, with CPython inside: a call takes about a millisecond.
    Python,
    /// By componentize-qjs, with QuickJS inside: a call takes about a tenth of one.
    Javascript,
}

impl From<Kind> for RuleKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::MatchingPolicy => Self::MatchingPolicy,
            Kind::UnknownPerson => Self::UnknownPerson,
            Kind::Alerting => Self::Alerting,
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.command {
        Command::New(arguments) => new::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Record(arguments) => record::run(arguments),
        Command::Logs(arguments) => logs::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Reload(arguments) => reload::run(arguments),
    }
}

/// A rule of which nothing is configured but its component. It may import what a configuration can grant, which its
/// calls are then refused: whether it is granted, only a configuration can tell.
fn unconfigured(component: &Path) -> RuleSettings {
    let grants = Grants { http: Some(Vec::new()), ..Grants::default() };
    // The kind, until the component has told its own.
    RuleSettings { grants, ..RuleSettings::new("rule", RuleKind::Alerting, component.to_owned()) }
}

/// The grants that a component wants, as keys of its rule's table.
fn wants(component_info: &ComponentInfo) -> String {
    if component_info.required_grants.is_empty() {
        "nothing".to_owned()
    } else {
        component_info.required_grants.join(", ")
    }
}

/// Reads and compiles a rule's component.
fn open(rule: &RuleSettings, runtime: &Runtime) -> Result<LoadedComponent> {
    let cache = super::code_cache()?;
    LoadedComponent::read(rule, runtime.handle().clone(), Some(&cache)).map_err(|(_, error)| match error {
        error if error.is_about_the_file() => WrongInput(error.to_string()).into(),
        error => anyhow::Error::msg(error.to_string()),
    })
}

/// Opens a component of which one kind can be told, for the commands that call it.
fn open_rule(component: &Path, runtime: &Runtime) -> Result<(LoadedComponent, RuleSettings)> {
    let mut rule = unconfigured(component);
    let opened = open(&rule, runtime)?;
    let problems = opened.component_info().problems(None, &rule.grants);
    if !problems.is_empty() {
        let errors: Vec<&LoadError> = problems.iter().map(|(_, error)| error).collect();
        bail!("{}: {}", component.display(), lines(&errors));
    }
    rule.kind = opened.component_info().kinds.first().copied().unwrap_or(rule.kind);
    Ok((opened, rule))
}

fn lines<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// `matching-policy`; of a component with several, all.
fn kinds(kinds: &[RuleKind]) -> String {
    match kinds {
        [] => "none: it is no rule".to_owned(),
        kinds => kinds.iter().map(|kind| kind_name(*kind)).collect::<Vec<_>>().join(", "),
    }
}

/// 99471 as `97.1 KiB`.
fn size(bytes: usize) -> String {
    match bytes as f64 / 1024.0 {
        kib if kib >= 1024.0 => format!("{:.1} MiB", kib / 1024.0),
        kib => format!("{kib:.1} KiB"),
    }
}
