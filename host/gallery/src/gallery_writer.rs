//! Writes the gallery topic: stores, moves and erases samples.

use crate::gallery_reader::read_samples_and_keys;
use crate::person_keys::PersonKeys;
use crate::sample::{Sample, Terms};
use crate::topic::{GalleryError, TIMEOUT, format_sample, parse_sample, record_key};
use everyframe_config::Config;
use everyframe_kafka::{Producer, Reader, Record};
use everyframe_privacy::KeyRing;
use everyframe_types::id::clean;
use everyframe_types::record::IncomingRecord as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Stores samples, encrypted if a key is configured.
pub struct GalleryWriter {
    config: Config,
    /// None if no key is configured.
    keys: Option<PersonKeys>,
}

impl GalleryWriter {
    /// Reads the keys.
    ///
    /// # Errors
    ///
    /// The brokers do not answer; or a key is missing ([`GalleryError::is_wrong_key`]).
    pub fn open(config: &Config) -> Result<Self, GalleryError> {
        let ring = Arc::new(KeyRing::load(&config.privacy)?);
        let keys = (!ring.is_empty()).then(|| PersonKeys::read(config, ring)).transpose()?;
        Ok(Self { config: config.clone(), keys })
    }

    fn with_keys(config: &Config, ring: &KeyRing, keys: PersonKeys) -> Self {
        Self { config: config.clone(), keys: (!ring.is_empty()).then_some(keys) }
    }

    /// Writes a sample to the gallery topic and waits for the acknowledgement. `id` identifies it among the person's samples: a
    /// sample with the same id is replaced. The first sample of a person makes the person's key.
    ///
    /// # Errors
    ///
    /// [`GalleryError::BadId`]: ask for another id. [`GalleryError::Broker`]: the sample may not be stored; try again.
    pub fn store(&mut self, producer: &Producer, id: &str, sample: &Sample) -> Result<(), GalleryError> {
        let (json, key) = (format_sample(sample)?, record_key(&sample.person, id)?);
        let topic = self.config.topics.gallery.as_str();
        let sealed = match &mut self.keys {
            None => None,
            Some(keys) => {
                // Another process may have erased the person meanwhile.
                keys.refresh(Duration::ZERO)?;
                if keys.of_person(&sample.person).is_none() {
                    keys.create(&self.config, producer, &sample.person)?;
                }
                keys.of_person(&sample.person).map(|data_key| data_key.seal(&key, &json)).transpose()?
            }
        };
        let value = sealed.as_deref().unwrap_or(&json);
        let record = Record { topic, key: Some(key.as_bytes()), value: Some(value), ..Record::default() };
        Ok(producer.send_and_wait(record, TIMEOUT)?)
    }
}

/// Erases one sample with a tombstone; `key` is its record key, `person/sample`.
///
/// # Errors
///
/// The brokers do not acknowledge it: try again.
pub fn erase_sample(producer: &Producer, topic: &str, key: &str) -> Result<(), GalleryError> {
    Ok(producer.send_and_wait(Record { topic, key: Some(key.as_bytes()), ..Record::default() }, TIMEOUT)?)
}

/// Renames a person, and returns the number of samples.
///
/// # Errors
///
/// The brokers do not answer, or refuse this user. Some samples may have the new name already; try again.
pub fn rename_person(
    config: &Config,
    producer: &Producer,
    person: &str,
    name: &str,
) -> Result<usize, GalleryError> {
    move_samples(config, producer, person, |sample| sample.name = name.to_owned())
}

/// Gives all samples of a person to another person, whose name and terms they get. Returns their number. The person's own key and
/// traces stay until the person is erased.
///
/// # Errors
///
/// As [`rename_person`]. Some samples may have moved already; try again.
pub fn merge_people(
    config: &Config,
    producer: &Producer,
    person: &str,
    into: (&str, &str),
    terms: &Terms,
) -> Result<usize, GalleryError> {
    move_samples(config, producer, person, |sample| {
        (sample.person, sample.name) = (into.0.to_owned(), into.1.to_owned());
        sample.terms = terms.clone();
    })
}

/// Changes what a person agreed to, and returns the number of samples.
///
/// # Errors
///
/// As [`rename_person`]. Some samples may have the new terms already; try again.
pub fn set_terms(
    config: &Config,
    producer: &Producer,
    person: &str,
    terms: &Terms,
) -> Result<usize, GalleryError> {
    move_samples(config, producer, person, |sample| sample.terms = terms.clone())
}

/// Encrypts the samples that are not encrypted yet, and returns their number.
///
/// # Errors
///
/// As [`rename_person`].
pub fn encrypt_samples(config: &Config, producer: &Producer) -> Result<usize, GalleryError> {
    let mut writer = GalleryWriter::open(config)?;
    let plain = read_plain_samples(config)?;
    for (key, sample) in &plain {
        let id = key.rsplit_once('/').map_or(key.as_str(), |(_, id)| id);
        writer.store(producer, id, sample)?;
        if record_key(&sample.person, id)? != *key {
            erase_sample(producer, &config.topics.gallery, key)?;
        }
    }
    Ok(plain.len())
}

/// The samples that are not encrypted, by record key.
fn read_plain_samples(config: &Config) -> Result<BTreeMap<String, Sample>, GalleryError> {
    let mut reader = Reader::from_start(&config.kafka, &config.topics.gallery)?;
    let mut plain = BTreeMap::new();
    while let Some(record) = reader.next()? {
        let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else { continue };
        match record.value().and_then(parse_sample) {
            Some(sample) => drop(plain.insert(key.to_owned(), sample)),
            None => drop(plain.remove(key)),
        }
    }
    Ok(plain)
}

/// Changes all samples of a person.
fn move_samples(
    config: &Config,
    producer: &Producer,
    person: &str,
    change: impl Fn(&mut Sample),
) -> Result<usize, GalleryError> {
    let ring = Arc::new(KeyRing::load(&config.privacy)?);
    let (samples, keys) = read_samples_and_keys(config, ring.clone())?;
    let mut writer = GalleryWriter::with_keys(config, &ring, keys);
    let person = clean(person);
    let mut moved = 0;
    for (key, mut sample) in samples.into_iter().filter(|(_, sample)| sample.person == person) {
        let before = sample.clone();
        change(&mut sample);
        let id = key.rsplit_once('/').map_or(key.as_str(), |(_, id)| id);
        let moves = record_key(&sample.person, id)? != key;
        // One that belongs to another person afterwards is stored there before it is erased here.
        if moves || sample != before {
            writer.store(producer, id, &sample)?;
        }
        if moves {
            erase_sample(producer, &config.topics.gallery, &key)?;
        }
        moved += 1;
    }
    Ok(moved)
}

/// What the people agreed to, by id; of each, what the latest sample says.
pub fn terms_by_person<'a>(samples: impl Iterator<Item = &'a Sample>) -> BTreeMap<String, Terms> {
    let mut terms: BTreeMap<String, (i64, Terms)> = BTreeMap::new();
    for sample in samples {
        let entry = terms.entry(sample.person.clone()).or_default();
        if entry.0 <= sample.enrolled_at {
            *entry = (sample.enrolled_at, sample.terms.clone());
        }
    }
    terms.into_iter().map(|(person, (_, terms))| (person, terms)).collect()
}
