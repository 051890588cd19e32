//! `everyframe notify`

use super::privacy::{actor, append_to_trail};
use super::{Connection, DONE, FAILED, WrongInput, when};
use anyhow::Result;
use everyframe_config::{Config, KafkaSettings, Loaded, find_user_in_brokers};
use everyframe_kafka::{Producer, create_missing_topics, read_configuration};
use everyframe_notify::{
    Channel, ChannelStatus, Meters, Notifier, UndeliveredMessage, is_callback_channel, load_channels,
    read_status, read_undelivered, replay_undelivered, send_test_message,
};
use everyframe_pipeline::observe::serve_metrics;
use everyframe_privacy::{Action, NewTrailEntry};
use everyframe_types::event::rfc3339;
use everyframe_types::id::{printable, printable_json};
use everyframe_types::machine::unix_ms;
use everyframe_web::Pictures;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  everyframe notify --config everyframe.toml
  everyframe notify test guard
  everyframe notify status
  everyframe notify dead-letters guard
  everyframe notify replay guard

`everyframe run` sends notifications, too, if the configuration has [[channels]]. With `run --no-notify`, only processes of \
this command do."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where to serve /metrics; without it, nowhere.
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Send a test message by a channel, past its conditions. Needs no broker.
    Test {
        /// The channel's name.
        channel: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the messages that were given up, of all channels or of one. They are kept for 30 days. Callbacks that were given up are
    /// listed, too, and cannot be replayed.
    DeadLetters {
        /// The channel's name; `callback/NAME` for a receiver of callbacks.
        channel: Option<String>,
        /// One JSON object for each, with the alerts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Send the messages of a channel that were given up again, at once, each with the id that it had. Those that are delivered are
    /// removed from the list. Exit status 1 if one is not delivered.
    Replay {
        /// The channel's name.
        channel: String,
        /// Only the message with this id.
        id: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show each channel's backlog, its last error, and what it has delivered. Exit status 1 if one fails or is not served.
    Status {
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.command {
        None => serve(&arguments.connection, arguments.metrics.as_deref()),
        Some(Command::Test { channel, connection }) => test(channel, connection),
        Some(Command::DeadLetters { channel, json, connection }) => {
            list_dead_letters(channel.as_deref(), *json, &connection.config()?)
        }
        Some(Command::Replay { channel, id, connection }) => replay(channel, id.as_deref(), connection),
        Some(Command::Status { json, connection }) => status(*json, connection),
    }
}

fn serve(connection: &Connection, metrics: Option<&str>) -> Result<u8> {
    let mut loaded = load(connection)?;
    let channels = load_channels(&mut loaded, None)?;
    if channels.is_empty() {
        return Err(
            WrongInput("the configuration has no [[channels]], so there is nobody to tell".into()).into()
        );
    }
    let config = &loaded.config;
    let runtime = super::runtime()?;
    let stop = super::stop_on_signal(runtime);
    runtime.block_on(create_missing_topics(config))?;
    let meters = Meters::default();
    if let Some(address) = metrics {
        let meters = meters.clone();
        serve_metrics(address, Arc::new(move || meters.text()), Arc::new(|| None))?;
    }
    let notifier = start(config, &channels, &meters, &stop)?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
    }
    notifier.join();
    Ok(DONE)
}

/// Starts the channels of a configuration.
pub fn start(
    config: &Config,
    channels: &[Arc<Channel>],
    meters: &Meters,
    stop: &Arc<AtomicBool>,
) -> Result<Notifier> {
    let pictures = Arc::new(Pictures::new(config));
    let notifier = Notifier::start(config, channels, pictures, meters, stop)?;
    let names: Vec<String> = channels.iter().map(|it| format!("{} ({})", it.name, it.kind)).collect();
    tracing::info!("notifications by {}", names.join(", "));
    Ok(notifier)
}

fn load(connection: &Connection) -> Result<Loaded> {
    let file =
        connection.file().ok_or_else(|| WrongInput("give the configuration with --config FILE".into()))?;
    let mut loaded = read_configuration(&file)?;
    if let Some(brokers) = &connection.brokers {
        if let Some(problem) = find_user_in_brokers(brokers) {
            return Err(WrongInput(format!("--brokers {problem}")).into());
        }
        loaded.config.kafka = KafkaSettings { brokers: brokers.clone(), ..loaded.config.kafka };
    }
    Ok(loaded)
}

fn test(name: &str, connection: &Connection) -> Result<u8> {
    let (_, channel) = load_channel(name, connection)?;
    let began = Instant::now();
    match send_test_message(&channel) {
        Ok(()) => {
            println!("{name} ({}): delivered in {} ms", channel.kind, began.elapsed().as_millis());
            Ok(DONE)
        }
        Err(reason) => {
            println!("{name} ({}): not delivered: {reason}", channel.kind);
            Ok(FAILED)
        }
    }
}

/// The configuration, and its channel with this name.
fn load_channel(name: &str, connection: &Connection) -> Result<(Config, Arc<Channel>)> {
    let mut loaded = load(connection)?;
    match load_channels(&mut loaded, Some(name))?.pop() {
        Some(channel) => Ok((loaded.config, channel)),
        None => {
            let names: Vec<&str> =
                loaded.config.channels.iter().map(|channel| channel.name.as_str()).collect();
            Err(WrongInput(format!("there is no channel `{name}`; there are: {}", names.join(", "))).into())
        }
    }
}

fn list_dead_letters(channel: Option<&str>, json: bool, config: &Config) -> Result<u8> {
    for message in read_undelivered(config, channel)? {
        if json {
            println!("{}", printable_json(&serde_json::to_string(&message)?));
            continue;
        }
        let UndeliveredMessage { channel, id, at, reason, attempts, alerts } = &message;
        let kept = match is_callback_channel(channel) {
            true => "no copy".to_owned(),
            false => format!("alerts: {}", alerts.len()),
        };
        println!(
            "{}  {channel}  {}  {kept}, attempts: {attempts}: {}",
            rfc3339(*at),
            printable(id),
            printable(reason)
        );
    }
    Ok(DONE)
}

fn replay(name: &str, id: Option<&str>, connection: &Connection) -> Result<u8> {
    if is_callback_channel(name) {
        let message = "a callback cannot be replayed, because its notice has no copy of the event; read the result by the HTTP API: \
                       GET /api/v1/results/PARTITION/OFFSET, with the numbers of its id";
        return Err(WrongInput(message.into()).into());
    }
    let (config, channel) = load_channel(name, connection)?;
    let mut messages = read_undelivered(&config, Some(name))?;
    messages.retain(|message| id.is_none_or(|id| message.id == id));
    if let Some(id) = id.filter(|_| messages.is_empty()) {
        return Err(WrongInput(format!("the channel `{name}` has no dead letter `{}`", printable(id))).into());
    }
    let subject = format!("dead letters of channel {name}: replay");
    let detail = format!("messages: {}", messages.len());
    if !messages.is_empty() {
        append_to_trail(
            &config,
            &NewTrailEntry { actor: actor(), action: Action::Decided, subject, detail },
        )?;
    }
    let (pictures, producer) = (Pictures::new(&config), Producer::new(&config.kafka)?);
    let mut delivered = 0;
    for message in &messages {
        match replay_undelivered(&config, &channel, message, &pictures, &producer) {
            Ok(()) => delivered += 1,
            Err(error) => println!("{}: {error}", printable(&message.id)),
        }
    }
    println!("{name}: {delivered} of {} delivered", messages.len());
    Ok(if delivered == messages.len() { DONE } else { FAILED })
}

fn status(json: bool, connection: &Connection) -> Result<u8> {
    let all = read_status(&connection.config()?)?;
    if json {
        println!("{}", serde_json::json!({ "channels": all }));
    } else {
        all.iter().for_each(|channel| print!("{}", describe(channel, unix_ms())));
    }
    let is_well = |channel: &ChannelStatus| channel.is_served && !channel.is_failing;
    Ok(if all.iter().all(is_well) { DONE } else { FAILED })
}

fn describe(channel: &ChannelStatus, now: i64) -> String {
    let ago = |at: i64| {
        let passed = Duration::from_millis(now.saturating_sub(at).max(0).unsigned_abs());
        format!("{} ago", when::format_duration(passed))
    };
    let state = match (channel.is_served, channel.is_failing) {
        (false, _) => "no process serves it",
        (true, true) => "fails",
        (true, false) => "works",
    };
    let backlog = match channel.backlog {
        Some(backlog) => format!("{backlog} waiting, "),
        // Of a receiver of callbacks, nobody counts it.
        None if channel.kind == "callback" => String::new(),
        None => "never started, ".to_owned(),
    };
    let mut text = format!(
        "{} ({}): {state}; {backlog}{} delivered, {} attempts retried, {} dead letters",
        channel.name, channel.kind, channel.delivered, channel.retried, channel.dead_letters
    );
    if let Some(at) = channel.last_delivered_at {
        text += &format!("; last delivery {}", ago(at));
    }
    text += "\n";
    if let (Some(error), Some(at)) = (&channel.last_error, channel.last_error_at) {
        text += &format!("  last error {}: {error}\n", ago(at));
    }
    text
}
