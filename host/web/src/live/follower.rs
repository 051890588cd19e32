//! Threads that follow the topics. Kafka's outages are waited out: the readers go on by themselves.

use super::alerts::RaisedAlert;
use super::events::EventKind;
use super::ledger::Ledger;
use super::ledger_watch::watch_ledger;
use super::state::Live;
use crate::views::{Acknowledgement, Place};
use everyframe_config::Config;
use everyframe_gallery::{GalleryError, GalleryReader, StrangerRecord};
use everyframe_kafka::{BrokerError, Reader, Received, offsets_at};
use everyframe_privacy::{KeyRing, PrivacyError};
use everyframe_types::dead_letter::{Letter, LetterAction, MESSAGE, REASON, STAGE, Stage};
use everyframe_types::event::{CloudEvent, ResultData};
use everyframe_types::machine::unix_ms;
use everyframe_types::mute::Mute;
use everyframe_types::record::{IncomingRecord as _, camera_id};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long one topic is polled before the others get their turn.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// How often it is checked whether the strangers topic is read.
const STRANGERS_CHECK: Duration = Duration::from_millis(10);
/// How long a change of the gallery is waited for.
const GALLERY: Duration = Duration::from_millis(250);
/// How much earlier than its frame a result may seem to be, milliseconds: their times are from different clocks.
const CLOCKS_APART_MS: i64 = 60_000;
/// Between two attempts to reach Kafka at the start.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);

/// What a thread does until the flag is set.
type Job = fn(&Config, &Live, &AtomicBool) -> Result<(), BrokerError>;

/// Between two times at which the last frame of each camera is sent to browsers.
const FRAMES: Duration = Duration::from_millis(250);
/// After the first new frame, others of the same batch of results are waited for.
const BATCH: Duration = Duration::from_millis(20);

/// Starts the threads. They end when `stop` is set.
///
/// # Errors
///
/// The system has no threads left.
pub fn follow(config: &Config, live: &Arc<Live>, stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    let jobs: [(&str, Job); 7] = [
        ("web-frames", send_frames),
        ("web-results", follow_results),
        ("web-dead-letters", follow_dead_letters),
        ("web-preview", preview),
        ("web-gallery", follow_gallery),
        ("web-strangers", follow_strangers),
        ("web-ledger", watch_ledger),
    ];
    for (name, job) in jobs {
        let (config, live, stop) = (config.clone(), live.clone(), stop.clone());
        std::thread::Builder::new().name(name.into()).spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match job(&config, &live, &stop) {
                    Ok(()) => return,
                    Err(error) => tracing::warn!("the dashboard waits for Kafka: {error}"),
                }
                std::thread::sleep(RECONNECT_PAUSE);
            }
        })?;
    }
    Ok(())
}

fn send_frames(_: &Config, live: &Live, stop: &AtomicBool) -> Result<(), BrokerError> {
    while !stop.load(Ordering::Relaxed) {
        if live.wait_for_frames(FRAMES) {
            std::thread::sleep(BATCH);
            live.send_frames();
            std::thread::sleep(FRAMES - BATCH);
        }
    }
    Ok(())
}

