//! README and docs/ name commands, options and settings that exist.

use super::Arguments;
use clap::{Command, CommandFactory as _};
use everyframe_config::{Config, RuleKind, RuleSettings};
use everyframe_notify::Meters;
use everyframe_pipeline::observe::Metrics;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A page: its name, and its text.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("wit").is_dir());
    let root = root.expect("the sources lie in the repository");
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("docs"))
        .expect("docs/")
        .map(|entry| entry.expect("an entry of docs/").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    files.extend(
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root.join(name)),
    );
    files.sort();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("a page"))).collect()
}

/// The code blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// The pieces of code within sentences.
fn spans(page: &str) -> Vec<String> {
    let prose: String = page.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}

/// Every `everyframe …` of a page, as its words.
fn commands(page: &str) -> Vec<Vec<String>> {
    let lines = blocks(page, "sh").into_iter().flat_map(str::lines);
    let lines = lines.map(|line| line.split(" #").next().unwrap_or_default().to_owned());
    let parts = lines
        .chain(spans(page))
        .flat_map(|line| line.split([';', '&']).map(str::to_owned).collect::<Vec<_>>());
    let words = parts.flat_map(|part| {
        let pipeline =
            part.split(" | ").map(|command| command.split_whitespace().map(str::to_owned).collect());
        pipeline.collect::<Vec<Vec<String>>>()
    });
    words.filter(|words| words.first().is_some_and(|word| word == "everyframe")).collect()
}

/// What is wrong with a command, if anything is.
fn fault(root: &Command, words: &[String]) -> Option<String> {
    let mut command = root;
    let mut subcommands = true;
    for word in &words[1..] {
        if let Some(option) = word.strip_prefix("--") {
            let name = option.split('=').next().unwrap_or_default();
            let has =
                |command: &Command| command.get_arguments().any(|argument| argument.get_long() == Some(name));
            if !has(command) && !has(root) {
                return Some(format!("`{}` has no option --{name}", command.get_name()));
            }
            subcommands = false;
        } else if subcommands && command.has_subcommands() {
            // `rule inspect|check`: each of them.
            for name in word.split('|') {
                let is_word = name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
                match command.find_subcommand(name) {
                    Some(found) if !word.contains('|') => command = found,
                    None if is_word => {
                        return Some(format!("`{}` has no command {name}", command.get_name()));
                    }
                    _ => subcommands = false,
                }
            }
        }
    }
    None
}

/// What the schema says of a key; `None` if there is none of that path.
fn look_up<'a>(root: &'a Value, path: &[&str]) -> Option<&'a Value> {
    let mut schema = root;
    for key in path {
        schema = resolve(root, schema);
        if schema["type"] == "array" {
            schema = resolve(root, &schema["items"]);
        }
        schema = choose(root, schema, key)?;
        schema = match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Null | Value::Bool(false)) => return None,
            // Names of any kind: properties of librdkafka, a rule's own settings.
            (Value::Null, _) => return Some(schema),
            (found, _) => found,
        };
    }
    Some(schema)
}

/// Every key of a table, with the keys that lead to it.
fn paths(table: &toml::Table) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    for (key, value) in table {
        found.push(vec![key.as_str()]);
        let tables: Vec<&toml::Table> = match value {
            toml::Value::Table(table) => vec![table],
            toml::Value::Array(values) => values.iter().filter_map(toml::Value::as_table).collect(),
            _ => Vec::new(),
        };
        let inner = tables.into_iter().flat_map(paths);
        found.extend(inner.map(|path| [vec![key.as_str()], path].concat()));
    }
    found
}

/// Of a table that may be missing, or a value that may be kept elsewhere: the kind that has the key.
fn choose<'a>(root: &'a Value, schema: &'a Value, key: &str) -> Option<&'a Value> {
    let kinds = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
    let Some(kinds) = kinds else { return Some(schema) };
    let mut kinds = kinds.iter().filter_map(|kind| choose(root, resolve(root, kind), key));
    kinds.find(|kind| !kind["properties"][key].is_null())
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
    reference.and_then(|path| root.pointer(path)).unwrap_or(schema)
}

#[test]
fn commands_of_the_documentation_exist() {
    let mut root = Arguments::command();
    root.build();
    let (mut found, mut faults) = (0, Vec::new());
    for (name, page) in pages() {
        for words in commands(&page) {
            found += 1;
            faults.extend(fault(&root, &words).map(|fault| format!("{name}: {}: {fault}", words.join(" "))));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(found > 30, "only {found} commands found: does this test still read the pages?");
}

#[test]
fn every_command_is_documented() {
    let all: String = pages().into_iter().map(|(_, page)| page).collect();
    let command = Arguments::command();
    let names = command.get_subcommands().map(Command::get_name);
    let missing: Vec<&str> = names
        .filter(|name| !all.contains(&format!("everyframe {name}")) && !all.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "neither README.md nor docs/ mention these commands: {missing:?}");
}

#[test]
fn settings_of_the_documentation_exist() {
    let schema = schemars::schema_for!(Config).to_value();
    let (mut found, mut faults) = (0, Vec::new());
    for (name, page) in pages() {
        for span in spans(&page) {
            // `[observe] listen`, `[[rules]] on_failure`, `[reload] watch = false`.
            let Some((table, rest)) = span.trim_start_matches('[').split_once(']') else { continue };
            let is_table = table.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.');
            if !span.starts_with('[') || table.is_empty() || !is_table {
                continue;
            }
            let key = rest.trim_start_matches(']').split_whitespace().next();
            let path: Vec<&str> = table.split('.').chain(key).collect();
            found += 1;
            if look_up(&schema, &path).is_none() {
                faults.push(format!("{name}: there is no setting `{span}`"));
            }
        }
        for block in blocks(&page, "toml") {
            let Ok(table) = block.parse::<toml::Table>() else {
                faults.push(format!("{name}: this is no TOML:\n{block}"));
                continue;
            };
            // The other TOML is that of scenarios.
            let is_configuration = table.keys().any(|key| look_up(&schema, &[key]).is_some());
            if name == "README.md" || is_configuration {
                let keys = paths(&table);
                found += keys.len();
                let unknown = keys.into_iter().filter(|key| look_up(&schema, key).is_none());
                faults.extend(unknown.map(|key| format!("{name}: there is no setting {}", key.join("."))));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(found > 10, "only {found} settings found: does this test still read the pages?");
}

#[test]
fn every_metric_is_documented() {
    let all: String = pages().into_iter().map(|(_, page)| page).collect();
    let text = Metrics::new().text() + &Meters::default().text();
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let missing: Vec<&&str> = names.iter().filter(|name| !all.contains(**name)).collect();
    assert!(missing.is_empty(), "the tables in docs/ lack these metrics: {missing:?}");
    assert!(names.len() > 10, "{names:?}");
}

#[test]
fn defaults_of_rules_are_as_the_readme_says() {
    let rule = RuleSettings::new("a", RuleKind::Alerting, "a.wasm".into());
    assert!(!rule.reuse, "README.md says that each frame gets a fresh instance unless `reuse` is set");
    let grants = rule.grants;
    assert!(
        grants.environment.is_empty() && grants.folder.is_none() && grants.http.is_none(),
        "README.md says that a rule reaches nothing unless it is granted"
    );
    assert!(Config::default().reload.watch, "README.md says that changed rules are loaded while frames come");
}
