//! Callbacks: the result of a frame, or its dead letter, is sent to the address that the frame gave.
//!
//! - The header `everyframe-callback` of a frame goes on to its result or dead letter. Each receiver of `[[web.callbacks]]` has a
//!   consumer group for each of both topics, which begins before the first frame with an address is taken. So nothing is lost,
//!   whichever process ends when.
//! - `address`: which addresses the operator allows. `receiver`: what is sent to them, and how. `outcome`, `callback_queue`: what is to
//!   be sent. `callback_runner` joins them to a consumer group.

mod address;
mod callback_queue;
mod callback_runner;
mod outcome;
mod receiver;

pub use receiver::{CallbackReceiver, load_callbacks};

use self::callback_runner::CallbackRunner;
use self::outcome::OutcomeRecord;
use self::receiver::find_receiver;
use crate::meters::Meters;
use crate::monitor::{Monitor, run_monitor};
use crate::notifier::{NotifyError, process_name};
use everyframe_config::{Config, KafkaSettings};
use everyframe_kafka::{
    BrokerError, Ended, GroupConsumer, GroupSource, LogOnce, Producer, Received, begin_at_the_end,
};
use everyframe_types::record::MAX_CALLBACK_BYTES;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// A partition whose callbacks need more memory waits in Kafka, bytes.
const LANE_BYTES: usize = 32 << 20;
/// How often offsets are committed. What was sent since the last commit is sent again after a crash.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// Between two attempts to join a group.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);
/// Requests that are under way for one receiver and topic at a time.
const SENDERS: usize = 4;

/// Why an address is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// The operator must allow it.
    #[error(
        "the address is not allowed; to allow it, add a table `[[web.callbacks]]` with `name` and `url` to the configuration, and \
         restart: a `url` that ends with `/` allows all addresses below it"
    )]
    NotAllowed,
    /// It can be taken soon.
    #[error("callbacks to this address are being set up; try again in a second")]
    NotReady,
}

/// What the name of a receiver among the channels begins with. No channel's own name has a slash.
const CHANNEL: &str = "callback/";

/// The name of a receiver among the channels.
pub(crate) fn callback_channel(receiver: &str) -> String {
    format!("{CHANNEL}{receiver}")
}

/// True if this is the name of a receiver of callbacks, and not of a channel. Its undelivered messages are notices without the
/// event.
pub fn is_callback_channel(channel: &str) -> bool {
    channel.starts_with(CHANNEL)
}

/// What a receiver is told of: the name in its group, the topic, and how a record is read.
struct Source {
    name: &'static str,
    topic: String,
    parse: fn(&Arc<str>, &Received<'_>) -> OutcomeRecord,
}

/// All receivers at work. They end when the flag given to [`Callbacks::start`] is set.
pub struct Callbacks {
    receivers: Arc<[Arc<CallbackReceiver>]>,
    /// For each receiver and source: its group has offsets, so no record is missed from now on.
    begun: Vec<Vec<Arc<AtomicBool>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Callbacks {
    /// Starts to call the receivers back. Outages of Kafka and of receivers are waited out.
    ///
    /// # Errors
    ///
    /// [`NotifyError`] says what the operator must change.
    pub fn start(
        config: &Config,
        receivers: Vec<Arc<CallbackReceiver>>,
        meters: &Meters,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, NotifyError> {
        let receivers: Arc<[Arc<CallbackReceiver>]> = receivers.into();
        let (mut all_begun, mut threads) = (Vec::new(), Vec::new());
        if receivers.is_empty() {
            return Ok(Self { receivers, begun: all_begun, threads: Mutex::default() });
        }
        let producer = Arc::new(Producer::new(&config.kafka)?);
        let process = process_name(config);
        let mut monitors = Vec::new();
        for (index, receiver) in receivers.iter().enumerate() {
            let monitor = Arc::new(Monitor::new(&callback_channel(&receiver.name), &process, meters));
            monitors.push(monitor.clone());
            let mut begun = Vec::new();
            for source in sources(config) {
                let kafka = KafkaSettings {
                    group: receiver.group(&config.kafka, source.name),
                    ..config.kafka.clone()
                };
                let runner = Arc::new(CallbackRunner::new(
                    receivers.clone(),
                    index,
                    producer.clone(),
                    config.topics.notifications.clone(),
                    monitor.clone(),
                ));
                let has_begun = Arc::<AtomicBool>::default();
                begun.push(has_begun.clone());
                threads.push(start_runner(kafka, source, runner, has_begun, stop)?);
            }
            all_begun.push(begun);
        }
        let (config, stop) = (config.clone(), stop.clone());
        let monitoring = Builder::new().name("callback-health".into());
        threads.push(monitoring.spawn(move || run_monitor(&config, &monitors, &producer, &stop))?);
        Ok(Self { receivers, begun: all_begun, threads: Mutex::new(threads) })
    }

    /// Checks whether a frame may give this address.
    ///
    /// # Errors
    ///
    /// [`CallbackError`] says what to do.
    pub fn check(&self, url: &str) -> Result<(), CallbackError> {
        let index = find_receiver(&self.receivers, url).filter(|_| url.len() <= MAX_CALLBACK_BYTES);
        let index = index.ok_or(CallbackError::NotAllowed)?;
        match self.begun[index].iter().all(|begun| begun.load(Ordering::Acquire)) {
            true => Ok(()),
            false => Err(CallbackError::NotReady),
        }
    }

    /// Waits until all have ended, and their offsets are committed.
    pub fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn sources(config: &Config) -> [Source; 2] {
    let results = Source {
        name: "results",
        topic: config.topics.results.clone(),
        parse: |_, record| OutcomeRecord::of_result(record),
    };
    let dead_letters = Source {
        name: "dead-letters",
        topic: config.topics.dead_letters.clone(),
        parse: |_, record| OutcomeRecord::of_dead_letter(record),
    };
    [results, dead_letters]
}

fn start_runner(
    kafka: KafkaSettings,
    source: Source,
    runner: Arc<CallbackRunner>,
    has_begun: Arc<AtomicBool>,
    stop: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>, NotifyError> {
    for _ in 0..SENDERS {
        let sending = runner.clone();
        Builder::new().name("call-back".into()).spawn(move || sending.send_callbacks())?;
    }
    let stop = stop.clone();
    let run = move || {
        let log_once = LogOnce::default();
        while !stop.load(Ordering::Relaxed) {
            match follow_records(&kafka, &source, &runner, &has_begun, &stop) {
                Ok(Ended::Stopped) => break,
                Ok(Ended::Interrupted | Ended::Renamed) => {}
                Err(error) => log_once.warn(&format!("no callbacks are sent: {error}")),
            }
            std::thread::sleep(RECONNECT_PAUSE);
        }
        runner.end();
    };
    Ok(Builder::new().name("callbacks".into()).spawn(run)?)
}

fn follow_records(
    kafka: &KafkaSettings,
    source: &Source,
    runner: &Arc<CallbackRunner>,
    has_begun: &AtomicBool,
    stop: &AtomicBool,
) -> Result<Ended, BrokerError> {
    begin_at_the_end(kafka, &source.topic)?;
    has_begun.store(true, Ordering::Release);
    let source = GroupSource {
        kafka,
        topic: &source.topic,
        parse: source.parse,
        lane_bytes: LANE_BYTES,
        commit_interval: COMMIT_INTERVAL,
    };
    GroupConsumer::join(&source, runner.clone())?.run(stop, &|| false)
}
