//! The ledger: for each camera, its frames and what happened to each. Pure: it reads no topics.

use super::MAX_LISTED;
use super::offsets::{OffsetCounts, Offsets};
use super::report::{CameraCount, Named, Report, range};
use super::sequences::{Arrival, Numbers, Sequences};
use everyframe_types::camera_notice::{CameraNotice, NoticeKind};
use everyframe_types::ranges::Ranges;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The content of the topics as far as they were read. Add results and dead letters first, then the frames topic.
///
/// It keeps at most one bit for each frame, and some memory for each camera, each of its last sessions, each parked frame and
/// each replay.
///
/// Headers are not trusted: every client with write access to a topic can write anything. Impossible claims are listed and
/// counted as forged, and change no other count.
#[derive(Debug, Default)]
pub struct Ledger {
    partitions: HashMap<i32, Partition>,
    cameras: HashMap<String, Camera>,
    /// Frames with a dead letter, as they were counted when they were added. A replay changes these counts.
    parked: BTreeMap<(i32, u64), Parked>,
    replayed: BTreeMap<(i32, u64), Replayed>,
    /// The camera names in `parked` and `replayed`, each stored once.
    names: HashSet<Arc<str>>,
    deleted: BTreeMap<i32, Ranges>,
    /// Frames whose dead letters hold only the beginning of their bytes.
    partial: BTreeSet<(i32, u64)>,
    forged: Places,
    /// True if the topics are not read from the oldest record on. Earlier records may then be unknown.
    in_part: bool,
    /// By partition, the offset of the next frame; none if unknown.
    ends: Option<HashMap<i32, u64>>,
    missing_ranges: Budget,
    /// The time of the account, Unix milliseconds.
    now: i64,
}

/// The frames of a partition, and their results and dead letters.
#[derive(Debug, Default)]
struct Partition {
    results: OffsetCounts,
    dead_letters: OffsetCounts,
    frames: Offsets,
}

impl Partition {
    /// The outcomes of a frame, without its replays.
    fn outcomes(&self, offset: u64, committed: u64) -> Outcomes {
        let due = u64::from(offset < committed);
        Outcomes {
            results: self.results.count(offset),
            dead_letters: self.dead_letters.count(offset),
            due,
            more: false,
        }
    }
}

#[derive(Debug, Default)]
struct Camera {
    count: CameraCount,
    sequences: Sequences,
    absence: Absence,
    /// Ranges of missing frames, those of each partition in order.
    missing: Vec<Missing>,
    /// The ranges that end at the last frame of their partition: the next missing frame extends them.
    growing: Vec<Missing>,
}

/// When no pictures came from a camera.
#[derive(Debug, Default)]
struct Absence {
    /// Milliseconds of those that are over.
    total: i64,
    /// Since when it is away, Unix milliseconds.
    since: Option<i64>,
}

impl Absence {
    fn add(&mut self, from: i64, to: i64) {
        self.total = self.total.saturating_add(to.saturating_sub(from).max(0));
    }

    /// The camera is there again, or the account ends.
    fn end(&mut self, at: i64) {
        if let Some(since) = self.since.take() {
            self.add(since, at);
        }
    }
}

/// The missing frames of a camera from `first` to `last`.
#[derive(Debug, Clone, Copy)]
struct Missing {
    partition: i32,
    first: u64,
    last: u64,
}

/// The number of ranges that are listed, and of those that are only counted.
#[derive(Debug, Default)]
struct Budget {
    named: usize,
    more: u64,
}

/// A frame with a dead letter, as it was counted.
#[derive(Debug)]
struct Parked {
    camera: Arc<str>,
    state: State,
    repeated: u64,
}

/// The replays of a frame.
#[derive(Debug, Default)]
struct Replayed {
    /// For each replay, the camera that it claims, and whether the group has committed it.
    claims: Vec<(Arc<str>, bool)>,
    /// The group's offset in the frame's partition.
    committed: u64,
}

/// A list of places: the first ones by name, and the number of all.
#[derive(Debug, Default)]
struct Places {
    named: Vec<String>,
    count: u64,
}

impl Places {
    fn add(&mut self, place: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < MAX_LISTED {
            self.named.push(place());
        }
    }
}

