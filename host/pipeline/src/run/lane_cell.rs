//! One partition's lane at work: moves each frame to its next stage, on whichever thread has just finished one.

use super::dead_letter_limiter::DeadLetterLimiter;
use super::deleted;
use super::judge::LaneMemory;
use super::lane_context::LaneContext;
use super::ledger;
use super::prepared::{DetectedFrame, Prepared, Ready};
use super::search_order::{SearchOrder, Searchable};
use super::tracking::CameraTrackers;
use crate::intake::{FrameClock, Lane};
use crate::live_ledger::LiveLedger;
use crate::observe::LaneState;
use crate::publish::{Assignment, Outcome};
use everyframe_rules::RuleState;
use everyframe_types::dead_letter::Parked;
use everyframe_types::frame::Frame;
use everyframe_vision::Detections;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that a frame takes besides its picture, roughly: its names, its position, its slot.
const FRAME_BYTES: usize = 1024;
/// How often a halted lane checks whether it may go on.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What a worker is asked to do.
pub(super) enum Job {
    /// Decode a frame and detect its faces.
    Detect { cell: Arc<LaneCell>, search: Searchable },
    /// Embed the faces that the tracker asked for.
    Embed { cell: Arc<LaneCell>, frame: Arc<Frame>, prepared: Box<Prepared> },
}

/// The two queues of the workers. Embedding goes first: it finishes frames that were begun and frees their pictures.
pub(super) struct Jobs {
    pub detect: crossbeam_channel::Sender<Job>,
    pub embed: crossbeam_channel::Sender<Job>,
}

/// One partition's lane, with what its stages keep from frame to frame.
pub(super) struct LaneCell {
    pub assignment: Arc<Assignment>,
    context: Arc<LaneContext>,
    jobs: Arc<Jobs>,
    /// How far vision may run ahead of the oldest unfinished frame, in frames.
    window: usize,
    progress: Mutex<Progress>,
    /// Held by whoever judges; the lane lets one thread do so at a time.
    memory: Mutex<LaneMemory>,
    is_paused: AtomicBool,
    dead_letter_limiter: Mutex<DeadLetterLimiter>,
}

/// The frames of a lane, and what is kept of those before them.
struct Progress {
    lane: Lane<Arc<Frame>, DetectedFrame, Ready>,
    search_order: SearchOrder,
    trackers: CameraTrackers,
    ledger: LiveLedger,
    clock: FrameClock,
}

impl LaneCell {
    pub fn new(context: Arc<LaneContext>, jobs: Arc<Jobs>, window: usize, partition: i32) -> Arc<Self> {
        let limiter = DeadLetterLimiter::new(context.config.publish.dead_letter_share);
        let progress = Progress {
            lane: Lane::default(),
            search_order: SearchOrder::new(context.config.vision.detector.full_search_every),
            trackers: CameraTrackers::default(),
            ledger: LiveLedger::default(),
            clock: FrameClock::default(),
        };
        Arc::new(Self {
            assignment: Assignment::new(partition),
            context,
            jobs,
            window,
            progress: Mutex::new(progress),
            memory: Mutex::default(),
            is_paused: AtomicBool::new(false),
            dead_letter_limiter: Mutex::new(limiter),
        })
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.assignment.partition()
    }

    /// Takes a frame in, unless the lane is closed or had it before.
    pub fn admit(self: &Arc<Self>, mut frame: Frame) {
        let (offset, bytes) = (frame.position.offset, frame.picture.len());
        let mut progress = locked(&self.progress);
        if !progress.lane.expects(offset) {
            return;
        }
        ledger::check_sequence(&mut progress.ledger, &self.context.metrics, &mut frame);
        if let Some(correction) = progress.clock.set_time(&mut frame) {
            self.context.metrics.time_corrected(&frame, correction);
        }
        self.context.metrics.heard_cameras().record(&frame);
        if frame.is_frame() {
            self.context.metrics.frame_taken_in(bytes);
        }
        let gap = progress.lane.offset_gap(offset);
        progress.lane.admit(offset, bytes + FRAME_BYTES, Arc::new(frame));
        drop(progress);
        if let Some(gap) = gap {
            deleted::investigate_gap(&self.context, self.assignment.clone(), gap);
        }
        self.dispatch();
    }

