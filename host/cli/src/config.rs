//! `everyframe config`

use super::DONE;
use anyhow::Result;
use everyframe_account::replay::Report;
use everyframe_config::{Config, Loaded};
use everyframe_pipeline::observe::{CameraData, RetentionData, RuleData};
use everyframe_rules::Rules;
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
    /// A record of the alerts topic that tells of an expected camera of which nothing is heard.
    Camera,
    /// What `replay --json` prints.
    Replay,
}

pub fn run(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        Command::Check { file } => {
            let mut loaded = everyframe_kafka::read_host_configuration(&file)?;
            let runtime = super::runtime()?;
            let rules = load_rules(&mut loaded, runtime)?;
            for rule in rules.descriptions() {
                println!("{}: {} {}, sha256 {}", rule.name, rule.title, rule.version, rule.sha256);
            }
            for channel in everyframe_notify::load_channels(&mut loaded, None)? {
                println!("channel {}: {}", channel.name, channel.kind);
            }
            for receiver in everyframe_notify::load_callbacks(&mut loaded)? {
                println!("callbacks to {}: {}", receiver.name, receiver.url);
            }
            for warning in rules.warnings() {
                println!("{}: {warning}", file.display());
            }
            for missing in loaded.find_missing_camera_files() {
                println!("{missing}");
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
                Described::Camera => schemars::schema_for!(CloudEvent<CameraData>),
                Described::Replay => schemars::schema_for!(Report),
            };
            println!("{}", serde_json::to_string_pretty(&schema)?);
        }
    }
    Ok(DONE)
}

/// Loads the rules of a configuration; compiled code is kept in the cache folder.
pub fn load_rules(loaded: &mut Loaded, runtime: &Runtime) -> Result<Rules> {
    Ok(everyframe_rules::load_rules(loaded, runtime.handle(), &super::code_cache()?)?)
}
