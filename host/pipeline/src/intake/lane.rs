//! The frames of one partition, from intake to commit. A pure state machine: no Kafka, threads or clocks.
//!
//! Frames are detected (decoded, searched for faces) and embedded in any order and on any core. They are tracked and judged
//! in the order of their offsets, once the rule state is restored. An offset may be committed when all records of its frame
//! and of all frames before it are acknowledged.
//!
//! ```text
//! waiting ─next_to_detect─> detecting ─detected─> detected ─next_to_track─> embedding ─embedded─> ready
//!     ready ─next_to_judge─> judging ─publishing, sent─> publishing ─acknowledged─> done
//! ```

use std::collections::VecDeque;

/// How many frames are judged in a row while others wait for vision. Each inference evicts the rules' code and memory from
/// the processor's caches; judging in a row loads them once.
pub const JUDGED_IN_A_ROW: usize = 16;

/// One partition's frames between intake and commit. `F` is a frame, `D` a frame with its detections, `R` a frame ready
/// to be judged.
#[derive(Debug)]
pub struct Lane<F, D, R> {
    slots: VecDeque<Slot<F, D, R>>,
    /// Bytes of all frames in the lane.
    bytes: usize,
    /// The offset up to which frames were taken in: what is fetched again below it is not admitted again.
    admitted: Option<i64>,
    /// One past the last offset that is done, with all before it.
    finished: Option<i64>,
    committed: Option<i64>,
    restored: bool,
    halted: bool,
    judging: bool,
    /// Frames left of those that are judged in a row.
    row_left: usize,
    closed: bool,
}

#[derive(Debug)]
struct Slot<F, D, R> {
    offset: i64,
    bytes: usize,
    step: Step<F, D, R>,
}

#[derive(Debug)]
enum Step<F, D, R> {
    Waiting(F),
    Detecting,
    Detected(D),
    Embedding,
    Ready(R),
    Judging,
    Publishing,
    Done,
}

impl<F, D, R> Step<F, D, R> {
    fn is_judged(&self) -> bool {
        matches!(self, Self::Publishing | Self::Done)
    }
}

impl<F, D, R> Default for Lane<F, D, R> {
    fn default() -> Self {
        Self {
            slots: VecDeque::new(),
            bytes: 0,
            admitted: None,
            finished: None,
            committed: None,
            restored: false,
            halted: false,
            judging: false,
            row_left: 0,
            closed: false,
        }
    }
}

impl<F, D, R> Lane<F, D, R> {
    /// Takes a frame in. False if the lane is closed or had this offset before.
    pub fn admit(&mut self, offset: i64, bytes: usize, frame: F) -> bool {
        if !self.expects(offset) {
            return false;
        }
        self.admitted = Some(offset);
        self.bytes += bytes;
        self.slots.push_back(Slot { offset, bytes, step: Step::Waiting(frame) });
        true
    }

    /// True if a frame of this offset would be admitted.
    pub fn expects(&self, offset: i64) -> bool {
        !self.closed && self.admitted.is_none_or(|last| offset > last)
    }

    /// The offsets between the last record and this one, if there are any: retention deleted their records, or they are
    /// markers of transactions.
    pub fn offset_gap(&self, offset: i64) -> Option<std::ops::Range<i64>> {
        let expected = self.admitted? + 1;
        (expected < offset).then_some(expected..offset)
    }

    /// Bytes of the frames that the lane holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frames that the lane holds.
    pub fn frames(&self) -> usize {
        self.slots.len()
    }

    /// The next frame to detect, if it is among the first `window` of those not judged yet: frames far ahead of the oldest
    /// of them would only hold memory.
    pub fn next_to_detect(&mut self, window: usize) -> Option<(i64, F)> {
        self.take_first(
            window,
            |step| matches!(step, Step::Waiting(_)),
            |_| true,
            Step::Detecting,
            |step| match step {
                Step::Waiting(frame) => Some(frame),
                _ => None,
            },
        )
    }

    /// The rule state is restored: frames may be judged.
    pub fn mark_restored(&mut self) {
        self.restored = true;
    }

