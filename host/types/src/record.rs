//! Records of the frames topic: their headers, and how a record becomes a frame. Every header is optional, so any producer works.

use crate::frame::{Frame, Position, SourceKind};
use crate::id;
use crate::sequence_gap::SequenceGap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

/// Header: one run of the camera's agent.
pub const SESSION: &str = "everyframe-session";
/// Header: the frame's number in its session.
pub const SEQUENCE: &str = "everyframe-sequence";
/// Header: when the frame was taken, Unix milliseconds.
pub const CAPTURED_AT: &str = "everyframe-captured-at";
/// Header: the kind of source: `live`, `recording` or `pictures`.
pub const SOURCE: &str = "everyframe-source";

/// Header of a refusal notice: `FIRST-LAST`, sequence numbers of its session that the agent refused because its spool was full.
/// The record has no value.
pub const REFUSED: &str = "everyframe-refused";
/// Header of a replayed dead letter: `topic/partition/offset` of the original frame.
pub const REPLAY_OF: &str = "everyframe-replay-of";

/// A record that was read, from any client.
pub trait IncomingRecord {
    /// The partition.
    fn partition(&self) -> i32;
    /// The offset.
    fn offset(&self) -> i64;
    /// The record's timestamp, Unix milliseconds; 0 if it has none.
    fn timestamp(&self) -> i64;
    /// The key.
    fn key(&self) -> Option<&[u8]>;
    /// The value; none for a tombstone.
    fn value(&self) -> Option<&[u8]>;
    /// The last header with this name, if it is text.
    fn header(&self, name: &str) -> Option<&str>;
}

/// Parses a record of the frames topic: a frame or a refusal notice. Invalid headers count as missing.
pub fn parse_frame(topic: &Arc<str>, record: &impl IncomingRecord) -> Frame {
    let (partition, offset) = (record.partition(), record.offset());
    let position = Position { topic: topic.clone(), partition, offset };
    let stamp = parse_stamp(record);
    let is_numbered = stamp.session.is_some() && stamp.sequence.is_some();
    let claimed_at = number(record, CAPTURED_AT).unwrap_or_else(|| record.timestamp());
    Frame {
        identity: parse_replay(topic, record).unwrap_or_else(|| position.clone()),
        position,
        camera: camera_id(record.key(), partition).into(),
        session: match stamp.session {
            Some(session) => session.into(),
            None => format!("{topic}/{partition}").into(),
        },
        sequence: stamp.sequence.unwrap_or(offset.unsigned_abs()),
        captured_at: claimed_at,
        claimed_at,
        recorded_at: record.timestamp(),
        source: record.header(SOURCE).and_then(SourceKind::parse),
        is_numbered,
        taken_in_at: Instant::now(),
        sequence_gap: parse_refusal(record).map(SequenceGap::Refused),
        picture: record.value().unwrap_or_default().to_vec(),
    }
}

/// The agent's session and number of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The agent's session, made a valid id.
    pub session: Option<String>,
    /// The frame's number in it.
    pub sequence: Option<u64>,
}

/// Parses the agent's session and number of a record.
pub fn parse_stamp(record: &impl IncomingRecord) -> Stamp {
    Stamp {
        session: record.header(SESSION).map(id::clean).filter(|session| !session.is_empty()),
        sequence: number(record, SEQUENCE).and_then(|number| u64::try_from(number).ok()),
    }
}

/// The most numbers in one refusal notice: years of frames.
const MAX_REFUSED: u64 = 1 << 32;

/// Parses the sequence numbers of a refusal notice; none for any other record. An impossible range counts as none: the record is
/// then a frame without a picture.
pub fn parse_refusal(record: &impl IncomingRecord) -> Option<RangeInclusive<u64>> {
    if record.value().is_some_and(|value| !value.is_empty()) {
        return None;
    }
    let (first, last) = record.header(REFUSED)?.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    let is_plausible =
        i64::try_from(last).is_ok() && last.checked_sub(first).is_some_and(|more| more < MAX_REFUSED);
    is_plausible.then_some(first..=last)
}

/// Parses the original position of a replayed dead letter; none for any other record, or for a position in another topic.
pub fn parse_replay(topic: &str, record: &impl IncomingRecord) -> Option<Position> {
    let position = record.header(REPLAY_OF).and_then(Position::parse)?;
    (*position.topic == *topic && position.partition >= 0 && position.offset >= 0).then_some(position)
}

fn number(record: &impl IncomingRecord, name: &str) -> Option<i64> {
    record.header(name).and_then(|text| text.trim().parse().ok())
}

/// The camera's id: the record's key as a valid id, or `partition-N` without a key.
pub fn camera_id(key: Option<&[u8]>, partition: i32) -> String {
    match key.map(|key| id::clean(&String::from_utf8_lossy(key))).filter(|key| !key.is_empty()) {
        Some(camera) => camera,
        None => format!("partition-{partition}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record without a value and with one header.
    struct Header(&'static str, &'static str);

    impl IncomingRecord for Header {
        fn partition(&self) -> i32 {
            0
        }

        fn offset(&self) -> i64 {
            9
        }

        fn timestamp(&self) -> i64 {
            0
        }

        fn key(&self) -> Option<&[u8]> {
            None
        }

        fn value(&self) -> Option<&[u8]> {
            None
        }

        fn header(&self, name: &str) -> Option<&str> {
            (name == self.0).then_some(self.1)
        }
    }

    #[test]
    fn an_impossible_refusal_is_ignored() {
        assert_eq!(parse_refusal(&Header(REFUSED, "5-6")), Some(5..=6));
        assert_eq!(parse_refusal(&Header(REFUSED, "7-7")), Some(7..=7));
        for text in
            ["0-18446744073709551615", "18446744073709551615-18446744073709551615", "6-5", "5", "-1-4", ""]
        {
            assert_eq!(parse_refusal(&Header(REFUSED, text)), None, "{text}");
            assert!(parse_frame(&"frames".into(), &Header(REFUSED, text)).is_frame(), "{text}");
        }
    }

    #[test]
    fn a_replay_of_an_impossible_place_is_a_frame() {
        let identity = |text| parse_frame(&"frames".into(), &Header(REPLAY_OF, text)).identity.to_string();
        assert_eq!(identity("frames/3/4"), "frames/3/4");
        for text in ["frames/0/-4", "frames/-1/4", "other/0/4", "frames/0/18446744073709551615", "frames", ""]
        {
            assert_eq!(identity(text), "frames/0/9", "{text}");
        }
    }

    #[test]
    fn a_record_without_a_key_belongs_to_its_partition() {
        assert_eq!(camera_id(None, 3), "partition-3");
        assert_eq!(camera_id(Some(b""), 3), "partition-3");
        assert_eq!(camera_id(Some(b" \t"), 3), "partition-3");
        assert_eq!(camera_id(Some(b"gate-1"), 3), "gate-1");
    }

    #[test]
    fn a_hostile_key_becomes_a_valid_id() {
        assert_eq!(camera_id(Some(b"a\x1b[2J\xff"), 0), "a\u{fffd}[2J\u{fffd}");
        assert_eq!(camera_id(Some(&[b'x'; 5000]), 0).len(), id::MAX_BYTES);
        assert_eq!(camera_id(Some("gate\u{202a}".as_bytes()), 0), "gate\u{fffd}");
    }
}
