//! The lanes at work: what moves each frame to its next stage, on whichever thread has just finished one.

use super::dead_letter_limiter::DeadLetterLimiter;
use super::stages::{DetectedFrame, Prepared, Ready, Stages};
use super::tracking::Trackers;
use super::{deleted, ledger, restore};
use crate::intake::{FrameClock, Lane};
use crate::live_ledger::LiveLedger;
use crate::observe::LaneState;
use crate::publish::{Assignment, Outcome};
use everyframe_kafka::Downstream;
use everyframe_rules::RuleState;
use everyframe_types::dead_letter::Parked;
use everyframe_types::frame::Frame;
use everyframe_vision::EmbeddingCache;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a frame takes besides its picture, roughly: its names, its place, its slot.
const FRAME_BYTES: usize = 1024;
/// How often a lane that is draining is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a worker is asked to do.
pub(super) enum Job {
    /// Decode and detect.
    See { cell: Arc<LaneCell>, frame: Arc<Frame> },
    /// Embed the faces that the tracker asked for.
    Embed { cell: Arc<LaneCell>, frame: Arc<Frame>, prepared: Box<Prepared> },
}

/// The two queues of the workers. Embedding goes first: it finishes what was begun and frees its picture.
pub(super) struct Jobs {
    pub see: crossbeam_channel::Sender<Job>,
    pub embed: crossbeam_channel::Sender<Job>,
}

/// All lanes of this host.
pub(super) struct Lanes {
    cells: Mutex<HashMap<i32, Arc<LaneCell>>>,
    stages: Arc<Stages>,
    jobs: Arc<Jobs>,
    /// How far vision may run ahead of the oldest unfinished frame, in frames.
    window: usize,
    drain_timeout: Duration,
}

impl Lanes {
    pub fn new(stages: Arc<Stages>, jobs: Jobs, window: usize, drain_timeout: Duration) -> Self {
        Self { cells: Mutex::default(), stages, jobs: Arc::new(jobs), window, drain_timeout }
    }

    /// The lanes as they are now.
    pub fn states(&self) -> Vec<LaneState> {
        let cells: Vec<Arc<LaneCell>> = locked(&self.cells).values().cloned().collect();
        cells.iter().map(|cell| cell.state()).collect()
    }

    fn cell(&self, partition: i32) -> Option<Arc<LaneCell>> {
        locked(&self.cells).get(&partition).cloned()
    }

    fn rebalanced(&self, change: &'static str, partitions: &[i32]) {
        if !partitions.is_empty() {
            self.stages.metrics.rebalanced(change);
        }
    }

    fn remove(&self, partitions: &[i32]) -> Vec<Arc<LaneCell>> {
        let mut cells = locked(&self.cells);
        partitions.iter().filter_map(|partition| cells.remove(partition)).collect()
    }
}

impl Downstream for Lanes {
    fn open(&self, partitions: &[i32]) {
        self.rebalanced("assigned", partitions);
        let opened: Vec<Arc<LaneCell>> = partitions
            .iter()
            .map(|partition| {
                Arc::new(LaneCell {
                    dead_letter_limiter: Mutex::new(DeadLetterLimiter::new(
                        self.stages.config.publish.dead_letter_share,
                    )),
                    partition: *partition,
                    assignment: Assignment::new(*partition),
                    stages: self.stages.clone(),
                    jobs: self.jobs.clone(),
                    window: self.window,
                    passage: Mutex::default(),
                    emptied: Condvar::new(),
                    judging: Mutex::default(),
                    is_paused: AtomicBool::new(false),
                })
            })
            .collect();
        locked(&self.cells).extend(opened.iter().map(|cell| (cell.partition, cell.clone())));
        restore::begin(self.stages.clone(), opened);
    }

    fn close(&self, partitions: &[i32]) -> Vec<(i32, i64)> {
        self.rebalanced("revoked", partitions);
        let deadline = Instant::now() + self.drain_timeout;
        let closing = self.remove(partitions);
        closing.iter().for_each(|cell| locked(&cell.passage).lane.close());
        closing.iter().filter_map(|cell| Some((cell.partition, cell.finish(deadline)?))).collect()
    }

    fn abandon(&self, partitions: &[i32]) {
        self.rebalanced("lost", partitions);
        for cell in self.remove(partitions) {
            cell.assignment.end();
            locked(&cell.passage).lane.abandon();
        }
    }

    fn admit(&self, frame: Frame) {
        if let Some(cell) = self.cell(frame.position.partition) {
            cell.admit(frame);
        }
    }

