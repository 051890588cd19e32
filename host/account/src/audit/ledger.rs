//! The ledger: for each camera, which frames there are and what became of them. Pure.

use super::NAMED;
use super::offsets::{Offsets, Times};
use super::report::{CameraCount, Named, Report, range};
use super::sequences::{Numbers, Sequences};
use everyframe_types::ranges::Ranges;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What the topics say, as far as they were read: first results and dead letters, then the frames topic.
///
/// It keeps at most a bit for each frame, and some memory for each camera, each of its last sessions, each parked frame,
/// and each replay.
///
/// Headers come from outside: every client with write access to a topic can write anything. Impossible claims are named,
/// counted as forged, and change no other count.
#[derive(Debug, Default)]
pub struct Ledger {
    partitions: HashMap<i32, Partition>,
    cameras: HashMap<String, Camera>,
    /// Frames with a letter, as they were counted when they were read. A replay changes these counts.
    parked: BTreeMap<(i32, u64), Parked>,
    replayed: BTreeMap<(i32, u64), Replayed>,
    /// The names in `parked` and `replayed`, each once.
    names: HashSet<Arc<str>>,
    deleted: BTreeMap<i32, Ranges>,
    /// Frames whose letters hold only the beginning of their bytes.
    partial: BTreeSet<(i32, u64)>,
    forged: Places,
    /// Since when frames are looked at, if not from the oldest on: what came before may be known only in part.
    in_part: bool,
    /// By partition, the offset of the next frame; none if that is not known.
    ends: Option<HashMap<i32, u64>>,
    missing_ranges: Budget,
}

/// What became of the frames of a partition.
#[derive(Debug, Default)]
struct Partition {
    results: Times,
    dead_letters: Times,
    frames: Offsets,
}

impl Partition {
    /// Of the frame as it first came.
    fn outcomes(&self, offset: u64, committed: u64) -> Outcomes {
        let due = u64::from(offset < committed);
        Outcomes {
            results: self.results.of(offset),
            dead_letters: self.dead_letters.of(offset),
            due,
            more: false,
        }
    }
}

#[derive(Debug, Default)]
struct Camera {
    count: CameraCount,
    sequences: Sequences,
    /// Ranges of missing frames, those of each partition in order.
    missing: Vec<Missing>,
    /// The partitions whose last frame was missing: the next one makes that range longer.
    growing: Vec<Missing>,
}

/// The missing frames of a camera from `first` to `last`.
#[derive(Debug, Clone, Copy)]
struct Missing {
    partition: i32,
    first: u64,
    last: u64,
}

/// How many ranges are named, and how many were not any more.
#[derive(Debug, Default)]
struct Budget {
    named: usize,
    more: u64,
}

/// A frame with a letter, as it was counted.
#[derive(Debug)]
struct Parked {
    camera: Arc<str>,
    state: State,
    repeated: u64,
}

/// The replays of a frame.
#[derive(Debug, Default)]
struct Replayed {
    /// Of each, the camera that it claims, and whether the group has committed it.
    claims: Vec<(Arc<str>, bool)>,
    /// The group's offset in the frame's partition.
    committed: u64,
}

/// Places: the first ones by name, and how many there are.
#[derive(Debug, Default)]
struct Places {
    named: Vec<String>,
    count: u64,
}

impl Places {
    fn add(&mut self, place: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(place());
        }
    }
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Result,
    DeadLetter,
    Missing,
    Waiting,
}

/// Outcomes of a frame, and how many there should be at least by what is committed.
#[derive(Debug, Clone, Copy)]
struct Outcomes {
    results: u64,
    dead_letters: u64,
    due: u64,
    /// True if more are to come.
    more: bool,
}

impl Outcomes {
    fn state(&self) -> State {
        match self {
            Self { results: 1.., .. } => State::Result,
            // A dead letter that was replayed, and of the replay there is nothing: nobody looks at the letter any more.
            Self { dead_letters, due, .. } if dead_letters < due => State::Missing,
            Self { more: true, .. } => State::Waiting,
            Self { dead_letters: 1.., .. } => State::DeadLetter,
            Self { .. } => State::Waiting,
        }
    }

    /// Those beyond so many.
    fn beyond(&self, right: u64) -> u64 {
        self.results.saturating_add(self.dead_letters).saturating_sub(right)
    }
}

impl CameraCount {
    fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Result => &mut self.results,
            State::DeadLetter => &mut self.dead_letters,
            State::Missing => &mut self.missing,
            State::Waiting => &mut self.waiting,
        }
    }
}