/// Reads results, alerts, dead letters and acknowledgements.
fn follow_results(config: &Config, live: &Live, stop: &AtomicBool) -> Result<(), BrokerError> {
    let topics = &config.topics;
    let since = unix_ms().saturating_sub((config.web.history_h * 3.6e6) as i64);
    // Frames first: what is read later has results of all of them.
    let from = offsets_at(&config.kafka, &topics.frames, since)?;
    let open = |topic: &str| Reader::following(&config.kafka, topic, since - CLOCKS_APART_MS);
    let (mut results, mut alerts, mut parked) =
        (open(&topics.results)?, open(&topics.alerts)?, open(&topics.dead_letters)?);
    let mut acknowledged = Reader::following(&config.kafka, &topics.acknowledgements, 0)?;
    {
        let mut state = live.write();
        state.ledger = Ledger::new(from);
        state.since = since;
    }
    // No sighting of a stranger who was forgotten may be shown, not even for a moment.
    while !live.read().knows_strangers {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        std::thread::sleep(STRANGERS_CHECK);
    }
    while !stop.load(Ordering::Relaxed) {
        // Only one topic is waited for: rdkafka spins through the last millisecond of each wait.
        take_turn(&mut results, POLL_TIMEOUT, |record| add_result(live, record));
        take_turn(&mut alerts, Duration::ZERO, |record| {
            if let Some(alert) = record.value().and_then(RaisedAlert::parse) {
                live.add_alert(alert);
            }
        });
        take_turn(&mut parked, Duration::ZERO, |record| add_letter(live, record));
        take_turn(&mut acknowledged, Duration::ZERO, |record| add_acknowledgement(live, record));
        let all = [&results, &alerts, &parked, &acknowledged];
        if all.iter().all(|reader| reader.has_caught_up()) && !live.read().is_complete {
            let mut state = live.write();
            state.is_complete = true;
            state.alerts.forget_unknown();
            drop(state);
            tracing::info!("the dashboard has read the history of the last {} h", config.web.history_h);
        }
    }
    Ok(())
}

/// Applies the records of a topic until none is waiting, or the turn is over. Waits for the first one.
fn take_turn(reader: &mut Reader, first: Duration, mut apply: impl FnMut(&Received<'_>)) {
    let began = Instant::now();
    let mut wait = first;
    while began.elapsed() <= POLL_TIMEOUT {
        match reader.follow(wait) {
            Ok(Some(record)) => apply(&record),
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "the dashboard: Kafka does not answer; trying again");
                return;
            }
        }
        wait = Duration::ZERO;
    }
}

fn add_result(live: &Live, record: &Received<'_>) {
    if let Some(result) = parse_result(record) {
        let place = Place { partition: record.partition(), offset: record.offset() };
        live.add_result(result, place, unix_ms());
    }
}

fn parse_result(record: &Received<'_>) -> Option<ResultData> {
    serde_json::from_slice::<CloudEvent<ResultData>>(record.value()?).ok().map(|event| event.data)
}

fn add_letter(live: &Live, record: &Received<'_>) {
    match Letter::parse(record) {
        Letter::Parked(frame) => {
            let camera = camera_id(record.key(), record.partition());
            let mut state = live.write();
            state.ledger.add_dead_letter(frame.into());
            state.cameras.add_parked(&camera);
            let header = |name| record.header(name).unwrap_or_default().to_owned();
            if header(STAGE) == Stage::Rules.as_str() {
                state.rules.add_parked(&camera, record.timestamp(), &header(REASON), &header(MESSAGE));
            }
        }
        Letter::Mark(mark) if mark.fate == LetterAction::Replayed => {
            live.write().ledger.add_replayed(mark.frame.into());
        }
        Letter::Deleted { partition, first, last } => live.write().ledger.add_deleted(partition, first, last),
        Letter::Mark(_) | Letter::Other => {}
    }
}