    fn bytes(&self, partition: i32) -> usize {
        let load = |cell: Arc<LaneCell>| {
            let lane = &locked(&cell.passage).lane;
            if lane.frames() < self.window / 4 { 0 } else { lane.bytes() }
        };
        self.cell(partition).map_or(0, load)
    }

    fn paused(&self, partition: i32, is_paused: bool) {
        if let Some(cell) = self.cell(partition) {
            cell.is_paused.store(is_paused, Ordering::Relaxed);
        }
    }

    fn committable(&self) -> Vec<(i32, i64)> {
        if self.stages.publisher.is_exactly_once() {
            return Vec::new();
        }
        let cells = locked(&self.cells);
        cells.iter().filter_map(|(p, cell)| Some((*p, locked(&cell.passage).lane.committable()?))).collect()
    }

    fn committed(&self, offsets: &[(i32, i64)]) {
        for (partition, offset) in offsets {
            if let Some(cell) = self.cell(*partition) {
                locked(&cell.passage).lane.committed(*offset);
            }
        }
    }
}

/// One partition's lane, with what its stages remember from frame to frame.
pub(super) struct LaneCell {
    pub partition: i32,
    pub assignment: Arc<Assignment>,
    stages: Arc<Stages>,
    jobs: Arc<Jobs>,
    window: usize,
    passage: Mutex<Passage>,
    emptied: Condvar,
    /// Held by whoever judges; the lane lets one do so at a time.
    judging: Mutex<Judging>,
    is_paused: AtomicBool,
    dead_letter_limiter: Mutex<DeadLetterLimiter>,
}

#[derive(Default)]
struct Passage {
    lane: Lane<Arc<Frame>, DetectedFrame, Ready>,
    trackers: Trackers,
    ledger: LiveLedger,
    clock: FrameClock,
}

/// What judging remembers of one lane.
#[derive(Default)]
pub(super) struct Judging {
    pub appearances: HashMap<Arc<str>, EmbeddingCache>,
    pub state: RuleState,
}

impl LaneCell {
    fn admit(self: &Arc<Self>, mut frame: Frame) {
        let (offset, bytes) = (frame.position.offset, frame.picture.len());
        let mut passage = locked(&self.passage);
        if !passage.lane.expects(offset) {
            return;
        }
        ledger::note(&mut passage.ledger, &self.stages.metrics, &mut frame);
        if let Some(correction) = passage.clock.set_time(&mut frame) {
            self.stages.metrics.time_corrected(&frame, correction);
        }
        if frame.is_frame() {
            self.stages.metrics.taken_in(bytes);
        }
        let hole = passage.lane.offset_gap(offset);
        passage.lane.admit(offset, bytes + FRAME_BYTES, Arc::new(frame));
        drop(passage);
        if let Some(hole) = hole {
            deleted::investigate_gap(self.stages.clone(), self.assignment.clone(), hole);
        }
        self.dispatch();
    }

    fn state(&self) -> LaneState {
        let passage = locked(&self.passage);
        LaneState {
            partition: self.partition,
            bytes: passage.lane.bytes(),
            frames: passage.lane.frames(),
            is_paused: self.is_paused.load(Ordering::Relaxed),
        }
    }

    /// What the rules remember is there: the frames that were seen meanwhile may be judged.
    pub fn restored(self: &Arc<Self>, state: RuleState) {
        locked(&self.judging).state = state;
        locked(&self.passage).lane.restored();
        self.advance();
    }

