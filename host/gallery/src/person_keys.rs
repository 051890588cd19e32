//! The keys topic: the data keys of people, and notices of erasures.
//!
//! | key | value |
//! | --- | --- |
//! | `key/ID` | the data key and its person's id, encrypted by a configured key |
//! | `erasure/ID` | [`ErasureNotice`] as JSON, encrypted by a configured key if there is one |

use crate::topic::{GalleryError, TIMEOUT};
use everyframe_config::Config;
use everyframe_kafka::{Producer, Reader, Record};
use everyframe_privacy::{DataKey, DataKeyId, KeyCheck, KeyRing, KeyUse, PrivacyError};
use everyframe_types::record::IncomingRecord;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEY: &str = "key/";
const ERASURE: &str = "erasure/";

/// How long a key that a new template names may take to arrive. It is written, and acknowledged, before the template.
const ARRIVAL: Duration = Duration::from_secs(3);
/// How long one poll for it waits.
const POLL: Duration = Duration::from_millis(50);

/// Tells all hosts to forget a person: they delete the rule state that names one of the ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasureNotice {
    /// The receipt's id.
    pub id: String,
    /// The person's id.
    pub person: String,
    /// The ids of the strangers who were this person.
    pub strangers: Vec<String>,
    /// When, Unix milliseconds.
    pub at: i64,
    /// How often the notice was written again, because something was found that hosts had written meanwhile. Hosts follow each one.
    #[serde(default)]
    pub round: u32,
    /// True if the erasure is complete.
    #[serde(default)]
    pub is_done: bool,
}

/// The erasures of the last time, as hosts follow them.
#[derive(Debug, Default)]
pub struct Erasures {
    /// Their notices.
    pub notices: Vec<ErasureNotice>,
    strangers: HashSet<String>,
}

impl Erasures {
    /// From the notices that are kept.
    pub fn new(notices: Vec<ErasureNotice>) -> Self {
        let strangers = notices.iter().flat_map(|notice| notice.strangers.iter().cloned()).collect();
        Self { notices, strangers }
    }

    /// True if a stranger with this id was erased. The id is never used again. (A person may be enrolled again under the same id.)
    pub fn has_stranger(&self, id: &str) -> bool {
        self.strangers.contains(id)
    }

    /// True while a person is being erased: some of their samples may still be in an index.
    pub fn is_being_erased(&self, person: &str) -> bool {
        self.notices.iter().any(|notice| notice.person == person && !notice.is_done)
    }
}

/// A person's data key.
pub(crate) struct PersonKey {
    pub person: String,
    pub key: DataKey,
}

/// The data keys of all people. They are read from their topic, and followed when asked to.
pub(crate) struct PersonKeys {
    reader: Reader,
    ring: Arc<KeyRing>,
    keys: HashMap<DataKeyId, PersonKey>,
    notices: BTreeMap<String, ErasureNotice>,
    /// The offset after the last record that was read.
    end: u64,
    check: KeyCheck,
}

/// Checks that the configured keys open the data keys of all people.
///
/// # Errors
///
/// The brokers do not answer; or a key is missing ([`GalleryError::is_wrong_key`]): stop.
pub fn check_keys(config: &Config) -> Result<(), GalleryError> {
    PersonKeys::read(config, Arc::new(KeyRing::load(&config.privacy)?)).map(drop)
}

impl PersonKeys {
    /// Reads the keys topic to its end.
    ///
    /// # Errors
    ///
    /// The brokers do not answer: try again. Or a key is missing ([`GalleryError::is_wrong_key`]): stop.
    pub fn read(config: &Config, ring: Arc<KeyRing>) -> Result<Self, GalleryError> {
        let reader = Reader::from_start(&config.kafka, &config.topics.keys)?;
        let (notices, check) = (BTreeMap::new(), KeyCheck::default());
        let mut keys = Self { reader, ring, keys: HashMap::new(), notices, end: 0, check };
        while let Some(record) = keys.reader.next()? {
            let read = ReadRecord::new(&record);
            keys.apply(read);
        }
        std::mem::take(&mut keys.check).finish()?;
        Ok(keys)
    }

    /// Applies the records that have come since. True if there were any.
    ///
    /// # Errors
    ///
    /// As [`PersonKeys::read`].
    pub fn refresh(&mut self, wait: Duration) -> Result<bool, GalleryError> {
        let (mut wait, mut has_news) = (wait, false);
        loop {
            let read = match self.reader.follow(wait)? {
                Some(record) => ReadRecord::new(&record),
                None => break,
            };
            self.apply(read);
            (wait, has_news) = (Duration::ZERO, true);
        }
        std::mem::take(&mut self.check).finish()?;
        Ok(has_news)
    }