    /// A frame has its detections.
    pub fn mark_detected(&mut self, offset: i64, detected: D) {
        self.set(offset, Step::Detected(detected));
    }

    /// The next frame in order, to be tracked; all before it were.
    pub fn next_to_track(&mut self) -> Option<(i64, D)> {
        let tracked =
            |step: &Step<F, D, R>| !matches!(step, Step::Waiting(_) | Step::Detecting | Step::Detected(_));
        self.take_first(
            usize::MAX,
            |step| matches!(step, Step::Detected(_)),
            tracked,
            Step::Embedding,
            |step| match step {
                Step::Detected(detected) => Some(detected),
                _ => None,
            },
        )
    }

    /// A tracked frame has the embeddings that it needs.
    pub fn mark_embedded(&mut self, offset: i64, ready: R) {
        self.set(offset, Step::Ready(ready));
    }

    /// No frame is judged until [`Lane::resume`].
    pub fn halt(&mut self) {
        self.halted = true;
    }

    /// Frames are judged again.
    pub fn resume(&mut self) {
        self.halted = false;
    }

    /// The next frame in order, to be judged; all before it were. None while another is being judged; where frames wait
    /// for vision, also until a few can be judged in a row.
    pub fn next_to_judge(&mut self) -> Option<(i64, R)> {
        if self.judging || self.halted || !self.restored {
            return None;
        }
        if self.row_left == 0 {
            self.row_left = self.next_row();
        }
        self.row_left = self.row_left.checked_sub(1)?;
        let next = self.take_first(
            usize::MAX,
            |step| matches!(step, Step::Ready(_)),
            Step::is_judged,
            Step::Judging,
            |step| match step {
                Step::Ready(ready) => Some(ready),
                _ => None,
            },
        );
        self.judging = next.is_some();
        next
    }

    /// The frame was judged. Call this before its records are sent: the acknowledgement may come at once.
    pub fn mark_publishing(&mut self, offset: i64) {
        self.set(offset, Step::Publishing);
    }

    /// The frame could not be judged: it is the next one again.
    pub fn put_back(&mut self, offset: i64, ready: R) {
        self.set(offset, Step::Ready(ready));
        self.row_left = 0;
        self.judging = false;
    }

    /// The frame's records are sent: the next frame may be judged, and its records come after.
    pub fn mark_sent(&mut self) {
        self.judging = false;
    }

    /// All records of the frame are acknowledged.
    pub fn mark_acknowledged(&mut self, offset: i64) {
        self.set(offset, Step::Done);
        self.finish();
    }

    /// The offset to commit (one past the last finished frame), if it is not committed yet.
    pub fn committable(&self) -> Option<i64> {
        self.finished.filter(|finished| self.committed != Some(*finished))
    }

    /// That offset is committed.
    pub fn mark_committed(&mut self, offset: i64) {
        self.committed = Some(offset);
    }

    /// Takes nothing more in, and drops the frames that were not begun: the partition's next owner has them. A lane that is
    /// halted or not restored finishes only the frames that are judged.
    pub fn close(&mut self) {
        self.closed = true;
        let (bytes, judges) = (&mut self.bytes, self.restored && !self.halted);
        self.slots.retain(|slot| {
            let begun = slot.step.is_judged() || judges && !matches!(slot.step, Step::Waiting(_));
            *bytes -= if begun { 0 } else { slot.bytes };
            begun
        });
    }

    /// Drops all frames that are not done: the partition's next owner does them again.
    pub fn abandon(&mut self) {
        self.closed = true;
        self.bytes = 0;
        self.slots.clear();
    }

    /// True when every frame that was begun is done.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many frames are to be judged in a row now.
    fn next_row(&self) -> usize {
        let mut ahead = self.slots.iter().map(|slot| &slot.step).skip_while(|step| step.is_judged());
        let ready = ahead.clone().take_while(|step| matches!(step, Step::Ready(_))).count();
        let comes = matches!(ahead.nth(ready), Some(Step::Detecting | Step::Detected(_) | Step::Embedding));
        let waits = self.slots.back().is_some_and(|slot| matches!(slot.step, Step::Waiting(_)));
        if ready < JUDGED_IN_A_ROW && comes && waits { 0 } else { ready }
    }