impl Ledger {
    /// `in_part` if the frames are not read from the oldest one on.
    pub fn new(in_part: bool) -> Self {
        Self { in_part, ..Self::default() }
    }

    /// A result stands for this frame.
    pub fn result(&mut self, partition: i32, offset: u64) {
        self.partitions.entry(partition).or_default().results.add(offset);
    }

    /// A dead letter stands for this frame.
    pub fn dead_letter(&mut self, partition: i32, offset: u64) {
        self.partitions.entry(partition).or_default().dead_letters.add(offset);
    }

    /// The letter of this frame holds only the beginning of its bytes.
    pub fn partial_letter(&mut self, partition: i32, offset: u64) {
        self.partial.insert((partition, offset));
    }

    /// Counts a record with an impossible claim; `what` names it.
    pub fn add_forged(&mut self, what: impl FnOnce() -> String) {
        self.forged.add(what);
    }

    /// The offset that the next frame of each partition gets: no replay can be of a later one.
    pub fn set_ends(&mut self, ends: HashMap<i32, u64>) {
        self.ends = Some(ends);
    }

    /// Retention deleted these before the group came to them.
    pub fn deleted(&mut self, partition: i32, offsets: std::ops::Range<u64>) {
        if !offsets.is_empty() {
            self.deleted.entry(partition).or_default().insert_all(offsets.start..=offsets.end - 1);
        }
    }

    /// The frame itself. `committed` is the group's offset in the partition, as it was before anything was read;
    /// `sequence` is the agent's session and number, if there was an agent.
    pub fn frame(
        &mut self,
        partition: i32,
        offset: u64,
        camera: &str,
        committed: u64,
        sequence: Option<(&str, u64)>,
    ) {
        let of = self.partitions.entry(partition).or_default();
        of.frames.insert(offset);
        let outcomes = of.outcomes(offset, committed);
        let (state, repeated) = (outcomes.state(), outcomes.beyond(1));
        if outcomes.dead_letters > 0 {
            let name = shared(&mut self.names, camera);
            self.parked.insert((partition, offset), Parked { camera: name, state, repeated });
        }
        let camera = entry(&mut self.cameras, camera);
        camera.count.sent += 1;
        *camera.count.of(state) += 1;
        camera.count.repeated += repeated;
        camera.name_missing(&mut self.missing_ranges, partition, offset, state == State::Missing);
        if let Some((session, number)) = sequence {
            camera.count.late += u64::from(camera.sequences.frame(partition, session, number));
        }
    }

    /// A frame is put through again; `due` if the group has committed the record that does it.
    pub fn replay(&mut self, partition: i32, offset: u64, camera: &str, committed: u64, due: bool) {
        let camera = shared(&mut self.names, camera);
        let replayed = self.replayed.entry((partition, offset)).or_default();
        replayed.committed = committed;
        replayed.claims.push((camera, due));
    }

    /// The agent refused these numbers.
    pub fn refusal(&mut self, camera: &str, session: &str, numbers: RangeInclusive<u64>) {
        entry(&mut self.cameras, camera).sequences.refused(session, numbers);
    }

    /// Closes the account.
    pub fn report(mut self) -> Report {
        for ((partition, offset), replayed) in std::mem::take(&mut self.replayed) {
            self.settle(partition, offset, replayed);
        }
        let mut partial = Places::default();
        for (partition, offset) in self.partial {
            // A frame that was replayed and has a result is not partial any more.
            if self.partitions.get(&partition).is_none_or(|of| of.results.of(offset) == 0) {
                partial.add(|| range(partition, offset, offset));
            }
        }
        let deleted = self.deleted.iter().flat_map(|(partition, ranges)| {
            let whole = ranges.without(&Ranges::default()).into_iter();
            whole.map(move |numbers| (partition, numbers))
        });
        let deleted: Vec<_> = deleted.collect();
        let mut report = Report {
            deleted: deleted.iter().map(|(partition, of)| range(partition, of.start, of.end - 1)).collect(),
            deleted_frames: deleted.iter().map(|(_, of)| of.end - of.start).fold(0, u64::saturating_add),
            partial: partial.named,
            partial_letters: partial.count,
            forged: self.forged.named,
            forged_records: self.forged.count,
            ..Report::default()
        };
        let mut cameras: Vec<(String, Camera)> = self.cameras.into_iter().collect();
        cameras.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (mut gaps, mut refused) = (Budget::default(), Budget::default());
        for (name, mut camera) in cameras {
            for open in std::mem::take(&mut camera.growing) {
                camera.keep(&mut self.missing_ranges, open);
            }
            camera.missing.sort_by_key(|missing| (missing.partition, missing.first));
            let places = camera.missing.iter().map(|of| range(of.partition, of.first, of.last));
            add(&mut report.missing, &name, places.collect());
            let closed = camera.sequences.close();
            (camera.count.gaps, camera.count.refused) = (closed.gaps.count, closed.refused.count);
            add(&mut report.gaps, &name, gaps.name(closed.gaps));
            add(&mut report.refused, &name, refused.name(closed.refused));
            report.cameras.insert(name, camera.count);
        }
        report.not_named.missing = self.missing_ranges.more;
        report.not_named.gaps = gaps.more;
        report.not_named.refused = refused.more;
        report.add_up();
        report
    }

