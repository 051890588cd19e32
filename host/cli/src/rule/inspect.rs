//! `everyframe rule inspect`

use super::schema::{self, Setting};
use super::{kinds, open, size, unconfigured, wants};
use crate::{DONE, FAILED};
use anyhow::Result;
use everyframe_rule_tools::record::problem_text;
use everyframe_rules::ComponentInfo;
use everyframe_types::id::printable;
use serde_json::json;
use std::path::PathBuf;

/// The width that descriptions are broken to.
const WIDTH: usize = 100;

#[derive(clap::Args)]
pub struct Arguments {
    /// The component (`.wasm`).
    component: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let runtime = crate::runtime()?;
    let mut rule = unconfigured(&arguments.component);
    let opened = open(&rule, runtime)?;
    let component_info = opened.component_info();
    let mut problems: Vec<String> =
        component_info.problems(None, &rule.grants).into_iter().map(|(_, error)| error.to_string()).collect();
    let mut description = None;
    if let ([], Some(kind)) = (problems.as_slice(), component_info.kinds.first()) {
        rule.kind = *kind;
        match opened.describe(&rule) {
            Ok(described) => description = Some(described),
            Err(refused) => problems.extend(refused.iter().map(problem_text)),
        }
    }
    let settings = description.as_ref().map(|it| schema::settings(&it.settings_schema));
    if arguments.json {
        let field = |what: fn(&everyframe_rules::RuleDescription) -> &String| description.as_ref().map(what);
        let schema = description.as_ref().map(|it| &it.settings_schema);
        println!(
            "{}",
            json!({
                "file": arguments.component,
                "kind": component_info.kinds.first(),
                "contract": component_info.contract,
                "name": field(|it| &it.title),
                "version": field(|it| &it.version),
                "about": field(|it| &it.about),
                "settings": settings.as_ref().and_then(|it| it.as_ref().ok()),
                "settingsSchema": schema.and_then(|it| serde_json::from_str::<serde_json::Value>(it).ok()),
                "contractImports": component_info.contract_imports,
                "otherImports": component_info.other_imports,
                "wants": component_info.required_grants,
                "bytes": component_info.bytes,
                "sha256": component_info.sha256,
                "problems": problems,
            })
        );
    } else {
        if let Some(it) = &description {
            println!("{} {}\n{}\n", it.title, it.version, it.about);
        }
        print_anatomy(arguments, component_info);
        match &settings {
            Some(Ok(settings)) => print_settings(settings),
            Some(Err(reason)) => println!("\nsettings: {reason}"),
            None => {}
        }
        problems.iter().for_each(|problem| println!("problem   {problem}"));
    }
    Ok(if problems.is_empty() { DONE } else { FAILED })
}

fn print_anatomy(arguments: &Arguments, component_info: &ComponentInfo) {
    let none_or = |names: String| if names.is_empty() { "nothing".to_owned() } else { names };
    println!("kind      {}", kinds(&component_info.kinds));
    if let Some(version) = &component_info.contract {
        println!("contract  everyframe:rules@{version}");
    }
    println!("imports   {}", none_or(component_info.contract_imports.join(", ")));
    println!("besides   {}", none_or(component_info.packages().join(", ")));
    println!("wants     {}", wants(component_info));
    println!("file      {}, {}", arguments.component.display(), size(component_info.bytes));
    println!("sha256    {}", component_info.sha256);
}

fn print_settings(settings: &[Setting]) {
    if settings.is_empty() {
        println!("\nsettings: none");
        return;
    }
    let width = |of: fn(&Setting) -> &str| {
        settings.iter().map(|it| of(it).chars().count()).max().unwrap_or_default().min(40)
    };
    let (key, kind) = (width(|it| &it.key).max(3), width(|it| &it.kind).max(4));
    println!("\nsettings\n  {:key$}  {:kind$}  default", "key", "type");
    for setting in settings {
        let default = setting.default.as_deref().unwrap_or(if setting.required { "required" } else { "" });
        let line = format!("  {:key$}  {:kind$}  {default}", setting.key, setting.kind);
        println!("{}", printable(line.trim_end()));
        broken(&printable(&setting.description), WIDTH - 6).iter().for_each(|line| println!("      {line}"));
    }
}

/// Text in lines of at most so many characters, where its words allow it.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
