//! `everyframe config`

use super::DONE;
use anyhow::Result;
use everyframe_account::replay::Report;
use everyframe_config::{Config, ConfigError, Loaded};
use everyframe_pipeline::observe::{RetentionData, RuleData};
use everyframe_rules::{RuleError, Rules};
use everyframe_types::event::{AlertData, CloudEvent, ResultData};
use std::path::PathBuf;
use tokio::runtime::Runtime;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check a file as `run` would, its rules and their settings included, and start nothing.
    Check {
        /// The configuration file.
        #[arg(default_value = "everyframe.toml")]
        file: PathBuf,
    },
    /// Print a commented example.
    Example,
    /// Print the JSON Schema of the configuration file, or of what the host puts out.
    Schema {
        /// Of what.
        #[arg(default_value = "config")]
        of: Described,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Described {
    /// The configuration file.
    Config,
    /// A record of the results topic.
    Result,
    /// A record of the alerts topic that a rule or the host raised about a frame.
    Alert,
    /// A record of the alerts topic that tells of frames about to be deleted unread.
    Retention,
    /// A record of the alerts topic that tells of a rule that fails, or answers again.
    Rule,
    /// What `replay --json` prints.
    Replay,
}

pub fn run(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        Command::Check { file } => {
            let mut loaded = super::read_configuration_of_host(&file)?;
            let runtime = super::runtime()?;
            let rules = load_rules(&mut loaded, runtime)?;
            for rule in rules.descriptions() {
                println!("{}: {} {}, sha256 {}", rule.name, rule.title, rule.version, rule.sha256);
            }
            for warning in rules.warnings() {
                println!("{}: {warning}", file.display());
            }
            println!("{}: in order", file.display());
        }
        Command::Example => print!("{}", include_str!("../../../examples/everyframe.toml")),
        Command::Schema { of } => {
            let schema = match of {
                Described::Config => schemars::schema_for!(Config),
                Described::Result => schemars::schema_for!(CloudEvent<ResultData>),
                Described::Alert => schemars::schema_for!(CloudEvent<AlertData>),
                Described::Retention => schemars::schema_for!(CloudEvent<RetentionData>),
                Described::Rule => schemars::schema_for!(CloudEvent<RuleData>),
                Described::Replay => schemars::schema_for!(Report),
            };
            println!("{}", serde_json::to_string_pretty(&schema)?);
        }
    }
    Ok(DONE)
}

/// The rules of a configuration, with what they are granted; read, checked and compiled. What is wrong with them is a problem of the file.
pub fn load_rules(loaded: &mut Loaded, runtime: &Runtime) -> Result<Rules> {
    loaded.resolve_grants()?;
    let cache = super::code_cache()?;
    let rules = Rules::load(&loaded.config.rules, runtime.handle().clone(), Some(&cache));
    Ok(rules.map_err(|error| explained(loaded, error))?)
}

/// What is wrong with a rule, with its line.
fn explained(loaded: &Loaded, error: RuleError) -> ConfigError {
    let problems = error.problems.iter().map(|problem| {
        let place = loaded.config.rules.iter().position(|rule| rule.name == problem.rule);
        let key = match place {
            Some(place) if problem.key.is_empty() => format!("rules[{place}]"),
            Some(place) => format!("rules[{place}].{}", problem.key),
            None => "rules".to_owned(),
        };
        loaded.problem(&key, problem.error.to_string())
    });
    ConfigError::Invalid(problems.collect())
}