    /// A frame that was replayed: counted anew, or, if it is not there any more, its replay in its place.
    fn settle(&mut self, partition: i32, offset: u64, replayed: Replayed) {
        let of = self.partitions.entry(partition).or_default();
        let before = of.outcomes(offset, replayed.committed);
        let is_there = of.frames.contains(offset);
        let parked = self.parked.remove(&(partition, offset));
        let owner = match &parked {
            Some(parked) => Some(parked.camera.clone()),
            // The frame is there, and has no letter to replay.
            None if is_there => None,
            None => {
                let can_be = self
                    .ends
                    .as_ref()
                    .is_none_or(|ends| ends.get(&partition).is_some_and(|end| offset < *end));
                replayed.claims.first().map(|(camera, _)| camera.clone()).filter(|_| can_be)
            }
        };
        let (claims, forged): (Vec<_>, Vec<_>) =
            replayed.claims.into_iter().partition(|(camera, _)| Some(camera) == owner.as_ref());
        for (camera, _) in forged {
            self.forged.add(|| format!("replay of {partition}/{offset} by camera {camera}"));
        }
        let Some(owner) = owner.filter(|_| !claims.is_empty()) else { return };
        let (all, done) = (claims.len() as u64, claims.iter().filter(|(_, due)| *due).count() as u64);
        let camera = entry(&mut self.cameras, &owner);
        let was = match parked {
            Some(Parked { state, repeated, .. }) => {
                *camera.count.of(state) -= 1;
                camera.count.repeated -= repeated;
                Some(state)
            }
            None => {
                camera.count.sent += 1;
                None
            }
        };
        // Of a frame from before the window, the first letter may not have been read.
        let first = u64::from(is_there || !self.in_part);
        let after = Outcomes { due: first + done, more: all > done, ..before };
        *camera.count.of(after.state()) += 1;
        camera.count.repeated += after.beyond(1 + all);
        if after.state() == State::Missing && was != Some(State::Missing) {
            camera.keep(&mut self.missing_ranges, Missing { partition, first: offset, last: offset });
        }
    }
}

impl Camera {
    /// Makes ranges of missing frames longer, begins and ends them.
    fn name_missing(&mut self, budget: &mut Budget, partition: i32, offset: u64, is_missing: bool) {
        let growing = self.growing.iter().position(|range| range.partition == partition);
        match (growing, is_missing) {
            (Some(at), true) => self.growing[at].last = offset,
            (Some(at), false) => {
                let ended = self.growing.swap_remove(at);
                self.keep(budget, ended);
            }
            (None, true) => self.growing.push(Missing { partition, first: offset, last: offset }),
            (None, false) => {}
        }
    }

    fn keep(&mut self, budget: &mut Budget, missing: Missing) {
        if budget.take() {
            self.missing.push(missing);
        }
    }
}

impl Budget {
    /// True if one more may be named.
    fn take(&mut self) -> bool {
        let may = self.named < NAMED;
        match may {
            true => self.named += 1,
            false => self.more += 1,
        }
        may
    }

    fn name(&mut self, numbers: Numbers) -> Vec<String> {
        self.more += numbers.more;
        let ranges = numbers.ranges.into_iter().filter(|_| self.take());
        ranges.map(|(session, numbers)| range(session, numbers.start, numbers.end - 1)).collect()
    }
}

fn entry<'a>(cameras: &'a mut HashMap<String, Camera>, name: &str) -> &'a mut Camera {
    cameras.entry(name.to_owned()).or_default()
}

/// Returns the name as it is kept in `names`, once for all its uses.
fn shared(names: &mut HashSet<Arc<str>>, name: &str) -> Arc<str> {
    if let Some(known) = names.get(name) {
        return known.clone();
    }
    let new: Arc<str> = name.into();
    names.insert(new.clone());
    new
}

fn add(named: &mut Named, camera: &str, ranges: Vec<String>) {
    if !ranges.is_empty() {
        named.insert(camera.to_owned(), ranges);
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
