//! `everyframe config`

use super::DONE;
use crate::config::{Config, ConfigError, Loaded};
use crate::rules::Rules;
use crate::run::RunError;
use anyhow::Result;
use std::path::PathBuf;

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
    /// Print the JSON Schema of the configuration file.
    Schema,
}

pub fn run(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        Command::Check { file } => {
            let loaded = Loaded::for_host(&file)?;
            let runtime = super::runtime()?;
            let rules = Rules::load(&loaded.config.rules, runtime.handle().clone())
                .map_err(|error| explained(&loaded, RunError::Rules(error)))?;
            for rule in rules.descriptions() {
                println!("{}: {} {}, sha256 {}", rule.name, rule.kind, rule.version, rule.sha256);
            }
            println!("{}: in order", file.display());
        }
        Command::Example => print!("{}", include_str!("../../../examples/everyframe.toml")),
        Command::Schema => println!("{}", serde_json::to_string_pretty(&schemars::schema_for!(Config))?),
    }
    Ok(DONE)
}

/// What a rule says against its settings is a problem of the file, with its line.
pub fn explained(loaded: &Loaded, error: RunError) -> anyhow::Error {
    match error {
        RunError::Rules(error) if !error.problems().is_empty() => {
            let problems = error.problems().iter();
            ConfigError::Invalid(problems.map(|(key, message)| loaded.problem(key, message.clone())).collect()).into()
        }
        error => error.into(),
    }
}
