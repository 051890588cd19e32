//! Erases a person from the gallery, keys and strangers topics.
//!
//! Tombstones make all hosts forget within a second. But Kafka keeps the erased records on its disks until it compacts their
//! segments. So the person's data key is destroyed, too: all other keys are written again, in one transaction, and everything before
//! them in the keys topic is deleted. From then on nobody can decrypt the templates that are still on the disks.

use crate::gallery_reader::read_samples_and_keys;
use crate::gallery_writer::erase_sample;
use crate::person_keys::{ErasureNotice, PersonKeys, notice_key, notice_value, record_key};
use crate::sample::Sample;
use crate::similar_people::NEARLY_THE_SAME;
use crate::strangers::{StrangerRecord, read_strangers};
use crate::topic::{GalleryError, TIMEOUT, parse_sample};
use everyframe_config::Config;
use everyframe_kafka::{
    BrokerError, OpeningError, Producer, Reader, Record, TransactionError, Transactions, delete_before_now,
};
use everyframe_privacy::{DataKeyId, KeyRing};
use everyframe_types::id::clean;
use everyframe_types::parallel::in_parallel;
use everyframe_types::record::IncomingRecord as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the keys are written again after another process did so at the same time.
const ATTEMPTS: usize = 10;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the brokers may take to acknowledge all keys.
const FLUSH: Duration = Duration::from_secs(10);
/// A notice is kept for so long, milliseconds: a host that is away for longer reads the state topic anew.
const NOTICE_MS: i64 = 24 * 3_600_000;
const BATCH_BYTES: usize = 64 << 10;

/// Everything in the gallery, keys and strangers topics that belongs to a person or a stranger.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonTraces {
    /// The id of the person or stranger.
    pub person: String,
    /// The record keys of the samples.
    pub samples: BTreeMap<String, Sample>,
    /// The data keys.
    pub data_keys: BTreeSet<DataKeyId>,
    /// The ids of the strangers who are this person: those that the person was enrolled from, those that were merged with them, and
    /// those who have nearly the same face.
    pub strangers: BTreeSet<String>,
    /// The record keys of these strangers.
    pub stranger_records: BTreeSet<String>,
    /// A notice of an erasure that was begun, and not finished.
    pub unfinished: Option<ErasureNotice>,
}

impl PersonTraces {
    /// True if nothing is left of the person.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
            && self.data_keys.is_empty()
            && self.stranger_records.is_empty()
            && self.unfinished.is_none()
    }
}

/// Finds everything that belongs to a person, or to a stranger if it is the id of one. `known` are ids of strangers who are known to
/// be the person.
///
/// # Errors
///
/// The brokers do not answer; or a key is missing ([`GalleryError::is_wrong_key`]).
pub fn find_traces(
    config: &Config,
    ring: &Arc<KeyRing>,
    person: &str,
    known: &[String],
) -> Result<PersonTraces, GalleryError> {
    let person = clean(person);
    let (gallery, records) =
        in_parallel(|| read_samples_and_keys(config, ring.clone()), || read_strangers(config));
    let ((mut samples, keys), records) = (gallery?, records?);
    samples.retain(|_, sample| sample.person == person);
    let of_person = keys.iter().filter(|key| key.person == person);
    let data_keys = of_person.map(|key| key.key.id()).collect();
    let unfinished = keys.notices().find(|notice| notice.person == person && !notice.is_done).cloned();
    let mut strangers: BTreeSet<String> = samples.values().filter_map(|it| it.stranger.clone()).collect();
    strangers.extend(known.iter().cloned());
    // Of finished erasures, too: a host that was cut off for long may have written a record afterwards.
    let of_person = keys.notices().filter(|notice| notice.person == person);
    strangers.extend(of_person.flat_map(|notice| notice.strangers.clone()));
    let names_person = |record: &StrangerRecord| {
        let (one, other) = record.strangers();
        one == person || other == Some(&person)
    };
    if records.values().any(names_person) {
        strangers.insert(person.clone());
    }
    let templates: Vec<&Sample> = samples.values().collect();
    let resembles = |record: &StrangerRecord| match record {
        StrangerRecord::View(view) => templates.iter().any(|sample| {
            sample.model == view.model
                && sample.embedding.values().len() == view.embedding.values().len()
                && sample.embedding.similarity(&view.embedding) >= NEARLY_THE_SAME
        }),
        StrangerRecord::Merge(_) | StrangerRecord::Change(_) => false,
    };
    let similar = records.values().filter(|record| resembles(record));
    strangers.extend(similar.map(|record| record.strangers().0.to_owned()));
    add_merged(&mut strangers, records.values());
    let is_of = |record: &StrangerRecord| {
        let (one, other) = record.strangers();
        strangers.contains(one) || other.is_some_and(|other| strangers.contains(other))
    };
    let of_strangers = records.iter().filter(|(_, record)| is_of(record));
    let stranger_records = of_strangers.map(|(key, _)| key.clone()).collect();
    Ok(PersonTraces { person, samples, data_keys, strangers, stranger_records, unfinished })
}

