//! The ledger of the frames since the history began, from results, dead letters and the ends of the topics. Pure.
//!
//! It is quick, and always there. The audit of `everyframe audit` is the proof: it reads the frames themselves.

use crate::views::Place;
use everyframe_types::ranges::Ranges;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The most results whose place is kept, so that they can be shown by their frame's place.
const MAX_PLACES: usize = 500_000;
/// The most missing ranges that a partition lists.
const MAX_LISTED: usize = 100;
/// A frame is missing when the group has committed it so many polls ago, and its result was not read since.
const POLLS_BEFORE_MISSING: usize = 5;

/// A partition of the frames topic.
#[derive(Debug, Default)]
struct Partition {
    /// The first offset of the history.
    from: u64,
    /// Offsets with a result or a dead letter, or that hold no new frame.
    accounted: Ranges,
    /// Number of offsets in `accounted` that are not before `from`.
    count: u64,
    /// Offsets of dead letters that were replayed: their frames wait for the replay.
    replayed: Ranges,
    /// Offsets without a result whose records were read: they are frames.
    checked: Ranges,
    /// Offsets of refusal notices and of replayed frames.
    no_frames: u64,
    deleted: u64,
    /// Oldest offset, next offset.
    kept: (u64, u64),
    /// The group's committed offsets, the last look at the end.
    committed: VecDeque<u64>,
    /// When the last processed frame was taken, Unix milliseconds.
    last_frame_at: i64,
}

/// The counts of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionCounts {
    /// The partition.
    pub partition: i32,
    /// Offset of the oldest record.
    pub oldest: u64,
    /// Offset of the next record.
    pub next: u64,
    /// The group's committed offset; none before the first commit.
    pub committed: Option<u64>,
    /// Frames since the history began.
    pub frames: u64,
    /// Of these, with a result or a dead letter, or deleted.
    pub accounted: u64,
    /// Of these, not committed yet.
    pub waiting: u64,
    /// Of these, committed and without a result or a dead letter: first and last offset, each range.
    pub missing: Vec<(u64, u64)>,
    /// The number of missing frames.
    pub lost: u64,
    /// When the last processed frame was taken, Unix milliseconds; 0 if none was.
    pub last_frame_at: i64,
}

/// The counts of all partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Frames since the history began.
    pub frames: u64,
    /// Of these, with a result or a dead letter, or deleted unread.
    pub accounted: u64,
    /// Frames with a result.
    pub processed: u64,
    /// Frames with a dead letter.
    pub parked: u64,
    /// Frames that retention deleted unread.
    pub deleted: u64,
    /// Frames that wait to be processed.
    pub waiting: u64,
    /// Committed frames without a result or a dead letter.
    pub lost: u64,
    /// Results and dead letters beyond the first of a frame.
    pub repeated: u64,
    /// The partitions.
    pub partitions: Vec<PartitionCounts>,
}

/// The ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    partitions: BTreeMap<i32, Partition>,
    processed: u64,
    parked: u64,
    repeated: u64,
    /// The place of each result in the results topic, by the place of its frame.
    places: HashMap<Place, Place>,
    order: VecDeque<Place>,
}

impl Ledger {
    /// A ledger of the frames from these offsets on, by partition.
    pub fn new(from: BTreeMap<i32, u64>) -> Self {
        let partition = |(number, from)| (number, Partition { from, ..Partition::default() });
        Self { partitions: from.into_iter().map(partition).collect(), ..Self::default() }
    }

    /// Adds a result at `place` of the results topic.
    pub fn add_result(&mut self, frame: Place, place: Place, captured_at: i64) {
        let partition = self.partitions.entry(frame.partition).or_default();
        partition.last_frame_at = partition.last_frame_at.max(captured_at);
        if !partition.account(frame.offset) {
            self.repeated += 1;
            return;
        }
        self.processed += 1;
        self.places.insert(frame, place);
        self.order.push_back(frame);
        while self.order.len() > MAX_PLACES {
            if let Some(oldest) = self.order.pop_front() {
                self.places.remove(&oldest);
            }
        }
    }

    /// Adds a dead letter.
    pub fn add_dead_letter(&mut self, frame: Place) {
        match self.partitions.entry(frame.partition).or_default().account(frame.offset) {
            true => self.parked += 1,
            false => self.repeated += 1,
        }
    }

    /// An operator replayed a dead letter: its frame is processed once more.
    pub fn add_replayed(&mut self, frame: Place) {
        let partition = self.partitions.entry(frame.partition).or_default();
        if partition.reopen(frame.offset) {
            self.parked = self.parked.saturating_sub(1);
        }
    }

