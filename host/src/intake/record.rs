//! From a Kafka record to a frame. Any producer will do: every header is optional.

use crate::frame::{Frame, Position};
use crate::kafka::Received;
use std::sync::Arc;

/// Header: one run of the camera's agent.
pub const SESSION: &str = "everyframe-session";
/// Header: the frame's number in its session.
pub const SEQUENCE: &str = "everyframe-sequence";
/// Header: when the frame was taken, Unix milliseconds.
pub const CAPTURED_AT: &str = "everyframe-captured-at";

/// Longer ids are cut: they come from outside, and are repeated in every result.
const MAX_ID_CHARACTERS: usize = 200;

/// The frame in a record of the frames topic. Headers that cannot be read count as missing.
pub(super) fn frame(topic: &Arc<str>, record: &Received<'_>) -> Frame {
    let (partition, offset) = (record.partition(), record.offset());
    let number = |name| record.header(name).and_then(|text| text.trim().parse::<i64>().ok());
    Frame {
        position: Position { topic: topic.clone(), partition, offset },
        camera: camera(record.key(), partition).into(),
        session: match record.header(SESSION).filter(|session| !session.is_empty()) {
            Some(session) => shortened(session).into(),
            None => format!("{topic}/{partition}").into(),
        },
        sequence: number(SEQUENCE).and_then(|n| u64::try_from(n).ok()).unwrap_or(offset.unsigned_abs()),
        captured_at: number(CAPTURED_AT).unwrap_or_else(|| record.timestamp()),
        picture: record.value().unwrap_or_default().to_vec(),
    }
}

/// The camera's id: the key, as text.
pub fn camera(key: Option<&[u8]>, partition: i32) -> String {
    match key.map(String::from_utf8_lossy).filter(|key| !key.is_empty()) {
        Some(key) => shortened(&key),
        None => format!("partition-{partition}"),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_ID_CHARACTERS).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_key_belongs_to_its_partition() {
        assert_eq!(camera(None, 3), "partition-3");
        assert_eq!(camera(Some(b""), 3), "partition-3");
        assert_eq!(camera(Some(b"gate-1"), 3), "gate-1");
    }

    #[test]
    fn a_hostile_key_is_made_harmless() {
        assert_eq!(camera(Some(b"a\x1b[2J\xff"), 0), "a\u{fffd}[2J\u{fffd}");
        assert_eq!(camera(Some(&[b'x'; 5000]), 0).len(), MAX_ID_CHARACTERS);
    }
}