/// What happened to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Result,
    DeadLetter,
    Missing,
    Waiting,
}

/// The outcomes of a frame, and the least number that the committed offsets require.
#[derive(Debug, Clone, Copy)]
struct Outcomes {
    results: u64,
    dead_letters: u64,
    due: u64,
    /// True if more outcomes are expected.
    more: bool,
}

impl Outcomes {
    fn state(&self) -> State {
        match self {
            Self { results: 1.., .. } => State::Result,
            // The dead letter was replayed, but the replay has no outcome: the frame is lost.
            Self { dead_letters, due, .. } if dead_letters < due => State::Missing,
            Self { more: true, .. } => State::Waiting,
            Self { dead_letters: 1.., .. } => State::DeadLetter,
            Self { .. } => State::Waiting,
        }
    }

    /// The number of outcomes beyond the expected ones.
    fn beyond(&self, expected: u64) -> u64 {
        self.results.saturating_add(self.dead_letters).saturating_sub(expected)
    }
}

impl CameraCount {
    fn count_mut(&mut self, state: State) -> &mut u64 {
        match state {
            State::Result => &mut self.results,
            State::DeadLetter => &mut self.dead_letters,
            State::Missing => &mut self.missing,
            State::Waiting => &mut self.waiting,
        }
    }
}

impl Ledger {
    /// An empty ledger at this Unix time, milliseconds. `in_part` is true if the topics are not read from the oldest record on.
    pub fn new(in_part: bool, now: i64) -> Self {
        Self { in_part, now, ..Self::default() }
    }

    /// Adds the result of a frame.
    pub fn add_result(&mut self, partition: i32, offset: u64) {
        self.partitions.entry(partition).or_default().results.add(offset);
    }

    /// Adds the dead letter of a frame.
    pub fn add_dead_letter(&mut self, partition: i32, offset: u64) {
        self.partitions.entry(partition).or_default().dead_letters.add(offset);
    }

    /// Marks a frame whose dead letter holds only the beginning of its bytes.
    pub fn add_partial_letter(&mut self, partition: i32, offset: u64) {
        self.partial.insert((partition, offset));
    }

    /// Counts a record with an impossible claim, described by `claim`.
    pub fn add_forged(&mut self, claim: impl FnOnce() -> String) {
        self.forged.add(claim);
    }

    /// Sets the offset of the next frame of each partition. A replay of a later offset is forged.
    pub fn set_ends(&mut self, ends: HashMap<i32, u64>) {
        self.ends = Some(ends);
    }

    /// Adds frames that retention deleted before the group read them.
    pub fn add_deleted(&mut self, partition: i32, offsets: std::ops::Range<u64>) {
        if !offsets.is_empty() {
            self.deleted.entry(partition).or_default().insert_all(offsets.start..=offsets.end - 1);
        }
    }

    /// Adds a frame. `committed` is the group's offset in the partition before any topic was read; `sequence` is the agent's session
    /// and number, if the frame has them.
    pub fn add_frame(
        &mut self,
        partition: i32,
        offset: u64,
        camera: &str,
        committed: u64,
        sequence: Option<(&str, u64)>,
    ) {
        let of = self.partitions.entry(partition).or_default();
        of.frames.insert(offset);
        let known = entry(&mut self.cameras, camera);
        let arrival = sequence.map(|(session, number)| known.sequences.add_frame(partition, session, number));
        let outcomes = of.outcomes(offset, committed);
        let (state, repeated) = (outcomes.state(), outcomes.beyond(1));
        // An agent that was killed sends its last frame again. Whoever uses a number twice must not hide a loss, though.
        if arrival == Some(Arrival::Repeated) && matches!(state, State::Result | State::Waiting) {
            known.count.repeated += 1 + repeated;
            return;
        }
        if outcomes.dead_letters > 0 {
            let name = intern(&mut self.names, camera);
            self.parked.insert((partition, offset), Parked { camera: name, state, repeated });
        }
        let camera = entry(&mut self.cameras, camera);
        camera.count.sent += 1;
        *camera.count.count_mut(state) += 1;
        camera.count.repeated += repeated;
        camera.track_missing(&mut self.missing_ranges, partition, offset, state == State::Missing);
        camera.count.late += u64::from(arrival == Some(Arrival::Late));
    }

