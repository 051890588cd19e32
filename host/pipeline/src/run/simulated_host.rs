//! A host in tests: the real lanes, restore, publisher and batch sender on an in-memory broker and a manual clock, without
//! threads. A test makes each step of what are threads in a host.

use super::background::{Attempts, Background};
use super::in_memory_broker::{HostId, InMemoryBroker, InMemoryTransport, Omission, Random, StoredRecord};
use super::judge::{Judge, LaneMemory};
use super::lane_cell::{Job, Jobs, LaneCell};
use super::lane_context::LaneContext;
use super::lanes::Lanes;
use super::prepared::{DetectedFrame, Ready};
use super::topic_reader::TopicReader;
use crate::observe::Metrics;
use crate::publish::{BatchSender, NextStep, Outcome, Publisher};
use crossbeam_channel::Receiver;
use everyframe_config::Config;
use everyframe_kafka::{BackPressure, BrokerError, Downstream, Flow};
use everyframe_privacy::KeyRing;
use everyframe_rules::{FailureKind, RuleFailure};
use everyframe_telemetry::clock::{Clock, ManualClock};
use everyframe_types::dead_letter::{Parked, Stage};
use everyframe_types::event::Timings;
use everyframe_types::frame::{Frame, Position};
use everyframe_types::judgement::{Judgement, StateChange, StateValue};
use everyframe_types::record::IncomingRecord;
use everyframe_types::search::SearchKind;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The rule state after a frame: it shows which frames were judged before it, and in which order.
pub fn next_state(before: u64, offset: i64) -> u64 {
    (before ^ (offset as u64 + 1)).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
}

/// Judges frames with a rule whose only key is the state after the last frame.
#[derive(Default)]
pub struct ChainJudge {
    /// While set, the rule fails and frames wait for it.
    pub is_failing: AtomicBool,
}

impl Judge for ChainJudge {
    fn judge(&self, ready: &Ready, memory: &mut LaneMemory) -> Result<Outcome, RuleFailure> {
        if self.is_failing.load(Ordering::Relaxed) {
            let kind = FailureKind::Trapped;
            return Err(RuleFailure { rule: "chain".into(), kind, message: "trapped".into() });
        }
        let camera = &ready.frame.camera;
        let mut state = memory.state.delete_camera(camera);
        let before = state.first().map_or(0, |change| change.key.parse().unwrap());
        let change = StateChange {
            rule: "chain".into(),
            camera: camera.to_string(),
            key: next_state(before, ready.frame.position.offset).to_string(),
            value: Some(StateValue { bytes: vec![1], expires_at: None }),
        };
        memory.state.restore(change.clone());
        state.push(change);
        let judgement = Judgement { state, ..Judgement::default() };
        let (timings, judged_by) = (Timings::default(), Arc::default());
        Ok(Outcome::Judged { size: (1, 1), search: SearchKind::Full, judgement, timings, judged_by })
    }

    fn has_rule(&self, name: &str) -> bool {
        name == "chain"
    }

    fn rules_version(&self) -> u64 {
        0
    }
}

/// Work beside the lanes that was started and is not done.
#[derive(Default)]
pub struct PendingWork(Mutex<Vec<Attempts>>);

impl Background for PendingWork {
    fn start(&self, _: &str, attempts: Attempts) -> std::io::Result<()> {
        self.0.lock().unwrap().push(attempts);
        Ok(())
    }
}

