//! Checks a trail: finds entries that were changed, removed or moved.
//!
//! Two processes may append at the same moment. Both name the same entry as the one before theirs; the first in the topic counts,
//! and the other process appends its entry again. A record that names an older entry is therefore no fault if its entry, which
//! has the same id, comes again.

use crate::signature::verify_signature;
use crate::trail_entry::{TrailEntry, TrailPoint, TrailRecord};
use std::collections::{BTreeMap, HashMap};

/// The most faults that are kept.
const MAX_FAULTS: usize = 100;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrailReport {
    /// Entries of the chain.
    pub entries: u64,
    /// The first entry that is kept; retention may have removed earlier ones.
    pub first: Option<TrailPoint>,
    /// When the first entry was made, Unix milliseconds.
    pub first_at: i64,
    /// The last entry.
    pub last: Option<TrailPoint>,
    /// Entries without a valid signature of the expected key.
    pub unsigned: u64,
    /// What is wrong, in order; at most 100.
    pub faults: Vec<String>,
}

/// Checks the records of a trail in their order.
#[derive(Default)]
pub struct TrailCheck {
    report: TrailReport,
    public_key: Option<String>,
    /// Hashes of earlier entries of the chain, with their numbers.
    hashes: HashMap<String, u64>,
    /// Entries that lost a race, and have not come again: by id, with the offset.
    lost: BTreeMap<String, i64>,
}

impl TrailCheck {
    /// A check. With `public_key` (64 hexadecimal digits), an entry that this key has not signed is a fault.
    pub fn new(public_key: Option<String>) -> Self {
        Self { public_key, ..Self::default() }
    }

    /// Checks the next record. Returns its entry if it is part of the chain.
    pub fn add(&mut self, offset: i64, value: &[u8]) -> Option<TrailEntry> {
        let Some(TrailRecord { entry, signed }) = TrailRecord::parse(value) else {
            self.fault(format!("the record at offset {offset} is no entry of a trail"));
            return None;
        };
        let hash = entry.hash();
        match &self.report.last {
            Some(last) if entry.previous != last.hash || entry.number != last.number + 1 => {
                let is_older = |hash: &String| self.hashes.contains_key(hash);
                if is_older(&entry.previous) || is_older(&hash) || entry.previous.is_empty() {
                    self.lost.entry(entry.id.clone()).or_insert(offset);
                    return None;
                }
                self.fault(format!(
                    "entry {} at offset {offset} does not continue entry {}: an entry between them was removed, or one of them was \
                     changed or moved",
                    entry.number, last.number
                ));
            }
            _ => {}
        }
        if let Some(key) = &self.public_key {
            let is_signed =
                signed.as_ref().is_some_and(|signed| verify_signature(signed, key, hash.as_bytes()));
            if !is_signed {
                self.report.unsigned += 1;
                self.fault(format!("entry {} at offset {offset} is not signed by key {key}", entry.number));
            }
        }
        self.lost.remove(&entry.id);
        let point = TrailPoint { number: entry.number, hash: hash.clone() };
        if self.report.first.is_none() {
            self.report.first_at = entry.at;
            self.report.first = Some(point.clone());
        }
        self.hashes.insert(hash, entry.number);
        self.report.last = Some(point);
        self.report.entries += 1;
        Some(entry)
    }

    /// Ends the check. `points` are places of the chain that were kept elsewhere. `keeps_all` is true if nothing was removed by
    /// retention, so that entry 1 must be there.
    pub fn finish(mut self, points: &[TrailPoint], keeps_all: bool) -> TrailReport {
        let first = self.report.first.as_ref().map_or(0, |first| first.number);
        if keeps_all && first > 1 {
            self.fault(format!("the trail begins at entry {first}: those before it were removed"));
        }
        for TrailPoint { number, hash } in points {
            match self.hashes.get(hash) {
                Some(found) if found == number => {}
                _ if *number < first && !keeps_all => {}
                _ => self
                    .fault(format!("entry {number}, whose hash was kept elsewhere, was changed or removed")),
            }
        }
        for (id, offset) in std::mem::take(&mut self.lost) {
            self.fault(format!(
                "the entry {id} at offset {offset} names another entry before it than the chain has, and never came again: it \
                 was moved, or its process was killed"
            ));
        }
        self.report
    }

