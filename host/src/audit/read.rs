//! Reads the topics into the ledger.

use super::{Ledger, Report};
use crate::config::Config;
use crate::intake::{SEQUENCE, SESSION, camera};
use crate::kafka::{BrokerError, Reader, committed};
use crate::publish::{OFFSET, PARTITION};
use serde::Deserialize;

/// As much of a result as the audit needs.
#[derive(Deserialize)]
struct Result {
    id: String,
}

/// Accounts for every frame that the frames topic holds now. The order of reading matters: what the group had
/// committed before the results were read must be among them.
pub fn audit(config: &Config) -> std::result::Result<Report, BrokerError> {
    let committed = committed(&config.kafka, &config.topics.frames)?;
    let mut ledger = Ledger::default();
    let mut results = Reader::from_start(&config.kafka, &config.topics.results)?;
    while let Some(record) = results.next()? {
        let result = record.value().and_then(|value| serde_json::from_slice::<Result>(value).ok());
        if let Some((partition, offset)) = result.and_then(|result| position(&result.id)) {
            ledger.result(partition, offset);
        }
    }
    let mut dead_letters = Reader::from_start(&config.kafka, &config.topics.dead_letters)?;
    while let Some(record) = dead_letters.next()? {
        let number = |name| record.header(name).and_then(|text| text.parse::<u64>().ok());
        if let (Some(partition), Some(offset)) = (number(PARTITION), number(OFFSET)) {
            ledger.dead_letter(i32::try_from(partition).unwrap_or(i32::MAX), offset);
        }
    }
    let mut frames = Reader::from_start(&config.kafka, &config.topics.frames)?;
    while let Some(record) = frames.next()? {
        let number = record.header(SEQUENCE).and_then(|text| text.parse().ok());
        ledger.frame(
            record.partition(),
            record.offset().unsigned_abs(),
            &camera(record.key(), record.partition()),
            committed.get(&record.partition()).copied().unwrap_or(0),
            record.header(SESSION).zip(number),
        );
    }
    Ok(ledger.report())
}

/// Partition and offset of a result's id, `topic/partition/offset`.
fn position(id: &str) -> Option<(i32, u64)> {
    let mut parts = id.rsplit('/');
    let offset = parts.next()?.parse().ok()?;
    Some((parts.next()?.parse().ok()?, offset))
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_id_holds_partition_and_offset() {
        assert_eq!(super::position("frames/3/42"), Some((3, 42)));
        assert_eq!(super::position("nonsense"), None);
    }
}
