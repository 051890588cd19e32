//! Frames that could not be processed, and what operators did with them. Pure.

use everyframe_types::dead_letter::{Letter, LetterAction, MESSAGE, Place, REASON, STAGE};
use everyframe_types::record::{IncomingRecord, camera_id};
use std::collections::BTreeMap;

/// The most dead letters; beyond it, the oldest are forgotten.
const MAX_LETTERS: usize = 20_000;
/// The longest message that is kept, characters. The record has all of it.
const MAX_MESSAGE: usize = 500;

/// A dead letter, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterEntry {
    /// Its place in the dead-letters topic.
    pub place: Place,
    /// The frame's place in the frames topic.
    pub frame: Place,
    /// The camera.
    pub camera: String,
    /// When it was written, Unix milliseconds.
    pub at: i64,
    /// The stage that failed.
    pub stage: String,
    /// A stable name of the reason.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Size of the kept bytes.
    pub bytes: usize,
}

/// The order of dead letters: by time, then by place.
pub type LetterKey = (i64, Place);

/// All dead letters.
#[derive(Debug, Default)]
pub struct DeadLetters {
    all: BTreeMap<LetterKey, LetterEntry>,
    /// The last mark of each letter. A mark may be read before its letter.
    actions: BTreeMap<Place, LetterAction>,
    /// True once the topic was read to its end.
    pub is_complete: bool,
}

impl DeadLetters {
    /// Adds a record of the dead-letters topic. Returns the letter, if it is one.
    pub fn add(&mut self, record: &impl IncomingRecord) -> Option<LetterEntry> {
        match Letter::parse(record) {
            Letter::Parked(frame) => {
                let header = |name| record.header(name).unwrap_or_default();
                let letter = LetterEntry {
                    place: Place::of_record(record),
                    frame,
                    camera: camera_id(record.key(), record.partition()),
                    at: record.timestamp(),
                    stage: header(STAGE).to_owned(),
                    reason: header(REASON).to_owned(),
                    message: header(MESSAGE).chars().take(MAX_MESSAGE).collect(),
                    bytes: record.value().map_or(0, <[u8]>::len),
                };
                self.all.insert((letter.at, letter.place), letter.clone());
                while self.all.len() > MAX_LETTERS
                    && let Some(((_, oldest), _)) = self.all.pop_first()
                {
                    self.actions.remove(&oldest);
                }
                Some(letter)
            }
            Letter::Mark(mark) => {
                self.mark(mark.letter, mark.fate);
                None
            }
            Letter::Deleted { .. } | Letter::Other => None,
        }
    }

    /// An operator replayed or dropped a letter.
    pub fn mark(&mut self, letter: Place, action: LetterAction) {
        self.actions.insert(letter, action);
        while self.actions.len() > 2 * MAX_LETTERS {
            self.actions.pop_first();
        }
    }

    /// Forgets the records that the topic does not have any more. `oldest` is the first offset of each partition.
    pub fn forget_before(&mut self, oldest: &BTreeMap<i32, u64>) {
        let is_gone = |place: &Place| oldest.get(&place.partition).is_some_and(|first| place.offset < *first);
        self.all.retain(|(_, place), _| !is_gone(place));
        self.actions.retain(|place, _| !is_gone(place));
    }

    /// What was done with a letter; none if it is open.
    pub fn action(&self, letter: Place) -> Option<LetterAction> {
        self.actions.get(&letter).copied()
    }

    /// The letters before `before`, newest first; all if it is not given.
    pub fn iter(&self, before: Option<LetterKey>) -> impl Iterator<Item = &LetterEntry> {
        let end = before.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.all.range((std::ops::Bound::Unbounded, end)).rev().map(|(_, letter)| letter)
    }

    /// The open letters.
    pub fn open(&self) -> impl Iterator<Item = &LetterEntry> {
        self.all.values().filter(|letter| !self.actions.contains_key(&letter.place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_types::dead_letter::{FATE, LETTER, OFFSET, PARTITION};

    /// A record at an offset of partition 0, with these headers.
    struct Written(i64, Vec<(&'static str, String)>);

    impl IncomingRecord for Written {
        fn partition(&self) -> i32 {
            0
        }

        fn offset(&self) -> i64 {
            self.0
        }

        fn timestamp(&self) -> i64 {
            1000 + self.0
        }

        fn key(&self) -> Option<&[u8]> {
            Some(b"gate")
        }

        fn value(&self) -> Option<&[u8]> {
            Some(b"bytes")
        }

        fn header(&self, name: &str) -> Option<&str> {
            self.1.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
        }
    }

    fn letter(offset: i64) -> Written {
        let headers = vec![
            (PARTITION, "3".into()),
            (OFFSET, (100 + offset).to_string()),
            (REASON, "truncated".into()),
            (MESSAGE, "x".repeat(9000)),
        ];
        Written(offset, headers)
    }

    fn mark(offset: i64, letter: u64, fate: &str) -> Written {
        let headers = vec![
            (PARTITION, "3".into()),
            (OFFSET, (100 + letter).to_string()),
            (FATE, fate.into()),
            (LETTER, format!("0/{letter}")),
        ];
        Written(offset, headers)
    }

    fn open(letters: &DeadLetters) -> Vec<u64> {
        letters.open().map(|letter| letter.place.offset).collect()
    }

    #[test]
    fn a_marked_letter_is_not_open() {
        let mut letters = DeadLetters::default();
        let added = letters.add(&letter(0)).unwrap();
        assert_eq!((added.camera.as_str(), added.frame.offset, added.bytes), ("gate", 100, 5));
        assert_eq!(added.message.len(), MAX_MESSAGE);
        letters.add(&letter(1));
        assert_eq!(letters.add(&mark(2, 0, "dropped")), None);
        assert_eq!(open(&letters), [1]);
        // A mark that is read before its letter counts, too.
        letters.add(&mark(4, 3, "replayed"));
        letters.add(&letter(3));
        assert_eq!(open(&letters), [1]);
        let newest_first: Vec<u64> = letters.iter(None).map(|letter| letter.place.offset).collect();
        assert_eq!(newest_first, [3, 1, 0]);
        let before = letters.iter(Some((1001, Place { partition: 0, offset: 1 })));
        assert_eq!(before.map(|letter| letter.place.offset).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn letters_that_the_topic_deleted_are_forgotten() {
        let mut letters = DeadLetters::default();
        (0..4).for_each(|offset| drop(letters.add(&letter(offset))));
        letters.add(&mark(4, 3, "dropped"));
        letters.forget_before(&BTreeMap::from([(0, 2)]));
        assert_eq!(open(&letters), [2]);
        letters.forget_before(&BTreeMap::from([(0, 9), (1, 0)]));
        assert!(letters.all.is_empty() && letters.actions.is_empty());
    }

    #[test]
    fn the_oldest_letters_make_room() {
        let mut letters = DeadLetters::default();
        (0..MAX_LETTERS as i64 + 5).for_each(|offset| drop(letters.add(&letter(offset))));
        assert_eq!(letters.all.len(), MAX_LETTERS);
        assert_eq!(open(&letters)[0], 5);
    }
}