    /// The lane at this moment.
    pub fn state(&self) -> LaneState {
        let progress = locked(&self.progress);
        LaneState {
            partition: self.partition(),
            bytes: progress.lane.bytes(),
            frames: progress.lane.frames(),
            is_paused: self.is_paused.load(Ordering::Relaxed),
        }
    }

    /// Bytes that count against the lane's limit: none while it has too few frames to keep the workers busy.
    pub fn load(&self) -> usize {
        let lane = &locked(&self.progress).lane;
        if lane.frames() < self.window / 4 { 0 } else { lane.bytes() }
    }

    /// Sets whether the partition is paused, for the metrics.
    pub fn set_paused(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
    }

    /// The offset to commit, if it is not committed yet.
    pub fn committable(&self) -> Option<i64> {
        locked(&self.progress).lane.committable()
    }

    /// The offset is committed.
    pub fn set_committed(&self, offset: i64) {
        locked(&self.progress).lane.mark_committed(offset);
    }

    /// The rule state is restored: the frames that were detected meanwhile may be judged.
    pub fn set_restored(self: &Arc<Self>, state: RuleState) {
        locked(&self.memory).state = state;
        locked(&self.progress).lane.mark_restored();
        self.advance();
    }

    /// Takes nothing more in, and drops the frames that were not begun.
    pub fn close(&self) {
        locked(&self.progress).lane.close();
    }

    /// True if no frame is under way, or none will be acknowledged any more.
    pub fn is_drained(&self) -> bool {
        self.assignment.is_over() || locked(&self.progress).lane.is_empty()
    }

    /// Ends the assignment in good order. Returns the offset to commit, if there is one and no transaction commits it.
    pub fn finish(&self) -> Option<i64> {
        self.assignment.end();
        let mut progress = locked(&self.progress);
        if !progress.lane.is_empty() {
            tracing::warn!(
                partition = self.partition(),
                "frames unfinished: the partition's next owner does them again"
            );
        }
        let done = progress.lane.committable();
        progress.lane.abandon();
        done.filter(|_| !self.context.publisher.is_exactly_once())
    }

    /// Ends the assignment at once: the partition has another owner.
    pub fn abandon(&self) {
        self.assignment.end();
        locked(&self.progress).lane.abandon();
    }

    /// Takes a frame back from a worker: its faces are detected, or could not be. Frames that waited for it can be searched now.
    pub fn set_detected(self: &Arc<Self>, detected: DetectedFrame) {
        let mut progress = locked(&self.progress);
        let anchor = detected.detections.as_ref().ok().and_then(Detections::anchor);
        for search in progress.search_order.searched(&detected.frame, anchor) {
            let _ = self.jobs.detect.send(Job::Detect { cell: self.clone(), search });
        }
        progress.lane.mark_detected(detected.frame.position.offset, detected);
        drop(progress);
        self.advance();
    }

    /// Takes a frame back from a worker: its faces are embedded, or could not be.
    pub fn set_embedded(self: &Arc<Self>, offset: i64, ready: Ready) {
        locked(&self.progress).lane.mark_embedded(offset, ready);
        self.advance();
    }

