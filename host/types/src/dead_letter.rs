//! Records of the dead-letters topic: parked frames, and marks. When an operator replays or drops a letter, a mark in the same
//! topic records it. A mark identifies its letter by partition and offset, so it counts even after the letter was deleted.

use crate::frame::Position;
use crate::hexadecimal::hexadecimal;
use crate::record::IncomingRecord;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Header of a dead letter: why the frame was parked, a stable name.
pub const REASON: &str = "everyframe-reason";
/// Header of a dead letter: the stage that failed: `vision`, `rules`, `publish` or `host`.
pub const STAGE: &str = "everyframe-stage";
/// Header of a dead letter: why the frame was parked, a sentence for people.
pub const MESSAGE: &str = "everyframe-message";
/// Header of a dead letter: the frames topic.
pub const TOPIC: &str = "everyframe-topic";
/// Header of a dead letter: the frame's partition.
pub const PARTITION: &str = "everyframe-partition";
/// Header of a dead letter: the frame's offset.
pub const OFFSET: &str = "everyframe-offset";

/// Header of a record without a value: `FIRST-LAST`, offsets of frames that retention deleted before the group read them.
pub const DELETED: &str = "everyframe-deleted";

/// Header of a partial dead letter, which holds only the first bytes of its frame, or none: why the topic refused the whole frame.
pub const PARTIAL: &str = "everyframe-partial";
/// Header of a partial dead letter: the size of the frame, bytes.
pub const ORIGINAL_BYTES: &str = "everyframe-original-bytes";
/// Header of a partial dead letter: the SHA-256 of the frame's bytes, hexadecimal.
pub const ORIGINAL_SHA256: &str = "everyframe-original-sha256";
/// Header of a partial dead letter: the position of the whole frame: `topic/partition/offset`.
pub const ORIGINAL_AT: &str = "everyframe-original-at";

/// The stage at which a frame was parked. It is also the `stage` label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The picture cannot be decoded, or is too large.
    Vision,
    /// A rule failed.
    Rules,
    /// A topic refused a record of the frame.
    Publish,
    /// A defect of Everyframe.
    Host,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 4] = [Self::Vision, Self::Rules, Self::Publish, Self::Host];

    /// The stage's name in headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vision => "vision",
            Self::Rules => "rules",
            Self::Publish => "publish",
            Self::Host => "host",
        }
    }
}

/// Why a frame was parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The stage that failed.
    pub stage: Stage,
    /// A stable name: `truncated`, `rule-timed-out`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// Header of a mark: `replayed` or `dropped`. A record with this header is not a letter, and has no value.
pub const FATE: &str = "everyframe-fate";
/// Header of a mark: `partition/offset` of the letter in the dead-letters topic.
pub const LETTER: &str = "everyframe-letter";

/// The partition and offset of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: u64,
}

impl Place {
    /// The place of a record.
    pub fn of_record(record: &impl IncomingRecord) -> Self {
        Self { partition: record.partition(), offset: record.offset().unsigned_abs() }
    }

    /// Parses `partition/offset`; none for numbers that no record can have.
    pub fn parse(text: &str) -> Option<Self> {
        let (partition, offset) = text.split_once('/')?;
        Self::new(partition.parse().ok()?, offset.parse().ok()?)
    }

    /// None for numbers that no record can have.
    pub fn new(partition: i32, offset: u64) -> Option<Self> {
        (partition >= 0 && i64::try_from(offset).is_ok()).then_some(Self { partition, offset })
    }
}

impl From<&Position> for Place {
    fn from(position: &Position) -> Self {
        Self { partition: position.partition, offset: position.offset.unsigned_abs() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

/// What an operator did with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterAction {
    /// The frame was sent again.
    Replayed,
    /// The frame is not needed any more.
    Dropped,
}

impl LetterAction {
    /// The action's name in the header of a mark.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Dropped => "dropped",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Replayed, Self::Dropped].into_iter().find(|action| action.name() == text)
    }
}

/// A record of the dead-letters topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// A parked frame: its place in the frames topic.
    Parked(Place),
    /// An operator's mark.
    Mark(Mark),
    /// A host's report that retention deleted these frames before they were read.
    Deleted {
        /// The partition of the frames topic.
        partition: i32,
        /// The first offset.
        first: u64,
        /// The last offset.
        last: u64,
    },
    /// A record that is not of Everyframe.
    Other,
}

