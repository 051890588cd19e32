//! Follows the strangers topic in a running host.

use super::index::{StrangerIndex, StrangerIndexWriter};
use super::record::StrangerRecord;
use crate::topic::GalleryError;
use arc_swap::ArcSwap;
use everyframe_config::Config;
use everyframe_kafka::Reader;
use everyframe_privacy::{KeyCheck, KeyRing};
use everyframe_types::id::printable;
use everyframe_types::machine::unix_ms;
use everyframe_types::record::IncomingRecord;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long to wait for a record before looking for expired ones.
const WAIT: Duration = Duration::from_millis(250);
/// How long records are applied before the index is published, while more are waiting.
const PUBLISH_AFTER: Duration = Duration::from_millis(100);

/// The strangers of all cameras in a running host. The topic is read in full before the first frame, and followed from then on.
pub struct Strangers {
    index: Arc<ArcSwap<StrangerIndex>>,
    failure: Arc<OnceLock<GalleryError>>,
    stop: Arc<AtomicBool>,
    follower: Option<JoinHandle<()>>,
}

impl Strangers {
    /// Reads the topic to its end, and starts a thread that follows it and erases what expires. `model` is the SHA-256 of the
    /// embedding model in use; templates of other models are left out.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, a key is missing, or the thread cannot be started: do not take in frames.
    pub fn follow(config: &Config, model: &str) -> Result<Self, GalleryError> {
        let mut reader = Reader::from_start(&config.kafka, &config.topics.strangers)?;
        let ring = KeyRing::load(&config.privacy)?;
        let (mut check, mut writer) = (KeyCheck::default(), StrangerIndexWriter::new(model));
        while let Some(record) = reader.next()? {
            apply_record(&ring, &mut check, &mut writer, &record);
        }
        check.finish()?;
        let failure = Arc::new(OnceLock::new());
        writer.erase_expired(unix_ms());
        let index = Arc::new(ArcSwap::from_pointee(writer.snapshot()));
        let stop = Arc::new(AtomicBool::new(false));
        let follower = std::thread::Builder::new().name("strangers".into()).spawn({
            let (index, failure, stop) = (index.clone(), failure.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let has_news = match apply_next_records(&ring, &mut writer, &mut reader) {
                        Ok(has_news) => has_news,
                        Err(error) => return drop(failure.set(error)),
                    };
                    if writer.erase_expired(unix_ms()) || has_news {
                        index.store(Arc::new(writer.snapshot()));
                    }
                }
            }
        })?;
        Ok(Self { index, failure, stop, follower: Some(follower) })
    }

    /// Why the strangers are not followed any more: a key is missing. Stop.
    pub fn failure(&self) -> Option<&GalleryError> {
        self.failure.get()
    }

    /// The current index.
    pub fn index(&self) -> Arc<StrangerIndex> {
        self.index.load_full()
    }
}

/// Reads all records of the strangers topic that were not erased, by key.
///
/// # Errors
///
/// The brokers do not answer, or refuse this user, or a key is missing: show the message, which says what to do.
pub fn read_strangers(config: &Config) -> Result<BTreeMap<String, StrangerRecord>, GalleryError> {
    let ring = KeyRing::load(&config.privacy)?;
    let mut reader = Reader::from_start(&config.kafka, &config.topics.strangers)?;
    let (mut records, mut check) = (BTreeMap::new(), KeyCheck::default());
    while let Some(record) = reader.next()? {
        let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else { continue };
        let read = record.value().map(|value| StrangerRecord::parse(&ring, key, value)).transpose();
        match check.add(key, read) {
            Some(Some(Some(parsed))) => drop(records.insert(key.to_owned(), parsed)),
            _ => drop(records.remove(key)),
        }
    }
    check.finish()?;
    Ok(records)
}

impl Drop for Strangers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(follower) = self.follower.take() {
            let _ = follower.join();
        }
    }
}

/// Waits for a record, and applies it and those that wait behind it. True if there was one.
fn apply_next_records(
    ring: &KeyRing,
    writer: &mut StrangerIndexWriter,
    reader: &mut Reader,
) -> Result<bool, GalleryError> {
    let (mut timeout, mut since) = (WAIT, None);
    loop {
        match reader.follow(timeout) {
            Ok(Some(record)) => {
                let mut check = KeyCheck::default();
                apply_record(ring, &mut check, writer, &record);
                check.finish()?;
            }
            Ok(None) => return Ok(since.is_some()),
            Err(error) => {
                tracing::debug!(%error, "strangers: Kafka does not answer; trying again");
                return Ok(since.is_some());
            }
        }
        timeout = Duration::ZERO;
        if since.get_or_insert_with(Instant::now).elapsed() > PUBLISH_AFTER {
            return Ok(true);
        }
    }
}

/// Applies a record. Logs and skips one that no host wrote.
fn apply_record(
    ring: &KeyRing,
    check: &mut KeyCheck,
    writer: &mut StrangerIndexWriter,
    record: &impl IncomingRecord,
) {
    let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else {
        return tracing::warn!("ignoring a record of the strangers topic without a readable key");
    };
    let read = record.value().map(|value| StrangerRecord::parse(ring, key, value)).transpose();
    match check.add(key, read) {
        None => {}
        Some(Some(Some(parsed))) => writer.apply(key, parsed, record.timestamp()),
        Some(Some(None)) => {
            let key = printable(key);
            tracing::warn!(key, "ignoring a record of the strangers topic that is no view, merge or change");
        }
        Some(None) => writer.erase(key),
    }
}
