//! The `everyframe` binary. Each command has a file: it parses arguments, calls a library and prints.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// First, because its macros are for all that follow.
#[macro_use]
mod output;

mod accuracy;
mod ask;
mod audit;
mod bench;
mod broker;
mod camera;
mod camera_list;
mod camera_supervisor;
mod cameras;
mod config;
mod dead_letters;
mod demo;
#[cfg(test)]
mod documentation_tests;
mod enrol;
mod event_text;
mod gallery;
mod lag;
mod logging;
mod model;
mod native_lines;
mod notify;
mod plan;
mod privacy;
mod replay;
mod rule;
mod run;
mod serve;
mod stderr_capture;
mod token;
mod trail;
mod watch;
mod when;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use everyframe_config::{Config, ConfigError, KafkaSettings, find_user_in_brokers};
use everyframe_kafka::{create_missing_topics, read_configuration};
use everyframe_rules::CodeCache;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit statuses: done; not done, or frames are missing; the command line or the configuration is wrong.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const WRONG_INPUT: u8 = 2;
/// A second Ctrl-C: as shells report it.
const INTERRUPTED: u8 = 130;

/// The command line names something that the command cannot work on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongInput(String);

/// A recognition runtime that accounts for every frame.
///
/// Cameras put frames into Kafka; hosts recognise faces and call your WebAssembly rules.
#[derive(Parser)]
#[command(name = "everyframe", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Log as JSON, for machines. RUST_LOG selects what is logged; by default `info` for `run`, `serve`,
    /// `notify`, `camera`, `cameras`, `broker` and `watch`, else `warn`.
    #[arg(long, global = true)]
    log_json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run a host, which processes frames.
    Run(run::Arguments),
    /// Serve the dashboard and the HTTP API.
    Serve(serve::Arguments),
    /// Send alerts to people and programs, by the channels of the configuration.
    Notify(notify::Arguments),
    /// Make a token for the HTTP API.
    Token(token::Arguments),
    /// Run an agent, which puts the frames of a camera, video or folder into the frames topic.
    Camera(camera::Arguments),
    /// Run the cameras of the configuration, show how they are, or check one.
    Cameras(cameras::Arguments),
    /// Run a single node of Apache Kafka, for one machine.
    Broker(broker::Arguments),
    /// Enrol a person from pictures.
    Enrol(enrol::Arguments),
    /// Show, export or erase enrolled people, check receipts, and manage keys.
    Gallery(gallery::Arguments),
    /// Show or check the trail of who did what.
    Trail(trail::Arguments),
    /// Import, list or check models.
    Model(model::Arguments),
    /// Print results and alerts as they happen.
    Watch(watch::Arguments),
    /// Account for every frame, from the topics alone. Exit status 1 if any is missing.
    Audit(audit::Arguments),
    /// Show unread frames, and when retention will delete them. Exit status 1 if that is soon.
    Lag(lag::Arguments),
    /// List, show, replay or drop parked frames.
    DeadLetters(dead_letters::Arguments),
    /// Run everything together: a broker, four cameras with real footage, a host with the three shipped rules.
    Demo(demo::Arguments),
    /// Size a site: consumers, partitions, brokers, retention, disk; each formula with the numbers put in.
    Plan(plan::Arguments),
    /// Measure the whole pipeline on a folder of JPEG frames.
    Bench(bench::Arguments),
    /// Measure how accurately people are recognised, on a folder with pictures of each person.
    Accuracy(accuracy::Arguments),
    /// Judge past frames again with other rules, and show what would change. Exit status 1 if anything would.
    Replay(replay::Arguments),
    /// Develop a rule: create a project, and inspect, check, test, record and measure it.
    Rule(rule::Arguments),
    /// Check a configuration, or show an example or the schema.
    Config(config::Arguments),
}

/// How a command that is no host reaches Kafka.
#[derive(Args, Clone)]
struct Connection {
    /// Configuration file; without it `everyframe.toml` if that is there, else the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Bootstrap brokers; wins over the configuration.
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
}

impl Connection {
    /// The configuration file; none if there is none.
    fn file(&self) -> Option<PathBuf> {
        let default = Path::new("everyframe.toml");
        let file = self.config.as_deref().or_else(|| default.is_file().then_some(default));
        file.map(Path::to_owned)
    }

