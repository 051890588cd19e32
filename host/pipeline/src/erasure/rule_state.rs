//! Erases rule state of a person from the state topic.

use super::traces::Traces;
use crate::publish::changelog::{self, FRAME_OFFSET};
use everyframe_config::Config;
use everyframe_gallery::GalleryError;
use everyframe_kafka::{Producer, Reader, Record};
use everyframe_privacy::{KeyCheck, KeyRing};
use everyframe_types::record::IncomingRecord as _;
use std::collections::BTreeMap;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A value in the state topic that is about the person.
struct Found {
    partition: i32,
    key: Vec<u8>,
    /// The offset of the frame that stored it.
    frame_offset: i64,
}

/// Writes a tombstone for each value that names the person. Returns their number. Hosts delete the values that they hold in memory
/// when they judge the next frame; they are told by the notice of the erasure.
pub(super) fn erase_rule_state(
    config: &Config,
    ring: &KeyRing,
    producer: &Producer,
    traces: &Traces,
) -> Result<usize, GalleryError> {
    let found = find_rule_state(config, ring, traces)?;
    for Found { partition, key, frame_offset } in &found {
        // The frame's offset decides, as for the value itself, whether a host that starts applies it.
        let offset = frame_offset.to_string();
        let record = Record {
            topic: &config.topics.state,
            partition: Some(*partition),
            key: Some(key),
            value: None,
            headers: &[(FRAME_OFFSET, offset.as_bytes())],
        };
        producer.send_and_wait(record, TIMEOUT)?;
    }
    Ok(found.len())
}

/// The keys of the values in the state topic that name the person.
pub(crate) fn state_keys(
    config: &Config,
    ring: &KeyRing,
    traces: &Traces,
) -> Result<Vec<String>, GalleryError> {
    let found = find_rule_state(config, ring, traces)?;
    Ok(found.into_iter().map(|found| String::from_utf8_lossy(&found.key).into_owned()).collect())
}

fn find_rule_state(config: &Config, ring: &KeyRing, traces: &Traces) -> Result<Vec<Found>, GalleryError> {
    let mut reader = Reader::from_start(&config.kafka, &config.topics.state)?;
    let mut found: BTreeMap<(i32, Vec<u8>), Found> = BTreeMap::new();
    let mut check = KeyCheck::default();
    while let Some(record) = reader.next()? {
        let name = String::from_utf8_lossy(record.key().unwrap_or_default());
        let read = check.add(&format!("{}/{name}", record.partition()), changelog::read(ring, &record));
        let Some((frame_offset, change)) = read.flatten() else { continue };
        let (partition, key) = (record.partition(), record.key().unwrap_or_default().to_vec());
        let place = (partition, key.clone());
        match change.value.filter(|value| traces.are_in(&change.key, &value.bytes)) {
            Some(_) => drop(found.insert(place, Found { partition, key, frame_offset })),
            None => drop(found.remove(&place)),
        }
    }
    check.finish()?;
    Ok(found.into_values().collect())
}