    /// Adds frames that retention deleted before the group read them.
    pub fn add_deleted(&mut self, partition: i32, first: u64, last: u64) {
        let partition = self.partitions.entry(partition).or_default();
        let before = partition.count;
        partition.account_all(first, last);
        partition.deleted += partition.count - before;
    }

    /// The record at this place is no new frame: a refusal notice, or a replayed frame.
    pub fn add_no_frame(&mut self, place: Place) {
        let partition = self.partitions.entry(place.partition).or_default();
        if partition.account(place.offset) {
            partition.no_frames += 1;
        }
    }

    /// Sets the ends of the frames topic and the group's committed offsets.
    pub fn set_offsets(&mut self, kept: &BTreeMap<i32, (u64, u64)>, committed: &BTreeMap<i32, u64>) {
        for (number, ends) in kept {
            let partition = self.partitions.entry(*number).or_default();
            partition.kept = *ends;
            partition.committed.extend(committed.get(number));
            while partition.committed.len() > POLLS_BEFORE_MISSING {
                partition.committed.pop_front();
            }
        }
    }

    /// The place of a frame's result in the results topic; none if it was not read, or long ago.
    pub fn result_of(&self, frame: Place) -> Option<Place> {
        self.places.get(&frame).copied()
    }

    /// True if the frame was processed, parked or deleted.
    pub fn is_accounted(&self, frame: Place) -> bool {
        let offset = u64::try_from(frame.offset);
        self.partitions
            .get(&frame.partition)
            .is_some_and(|it| offset.is_ok_and(|offset| it.accounted.contains(offset)))
    }

    /// The record at this place is a frame without a result.
    pub fn add_checked(&mut self, place: Place) {
        if let Ok(offset) = u64::try_from(place.offset) {
            self.partitions.entry(place.partition).or_default().checked.insert(offset);
        }
    }

    /// Places that seem to be missing and were not checked; they may hold no new frame.
    pub fn suspects(&self, count: usize) -> Vec<Place> {
        let suspects = self.partitions.iter().flat_map(|(partition, it)| {
            let offsets = it.missing().into_iter().flat_map(|(first, last)| first..=last);
            let offsets = offsets.filter(|offset| !it.checked.contains(*offset));
            offsets.map(|offset| Place {
                partition: *partition,
                offset: i64::try_from(offset).unwrap_or(i64::MAX),
            })
        });
        suspects.take(count).collect()
    }

    /// The counts.
    pub fn counts(&self) -> LedgerCounts {
        let mut counts = LedgerCounts {
            processed: self.processed,
            parked: self.parked,
            repeated: self.repeated,
            ..LedgerCounts::default()
        };
        for (number, partition) in &self.partitions {
            let of = partition.counts(*number);
            counts.frames += of.frames;
            counts.accounted += of.accounted;
            counts.deleted += partition.deleted;
            counts.waiting += of.waiting;
            counts.lost += of.lost;
            counts.partitions.push(of);
        }
        counts
    }
}

impl Partition {
    /// False if the offset was accounted for before.
    fn account(&mut self, offset: i64) -> bool {
        let Ok(offset) = u64::try_from(offset) else { return false };
        let is_new = self.accounted.insert(offset);
        self.count += u64::from(is_new && offset >= self.from);
        is_new
    }

    fn account_all(&mut self, first: u64, last: u64) {
        let mut new = Ranges::default();
        new.insert_all(first.max(self.from)..=last);
        self.count += new.without(&self.accounted).iter().map(|range| range.end - range.start).sum::<u64>();
        self.accounted.insert_all(first..=last);
    }

    /// True if the offset was accounted for: it is not any more.
    fn reopen(&mut self, offset: i64) -> bool {
        let Ok(offset) = u64::try_from(offset) else { return false };
        if !self.accounted.contains(offset) {
            return false;
        }
        let mut one = Ranges::default();
        one.insert(offset);
        let mut rest = Ranges::default();
        self.accounted
            .without(&one)
            .into_iter()
            .for_each(|range| rest.insert_all(range.start..=range.end - 1));
        self.accounted = rest;
        self.replayed.insert(offset);
        self.count -= u64::from(offset >= self.from);
        true
    }

    /// Committed offsets that are not accounted for.
    fn missing(&self) -> Vec<(u64, u64)> {
        // Results of what was committed just now may still be on their way to us.
        let settled =
            if self.committed.len() == POLLS_BEFORE_MISSING { self.committed.front().copied() } else { None };
        let Some(settled) = settled.filter(|settled| *settled > self.from) else { return Vec::new() };
        let mut due = Ranges::default();
        due.insert_all(self.from..=settled - 1);
        let mut open = Ranges::default();
        let not_accounted = due.without(&self.accounted);
        not_accounted.into_iter().for_each(|range| open.insert_all(range.start..=range.end - 1));
        open.without(&self.replayed).into_iter().map(|range| (range.start, range.end - 1)).collect()
    }