    fn config(&self) -> Result<Config> {
        let mut config = match self.file() {
            Some(file) => read_configuration(&file)?.config,
            None => Config::default(),
        };
        if let Some(brokers) = &self.brokers {
            if let Some(problem) = find_user_in_brokers(brokers) {
                return Err(WrongInput(format!("--brokers {problem}")).into());
            }
            config.kafka = KafkaSettings { brokers: brokers.clone(), ..config.kafka };
        }
        Ok(config)
    }

    /// Creates the topics that are missing. Returns the configuration that names them.
    fn prepare_topics(&self) -> Result<Config> {
        let config = self.config()?;
        runtime()?.block_on(create_missing_topics(&config))?;
        Ok(config)
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ! {
    let arguments = Arguments::parse();
    // Long-running commands log what they do; the others log warnings only.
    let filter = match arguments.command {
        Command::Run(_) | Command::Watch(_) | Command::Serve(_) | Command::Notify(_) => {
            "info,librdkafka=warn"
        }
        // The agent logs an outage once; librdkafka would log each of its attempts.
        Command::Camera(_) | Command::Cameras(_) | Command::Broker(_) => "info,librdkafka=off",
        _ => "warn",
    };
    // Commands that decode pictures or video use libraries that write to standard error.
    let has_libraries = matches!(
        arguments.command,
        Command::Run(_)
            | Command::Serve(_)
            | Command::Notify(_)
            | Command::Camera(_)
            | Command::Enrol(_)
            | Command::Gallery(_)
            | Command::Model(_)
            | Command::Demo(_)
            | Command::Plan(_)
            | Command::Bench(_)
            | Command::Accuracy(_)
            | Command::Replay(_)
    ) || matches!(&arguments.command, Command::Cameras(arguments) if arguments.decodes());
    let _log = logging::start(arguments.log_json, filter, has_libraries);
    let result = match arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Notify(arguments) => notify::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Camera(arguments) => camera::run(arguments),
        Command::Cameras(arguments) => cameras::run(arguments),
        Command::Broker(arguments) => broker::run(&arguments),
        Command::Enrol(arguments) => enrol::run(&arguments),
        Command::Gallery(arguments) => gallery::run(arguments),
        Command::Trail(arguments) => trail::run(arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Lag(arguments) => lag::run(&arguments),
        Command::DeadLetters(arguments) => dead_letters::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Accuracy(arguments) => accuracy::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Rule(arguments) => rule::run(&arguments),
        Command::Config(arguments) => config::run(arguments),
    };
    logging::exit(result.unwrap_or_else(|error| {
        // The libraries' lines come first.
        logging::finish();
        logging::print_message(&format!("everyframe: {}", error_chain(&error)));
        if error.is::<ConfigError>() || error.is::<WrongInput>() { WRONG_INPUT } else { FAILED }
    }))
}

/// The error and its causes. A cause that a message already quotes is left out.
fn error_chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        _ if text.contains(&cause) => text,
        _ => format!("{text}: {cause}"),
    })
}

/// A runtime for what has to be asynchronous; frames are not.
/// Lives as long as the process: dropped, it would wait for file calls of guests that the system does not end.
fn runtime() -> Result<&'static tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    Ok(Box::leak(Box::new(runtime)))
}

/// Set at the first Ctrl-C or SIGTERM; the second one ends the process at once.
fn stop_on_signal(runtime: &tokio::runtime::Runtime) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    runtime.spawn(async move {
        loop {
            let terminated = async {
                match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                    Ok(mut signal) => drop(signal.recv().await),
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                () = terminated => {}
            }
            if flag.swap(true, Ordering::Relaxed) {
                logging::exit(INTERRUPTED);
            }
        }
    });
    stop
}

/// The folder for what can be made again: models, libraries, measurements.
fn cache_folder() -> Result<PathBuf> {
    named_folder("EVERYFRAME_CACHE")
        .or_else(|| named_folder("XDG_CACHE_HOME").map(|base| base.join("everyframe")))
        .or_else(|| named_folder("HOME").map(|home| home.join(".cache/everyframe")))
        .context("no cache folder: set EVERYFRAME_CACHE")
}

/// Where compiled rules are kept.
fn code_cache() -> Result<CodeCache> {
    Ok(CodeCache::in_folder(&cache_folder()?))
}

/// The folder for what must outlive the process: spools.
fn state_folder() -> Result<PathBuf> {
    named_folder("EVERYFRAME_STATE")
        .or_else(|| named_folder("XDG_STATE_HOME").map(|base| base.join("everyframe")))
        .or_else(|| named_folder("HOME").map(|home| home.join(".local/state/everyframe")))
        .context("no folder for the spool: give --spool, or set EVERYFRAME_STATE")
}

fn named_folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