    /// A data key; none if it was destroyed.
    pub fn get(&self, id: DataKeyId) -> Option<&DataKey> {
        self.keys.get(&id).map(|key| &key.key)
    }

    /// As [`PersonKeys::get`]. Waits for a key that was written lately.
    ///
    /// # Errors
    ///
    /// As [`PersonKeys::read`].
    pub fn wait_for(&mut self, id: DataKeyId) -> Result<Option<&DataKey>, GalleryError> {
        let since = Instant::now();
        while !self.keys.contains_key(&id) && since.elapsed() < ARRIVAL {
            self.refresh(POLL)?;
        }
        Ok(self.get(id))
    }

    /// The data key of a person, if there is one.
    pub fn of_person(&self, person: &str) -> Option<&DataKey> {
        self.keys.values().find(|key| key.person == person).map(|key| &key.key)
    }

    /// All data keys.
    pub fn iter(&self) -> impl Iterator<Item = &PersonKey> {
        self.keys.values()
    }

    /// The notices of erasures that are kept.
    pub fn notices(&self) -> impl Iterator<Item = &ErasureNotice> {
        self.notices.values()
    }

    /// The offset after the last record that was read.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Makes a data key for a person and writes it.
    ///
    /// # Errors
    ///
    /// No random numbers, no configured key, or the brokers do not acknowledge the record: store nothing for the person.
    pub fn create(
        &mut self,
        config: &Config,
        producer: &Producer,
        person: &str,
    ) -> Result<&DataKey, GalleryError> {
        let key = DataKey::generate()?;
        let (id, wrapped) = (key.id(), key.wrap(&self.ring, person)?);
        let (topic, record_key) = (&config.topics.keys, record_key(id));
        let record = Record {
            topic,
            partition: Some(0),
            key: Some(record_key.as_bytes()),
            value: Some(&wrapped),
            ..Record::default()
        };
        producer.send_and_wait(record, TIMEOUT)?;
        let key = PersonKey { person: person.to_owned(), key };
        Ok(&self.keys.entry(id).or_insert(key).key)
    }

    fn apply(&mut self, record: ReadRecord) {
        let ReadRecord { key, value, offset } = record;
        self.end = offset.unsigned_abs() + 1;
        if let Some(id) = key.strip_prefix(KEY) {
            let Some(id) = DataKeyId::parse(id) else {
                return tracing::warn!(key, "ignoring a record of the keys topic whose id is not one");
            };
            let unwrap = |value: Vec<u8>| DataKey::unwrap(&self.ring, id, &value);
            match self.check.add(&key, value.map(unwrap).transpose()).flatten() {
                Some((key, person)) => drop(self.keys.insert(id, PersonKey { person, key })),
                None => drop(self.keys.remove(&id)),
            }
        } else if let Some(id) = key.strip_prefix(ERASURE) {
            let parse = |value: Vec<u8>| parse_notice(&self.ring, id, &value);
            match self.check.add(&key, value.map(parse).transpose()).flatten() {
                Some(notice) => drop(self.notices.insert(id.to_owned(), notice)),
                None => drop(self.notices.remove(id)),
            }
        } else {
            tracing::warn!(key, "ignoring a record of the keys topic that is neither a key nor an erasure");
        }
    }
}

/// A record, copied out of the reader that it borrows.
struct ReadRecord {
    key: String,
    value: Option<Vec<u8>>,
    offset: i64,
}

impl ReadRecord {
    fn new(record: &impl IncomingRecord) -> Self {
        Self {
            key: String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned(),
            value: record.value().map(<[u8]>::to_vec),
            offset: record.offset(),
        }
    }
}

/// The record key of a data key.
pub(crate) fn record_key(id: DataKeyId) -> String {
    format!("{KEY}{id}")
}

/// The record key of a notice.
pub(crate) fn notice_key(id: &str) -> String {
    format!("{ERASURE}{id}")
}

/// A notice as the value of a record.
pub(crate) fn notice_value(ring: &KeyRing, notice: &ErasureNotice) -> Result<Vec<u8>, PrivacyError> {
    // Texts and numbers: serialising cannot fail.
    ring.seal(KeyUse::Erasure, &notice.id, &serde_json::to_vec(notice).unwrap_or_default())
}

fn parse_notice(ring: &KeyRing, id: &str, value: &[u8]) -> Result<ErasureNotice, PrivacyError> {
    let json = ring.open(KeyUse::Erasure, id, value)?;
    serde_json::from_slice(&json).map_err(|_| PrivacyError::Damaged("a notice of an erasure".into()))
}