impl PendingWork {
    /// Makes one attempt of the work at this place, modulo its number. Returns the pause that it asks for.
    pub fn attempt(&self, pick: usize) -> Option<Duration> {
        let mut attempts = {
            let mut all = self.0.lock().unwrap();
            if all.is_empty() {
                return None;
            }
            let place = pick % all.len();
            all.swap_remove(place)
        };
        let pause = attempts()?;
        self.0.lock().unwrap().push(attempts);
        Some(pause)
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

struct InMemoryTopics {
    broker: InMemoryBroker,
    state: String,
    omission: Option<Omission>,
}

fn not_yet() -> BrokerError {
    BrokerError::Other("a transaction is open".into())
}

impl TopicReader for InMemoryTopics {
    fn committed_offsets(&self) -> Result<BTreeMap<i32, u64>, BrokerError> {
        let broker = self.broker.lock();
        let partitions = (0..).take(broker.committed.len());
        let offset = |partition| broker.stable_offset(partition).map(i64::unsigned_abs).ok_or_else(not_yet);
        partitions.map(|partition| Ok((partition, offset(partition)?))).collect()
    }

    fn offset_ranges(&self) -> Result<BTreeMap<i32, (u64, u64)>, BrokerError> {
        let broker = self.broker.lock();
        let ends = broker.frames.iter().map(|(oldest, next)| (oldest.unsigned_abs(), next.unsigned_abs()));
        Ok((0..).zip(ends).collect())
    }

    fn read_state(
        &self,
        partitions: &[i32],
        on_record: &mut dyn FnMut(&dyn IncomingRecord),
    ) -> Result<(), BrokerError> {
        let broker = self.broker.lock();
        for partition in partitions {
            let blind = self.omission == Some(Omission::SettledState);
            if !blind && !broker.is_settled(&self.state, *partition) {
                return Err(not_yet());
            }
            broker.readable(&self.state, *partition).iter().for_each(|record| on_record(record));
        }
        Ok(())
    }
}

/// How a simulated host works.
#[derive(Clone)]
pub struct Options {
    pub config: Config,
    pub is_transactional: bool,
    pub omission: Option<Omission>,
    pub window: usize,
}

impl Options {
    /// Batches of at most `batch_frames` are sent at once.
    pub fn new(batch_frames: usize, is_transactional: bool) -> Self {
        let mut config = Config::default();
        (config.publish.interval_ms, config.publish.batch_frames) = (0, batch_frames);
        Self { config, is_transactional, omission: None, window: 3 }
    }
}

pub struct SimulatedHost {
    id: HostId,
    pub broker: InMemoryBroker,
    options: Options,
    pub lanes: Arc<Lanes>,
    pub context: Arc<LaneContext>,
    pub judge: Arc<ChainJudge>,
    pub clock: Arc<ManualClock>,
    pub sender: BatchSender<InMemoryTransport>,
    pub background: Arc<PendingWork>,
    jobs: Receiver<Job>,
    /// Frames that workers have taken.
    working: Vec<Job>,
    back_pressure: BackPressure,
    generation: Arc<AtomicU32>,
    /// By partition, the next frame to fetch; none until the group tells where to begin.
    positions: BTreeMap<i32, Option<i64>>,
    closing: Vec<Arc<LaneCell>>,
    pub is_frozen: bool,
}

impl SimulatedHost {
    /// Joins the group. `producer` is the id under which its producer registers.
    pub fn start(id: HostId, producer: usize, options: &Options, broker: &InMemoryBroker) -> Self {
        broker.lock().join(id);
        let Options { config, is_transactional, omission, window } = options.clone();
        let generation = Arc::new(AtomicU32::new(0));
        let mode = (is_transactional, omission);
        let (ids, results) = ((id, producer), &config.topics.results);
        let transport = InMemoryTransport::open(broker, ids, mode, generation.clone(), results);
        let (clock, metrics) = (Arc::new(ManualClock::default()), Arc::new(Metrics::new()));
        let (publisher, sender) =
            Publisher::with_transport(&config, transport, 1 << 20, metrics.clone(), clock.clone());
        let background = Arc::new(PendingWork::default());
        let judge = Arc::new(ChainJudge::default());
        let state = config.topics.state.clone();
        let context = Arc::new(LaneContext {
            judge: judge.clone(),
            publisher,
            metrics,
            topics: Arc::new(InMemoryTopics { broker: broker.clone(), state, omission }),
            background: background.clone(),
            clock: clock.clone(),
            stop: Arc::new(AtomicBool::new(false)),
            ring: Arc::new(KeyRing::empty()),
            failure: OnceLock::new(),
            config,
        });
        let (detect, jobs) = crossbeam_channel::unbounded();
        let lanes = Arc::new(Lanes::new(context.clone(), Jobs { embed: detect.clone(), detect }, window));
        Self {
            id,
            broker: broker.clone(),
            options: options.clone(),
            lanes,
            context,
            judge,
            clock,
            sender,
            background,
            jobs,
            working: Vec::new(),
            back_pressure: BackPressure::default(),
            generation,
            positions: BTreeMap::new(),
            closing: Vec::new(),
            is_frozen: false,
        }
    }

    pub fn id(&self) -> HostId {
        self.id
    }

    /// One step of one of the host's threads, whichever chance picks.
    pub fn step(&mut self, random: &mut Random) {
        match random.below(10) {
            0 => self.poll(random),
            1 | 2 => self.fetch(random.below(8)),
            3 | 4 => drop(self.work(random.below(8))),
            5 => drop(self.background.attempt(random.below(8))),
            6 => self.commit_plainly(),
            _ => drop(self.sender.step()),
        }
        self.clock.advance(Duration::from_millis(20));
    }

    /// The consumer's poll: changes of the group.
    fn poll(&mut self, random: &mut Random) {
        let (is_member, generation, owners, members) = {
            let broker = self.broker.lock();
            let is_member = broker.members.contains(&self.id);
            (is_member, broker.generation, broker.owners.clone(), broker.members.len())
        };
        if !is_member {
            let lost: Vec<i32> = self.positions.keys().copied().collect();
            self.lanes.abandon(&lost);
            self.closing.drain(..).for_each(|cell| cell.abandon());
            return self.join_again();
        }
        if self.context.publisher.take_rejoin_request() {
            let all: Vec<i32> = self.positions.keys().copied().collect();
            self.closing.extend(self.lanes.start_closing(&all));
            for cell in self.closing.drain(..) {
                let _ = cell.finish();
            }
            return self.join_again();
        }
        self.generation.store(generation, Ordering::Relaxed);
        let owned = self.positions.len() + self.closing.len();
        let fair = owners.len().div_ceil(members);
        if !self.closing.is_empty() {
            let place = random.below(self.closing.len());
            // Drained, or out of time.
            if self.closing[place].is_drained() || random.one_in(4) {
                let cell = self.closing.swap_remove(place);
                self.finish(&cell);
            }
        } else if owned > fair {
            let partition = *self.positions.keys().nth(random.below(owned)).unwrap();
            self.positions.remove(&partition);
            self.closing.extend(self.lanes.start_closing(&[partition]));
        } else if owned < fair
            && let Some(partition) = owners.iter().position(Option::is_none)
        {
            self.assign(partition as i32);
        }
    }

    fn finish(&self, cell: &LaneCell) {
        let partition = cell.partition();
        let mut broker = self.broker.lock();
        if self.options.omission != Some(Omission::EndOfAssignment)
            && let Some(offset) = cell.finish()
        {
            let generation = self.generation.load(Ordering::Relaxed);
            broker.commit_offsets(self.id, generation, &[(partition, offset)]);
        }
        broker.release(self.id, partition);
    }

    fn join_again(&mut self) {
        self.positions.clear();
        let mut broker = self.broker.lock();
        broker.evict(self.id);
        broker.join(self.id);
    }

    /// Takes a partition over.
    pub fn assign(&mut self, partition: i32) {
        let mut broker = self.broker.lock();
        broker.owners[partition as usize] = Some(self.id);
        self.generation.store(broker.generation, Ordering::Relaxed);
        drop(broker);
        self.positions.insert(partition, None);
        self.lanes.open(&[partition]);
    }

    /// Fetches the next frame of one partition.
    pub fn fetch(&mut self, pick: usize) {
        let Some(partition) = self.positions.keys().nth(pick % self.positions.len().max(1)).copied() else {
            return;
        };
        let broker = self.broker.lock();
        let blind = self.options.omission == Some(Omission::StableOffsets);
        let (oldest, next) = broker.frames[partition as usize];
        let position = match self.positions[&partition] {
            None if blind => Some(broker.committed[partition as usize]),
            None => broker.stable_offset(partition),
            Some(position) if position.max(oldest) < next => {
                drop(broker);
                self.lanes.admit(frame(partition, position.max(oldest)));
                Some(position.max(oldest) + 1)
            }
            position => position,
        };
        self.positions.insert(partition, position);
    }

    /// Fetches as the consumer does: not while the partition is paused. False if it is.
    pub fn fetch_unless_paused(&mut self, partition: i32, is_paused: &mut bool) -> bool {
        let limit = self.options.config.intake.lane_bytes;
        if let Some(flow) = self.back_pressure.update(partition, self.lanes.bytes(partition), limit) {
            *is_paused = flow == Flow::Pause;
            self.lanes.paused(partition, *is_paused);
        }
        if !*is_paused {
            self.fetch(partition as usize);
        }
        !*is_paused
    }

    /// A worker finishes one of the frames that are under way, in any order. False if there is none.
    pub fn work(&mut self, pick: usize) -> bool {
        self.working.extend(self.jobs.try_iter());
        if self.working.is_empty() {
            return false;
        }
        let place = pick % self.working.len();
        let Job::Detect { cell, search } = self.working.swap_remove(place) else { return true };
        let parked = Parked { stage: Stage::Vision, reason: "no-models".into(), message: String::new() };
        cell.set_detected(DetectedFrame { frame: search.frame, detections: Err(parked) });
        true
    }

    /// Without transactions: intake commits the offsets whose frames are done.
    pub fn commit_plainly(&mut self) {
        let generation = self.generation.load(Ordering::Relaxed);
        let done = self.lanes.committable();
        let is_taken = self.broker.lock().commit_offsets(self.id, generation, &done);
        if is_taken {
            self.lanes.committed(&done);
        }
    }

    /// Fetches, works, sends and commits until nothing is left to do.
    pub fn run_until_idle(&mut self) {
        for _ in 0..10_000 {
            (0..self.positions.len()).for_each(|pick| self.fetch(pick));
            self.background.attempt(0);
            let worked = self.work(0);
            let sent = self.send();
            self.commit_plainly();
            while self.broker.lock().deliver_marker(0) {}
            let is_fetched = self.positions.iter().all(|(partition, position)| {
                *position == Some(self.broker.lock().frames[*partition as usize].1)
            });
            if is_fetched && !worked && !sent && self.background.len() == 0 {
                return;
            }
            self.clock.advance(Duration::from_millis(100));
        }
        panic!("the host is never idle");
    }

    /// The sender's steps until it waits for outputs. False if it had nothing to send.
    pub fn send(&mut self) -> bool {
        let mut steps = 0;
        loop {
            match self.sender.step() {
                NextStep::Now => {}
                NextStep::After(pause) => {
                    self.clock.sleep(pause);
                    while self.broker.lock().deliver_marker(0) {}
                }
                NextStep::WhenPosted { .. } | NextStep::Ended => return steps > 0,
            }
            steps += 1;
            assert!(steps < 10_000, "the sender never comes to an end");
        }
    }

    /// The records of a topic that a reader sees.
    pub fn readable(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        self.broker.lock().readable(topic, partition)
    }

    /// The offsets of the frames that have a result, as a reader sees them.
    pub fn results(&self, partition: i32) -> Vec<i64> {
        let results = self.readable(&self.options.config.topics.results, partition);
        results.iter().map(StoredRecord::frame_offset).collect()
    }
}

/// A frame of the partition's only camera, taken at its offset in seconds after noon.
pub fn frame(partition: i32, offset: i64) -> Frame {
    let at = 1_777_636_800_000 + offset * 1000;
    let position = Position { topic: "frames".into(), partition, offset };
    Frame {
        identity: position.clone(),
        position,
        camera: format!("camera-{partition}").into(),
        session: "session".into(),
        sequence: offset.unsigned_abs(),
        captured_at: at,
        claimed_at: at,
        recorded_at: at,
        source: None,
        is_numbered: true,
        taken_in_at: Instant::now(),
        sequence_gap: None,
        notice: None,
        callback: None,
        picture: vec![0; 1000],
    }
}