/// Adds the strangers that were merged with these, whatever the order of the merges.
fn add_merged<'a>(strangers: &mut BTreeSet<String>, records: impl Iterator<Item = &'a StrangerRecord>) {
    let pairs = records.filter_map(|record| {
        let (one, other) = record.strangers();
        Some((one, other?))
    });
    let pairs: Vec<(&str, &str)> = pairs.collect();
    loop {
        let before = strangers.len();
        for (one, other) in &pairs {
            if strangers.contains(*one) || strangers.contains(*other) {
                strangers.insert((*one).to_owned());
                strangers.insert((*other).to_owned());
            }
        }
        if strangers.len() == before {
            return;
        }
    }
}

/// Tells all hosts that a person is being erased.
///
/// # Errors
///
/// The brokers do not acknowledge it: erase nothing.
pub fn announce_erasure(
    config: &Config,
    ring: &KeyRing,
    producer: &Producer,
    notice: &ErasureNotice,
) -> Result<(), GalleryError> {
    let (key, value) = (notice_key(&notice.id), notice_value(ring, notice)?);
    let record = Record {
        topic: &config.topics.keys,
        partition: Some(0),
        key: Some(key.as_bytes()),
        value: Some(&value),
        ..Record::default()
    };
    Ok(producer.send_and_wait(record, TIMEOUT)?)
}

/// Writes a tombstone for each sample and each record of a stranger.
///
/// # Errors
///
/// The brokers do not answer: some may be erased already; try again.
pub fn erase_traces(config: &Config, producer: &Producer, traces: &PersonTraces) -> Result<(), GalleryError> {
    for key in traces.samples.keys() {
        erase_sample(producer, &config.topics.gallery, key)?;
    }
    for key in &traces.stranger_records {
        erase_sample(producer, &config.topics.strangers, key)?;
    }
    Ok(())
}

/// Destroys data keys: writes all others again, and deletes everything before them. Does nothing if there are no keys to destroy.
///
/// # Errors
///
/// The brokers do not answer, have no transactions, or refuse the deletion: the keys may still be there; try again.
pub fn destroy_keys(
    config: &Config,
    ring: &Arc<KeyRing>,
    destroyed: &BTreeSet<DataKeyId>,
    now: i64,
) -> Result<(), GalleryError> {
    if destroyed.is_empty() {
        return Ok(());
    }
    rewrite_keys(config, ring, destroyed, now).map(drop)
}

/// Writes all keys again, encrypted by the first configured key, and deletes everything before them. Returns their number.
///
/// # Errors
///
/// As [`destroy_keys`].
pub fn rewrap_keys(config: &Config, ring: &Arc<KeyRing>, now: i64) -> Result<usize, GalleryError> {
    rewrite_keys(config, ring, &BTreeSet::new(), now)
}

