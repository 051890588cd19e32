//! Records of the frames topic: their headers, and how a record becomes a frame. Every header is optional, so any producer works.

use crate::camera_notice::{CameraNotice, NoticeKind};
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

/// Header: `1` if the agent knows that the picture is damaged, and sends it nevertheless.
pub const DAMAGED: &str = "everyframe-damaged";

/// Headers of a notice about a camera: what is wrong (`away`, `interrupted`, `frozen`, `black`, `damaged`, `dropped`), since when and until when
/// (Unix milliseconds; no end while it goes on), the number of frames, and why. The record has no value.
pub const NOTICE: &str = "everyframe-notice";
/// See [`NOTICE`].
pub const NOTICE_FROM: &str = "everyframe-notice-from";
/// See [`NOTICE`].
pub const NOTICE_TO: &str = "everyframe-notice-to";
/// See [`NOTICE`].
pub const NOTICE_FRAMES: &str = "everyframe-notice-frames";
/// See [`NOTICE`].
pub const NOTICE_REASON: &str = "everyframe-notice-reason";

/// Header of a refusal notice: `FIRST-LAST`, sequence numbers of its session that the agent refused because its spool was full.
/// The record has no value.
pub const REFUSED: &str = "everyframe-refused";
/// Header of a replayed dead letter: `topic/partition/offset` of the original frame.
pub const REPLAY_OF: &str = "everyframe-replay-of";

/// Header of a frame, and of its result or dead letter: the address that wants to be told of it.
pub const CALLBACK: &str = "everyframe-callback";
/// The longest address in [`CALLBACK`], bytes; a longer one counts as missing.
pub const MAX_CALLBACK_BYTES: usize = 2048;

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
        notice: parse_notice(record),
        callback: parse_callback(record).map(Into::into),
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

/// The longest reason in a notice, characters.
const MAX_REASON: usize = 300;

/// Parses a notice about a camera; none for any other record, and for an impossible one, which is then a frame without a picture.
pub fn parse_notice(record: &impl IncomingRecord) -> Option<CameraNotice> {
    if record.value().is_some_and(|value| !value.is_empty()) {
        return None;
    }
    let kind = NoticeKind::parse(record.header(NOTICE)?)?;
    let (from, to) = (number(record, NOTICE_FROM)?, number(record, NOTICE_TO));
    if from < 0 || to.is_some_and(|to| to < from) {
        return None;
    }
    let frames = number(record, NOTICE_FRAMES).map_or(0, |frames| frames.clamp(0, 1 << 32).unsigned_abs());
    let reason: String = record.header(NOTICE_REASON).unwrap_or_default().chars().take(MAX_REASON).collect();
    Some(CameraNotice { kind, from, to, frames, reason: id::printable(&reason) })
}

/// Parses the original position of a replayed dead letter; none for any other record, or for a position in another topic.
pub fn parse_replay(topic: &str, record: &impl IncomingRecord) -> Option<Position> {
    let position = record.header(REPLAY_OF).and_then(Position::parse)?;
    (*position.topic == *topic && position.partition >= 0 && position.offset >= 0).then_some(position)
}

/// Parses the address that wants to be told of a frame.
pub fn parse_callback(record: &impl IncomingRecord) -> Option<&str> {
    record.header(CALLBACK).filter(|address| (1..=MAX_CALLBACK_BYTES).contains(&address.len()))
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

    /// A record without a value and with these headers.
    struct Headers<'a>(&'a [(&'static str, &'static str)]);

    impl IncomingRecord for Headers<'_> {
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
            self.0.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
        }
    }

    #[test]
    fn an_impossible_refusal_is_ignored() {
        assert_eq!(parse_refusal(&Headers(&[(REFUSED, "5-6")])), Some(5..=6));
        assert_eq!(parse_refusal(&Headers(&[(REFUSED, "7-7")])), Some(7..=7));
        for text in
            ["0-18446744073709551615", "18446744073709551615-18446744073709551615", "6-5", "5", "-1-4", ""]
        {
            assert_eq!(parse_refusal(&Headers(&[(REFUSED, text)])), None, "{text}");
            assert!(parse_frame(&"frames".into(), &Headers(&[(REFUSED, text)])).is_frame(), "{text}");
        }
    }

    #[test]
    fn an_impossible_notice_is_ignored() {
        let headers = [(NOTICE, "away"), (NOTICE_FROM, "5"), (NOTICE_TO, "9"), (NOTICE_REASON, "off\x1b[2J")];
        let notice = parse_notice(&Headers(&headers)).unwrap();
        assert_eq!((notice.kind, notice.from, notice.to), (NoticeKind::Away, 5, Some(9)));
        assert!(!notice.reason.contains('\x1b'), "{}", notice.reason);
        assert!(!parse_frame(&"frames".into(), &Headers(&headers)).is_frame());
        for bad in [
            &[(NOTICE, "away")][..],
            &[(NOTICE, "tired"), (NOTICE_FROM, "5")],
            &[(NOTICE, "away"), (NOTICE_FROM, "-5")],
            &[(NOTICE, "away"), (NOTICE_FROM, "5"), (NOTICE_TO, "4")],
        ] {
            assert_eq!(parse_notice(&Headers(bad)), None);
            assert!(parse_frame(&"frames".into(), &Headers(bad)).is_frame());
        }
    }

    #[test]
    fn a_replay_of_an_impossible_place_is_a_frame() {
        let identity =
            |text| parse_frame(&"frames".into(), &Headers(&[(REPLAY_OF, text)])).identity.to_string();
        assert_eq!(identity("frames/3/4"), "frames/3/4");
        for text in ["frames/0/-4", "frames/-1/4", "other/0/4", "frames/0/18446744073709551615", "frames", ""]
        {
            assert_eq!(identity(text), "frames/0/9", "{text}");
        }
    }

    #[test]
    fn an_address_that_is_too_long_is_ignored() {
        let long: &'static str = "a".repeat(MAX_CALLBACK_BYTES + 1).leak();
        let callback = |text| parse_frame(&"frames".into(), &Headers(&[(CALLBACK, text)])).callback;
        assert_eq!(callback("http://a/").as_deref(), Some("http://a/"));
        assert_eq!((callback(long), callback("")), (None, None));
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