    /// Moves every frame on that can move.
    fn advance(self: &Arc<Self>) {
        loop {
            let mut progress = locked(&self.progress);
            self.track(&mut progress);
            let Some((offset, ready)) = progress.lane.next_to_judge() else { break };
            drop(progress);
            let frame = ready.frame.clone();
            let mut memory = locked(&self.memory);
            let judged = self.context.judge.judge(&ready, &mut memory);
            let ended = std::mem::take(&mut memory.ended);
            drop(memory);
            if !ended.is_empty() {
                locked(&self.progress).trackers.embed_again(&ended);
            }
            let outcome = match judged {
                Ok(outcome) => outcome,
                Err(failure) => {
                    let mut progress = locked(&self.progress);
                    progress.lane.put_back(offset, ready);
                    progress.lane.halt();
                    drop(progress);
                    let pause = locked(&self.dead_letter_limiter).rule_failed();
                    self.resume_after(
                        pause,
                        &format!("{failure}; frames wait for this rule, and it is asked again"),
                    );
                    break;
                }
            };
            locked(&self.progress).lane.mark_publishing(offset);
            self.publish(&frame, &outcome);
            if !matches!(outcome, Outcome::RefusalNotice) {
                let is_parked = matches!(outcome, Outcome::Parked(_));
                let pause = locked(&self.dead_letter_limiter).count_frame(is_parked);
                self.stop_for_dead_letters(pause);
            }
            locked(&self.progress).lane.mark_sent();
            self.dispatch();
        }
    }

    /// Halts the lane for the pause that the dead-letter limit asks for, if it does.
    fn stop_for_dead_letters(self: &Arc<Self>, pause: Option<Duration>) {
        if let Some(pause) = pause {
            locked(&self.progress).lane.halt();
            self.resume_after(
                pause,
                "too many of its last frames had to be parked (`everyframe dead-letters list` says why; the limit is \
                 [publish] dead_letter_share); the others wait in Kafka, and one is tried",
            );
        }
    }

    /// Resumes a halted lane after a pause, or when other rules are active.
    fn resume_after(self: &Arc<Self>, pause: Duration, why: &str) {
        tracing::error!(partition = self.partition(), "stopped: {why} in {} s", pause.as_secs());
        let cell = self.clone();
        let (until, version) = (self.context.clock.now() + pause, self.context.judge.rules_version());
        let wait = move || {
            let waits = cell.context.clock.now() < until && version == cell.context.judge.rules_version();
            if waits && !cell.assignment.is_over() {
                return Some(CHECK_INTERVAL);
            }
            locked(&cell.progress).lane.resume();
            cell.advance();
            None
        };
        if let Err(error) = self.context.background.start("resume-lane", Box::new(wait)) {
            tracing::error!("cannot start a thread, the partition goes on: {error}");
            locked(&self.progress).lane.resume();
        }
    }

    /// Tracking, in order. A frame without a face to embed is ready at once.
    fn track(self: &Arc<Self>, progress: &mut Progress) {
        while let Some((offset, DetectedFrame { frame, detections })) = progress.lane.next_to_track() {
            let vision = &self.context.config.vision;
            let prepared =
                detections.and_then(|detections| progress.trackers.track(&frame, detections, vision));
            match prepared {
                Ok(prepared) if prepared.wants_embedding() => {
                    let job = Job::Embed { cell: self.clone(), frame, prepared: Box::new(prepared) };
                    // The queue is closed only when the host ends; then nothing is committed any more.
                    let _ = self.jobs.embed.send(job);
                }
                prepared => progress.lane.mark_embedded(offset, Ready { frame, prepared }),
            }
        }
    }

    fn publish(self: &Arc<Self>, frame: &Arc<Frame>, outcome: &Outcome) {
        let (cell, offset, taken_in_at) = (self.clone(), frame.position.offset, frame.taken_in_at);
        let done = move |parked: Option<Parked>| {
            cell.context.metrics.frame_acknowledged(taken_in_at.elapsed());
            locked(&cell.progress).lane.mark_acknowledged(offset);
            if parked.is_some() {
                let pause = locked(&cell.dead_letter_limiter).count_parked_later();
                cell.stop_for_dead_letters(pause);
            }
        };
        self.context.publisher.publish(frame, outcome, &self.assignment, done);
    }

    /// Hands frames to the workers, as many as the window allows.
    fn dispatch(self: &Arc<Self>) {
        let mut progress = locked(&self.progress);
        while let Some((_, frame)) = progress.lane.next_to_detect(self.window) {
            if let Some(search) = progress.search_order.push(frame) {
                let _ = self.jobs.detect.send(Job::Detect { cell: self.clone(), search });
            }
        }
    }
}

/// A panic while the lock was held is caught and parks its frame; the guarded value is still in order.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