fn rewrite_keys(
    config: &Config,
    ring: &Arc<KeyRing>,
    destroyed: &BTreeSet<DataKeyId>,
    now: i64,
) -> Result<usize, GalleryError> {
    let id = format!("{}-keys", config.kafka.group);
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        // Its transactional id keeps other processes from doing the same at the same time: the later one excludes the earlier one,
        // which fails and begins again.
        let transactions = match Transactions::open(&config.kafka, &id, BATCH_BYTES) {
            Ok(transactions) => transactions,
            Err(OpeningError::Configuration(error)) => return Err(error.into()),
            Err(error @ OpeningError::Unsupported(_)) => {
                return Err(BrokerError::Other(format!("a person's key cannot be destroyed: {error}")).into());
            }
            Err(OpeningError::NotYet(reason)) => {
                last = reason;
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        let keys = PersonKeys::read(config, ring.clone())?;
        match write_keys(config, ring, &transactions, &keys, destroyed, now) {
            Ok(count) => {
                let before = BTreeMap::from([(0, keys.end())]);
                delete_before_now(&config.kafka, &config.topics.keys, &before)?;
                return Ok(count);
            }
            Err(Failed::Again(reason)) => last = reason,
            Err(Failed::Privacy(error)) => return Err(error),
        }
        std::thread::sleep(PAUSE);
    }
    Err(BrokerError::Other(format!("the keys of people cannot be written again: {last}")).into())
}

enum Failed {
    Again(String),
    Privacy(GalleryError),
}

impl From<TransactionError> for Failed {
    fn from(error: TransactionError) -> Self {
        let (TransactionError::Retry(reason)
        | TransactionError::Abort(reason)
        | TransactionError::Fatal(reason)) = error;
        Self::Again(reason)
    }
}

/// Writes the keys in one transaction, and returns their number.
fn write_keys(
    config: &Config,
    ring: &KeyRing,
    transactions: &Transactions,
    keys: &PersonKeys,
    destroyed: &BTreeSet<DataKeyId>,
    now: i64,
) -> Result<usize, Failed> {
    let mut records: Vec<(String, Option<Vec<u8>>)> = Vec::new();
    for key in keys.iter().filter(|key| !destroyed.contains(&key.key.id())) {
        let wrapped = key.key.wrap(ring, &key.person).map_err(|error| Failed::Privacy(error.into()))?;
        records.push((record_key(key.key.id()), Some(wrapped)));
    }
    let count = records.len();
    for notice in keys.notices().filter(|notice| notice.at > now - NOTICE_MS || !notice.is_done) {
        let value = notice_value(ring, notice).map_err(|error| Failed::Privacy(error.into()))?;
        records.push((notice_key(&notice.id), Some(value)));
    }
    // For hosts that have read these keys.
    records.extend(destroyed.iter().map(|id| (record_key(*id), None)));
    let old = keys.notices().filter(|notice| notice.at <= now - NOTICE_MS && notice.is_done);
    records.extend(old.map(|notice| (notice_key(&notice.id), None)));
    transactions.begin()?;
    let is_refused = Arc::new(AtomicBool::new(false));
    for (key, value) in &records {
        let record = Record {
            topic: &config.topics.keys,
            partition: Some(0),
            key: Some(key.as_bytes()),
            value: value.as_deref(),
            ..Record::default()
        };
        let is_refused = is_refused.clone();
        let stored = move |stored: Result<(), BrokerError>| {
            is_refused.fetch_or(stored.is_err(), Ordering::SeqCst);
        };
        transactions.producer().send(record, Box::new(stored));
    }
    let flushed = transactions.producer().flush(FLUSH);
    if flushed.is_err() || is_refused.load(Ordering::SeqCst) {
        let _ = transactions.abort();
        return Err(Failed::Again("not all keys were acknowledged".into()));
    }
    for _ in 0..ATTEMPTS {
        match transactions.commit() {
            Ok(()) => return Ok(count),
            Err(TransactionError::Retry(_)) => std::thread::sleep(PAUSE),
            Err(error) => {
                let _ = transactions.abort();
                return Err(error.into());
            }
        }
    }
    Err(Failed::Again("the transaction does not end".into()))
}

/// What the logs of the topics still hold of a person who was erased, compacted or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// Templates that everybody who reads the topic can read: they were stored before there was a key.
    pub readable: usize,
    /// Templates that are encrypted by a destroyed key: nobody can read them.
    pub unreadable: usize,
    /// Data keys that should have been destroyed.
    pub data_keys: usize,
    /// Templates and merges of strangers.
    pub stranger_records: usize,
    /// True if a person with this id was enrolled again since.
    pub is_enrolled_again: bool,
}

/// Reads the whole logs of the gallery, keys and strangers topics for what is left of a person who was erased at `erased_at`, Unix
/// milliseconds.
///
/// # Errors
///
/// The brokers do not answer; or a key is missing ([`GalleryError::is_wrong_key`]).
pub fn find_remains(
    config: &Config,
    ring: &Arc<KeyRing>,
    person: &str,
    data_keys: &BTreeSet<DataKeyId>,
    strangers: &BTreeSet<String>,
    erased_at: i64,
) -> Result<Remains, GalleryError> {
    let mut remains = Remains::default();
    let keys = PersonKeys::read(config, ring.clone())?;
    remains.data_keys = data_keys.iter().filter(|id| keys.get(**id).is_some()).count();
    let mut reader = Reader::from_start(&config.kafka, &config.topics.gallery)?;
    while let Some(record) = reader.next()? {
        let key = String::from_utf8_lossy(record.key().unwrap_or_default());
        let Some(value) = record.value() else { continue };
        match DataKeyId::of(value) {
            Some(id) if data_keys.contains(&id) => remains.unreadable += 1,
            // A key of this person that was destroyed by an earlier erasure, or of a later enrolment.
            Some(id) if key.split('/').next() == Some(person) => match keys.get(id) {
                Some(_) => remains.is_enrolled_again = true,
                None => remains.unreadable += 1,
            },
            Some(_) => {}
            None => match parse_sample(value) {
                Some(sample) if sample.person == person && sample.enrolled_at > erased_at => {
                    remains.is_enrolled_again = true;
                }
                Some(sample) if sample.person == person => remains.readable += 1,
                _ => {}
            },
        }
    }
    let is_of = |record: &&StrangerRecord| match record {
        StrangerRecord::View(view) => strangers.contains(&view.stranger),
        StrangerRecord::Merge(merge) => {
            strangers.contains(&merge.stranger) || strangers.contains(&merge.merged_into)
        }
        // It may say that the sightings of a stranger who was erased are not shown.
        StrangerRecord::Change(_) => false,
    };
    remains.stranger_records = read_strangers(config)?.values().filter(is_of).count();
    Ok(remains)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strangers::tests_support::merge;

    #[test]
    fn merged_strangers_are_found_in_any_order() {
        let records = [merge("c", "d", 1), merge("a", "b", 2), merge("b", "c", 3), merge("x", "y", 4)]
            .map(StrangerRecord::Merge);
        for begin in ["a", "b", "c", "d"] {
            let mut strangers = BTreeSet::from([begin.to_owned()]);
            add_merged(&mut strangers, records.iter());
            assert_eq!(strangers.into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        }
    }
}