    fn counts(&self, partition: i32) -> PartitionCounts {
        let (oldest, next) = self.kept;
        let frames = next.saturating_sub(self.from).saturating_sub(self.no_frames);
        let accounted = self.count.saturating_sub(self.no_frames).min(frames);
        let mut missing = self.missing();
        let lost = missing.iter().map(|(first, last)| last - first + 1).sum::<u64>().min(frames - accounted);
        missing.truncate(MAX_LISTED);
        PartitionCounts {
            partition,
            oldest,
            next,
            committed: self.committed.back().copied(),
            frames,
            accounted,
            waiting: frames - accounted - lost,
            missing,
            lost,
            last_frame_at: self.last_frame_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: i64) -> Place {
        Place { partition: 0, offset }
    }

    fn ledger(from: u64, results: std::ops::Range<i64>, next: u64, committed: u64) -> Ledger {
        let mut ledger = Ledger::new(BTreeMap::from([(0, from)]));
        results.for_each(|offset| ledger.add_result(place(offset), place(1000 + offset), offset));
        settle(&mut ledger, next, committed);
        ledger
    }

    fn settle(ledger: &mut Ledger, next: u64, committed: u64) {
        for _ in 0..POLLS_BEFORE_MISSING {
            ledger.set_offsets(&BTreeMap::from([(0, (0, next))]), &BTreeMap::from([(0, committed)]));
        }
    }

    #[test]
    fn frames_are_accounted_or_waiting_or_lost() {
        let counts = ledger(10, 10..20, 30, 22).counts();
        assert_eq!((counts.frames, counts.accounted, counts.processed), (20, 10, 10));
        assert_eq!((counts.lost, counts.waiting), (2, 8));
        assert_eq!(counts.partitions[0].missing, [(20, 21)]);
    }

    #[test]
    fn what_was_committed_just_now_is_not_lost() {
        let mut ledger = ledger(0, 0..10, 10, 10);
        ledger.set_offsets(&BTreeMap::from([(0, (0, 20))]), &BTreeMap::from([(0, 20)]));
        assert_eq!((ledger.counts().lost, ledger.counts().waiting), (0, 10));
    }

    #[test]
    fn a_second_result_is_a_repeat() {
        let mut ledger = ledger(0, 0..10, 10, 10);
        ledger.add_result(place(3), place(77), 3);
        ledger.add_dead_letter(place(4));
        assert_eq!((ledger.counts().repeated, ledger.counts().processed), (2, 10));
        assert_eq!(ledger.result_of(place(3)), Some(place(1003)));
    }

    #[test]
    fn a_notice_is_no_frame() {
        let mut ledger = ledger(0, 0..10, 11, 11);
        assert_eq!(ledger.suspects(9), [place(10)]);
        ledger.add_checked(place(10));
        assert!(ledger.suspects(9).is_empty());
        ledger.add_no_frame(place(10));
        let counts = ledger.counts();
        assert_eq!((counts.frames, counts.accounted, counts.lost, counts.waiting), (10, 10, 0, 0));
    }

    #[test]
    fn a_replayed_letter_is_counted_by_its_result() {
        let mut ledger = ledger(0, 0..3, 4, 4);
        ledger.add_dead_letter(place(3));
        assert_eq!((ledger.counts().parked, ledger.counts().accounted), (1, 4));
        ledger.add_replayed(place(3));
        assert_eq!((ledger.counts().parked, ledger.counts().accounted), (0, 3));
        assert_eq!((ledger.counts().lost, ledger.counts().waiting), (0, 1));
        ledger.add_result(place(3), place(9), 1);
        assert_eq!(
            (ledger.counts().repeated, ledger.counts().processed, ledger.counts().accounted),
            (0, 4, 4)
        );
    }

    #[test]
    fn results_before_the_history_do_not_count() {
        let mut ledger = ledger(10, 5..15, 15, 15);
        ledger.add_deleted(0, 0, 9);
        let counts = ledger.counts();
        assert_eq!((counts.frames, counts.accounted, counts.lost, counts.deleted), (5, 5, 0, 0));
    }

    #[test]
    fn hostile_offsets_do_no_harm() {
        let mut ledger = ledger(0, 0..1, 1, 1);
        ledger.add_result(place(-5), place(0), 0);
        ledger.add_result(place(i64::MAX), place(0), 0);
        ledger.add_deleted(0, 0, u64::MAX);
        ledger.add_deleted(0, 9, 3);
        let counts = ledger.counts();
        assert!(counts.accounted <= counts.frames);
    }
}