/// An operator's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The letter's place in the dead-letters topic.
    pub letter: Place,
    /// The frame's place in the frames topic.
    pub frame: Place,
    /// What the operator did.
    pub fate: LetterAction,
    /// When the operator did it, Unix milliseconds.
    pub at: i64,
}

impl Letter {
    /// Parses a record of the dead-letters topic.
    pub fn parse(record: &impl IncomingRecord) -> Self {
        if let Some(deleted) = deleted(record) {
            return deleted;
        }
        let frame = (record.header(PARTITION).and_then(|text| text.parse().ok()))
            .zip(record.header(OFFSET).and_then(|text| text.parse().ok()))
            .and_then(|(partition, offset)| Place::new(partition, offset));
        match (frame, record.header(FATE)) {
            (Some(frame), None) => Self::Parked(frame),
            (Some(frame), Some(fate)) => {
                let letter = record.header(LETTER).and_then(Place::parse);
                letter.zip(LetterAction::parse(fate)).map_or(Self::Other, |(letter, fate)| {
                    Self::Mark(Mark { letter, frame, fate, at: record.timestamp() })
                })
            }
            (None, _) => Self::Other,
        }
    }
}

fn deleted(record: &impl IncomingRecord) -> Option<Letter> {
    let (first, last) = record.header(DELETED)?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let partition = record.header(PARTITION)?.parse().ok()?;
    (first <= last).then_some(Letter::Deleted { partition, first, last })
}

/// The headers of a partial letter, which holds only the beginning of a frame that was too large for the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// The size of the frame, bytes.
    pub bytes: u64,
    /// The SHA-256 of the frame's bytes, hexadecimal.
    pub sha256: String,
    /// The position of the whole frame, until retention deletes it.
    pub at: Position,
}

impl Partial {
    /// Parses the headers of a letter; none for a complete letter.
    pub fn parse(record: &impl IncomingRecord) -> Option<Self> {
        Some(Self {
            bytes: record.header(ORIGINAL_BYTES)?.parse().ok()?,
            sha256: record.header(ORIGINAL_SHA256)?.to_owned(),
            at: Position::parse(record.header(ORIGINAL_AT)?)?,
        })
    }

    /// True if these are the bytes of the whole frame.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.bytes && hexadecimal(&Sha256::digest(bytes)) == self.sha256
    }
}

/// The last mark of each marked letter.
#[derive(Debug, Default)]
pub struct LetterActions(BTreeMap<Place, (LetterAction, i64)>);

impl LetterActions {
    /// Adds a mark. The last mark of a letter counts.
    pub fn add(&mut self, mark: &Mark) {
        self.0.insert(mark.letter, (mark.fate, mark.at));
    }

    /// The action on a letter and its time, Unix milliseconds; none if the letter is open.
    pub fn get(&self, letter: Place) -> Option<(LetterAction, i64)> {
        self.0.get(&letter).copied()
    }

    /// The number of marked letters.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if no letter is marked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_match_by_length_and_checksum() {
        let at = Position::parse("frames/0/7").unwrap();
        let partial = Partial { bytes: 3, sha256: hexadecimal(&Sha256::digest(b"abc")), at };
        assert!(partial.matches(b"abc") && !partial.matches(b"xyz") && !partial.matches(b"ab"));
        assert!(!Partial { bytes: 4, ..partial }.matches(b"abc"));
    }

    #[test]
    fn a_place_is_partition_and_offset() {
        assert_eq!(Place::parse("3/42"), Some(Place { partition: 3, offset: 42 }));
        for wrong in ["", "3", "3/", "-1/4", "a/4", "3/-4", "3/4/5", "3/18446744073709551615"] {
            assert_eq!(Place::parse(wrong), None, "{wrong}");
        }
    }
}
