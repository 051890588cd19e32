//! `everyframe rule check`

use super::{Kind, kinds, open, size, unconfigured, wants};
use crate::{DONE, FAILED, WrongInput};
use anyhow::Result;
use everyframe_config::{ConfigError, KeyLines, Loaded, Problem, RuleSettings};
use everyframe_rules::{Problem as RuleProblem, RuleDescription, kind_name};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The component (`.wasm`).
    component: PathBuf,
    /// The kind that it must be of; with `--config`, the configuration's.
    #[arg(long)]
    kind: Option<Kind>,
    /// A TOML file with nothing but the rule's settings.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    settings: Option<PathBuf>,
    /// A host's configuration: its settings, limits and checksum of the rule.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The rule's name in the configuration; without it, the one that has this component.
    #[arg(long, value_name = "NAME", requires = "config")]
    rule: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Where the settings were taken from.
enum Source {
    Nowhere,
    /// A file of settings, and its text.
    Settings(PathBuf, String),
    /// A configuration, and the rule's place in it.
    Config(Box<Loaded>, usize),
}

impl Source {
    /// A problem with a key of the rule's table, with file and line where it has them.
    fn place(&self, key: &str, message: String) -> Problem {
        match self {
            Self::Config(loaded, at) if key.is_empty() => loaded.problem(&format!("rules[{at}]"), message),
            Self::Config(loaded, at) => loaded.problem(&format!("rules[{at}].{key}"), message),
            Self::Settings(file, text) if key.starts_with("settings") => {
                let key = key.strip_prefix("settings.").unwrap_or_default();
                let line = KeyLines::parse(text).line(key);
                Problem { file: file.clone(), line, key: key.to_owned(), message }
            }
            _ => Problem { file: PathBuf::new(), line: None, key: key.to_owned(), message },
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let (mut rule, source) = configured(arguments)?;
    let asked = match &source {
        Source::Config(..) => Some(rule.kind),
        _ => arguments.kind.map(Into::into),
    };
    let runtime = crate::runtime()?;
    // A checksum that is not the configuration's is one problem among others.
    let pinned = rule.sha256.take();
    let opened = open(&rule, runtime)?;
    let component_info = opened.component_info();
    let mut problems: Vec<Problem> = Vec::new();
    if let Some(pinned) = pinned.filter(|pinned| !pinned.eq_ignore_ascii_case(&component_info.sha256)) {
        let actual = &component_info.sha256;
        let message =
            format!("is {pinned}, but the file has {actual}; if it is meant, write `sha256 = \"{actual}\"`");
        problems.push(source.place("sha256", message));
    }
    let of_the_component = component_info.problems(asked, &rule.grants);
    let is_fit = of_the_component.iter().all(|(key, _)| *key == "kind");
    problems.extend(of_the_component.into_iter().map(|(key, error)| source.place(key, error.to_string())));
    let mut description = None;
    let mut warnings = Vec::new();
    // Of another kind than asked, it may have problems with its settings besides.
    let kind =
        asked.filter(|kind| component_info.kinds.contains(kind)).or(component_info.kinds.first().copied());
    if let (true, Some(kind)) = (is_fit, kind) {
        rule.kind = kind;
        let placed = |it: &RuleProblem| source.place(&it.key, it.error.to_string());
        match opened.configure(&rule) {
            Ok(ready) => {
                description = Some(ready.description().clone());
                warnings.extend(ready.warnings().iter().map(placed));
            }
            Err(refused) => {
                problems.extend(refused.iter().map(placed));
                description = opened.describe(&rule).ok();
            }
        }
    }
    if arguments.json {
        let places = |problems: &[Problem]| problems.iter().map(as_json).collect::<Vec<_>>();
        println!(
            "{}",
            json!({
                "file": arguments.component,
                "ok": problems.is_empty(),
                "kind": component_info.kinds.first(),
                "contract": component_info.contract,
                "name": description.as_ref().map(|it| &it.title),
                "version": description.as_ref().map(|it| &it.version),
                "contractImports": component_info.contract_imports,
                "otherImports": component_info.other_imports,
                "wants": component_info.required_grants,
                "bytes": component_info.bytes,
                "sha256": component_info.sha256,
                "problems": places(&problems),
                "warnings": places(&warnings),
            })
        );
    } else {
        if let Some(RuleDescription { title, version, contract, kind, .. }) = &description {
            println!("{title} {version}: {}, everyframe:rules@{contract}", kind_name(*kind));
        } else {
            println!("kind: {}", kinds(&component_info.kinds));
        }
        println!("size {}, sha256 {}", size(component_info.bytes), component_info.sha256);
        println!(
            "imports {}",
            [component_info.contract_imports.clone(), component_info.packages()].concat().join(", ")
        );
        if !component_info.required_grants.is_empty() {
            println!("wants {}", wants(component_info));
        }
        warnings.iter().for_each(|warning| println!("warning  {}", render_problem(warning)));
        problems.iter().for_each(|problem| println!("problem  {}", render_problem(problem)));
        let verdict = match problems.len() {
            0 => "in order".to_owned(),
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        println!("{}: {verdict}", arguments.component.display());
    }
    Ok(if problems.is_empty() { DONE } else { FAILED })
}

fn as_json(problem: &Problem) -> serde_json::Value {
    let file = Some(&problem.file).filter(|file| !file.as_os_str().is_empty());
    json!({ "file": file, "line": problem.line, "key": problem.key, "message": problem.message })
}

/// Without the file, if there is none.
fn render_problem(problem: &Problem) -> String {
    let text = problem.to_string();
    match problem.file.as_os_str().is_empty() {
        true => text.trim_start_matches(": ").to_owned(),
        false => text,
    }
}

/// The rule as it is to be checked, and where its settings come from.
fn configured(arguments: &Arguments) -> Result<(RuleSettings, Source)> {
    let component = &arguments.component;
    if let Some(file) = &arguments.settings {
        let text = std::fs::read_to_string(file)
            .map_err(|error| WrongInput(format!("{}: cannot be read: {error}", file.display())))?;
        let settings =
            KeyLines::parse(&text).read(file).map_err(|problem| ConfigError::Invalid(vec![problem]))?;
        return Ok((
            RuleSettings { settings, ..unconfigured(component) },
            Source::Settings(file.clone(), text),
        ));
    }
    let Some(file) = &arguments.config else {
        return Ok((unconfigured(component), Source::Nowhere));
    };
    let mut loaded = everyframe_kafka::read_configuration(file)?;
    loaded.resolve_grants()?;
    let rules = &loaded.config.rules;
    let chosen: Vec<usize> = match &arguments.rule {
        Some(name) => (0..rules.len()).filter(|at| rules[*at].name == *name).collect(),
        None => (0..rules.len()).filter(|at| is_the_same(&rules[*at].component, component)).collect(),
    };
    let [at] = chosen.as_slice() else {
        let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        let what = match (&arguments.rule, chosen.len()) {
            (Some(name), 0) => format!("no rule is called `{name}`"),
            (None, 0) => format!("no rule has the component {}", component.display()),
            (_, count) => format!("{count} rules fit"),
        };
        let advice = format!("name one with --rule; there are: {}", names.join(", "));
        return Err(WrongInput(format!("{}: {what}; {advice}", file.display())).into());
    };
    let rule = RuleSettings { component: component.clone(), ..rules[*at].clone() };
    let at = *at;
    if let Some(kind) = arguments.kind.filter(|kind| rule.kind != (*kind).into()) {
        let kind = kind_name(kind.into());
        let message = format!("is `{}`, but `--kind {kind}` was given; leave one out", kind_name(rule.kind));
        return Err(ConfigError::Invalid(vec![loaded.problem(&format!("rules[{at}].kind"), message)]).into());
    }
    Ok((rule, Source::Config(Box::new(loaded), at)))
}

fn is_the_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
