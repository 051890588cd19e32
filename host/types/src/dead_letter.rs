//! What became of the dead letters: an operator replays or drops them, and a mark in the same topic says so. A mark names
//! its letter by place, so that a letter that has been deleted since still counts, and one that comes later is open.

use crate::frame::Position;
use crate::hexadecimal::hexadecimal;
use crate::record::IncomingRecord;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Headers of a dead letter: why, where in the way of a frame, and where the frame stood.
pub const REASON: &str = "everyframe-reason";
/// The stage that could not go on: `vision`, `rules`, `publish` or `host`.
pub const STAGE: &str = "everyframe-stage";
/// A sentence for a person.
pub const MESSAGE: &str = "everyframe-message";
/// The frames topic.
pub const TOPIC: &str = "everyframe-topic";
/// The frame's partition.
pub const PARTITION: &str = "everyframe-partition";
/// The frame's offset.
pub const OFFSET: &str = "everyframe-offset";

/// Header of a record without value: `FIRST-LAST`, offsets of frames that retention deleted before the group came to them.
pub const DELETED: &str = "everyframe-deleted";

/// Header of a partial dead letter, which holds only the first bytes of its frame, or none: why the topic refused the rest.
pub const PARTIAL: &str = "everyframe-partial";
/// Of such a letter, how many bytes the frame has.
pub const ORIGINAL_BYTES: &str = "everyframe-original-bytes";
/// Of such a letter, the SHA-256 of the frame's bytes, hexadecimal.
pub const ORIGINAL_SHA256: &str = "everyframe-original-sha256";
/// Of such a letter, where the whole frame stands: `topic/partition/offset`.
pub const ORIGINAL_AT: &str = "everyframe-original-at";

/// The stage at which a frame was parked; the `stage` label of the metric, too.
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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vision, Self::Rules, Self::Publish, Self::Host];

    /// Its name in headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vision => "vision",
            Self::Rules => "rules",
            Self::Publish => "publish",
            Self::Host => "host",
        }
    }
}

/// Why a frame is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The stage that could not go on.
    pub stage: Stage,
    /// A stable name: `truncated`, `rule-timed-out`.
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
}

/// Header of a mark: `replayed` or `dropped`. A record with it is no letter, and has no value.
pub const FATE: &str = "everyframe-fate";
/// Header of a mark: `partition/offset` of the letter in the dead-letters topic.
pub const LETTER: &str = "everyframe-letter";

/// Partition and offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: u64,
}

impl Place {
    /// Where a record stands.
    pub fn of(record: &impl IncomingRecord) -> Self {
        Self { partition: record.partition(), offset: record.offset().unsigned_abs() }
    }

    /// The place that `partition/offset` names.
    pub fn parse(text: &str) -> Option<Self> {
        let (partition, offset) = text.split_once('/')?;
        Self::new(partition.parse().ok()?, offset.parse().ok()?)
    }

    /// None for numbers that no record can have.
    fn new(partition: i32, offset: u64) -> Option<Self> {
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

/// What an operator did with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterAction {
    /// Its frame was put through again.
    Replayed,
    /// Nobody wants it any more.
    Dropped,
}

impl LetterAction {
    /// As the mark's header has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Dropped => "dropped",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Replayed, Self::Dropped].into_iter().find(|fate| fate.name() == text)
    }
}

/// A record of the dead-letters topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// A parked frame: where the frame stood in the frames topic.
    Parked(Place),
    /// An operator's mark.
    Mark(Mark),
    /// A host's word that retention deleted these frames before it came to them.
    Deleted {
        /// The partition of the frames topic.
        partition: i32,
        /// The first offset.
        first: u64,
        /// The last offset.
        last: u64,
    },
    /// Nothing of ours.
    Other,
}

/// An operator's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Where the letter stands, or stood.
    pub letter: Place,
    /// Where its frame stood.
    pub frame: Place,
    /// What was done.
    pub fate: LetterAction,
    /// When, Unix milliseconds.
    pub at: i64,
}

impl Letter {
    /// Reads a record of the dead-letters topic.
    pub fn read(record: &impl IncomingRecord) -> Self {
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

/// The headers of a partial letter: it holds only the beginning of a frame that was too large for the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// How many bytes the frame has.
    pub bytes: u64,
    /// Their SHA-256, hexadecimal.
    pub sha256: String,
    /// The place of the whole frame, until retention deletes it.
    pub at: Position,
}

impl Partial {
    /// Reads them from a letter; none for a letter that is whole.
    pub fn read(record: &impl IncomingRecord) -> Option<Self> {
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

/// The letters that are marked, and the last mark of each.
#[derive(Debug, Default)]
pub struct LetterActions(BTreeMap<Place, (LetterAction, i64)>);

impl LetterActions {
    /// Takes a mark in.
    pub fn mark(&mut self, mark: &Mark) {
        self.0.insert(mark.letter, (mark.fate, mark.at));
    }

    /// What was done with a letter, and when; none if it is open.
    pub fn of(&self, letter: Place) -> Option<(LetterAction, i64)> {
        self.0.get(&letter).copied()
    }

    /// How many letters are marked.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_known_by_length_and_checksum() {
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