    fn slot(&mut self, offset: i64) -> Option<&mut Slot<F, D, R>> {
        let index = self.slots.binary_search_by_key(&offset, |slot| slot.offset).ok()?;
        self.slots.get_mut(index)
    }

    fn set(&mut self, offset: i64, step: Step<F, D, R>) {
        if let Some(slot) = self.slot(offset) {
            slot.step = step;
        }
    }

    /// Takes the first slot that is `wanted`, provided that all before it are `passed`.
    fn take_first<T>(
        &mut self,
        window: usize,
        wanted: impl Fn(&Step<F, D, R>) -> bool,
        passed: impl Fn(&Step<F, D, R>) -> bool,
        next: Step<F, D, R>,
        content: impl Fn(Step<F, D, R>) -> Option<T>,
    ) -> Option<(i64, T)> {
        let mut ahead = 0;
        for slot in &mut self.slots {
            ahead += usize::from(!slot.step.is_judged());
            if ahead > window {
                return None;
            }
            if wanted(&slot.step) {
                let taken = content(std::mem::replace(&mut slot.step, next))?;
                return Some((slot.offset, taken));
            }
            if !passed(&slot.step) {
                return None;
            }
        }
        None
    }

    fn finish(&mut self) {
        while let Some(slot) = self.slots.pop_front_if(|slot| matches!(slot.step, Step::Done)) {
            self.bytes -= slot.bytes;
            self.finished = Some(slot.offset + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type TestLane = Lane<i64, i64, i64>;

    fn with(offsets: &[i64]) -> TestLane {
        let mut lane = TestLane::default();
        lane.mark_restored();
        for offset in offsets {
            assert!(lane.admit(*offset, 10, *offset));
        }
        lane
    }

    fn finish_judging(lane: &mut TestLane) {
        while let Some((offset, frame)) = lane.next_to_detect(usize::MAX) {
            lane.mark_detected(offset, frame);
        }
        while let Some((offset, seen)) = lane.next_to_track() {
            lane.mark_embedded(offset, seen);
        }
        while let Some((offset, _)) = lane.next_to_judge() {
            lane.mark_publishing(offset);
            lane.mark_sent();
        }
    }

    #[test]
    fn a_frame_that_is_put_back_is_judged_next() {
        let mut lane = with(&[5, 6]);
        while let Some((offset, frame)) = lane.next_to_detect(10) {
            lane.mark_detected(offset, frame);
        }
        while let Some((offset, seen)) = lane.next_to_track() {
            lane.mark_embedded(offset, seen);
        }
        for _ in 0..3 {
            assert_eq!(lane.next_to_judge(), Some((5, 5)));
            lane.put_back(5, 5);
            lane.halt();
            assert_eq!(lane.next_to_judge(), None);
            lane.resume();
        }
        assert_eq!(lane.next_to_judge(), Some((5, 5)));
        lane.mark_publishing(5);
        lane.mark_sent();
        assert_eq!(lane.next_to_judge(), Some((6, 6)));
    }

    #[test]
    fn frames_are_tracked_and_judged_in_order() {
        let mut lane = with(&[5, 6, 9]);
        let all: Vec<_> = std::iter::from_fn(|| lane.next_to_detect(10)).collect();
        for (offset, frame) in all.iter().rev() {
            assert!(lane.next_to_track().is_none(), "an older frame is not seen yet");
            lane.mark_detected(*offset, *frame);
        }
        let followed: Vec<_> =
            std::iter::from_fn(|| lane.next_to_track()).map(|(offset, _)| offset).collect();
        assert_eq!(followed, [5, 6, 9]);
        lane.mark_embedded(6, 6);
        assert!(lane.next_to_judge().is_none(), "5 is not embedded yet");
        lane.mark_embedded(5, 5);
        assert_eq!(lane.next_to_judge(), Some((5, 5)));
        lane.mark_publishing(5);
        assert!(lane.next_to_judge().is_none(), "one at a time, until its records are sent");
        lane.mark_sent();
        assert_eq!(lane.next_to_judge(), Some((6, 6)));
    }

    #[test]
    fn frames_are_judged_in_a_row_while_others_wait() {
        let row = JUDGED_IN_A_ROW as i64;
        let offsets: Vec<i64> = (0..2 * row).collect();
        let mut lane = with(&offsets);
        let see = |lane: &mut TestLane| {
            let (offset, frame) = lane.next_to_detect(JUDGED_IN_A_ROW + 2).unwrap();
            lane.mark_detected(offset, frame);
            lane.next_to_track().unwrap()
        };
        let judged = |lane: &mut TestLane| {
            let all = std::iter::from_fn(|| {
                let (offset, _) = lane.next_to_judge()?;
                lane.mark_publishing(offset);
                lane.mark_sent();
                Some(offset)
            });
            all.collect::<Vec<_>>()
        };
        // One more than are judged in a row is in vision, and they come out one by one.
        let seen: Vec<_> = (0..=row).map(|_| see(&mut lane)).collect();
        for (offset, seen) in seen {
            lane.mark_embedded(offset, seen);
            let expected = match offset {
                offset if offset == row - 1 => (0..row).collect(),
                offset if offset == row => vec![row],
                _ => vec![],
            };
            assert_eq!(judged(&mut lane), expected, "{offset}");
        }
        // All others are in vision: no frame waits, and each is judged as soon as it can be.
        let seen: Vec<_> = (row + 1..2 * row).map(|_| see(&mut lane)).collect();
        for (offset, seen) in seen {
            lane.mark_embedded(offset, seen);
            assert_eq!(judged(&mut lane), [offset]);
        }
    }

    #[test]
    fn an_offset_waits_for_all_acknowledgements_before_it() {
        let mut lane = with(&[0, 1, 2]);
        finish_judging(&mut lane);
        for offset in [1, 2] {
            lane.mark_acknowledged(offset);
            assert_eq!(lane.committable(), None);
        }
        lane.mark_acknowledged(0);
        assert_eq!(lane.committable(), Some(3));
        lane.mark_committed(3);
        assert_eq!(lane.committable(), None);
        assert!(lane.is_empty());
        assert_eq!(lane.bytes(), 0);
    }

    #[test]
    fn a_frame_fetched_again_is_not_admitted_again() {
        let mut lane = with(&[3, 4]);
        assert!(!lane.admit(4, 10, 4));
        assert!(!lane.admit(1, 10, 1));
        assert!(lane.admit(7, 10, 7));
    }

    #[test]
    fn a_gap_between_two_offsets_is_found() {
        let lane = with(&[3, 4]);
        assert_eq!((lane.offset_gap(5), lane.offset_gap(8)), (None, Some(5..8)));
        assert_eq!(with(&[]).offset_gap(8), None, "the committed offset says where a lane begins");
    }

    #[test]
    fn the_window_bounds_how_far_vision_runs_ahead() {
        let mut lane = with(&[0, 1, 2]);
        assert!(lane.next_to_detect(2).is_some() && lane.next_to_detect(2).is_some());
        assert!(lane.next_to_detect(2).is_none());
    }

    #[test]
    fn a_closed_lane_finishes_only_begun_frames() {
        let mut lane = with(&[0, 1]);
        let (offset, frame) = lane.next_to_detect(1).unwrap();
        lane.close();
        assert!(!lane.admit(2, 10, 2) && !lane.is_empty());
        lane.mark_detected(offset, frame);
        finish_judging(&mut lane);
        lane.mark_acknowledged(0);
        assert!(lane.is_empty());
        assert_eq!((lane.committable(), lane.bytes()), (Some(1), 0));
    }

    #[test]
    fn nothing_is_judged_before_rule_state_is_restored() {
        let mut lane = TestLane::default();
        lane.admit(0, 10, 0);
        finish_judging(&mut lane);
        lane.mark_restored();
        assert_eq!(lane.next_to_judge(), Some((0, 0)), "it was seen in the meantime");
    }

    #[test]
    fn a_lane_closed_before_it_is_restored_drops_all() {
        let mut lane = TestLane::default();
        lane.admit(0, 10, 0);
        lane.next_to_detect(1).unwrap();
        lane.close();
        assert!(lane.is_empty());
        lane.mark_detected(0, 0);
        assert_eq!((lane.committable(), lane.bytes()), (None, 0));
    }

    #[test]
    fn a_halted_lane_drops_what_it_has_not_judged() {
        let mut lane = with(&[0, 1]);
        let offset = lane.next_to_detect(1).unwrap().0;
        lane.mark_detected(offset, 0);
        finish_judging(&mut lane);
        lane.admit(2, 10, 2);
        lane.halt();
        finish_judging(&mut lane);
        lane.close();
        assert!(!lane.is_empty(), "what is judged is waited for");
        [0, 1].into_iter().for_each(|offset| lane.mark_acknowledged(offset));
        assert_eq!((lane.is_empty(), lane.committable(), lane.bytes()), (true, Some(2), 0));
    }

    #[test]
    fn an_abandoned_lane_commits_nothing_more() {
        let mut lane = with(&[0, 1]);
        finish_judging(&mut lane);
        lane.mark_acknowledged(0);
        lane.abandon();
        lane.mark_acknowledged(1);
        assert!(lane.is_empty());
        assert_eq!(lane.committable(), Some(1));
    }

    proptest! {
        /// Any interleaving of the steps keeps order and never lets an unfinished frame be committed.
        #[test]
        fn no_interleaving_commits_an_unfinished_frame(choices in proptest::collection::vec((0u8..7, 0usize..8), 1..400)) {
            let mut lane = with(&[]);
            let (mut next, mut seeing, mut embedding, mut acks) = (0i64, vec![], vec![], vec![]);
            let (mut judging, mut judged, mut done) = (None, vec![], std::collections::BTreeSet::new());
            for (choice, pick) in choices {
                let any = |from: &mut Vec<i64>| (!from.is_empty()).then(|| from.swap_remove(pick % from.len()));
                match choice {
                    0 => { lane.admit(next, 10, next); next += 1 + (pick as i64 % 2); }
                    1 => seeing.extend(lane.next_to_detect(6).map(|(offset, _)| offset)),
                    2 => if let Some(offset) = any(&mut seeing) { lane.mark_detected(offset, offset) },
                    3 => embedding.extend(lane.next_to_track().map(|(offset, _)| offset)),
                    4 => if let Some(offset) = any(&mut embedding) { lane.mark_embedded(offset, offset) },
                    5 => match judging.take() {
                        None => judging = lane.next_to_judge().map(|(offset, _)| offset),
                        Some(offset) => { lane.mark_publishing(offset); lane.mark_sent(); judged.push(offset); acks.push(offset); }
                    },
                    _ => if let Some(offset) = any(&mut acks) { lane.mark_acknowledged(offset); done.insert(offset); },
                }
                if let Some(commit) = lane.committable() {
                    prop_assert!(judged.iter().filter(|offset| **offset < commit).all(|offset| done.contains(offset)));
                    prop_assert!(done.contains(&(commit - 1)));
                }
            }
            prop_assert!(judged.is_sorted());
            // Whatever is unfinished comes to its end, in whatever order vision does the rest.
            for _ in 0..lane.frames() {
                seeing.extend(std::iter::from_fn(|| lane.next_to_detect(6)).map(|(offset, _)| offset));
                seeing.drain(..).for_each(|offset| lane.mark_detected(offset, offset));
                embedding.extend(std::iter::from_fn(|| lane.next_to_track()).map(|(offset, _)| offset));
                embedding.drain(..).rev().for_each(|offset| lane.mark_embedded(offset, offset));
                while let Some(offset) = judging.take().or_else(|| Some(lane.next_to_judge()?.0)) {
                    lane.mark_publishing(offset);
                    lane.mark_sent();
                    acks.push(offset);
                }
            }
            acks.drain(..).for_each(|offset| lane.mark_acknowledged(offset));
            prop_assert!(lane.is_empty());
        }
    }
}