    /// Adds the replay of a parked frame. `due` is true if the group has committed the record of the replay.
    pub fn add_replay(&mut self, partition: i32, offset: u64, camera: &str, committed: u64, due: bool) {
        let camera = intern(&mut self.names, camera);
        let replayed = self.replayed.entry((partition, offset)).or_default();
        replayed.committed = committed;
        replayed.claims.push((camera, due));
    }

    /// Adds a refusal notice of an agent.
    pub fn add_refusal(&mut self, camera: &str, session: &str, numbers: RangeInclusive<u64>) {
        entry(&mut self.cameras, camera).sequences.add_refusal(session, numbers);
    }

    /// Adds a camera that is expected, also if it never sent anything.
    pub fn add_camera(&mut self, camera: &str) {
        entry(&mut self.cameras, camera);
    }

    /// Adds an agent's notice about its camera.
    pub fn add_notice(&mut self, camera: &str, notice: &CameraNotice) {
        let camera = entry(&mut self.cameras, camera);
        match (notice.kind, notice.to) {
            (NoticeKind::Away, None) => camera.absence.since = Some(notice.from),
            (NoticeKind::Away | NoticeKind::Interrupted, Some(to)) => {
                camera.absence.since = None;
                camera.absence.add(notice.from, to);
            }
            (NoticeKind::Damaged, _) => {
                camera.count.damaged = camera.count.damaged.saturating_add(notice.frames);
            }
            _ => {}
        }
    }

    /// A frame of this camera was recorded at this Unix time, milliseconds: it is not away any more, if its agent was ended before it
    /// could say so.
    pub fn end_absence(&mut self, camera: &str, at: i64) {
        if let Some(camera) = self.cameras.get_mut(camera) {
            camera.absence.end(at);
        }
    }

    /// Closes the ledger and makes the report.
    pub fn report(mut self) -> Report {
        for ((partition, offset), replayed) in std::mem::take(&mut self.replayed) {
            self.count_replayed(partition, offset, replayed);
        }
        let mut partial = Places::default();
        for (partition, offset) in self.partial {
            // A frame that was replayed and has a result is not lost in part.
            if self.partitions.get(&partition).is_none_or(|of| of.results.count(offset) == 0) {
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
            camera.absence.end(self.now);
            camera.count.away = (camera.absence.total / 1000).unsigned_abs();
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

    /// Counts a replayed frame again; if the frame was deleted, counts its replay in its place.
    fn count_replayed(&mut self, partition: i32, offset: u64, replayed: Replayed) {
        let of = self.partitions.entry(partition).or_default();
        let before = of.outcomes(offset, replayed.committed);
        let is_there = of.frames.contains(offset);
        let parked = self.parked.remove(&(partition, offset));
        let owner = match &parked {
            Some(parked) => Some(parked.camera.clone()),
            // The frame exists, and has no dead letter to replay.
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
                *camera.count.count_mut(state) -= 1;
                camera.count.repeated -= repeated;
                Some(state)
            }
            None => {
                camera.count.sent += 1;
                None
            }
        };
        // The first dead letter of a frame before the window may not have been read.
        let first = u64::from(is_there || !self.in_part);
        let after = Outcomes { due: first + done, more: all > done, ..before };
        *camera.count.count_mut(after.state()) += 1;
        camera.count.repeated += after.beyond(1 + all);
        if after.state() == State::Missing && was != Some(State::Missing) {
            camera.keep(&mut self.missing_ranges, Missing { partition, first: offset, last: offset });
        }
    }
}

impl Camera {
    /// Extends, starts and ends ranges of missing frames.
    fn track_missing(&mut self, budget: &mut Budget, partition: i32, offset: u64, is_missing: bool) {
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
    /// True if one more range may be listed.
    fn take(&mut self) -> bool {
        let may = self.named < MAX_LISTED;
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

/// Returns the shared copy of a name.
fn intern(names: &mut HashSet<Arc<str>>, name: &str) -> Arc<str> {
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