    fn fault(&mut self, text: String) {
        if self.report.faults.len() < MAX_FAULTS {
            self.report.faults.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::tests::signer;
    use crate::trail_entry::{Action, NewTrailEntry};

    fn entry(subject: &str) -> NewTrailEntry {
        NewTrailEntry {
            actor: "anna".into(),
            action: Action::Enrolled,
            subject: subject.into(),
            detail: String::new(),
        }
    }

    /// A trail of signed entries about these subjects.
    fn trail(subjects: &[&str]) -> Vec<TrailRecord> {
        let (mut head, mut records) = (None, Vec::new());
        for (subject, at) in subjects.iter().zip(100..) {
            let entry = TrailEntry::after(head.as_ref(), subject, at, &entry(subject));
            head = Some(entry.point());
            records.push(TrailRecord::new(entry, Some(&signer(1))));
        }
        records
    }

    fn check(records: &[TrailRecord], points: &[TrailPoint]) -> TrailReport {
        let mut check = TrailCheck::new(Some(signer(1).public_key()));
        records.iter().zip(0..).for_each(|(record, offset)| drop(check.add(offset, &record.to_json())));
        check.finish(points, true)
    }

    #[test]
    fn an_unchanged_trail_has_no_faults() {
        let report = check(&trail(&["a", "b", "c", "d"]), &[]);
        assert_eq!((report.entries, report.faults.as_slice()), (4, &[][..]), "{report:?}");
        assert_eq!(report.last.map(|last| last.number), Some(4));
    }

    #[test]
    fn an_edited_entry_is_found_wherever_it_is() {
        for place in 0..4 {
            let mut records = trail(&["a", "b", "c", "d"]);
            records[place].entry.subject = "somebody else".into();
            let report = check(&records, &[]);
            assert!(!report.faults.is_empty(), "entry {}", place + 1);
            // An editor without the signing key cannot hide the edit by making the chain fit again.
            let mut head = None;
            for record in &mut records {
                record.entry = TrailEntry {
                    previous: head.map(|head: TrailPoint| head.hash).unwrap_or_default(),
                    ..record.entry.clone()
                };
                head = Some(record.entry.point());
            }
            assert_eq!(check(&records, &[]).unsigned, 4 - place as u64);
        }
    }

    #[test]
    fn a_dropped_entry_is_found_wherever_it_was() {
        let point = trail(&["a", "b", "c", "d"])[3].entry.point();
        for place in 0..4 {
            let mut records = trail(&["a", "b", "c", "d"]);
            records.remove(place);
            let report = check(&records, std::slice::from_ref(&point));
            assert!(!report.faults.is_empty(), "entry {}", place + 1);
        }
    }

    #[test]
    fn swapped_entries_are_found() {
        for place in 0..3 {
            let mut records = trail(&["a", "b", "c", "d"]);
            records.swap(place, place + 1);
            assert!(!check(&records, &[]).faults.is_empty(), "entries {} and {}", place + 1, place + 2);
        }
    }

    #[test]
    fn an_inserted_or_unreadable_record_is_found() {
        let mut records = trail(&["a", "b"]);
        let forged = TrailEntry::after(Some(&records[1].entry.point()), "x", 5, &entry("x"));
        records.push(TrailRecord::new(forged, Some(&signer(2))));
        assert_eq!(check(&records, &[]).faults.len(), 1);
        let mut unreadable = TrailCheck::new(None);
        assert_eq!(unreadable.add(0, b"{}"), None);
        assert_eq!(unreadable.finish(&[], true).faults.len(), 1);
    }

    #[test]
    fn an_entry_that_lost_a_race_must_come_again() {
        let mut records = trail(&["a", "b"]);
        let late = TrailEntry::after(Some(&records[0].entry.point()), "late", 5, &entry("late"));
        records.push(TrailRecord::new(late, Some(&signer(1))));
        assert_eq!(check(&records, &[]).faults.len(), 1);
        let again = TrailEntry::after(Some(&records[1].entry.point()), "late", 5, &entry("late"));
        records.push(TrailRecord::new(again, Some(&signer(1))));
        let report = check(&records, &[]);
        assert_eq!((report.entries, report.faults.as_slice()), (3, &[][..]));
    }

    #[test]
    fn retention_may_remove_the_beginning() {
        let records = trail(&["a", "b", "c"]);
        let mut check = TrailCheck::new(Some(signer(1).public_key()));
        records[1..].iter().zip(1..).for_each(|(record, offset)| drop(check.add(offset, &record.to_json())));
        let report = check.finish(&[records[0].entry.point()], false);
        assert_eq!((report.first.map(|first| first.number), report.faults.as_slice()), (Some(2), &[][..]));
    }
}
