//! The health of the channels of this process: for metrics, for the log, and for the notifications topic.

use crate::backlog::Backlog;
use crate::meters::{Meters, Outcome};
use crate::record::ChannelHealth;
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, LogOnce, Producer, Record};
use everyframe_types::machine::unix_ms;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the thread looks for changes.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// The health of a channel that changed is written at most so often.
const CHANGED: Duration = Duration::from_secs(2);
/// Without a change, it is written so often: a channel whose health is old is not served.
pub const HEARTBEAT: Duration = Duration::from_secs(30);
/// How often backlogs are counted.
const BACKLOG: Duration = Duration::from_secs(5);
/// How long the brokers may take to acknowledge a record.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

/// The health of one channel of this process.
pub struct Monitor {
    health: Mutex<ChannelHealth>,
    meters: Meters,
    log: LogOnce,
}

impl Monitor {
    /// Of a channel that has done nothing yet.
    pub fn new(channel: &str, process: &str, meters: &Meters) -> Self {
        let health = ChannelHealth {
            channel: channel.to_owned(),
            process: process.to_owned(),
            ..ChannelHealth::default()
        };
        Self { health: Mutex::new(health), meters: meters.clone(), log: LogOnce::default() }
    }

    /// A message was delivered. `delay` is the time since its alert was written; none if it waited for something else.
    pub fn delivered(&self, delay: Option<Duration>) {
        let mut health = self.lock();
        health.delivered += 1;
        health.last_delivered_at = Some(unix_ms());
        health.is_failing = false;
        self.meters.count(&health.channel, Outcome::Delivered);
        if let Some(delay) = delay {
            self.meters.measure_delay(&health.channel, delay);
        }
        self.log.recovered(&format!("channel {} delivers again", health.channel));
    }

    /// An attempt failed, and will be repeated.
    pub fn failed(&self, reason: &str) {
        let mut health = self.lock();
        health.retried += 1;
        health.is_failing = true;
        Self::set_error(&mut health, reason);
        self.meters.count(&health.channel, Outcome::Retried);
        self.log.warn(&format!("channel {} does not deliver: {reason}", health.channel));
    }

    /// A message was given up.
    pub fn record_undelivered(&self, id: &str, reason: &str) {
        let mut health = self.lock();
        health.dead_lettered += 1;
        Self::set_error(&mut health, reason);
        self.meters.count(&health.channel, Outcome::DeadLettered);
        tracing::error!(
            channel = health.channel,
            id,
            "a message is given up and kept as a dead letter: {reason}"
        );
    }

    /// A message is not needed: its alerts are muted, or acknowledged.
    pub fn left_out(&self) {
        self.meters.count(&self.lock().channel, Outcome::LeftOut);
    }

    fn set_error(health: &mut ChannelHealth, reason: &str) {
        health.last_error = Some(reason.to_owned());
        health.last_error_at = Some(unix_ms());
    }

    fn lock(&self) -> MutexGuard<'_, ChannelHealth> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the health of the channels to the notifications topic, and measures backlogs, until `stop` is set.
pub fn run_monitor(config: &Config, monitors: &[Arc<Monitor>], producer: &Producer, stop: &AtomicBool) {
    let mut written: BTreeMap<usize, (ChannelHealth, Instant)> = BTreeMap::new();
    let mut backlogs: BTreeMap<usize, Backlog> = BTreeMap::new();
    let mut counted_at: Option<Instant> = None;
    loop {
        let is_last = stop.load(Ordering::Relaxed);
        for (index, monitor) in monitors.iter().enumerate() {
            let health = monitor.lock().clone();
            let is_due = written.get(&index).is_none_or(|(last, at)| {
                let pause = if *last == health { HEARTBEAT } else { CHANGED };
                at.elapsed() >= pause || (is_last && *last != health)
            });
            if is_due {
                // Also if it fails: the next attempt is later, and delivery does not depend on it.
                if let Err(error) = write_health(config, producer, &health) {
                    tracing::debug!(%error, "the health of a channel was not written");
                }
                written.insert(index, (health, Instant::now()));
            }
        }
        if is_last {
            return;
        }
        if counted_at.is_none_or(|at| at.elapsed() >= BACKLOG) {
            counted_at = Some(Instant::now());
            for (index, monitor) in monitors.iter().enumerate() {
                if let Err(error) = count_backlog(config, monitor, index, &mut backlogs) {
                    tracing::debug!(%error, "the backlog of a channel is not known");
                }
            }
        }
        std::thread::sleep(CHECK_INTERVAL);
    }
}

fn count_backlog(
    config: &Config,
    monitor: &Monitor,
    index: usize,
    backlogs: &mut BTreeMap<usize, Backlog>,
) -> Result<(), BrokerError> {
    let channel = monitor.lock().channel.clone();
    // Most results have nobody to call back, so the lag of such a group says nothing.
    if !config.channels.iter().any(|settings| settings.name == channel) {
        return Ok(());
    }
    let backlog = match backlogs.entry(index) {
        std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::btree_map::Entry::Vacant(place) => place.insert(Backlog::new(config, &channel)?),
    };
    monitor.meters.set_backlog(&channel, backlog.count()?.unwrap_or(0));
    Ok(())
}

fn write_health(config: &Config, producer: &Producer, health: &ChannelHealth) -> Result<(), BrokerError> {
    let health = ChannelHealth { at: unix_ms(), ..health.clone() };
    let (key, value) = (health.key(), serde_json::to_vec(&health).unwrap_or_default());
    let record = Record {
        topic: &config.topics.notifications,
        key: Some(key.as_bytes()),
        value: Some(&value),
        ..Record::default()
    };
    producer.send_and_wait(record, ACKNOWLEDGED)
}
