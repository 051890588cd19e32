//! Starts all channels of a configuration.

use crate::acknowledgements::Acknowledgements;
use crate::alert::AlertRecord;
use crate::channel::Channel;
use crate::meters::Meters;
use crate::monitor::{Monitor, run_monitor};
use crate::picture_source::PictureSource;
use crate::runner::{Runner, Shared};
use everyframe_config::{Config, KafkaSettings};
use everyframe_kafka::{BrokerError, Ended, GroupConsumer, GroupSource, LogOnce, Producer, begin_at_the_end};
use everyframe_types::machine::{host_name, unix_ms};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// A partition whose alerts need more memory waits in Kafka, bytes: about 20,000 alerts.
const LANE_BYTES: usize = 32 << 20;
/// How often offsets are committed. What was delivered since the last commit is delivered again after a crash.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// Between two attempts to join a group.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);

/// Why notifications cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// A property that librdkafka does not accept.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The system has no threads left.
    #[error("cannot start the threads of the channels: {0}")]
    Thread(#[from] std::io::Error),
}

/// All channels at work. They end when the flag given to [`Notifier::start`] is set.
pub struct Notifier {
    threads: Vec<JoinHandle<()>>,
}

impl Notifier {
    /// Starts the channels. Outages of Kafka and of receivers are waited out.
    ///
    /// # Errors
    ///
    /// [`NotifyError`] says what the operator must change.
    pub fn start(
        config: &Config,
        channels: &[Arc<Channel>],
        pictures: Arc<dyn PictureSource>,
        meters: &Meters,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, NotifyError> {
        let acknowledgements = Acknowledgements::follow(config, stop)?;
        let producer = Arc::new(Producer::new(&config.kafka)?);
        let shared = Arc::new(Shared {
            config: config.clone(),
            producer: producer.clone(),
            pictures,
            acknowledgements,
        });
        let process = process_name(config);
        let mut threads = Vec::new();
        let mut monitors = Vec::new();
        for channel in channels {
            let monitor = Arc::new(Monitor::new(&channel.name, &process, meters));
            monitors.push(monitor.clone());
            threads.push(start_channel(channel, &shared, monitor, stop)?);
        }
        let (config, stop) = (config.clone(), stop.clone());
        let monitoring = Builder::new().name("notify-health".into());
        threads.push(monitoring.spawn(move || run_monitor(&config, &monitors, &producer, &stop))?);
        Ok(Self { threads })
    }

    /// Waits until all channels have ended, and their offsets are committed.
    pub fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn start_channel(
    channel: &Arc<Channel>,
    shared: &Arc<Shared>,
    monitor: Arc<Monitor>,
    stop: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>, NotifyError> {
    let kafka = &shared.config.kafka;
    let kafka = KafkaSettings { group: Channel::group(kafka, &channel.name), ..kafka.clone() };
    let runner = Arc::new(Runner::new(channel.clone(), shared.clone(), monitor, kafka.clone()));
    for _ in 0..channel.senders() {
        let sending = runner.clone();
        Builder::new().name(format!("send-{}", channel.name)).spawn(move || sending.send_messages())?;
    }
    let (topic, stop, name) = (shared.config.topics.alerts.clone(), stop.clone(), channel.name.clone());
    let run = move || {
        let log_once = LogOnce::default();
        while !stop.load(Ordering::Relaxed) {
            match follow_alerts(&kafka, &topic, &runner, &stop) {
                Ok(Ended::Stopped) => break,
                Ok(Ended::Interrupted | Ended::Renamed) => {}
                Err(error) => log_once.warn(&format!("channel {name} does not get alerts: {error}")),
            }
            std::thread::sleep(RECONNECT_PAUSE);
        }
        runner.end();
    };
    Ok(Builder::new().name(format!("notify-{}", channel.name)).spawn(run)?)
}

fn follow_alerts(
    kafka: &KafkaSettings,
    topic: &str,
    runner: &Arc<Runner>,
    stop: &AtomicBool,
) -> Result<Ended, BrokerError> {
    begin_at_the_end(kafka, topic)?;
    let source = GroupSource {
        kafka,
        topic,
        parse: |_, record| AlertRecord::parse(record),
        lane_bytes: LANE_BYTES,
        commit_interval: COMMIT_INTERVAL,
    };
    GroupConsumer::join(&source, runner.clone())?.run(stop, &|| false)
}

/// The name of this process in the health of its channels.
pub(crate) fn process_name(config: &Config) -> String {
    if let Some(instance) = &config.kafka.instance {
        return instance.clone();
    }
    format!("{}-{}-{:x}", host_name(), std::process::id(), unix_ms())
}
