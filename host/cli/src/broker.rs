//! `everyframe broker`, and what `demo` and `bench` share: a broker of their own, and a configuration.

use super::DONE;
use anyhow::{Context as _, Result};
use everyframe_config::Config;
use everyframe_kafka::{Listen, Node, NodeOptions, Software, create_missing_topics, train_java_cache};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a node may take to answer: it formats its store in a second, and starts in one to three.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the node's state is checked.
const STEP: Duration = Duration::from_millis(50);
/// How long to retry removing a folder while other processes still write to it.
const REMOVAL: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
#[command(
    after_help = "A single node of Apache Kafka, for one machine: with transactions, and one copy of everything.\n\
    A power cut can take the last second. DIR/kafka.log has Kafka's own warnings.\n\
    It needs Java 17 or newer and Kafka's jars; `make setup` fetches both."
)]
pub struct Arguments {
    /// The folder for the data; made if it is not there.
    #[arg(long, value_name = "DIR", required_unless_present = "train")]
    data: Option<PathBuf>,
    /// The address for clients. They need no password, so any address but loopback is open to the network.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: String,
    /// How long records stay, in topics that have no retention.ms of their own.
    #[arg(long, value_name = "HOURS", default_value_t = NodeOptions::RETENTION_HOURS)]
    retention_hours: u64,
    /// How many bytes of each partition stay, in topics that have no retention.bytes of their own.
    #[arg(long, value_name = "BYTES", default_value_t = NodeOptions::RETENTION_BYTES)]
    retention_bytes: u64,
    /// More of Kafka's own settings (server.properties); they win.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// End at once when standard input closes, and so with the process that started this one.
    #[arg(long)]
    until_stdin_closes: bool,
    /// Remove this folder after such an end: for tests.
    #[arg(long, value_name = "DIR", hide = true, requires = "until_stdin_closes")]
    remove: Option<PathBuf>,
    /// Create the cache that makes later starts quicker, then exit; `make build` does this.
    #[arg(long, hide = true)]
    train: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let software = software()?;
    if arguments.train {
        train_java_cache(&software)?;
    }
    let Some(data) = &arguments.data else { return Ok(DONE) };
    let options = NodeOptions {
        retention_hours: arguments.retention_hours,
        retention_bytes: arguments.retention_bytes,
        settings: arguments.settings.clone(),
        ..NodeOptions::new(data.clone(), Listen::parse(&arguments.listen)?)
    };
    let stop = super::stop_on_signal(super::runtime()?);
    let parent_is_gone = Arc::new(AtomicBool::new(false));
    if arguments.until_stdin_closes {
        let closed = parent_is_gone.clone();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            closed.store(true, Ordering::Relaxed);
        });
    }
    let mut node = Node::start(&software, &options)?;
    let mut has_answered = false;
    loop {
        if parent_is_gone.load(Ordering::Relaxed) {
            drop(node);
            arguments.remove.iter().for_each(|folder| remove(folder));
            return Ok(DONE);
        }
        if stop.load(Ordering::Relaxed) {
            node.end()?;
            return Ok(DONE);
        }
        if let Some(status) = node.ended()? {
            // `kill` of the process in node.pid is a way to end it, too.
            let was_asked = has_answered && [Some(0), Some(143)].contains(&status.code());
            return if was_asked { Ok(DONE) } else { Err(node.why_it_ended(status).into()) };
        }
        if !has_answered && node.answers()? {
            has_answered = true;
            tracing::info!(
                "broker answers at {}, data in {}: {}",
                node.address,
                data.display(),
                software.describe()
            );
        }
        std::thread::sleep(STEP);
    }
}

/// Removes a folder. Other processes may still write to it for a moment, so it retries.
fn remove(folder: &Path) {
    let deadline = Instant::now() + REMOVAL;
    while folder.exists() && Instant::now() < deadline {
        let _ = std::fs::remove_dir_all(folder);
        std::thread::sleep(STEP);
    }
}

/// The Java and the Kafka of this machine.
fn software() -> Result<Software> {
    let jars = super::named_folder("EVERYFRAME_KAFKA");
    Ok(Software::find(&super::cache_folder()?, jars.as_deref())?)
}

/// Starts a broker with its data in `folder`, at a free port. It ends with this process.
pub fn start_broker(folder: &Path) -> Result<Node> {
    let options = NodeOptions::new(folder.join("broker"), Listen::on_a_free_port()?);
    Ok(Node::start(&software()?, &options)?)
}

/// Waits until that broker answers, and creates the topics.
pub fn create_topics(broker: &mut Node, config: &Config, runtime: &tokio::runtime::Runtime) -> Result<()> {
    broker.wait_until_it_answers(START_TIMEOUT)?;
    Ok(runtime.block_on(create_missing_topics(config))?)
}

/// Where the components of the three shipped rules are.
#[derive(clap::Args, Clone)]
pub struct ShippedRules {
    /// The folder with the three rules' components; where `make build` puts them, if not given.
    #[arg(long, value_name = "FOLDER", env = "EVERYFRAME_PLUGINS")]
    plugins: Option<PathBuf>,
}

impl ShippedRules {
    fn folder(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.plugins {
            return Ok(folder.clone());
        }
        let program = std::env::current_exe()?;
        let target = program.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        Ok(target.join("components/wasip2"))
    }
}

/// Writes a configuration with the three shipped rules; `more` is added to it.
pub fn write_config(folder: &Path, brokers: &str, rules: &ShippedRules, more: &str) -> Result<PathBuf> {
    let plugins = rules.folder()?;
    let component = |name: &str| {
        let path = plugins.join(name);
        path.canonicalize().with_context(|| format!("no rule {}; `make build` builds it", path.display()))
    };
    let text = include_str!("shipped-rules.toml")
        .replace("{brokers}", brokers)
        .replace("{matching-policy}", &component("matching_policy.wasm")?.to_string_lossy())
        .replace("{unknown-person}", &component("unknown_person.wasm")?.to_string_lossy())
        .replace("{alerting}", &component("alerting.wasm")?.to_string_lossy());
    let file = folder.join("everyframe.toml");
    std::fs::write(&file, text + more)?;
    Ok(file)
}
