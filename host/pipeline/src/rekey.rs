//! Encrypts again, with the first configured key, what is encrypted with another one or not at all.

use crate::erasure::ErasureError;
use crate::publish::changelog::{self, EXPIRES_AT, FRAME_OFFSET, SEALED};
use everyframe_config::Config;
use everyframe_gallery::{GalleryError, encrypt_samples, rewrap_keys};
use everyframe_kafka::{Producer, Reader, Record, list_group_members};
use everyframe_privacy::{KeyId, KeyRing, PrivacyError};
use everyframe_types::machine::unix_ms;
use everyframe_types::record::IncomingRecord as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What was encrypted again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RekeyReport {
    /// Data keys of people; all of them.
    pub data_keys: usize,
    /// Samples that were not encrypted before.
    pub samples: usize,
    /// Values of rules that were encrypted with another key or not at all.
    pub rule_state: usize,
    /// Values of rules and views of strangers that still need another key, by its id. Views are deleted after hours, and values when
    /// rules store them again.
    pub left: BTreeMap<KeyId, usize>,
    /// True if rule state was left as it is, because hosts are running.
    pub has_hosts: bool,
}

/// Encrypts everything again that can be while hosts are running; and rule state, if none is.
///
/// # Errors
///
/// No key is configured or one is missing, or the brokers do not answer: some may be encrypted again already; try again.
pub fn encrypt_again(config: &Config) -> Result<RekeyReport, ErasureError> {
    let ring = Arc::new(KeyRing::load(&config.privacy)?);
    if ring.is_empty() {
        let message =
            "keys is empty: there is no key to encrypt with; `everyframe gallery make-key FILE` makes one";
        return Err(PrivacyError::Secret(message.into()).into());
    }
    let producer = Producer::new(&config.kafka)?;
    let mut report = RekeyReport {
        data_keys: rewrap_keys(config, &ring, unix_ms())?,
        samples: encrypt_samples(config, &producer)?,
        has_hosts: !list_group_members(&config.kafka)?.is_empty(),
        ..RekeyReport::default()
    };
    let state = read_last_values(config, &config.topics.state)?;
    if report.has_hosts {
        count(&mut report.left, &ring, state.values().filter(|value| value.is_sealed));
    } else {
        report.rule_state = encrypt_state(config, &ring, &producer, &state)?;
    }
    let strangers = read_last_values(config, &config.topics.strangers)?;
    count(&mut report.left, &ring, strangers.values());
    Ok(report)
}

fn count<'a>(left: &mut BTreeMap<KeyId, usize>, ring: &KeyRing, values: impl Iterator<Item = &'a Stored>) {
    for id in values.filter_map(|value| KeyRing::key_of(&value.bytes)) {
        if Some(id) != ring.active_id() {
            *left.entry(id).or_insert(0) += 1;
        }
    }
}

struct Stored {
    bytes: Vec<u8>,
    is_sealed: bool,
    frame_offset: Option<String>,
    expires_at: Option<String>,
}

/// The last values of a compacted topic, by partition and key.
fn read_last_values(config: &Config, topic: &str) -> Result<BTreeMap<(i32, String), Stored>, GalleryError> {
    let mut reader = Reader::from_start(&config.kafka, topic)?;
    let mut values = BTreeMap::new();
    while let Some(record) = reader.next()? {
        let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else { continue };
        let place = (record.partition(), key.to_owned());
        let header = |name| record.header(name).map(str::to_owned);
        match record.value() {
            None => drop(values.remove(&place)),
            Some(value) => {
                let stored = Stored {
                    bytes: value.to_vec(),
                    is_sealed: record.header(SEALED).is_some(),
                    frame_offset: header(FRAME_OFFSET),
                    expires_at: header(EXPIRES_AT),
                };
                values.insert(place, stored);
            }
        }
    }
    Ok(values)
}

/// Stores rule state again. No host may be running: it would store newer values before.
fn encrypt_state(
    config: &Config,
    ring: &KeyRing,
    producer: &Producer,
    state: &BTreeMap<(i32, String), Stored>,
) -> Result<usize, GalleryError> {
    let mut encrypted = 0;
    for ((partition, key), stored) in state {
        let Some(frame_offset) = &stored.frame_offset else { continue };
        if stored.is_sealed && KeyRing::key_of(&stored.bytes) == ring.active_id() {
            continue;
        }
        let plain = changelog::open_value(ring, key, &stored.bytes, stored.is_sealed)?;
        let Some((sealed, _)) = changelog::write_value(ring, key, &plain) else { continue };
        let mut headers = vec![(FRAME_OFFSET, frame_offset.as_bytes()), (SEALED, b"1".as_slice())];
        headers.extend(stored.expires_at.as_ref().map(|at| (EXPIRES_AT, at.as_bytes())));
        let record = Record {
            topic: &config.topics.state,
            partition: Some(*partition),
            key: Some(key.as_bytes()),
            value: Some(&sealed),
            headers: &headers,
        };
        producer.send_and_wait(record, TIMEOUT)?;
        encrypted += 1;
    }
    Ok(encrypted)
}