/// Follows the dead letters from the first one, which may be much older than the history.
fn follow_dead_letters(config: &Config, live: &Live, stop: &AtomicBool) -> Result<(), BrokerError> {
    let mut reader = Reader::following(&config.kafka, &config.topics.dead_letters, 0)?;
    while !stop.load(Ordering::Relaxed) {
        match reader.follow(GALLERY) {
            Ok(Some(record)) => {
                let mut state = live.write();
                let letter = state.dead_letters.add(&record);
                let is_complete = state.dead_letters.is_complete;
                drop(state);
                if let Some(letter) = letter.filter(|_| is_complete) {
                    live.send(EventKind::DeadLetter, Some(&letter.camera), || {
                        json!({
                            "place": { "partition": letter.place.partition, "offset": letter.place.offset },
                            "camera": letter.camera,
                            "at": letter.at,
                            "stage": letter.stage,
                            "reason": letter.reason,
                            "message": letter.message,
                        })
                    });
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the dashboard: Kafka does not answer; trying again"),
        }
        if reader.has_caught_up() && !live.read().dead_letters.is_complete {
            live.write().dead_letters.is_complete = true;
        }
    }
    Ok(())
}

fn add_acknowledgement(live: &Live, record: &Received<'_>) {
    let Some(id) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else { return };
    if let Some(id) = Mute::id(id) {
        // A record that is no mute mutes nothing.
        let mute = record.value().and_then(|value| serde_json::from_slice(value).ok());
        live.write().alerts.mute(id, mute);
        return;
    }
    let acknowledgement = match record.value() {
        None => None,
        Some(value) => match serde_json::from_slice::<Acknowledgement>(value) {
            Ok(acknowledgement) => Some(acknowledgement),
            Err(_) => return,
        },
    };
    let mut state = live.write();
    let is_complete = state.is_complete;
    if is_complete && state.alerts.get(id).is_none() {
        return;
    }
    state.alerts.acknowledge(id, acknowledgement);
    drop(state);
    let state = live.read();
    if let Some(alert) = state.alerts.get(id).filter(|_| is_complete) {
        live.send(EventKind::Acknowledgement, Some(&alert.camera), || state.alert_view(alert));
    }
}

/// Shows what comes now, while [`follow_results`] is still reading the history.
fn preview(config: &Config, live: &Live, stop: &AtomicBool) -> Result<(), BrokerError> {
    let mut reader = Reader::from_end(&config.kafka, &config.topics.results)?;
    while !stop.load(Ordering::Relaxed) && !live.read().is_complete {
        match reader.follow(POLL_TIMEOUT) {
            Ok(Some(record)) => {
                if let Some(result) = parse_result(&record) {
                    live.preview(result, unix_ms());
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the dashboard: Kafka does not answer; trying again"),
        }
    }
    Ok(())
}

/// Follows the strangers topic: who was merged, split or forgotten.
fn follow_strangers(config: &Config, live: &Live, stop: &AtomicBool) -> Result<(), BrokerError> {
    let mut reader = Reader::following(&config.kafka, &config.topics.strangers, 0)?;
    let failed = |error: PrivacyError| BrokerError::Other(error.to_string());
    let ring = KeyRing::load(&config.privacy).map_err(failed)?;
    while !stop.load(Ordering::Relaxed) {
        match reader.follow(GALLERY) {
            Ok(Some(record)) => {
                let key = record.key().and_then(|key| std::str::from_utf8(key).ok());
                let parsed = key.zip(record.value());
                // One that cannot be decrypted is left out: the host says so.
                let parsed = parsed.and_then(|(key, value)| StrangerRecord::parse(&ring, key, value).ok()?);
                // Results tell of the views. A record that was erased leaves what it caused.
                if let Some(record) = parsed.filter(|record| !matches!(record, StrangerRecord::View(_))) {
                    live.write().sightings.apply(record);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the dashboard: Kafka does not answer; trying again"),
        }
        if reader.has_caught_up() && !live.read().knows_strangers {
            live.write().knows_strangers = true;
        }
    }
    Ok(())
}

/// Follows the gallery.
fn follow_gallery(config: &Config, live: &Live, stop: &AtomicBool) -> Result<(), BrokerError> {
    let failed = |error: GalleryError| match error {
        GalleryError::Broker(error) => error,
        error => BrokerError::Other(error.to_string()),
    };
    let mut reader = GalleryReader::from_start(config).map_err(failed)?;
    while let Some(change) = reader.next_change().map_err(failed)? {
        live.write().people.apply(&change.key, change.sample.as_ref());
    }
    let mut has_changed = true;
    while !stop.load(Ordering::Relaxed) {
        let wait = if has_changed { Duration::from_millis(20) } else { GALLERY };
        match reader.follow(wait) {
            Ok(Some(change)) => {
                live.write().people.apply(&change.key, change.sample.as_ref());
                has_changed = true;
            }
            Ok(None) if std::mem::take(&mut has_changed) => {
                let people = live.read().people.count();
                live.send(EventKind::People, None, || json!({ "people": people }));
            }
            Ok(None) => {}
            Err(error) if error.is_wrong_key() => return Err(failed(error)),
            Err(error) => tracing::debug!(%error, "the dashboard: Kafka does not answer; trying again"),
        }
    }
    Ok(())
}