    /// Waits for the frames that were begun, and ends the tenure. The offset to commit, if it is not yet.
    fn finish(&self, deadline: Instant) -> Option<i64> {
        let mut passage = locked(&self.passage);
        // What was given up is never done, and there is nothing to wait for.
        while !passage.lane.is_empty() && Instant::now() < deadline && !self.assignment.is_over() {
            let wait = self.emptied.wait_timeout(passage, LOOK_AGAIN);
            passage = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.assignment.end();
        if !passage.lane.is_empty() {
            tracing::warn!(
                partition = self.partition,
                "frames unfinished: whoever has the partition next does them again"
            );
        }
        let done = passage.lane.committable();
        passage.lane.abandon();
        done.filter(|_| !self.stages.publisher.is_exactly_once())
    }

    /// A frame was decoded and searched for faces, or could not be.
    pub fn seen(self: &Arc<Self>, offset: i64, sight: DetectedFrame) {
        locked(&self.passage).lane.seen(offset, sight);
        self.advance();
    }

    /// A frame has the embeddings that it needs, or could not get them.
    pub fn embedded(self: &Arc<Self>, offset: i64, ready: Ready) {
        locked(&self.passage).lane.embedded(offset, ready);
        self.advance();
    }

    /// Moves every frame on that can move.
    fn advance(self: &Arc<Self>) {
        loop {
            let mut passage = locked(&self.passage);
            self.follow(&mut passage);
            let Some((offset, ready)) = passage.lane.judge() else { break };
            drop(passage);
            let frame = ready.frame.clone();
            let outcome = match self.stages.judge(&ready, &mut locked(&self.judging)) {
                Ok(outcome) => outcome,
                Err(failure) => {
                    let mut passage = locked(&self.passage);
                    passage.lane.put_back(offset, ready);
                    passage.lane.halt();
                    drop(passage);
                    let pause = locked(&self.dead_letter_limiter).failed();
                    self.wait(pause, &format!("{failure}; frames wait for this rule, and it is asked again"));
                    break;
                }
            };
            locked(&self.passage).lane.publishing(offset);
            self.publish(&frame, &outcome);
            if !matches!(outcome, Outcome::Noted) {
                let pause = locked(&self.dead_letter_limiter).note(matches!(outcome, Outcome::Parked(_)));
                self.stop_for_dead_letters(pause);
            }
            locked(&self.passage).lane.sent();
            self.dispatch();
        }
    }

    /// Halts the lane for the pause that the dead-letter limit asks for, if it does.
    fn stop_for_dead_letters(self: &Arc<Self>, pause: Option<Duration>) {
        if let Some(pause) = pause {
            locked(&self.passage).lane.halt();
            self.wait(
                pause,
                "too many of its last frames had to be parked (`everyframe dead-letters list` says why; the limit is \
                 [publish] dead_letter_share); the others wait in Kafka, and one is tried",
            );
        }
    }

    /// A halted lane goes on after a pause, or when other rules are in force.
    fn wait(self: &Arc<Self>, pause: Duration, why: &str) {
        tracing::error!(partition = self.partition, "stopped: {why} in {} s", pause.as_secs());
        let cell = self.clone();
        let wait = move || {
            let (until, rules) = (Instant::now() + pause, cell.stages.active_rules.load_full());
            let is_same = || Arc::ptr_eq(&rules, &cell.stages.active_rules.load());
            while Instant::now() < until && !cell.assignment.is_over() && is_same() {
                std::thread::sleep(LOOK_AGAIN);
            }
            locked(&cell.passage).lane.resume();
            cell.advance();
        };
        if let Err(error) = std::thread::Builder::new().name("brake".into()).spawn(wait) {
            tracing::error!("cannot start a thread, the partition goes on: {error}");
            locked(&self.passage).lane.resume();
        }
    }

    /// Tracking, in order. A frame without a face to embed is ready at once.
    fn follow(self: &Arc<Self>, passage: &mut Passage) {
        while let Some((offset, DetectedFrame { frame, seen })) = passage.lane.follow() {
            let vision = &self.stages.config.vision;
            let prepared = seen.and_then(|seen| passage.trackers.follow(&frame, seen, vision));
            match prepared {
                Ok(prepared) if prepared.wants_embedding() => {
                    let job = Job::Embed { cell: self.clone(), frame, prepared: Box::new(prepared) };
                    // The queue is closed only when the host ends; then nothing is committed any more.
                    let _ = self.jobs.embed.send(job);
                }
                prepared => passage.lane.embedded(offset, Ready { frame, prepared }),
            }
        }
    }

    fn publish(self: &Arc<Self>, frame: &Arc<Frame>, outcome: &Outcome) {
        let (cell, offset, taken_in_at) = (self.clone(), frame.position.offset, frame.taken_in_at);
        let done = move |parked: Option<Parked>| {
            cell.stages.metrics.acknowledged(taken_in_at.elapsed());
            let mut passage = locked(&cell.passage);
            passage.lane.acknowledged(offset);
            if passage.lane.is_empty() {
                cell.emptied.notify_all();
            }
            drop(passage);
            if parked.is_some() {
                let pause = locked(&cell.dead_letter_limiter).note_parked_after_all();
                cell.stop_for_dead_letters(pause);
            }
        };
        self.stages.publisher.publish(frame, outcome, &self.assignment, done);
    }

    /// Hands frames to the workers, as many as the window lets.
    fn dispatch(self: &Arc<Self>) {
        let mut passage = locked(&self.passage);
        while let Some((_, frame)) = passage.lane.dispatch(self.window) {
            let _ = self.jobs.see.send(Job::See { cell: self.clone(), frame });
        }
    }
}

/// A panic while the lock was held is caught and parks its frame; what the lock guards is still in order.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
