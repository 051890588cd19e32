//! What the lanes and the batch sender share: the outputs that wait, and when a batch of them is due.

use super::outbox::{Batch, FrameOutput, Outbox};
use super::records::Outgoing;
use everyframe_config::Config;
use everyframe_types::dead_letter::Parked;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Is called when everything that a frame causes is acknowledged.
pub(super) struct Completion {
    callback: Box<dyn FnOnce(Option<Parked>) + Send>,
    /// Set if the frame had to be parked because a topic refused a record of it.
    pub parked: Option<Parked>,
}

impl Completion {
    pub fn new(callback: impl FnOnce(Option<Parked>) + Send + 'static) -> Self {
        Self { callback: Box::new(callback), parked: None }
    }

    pub fn call(self) {
        (self.callback)(self.parked);
    }
}

/// When a batch is sent.
pub(super) struct BatchLimits {
    /// How long outputs are collected.
    interval: Duration,
    /// At how many frames a batch is sent at once.
    frames: usize,
}

impl BatchLimits {
    pub fn new(config: &Config) -> Self {
        Self {
            interval: Duration::from_millis(config.publish.interval_ms),
            frames: config.publish.batch_frames,
        }
    }
}

/// What the sender does next when it asks for a batch.
pub(super) enum NextBatch {
    /// Send this one.
    Due(Batch<Outgoing, Completion>),
    /// Wait until this time has passed or an output comes; none: until an output comes. `posted` is for
    /// [`SenderState::wait`].
    Wait { most: Option<Duration>, posted: u64 },
    /// The host ends.
    Ended,
}

/// Shared by the lanes, which add outputs, and the batch sender, which takes them.
pub(super) struct SenderState {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// Set when partitions were given up: the group must be joined again.
    must_rejoin: AtomicBool,
    ended: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    outbox: Outbox<Outgoing, Completion>,
    /// Outputs that were ever added.
    posted: u64,
    /// Since when outputs have been collected for the next batch.
    since: Option<Instant>,
}

impl SenderState {
    pub fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            must_rejoin: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    pub fn post(&self, output: FrameOutput<Outgoing, Completion>) {
        let mut waiting = self.lock();
        waiting.outbox.push(output);
        waiting.posted += 1;
        self.arrived.notify_one();
    }

    /// The next batch, if one is due at `now`.
    pub fn next_batch(&self, limits: &BatchLimits, now: Instant) -> NextBatch {
        let mut waiting = self.lock();
        let posted = waiting.posted;
        if self.is_ended() {
            return NextBatch::Ended;
        }
        if waiting.outbox.is_empty() {
            return NextBatch::Wait { most: None, posted };
        }
        let due = *waiting.since.get_or_insert(now) + limits.interval;
        if now < due && !waiting.outbox.is_due(limits.frames) {
            return NextBatch::Wait { most: Some(due - now), posted };
        }
        waiting.since = None;
        NextBatch::Due(waiting.outbox.take(limits.frames))
    }

    /// Waits for [`NextBatch::Wait`].
    pub fn wait(&self, most: Option<Duration>, posted: u64) {
        let nothing_new = |waiting: &mut Waiting| waiting.posted == posted && !self.is_ended();
        match most {
            Some(most) => drop(self.arrived.wait_timeout_while(self.lock(), most, nothing_new)),
            None => drop(self.arrived.wait_while(self.lock(), nothing_new)),
        }
    }

    pub fn request_rejoin(&self) {
        self.must_rejoin.store(true, Ordering::SeqCst);
    }

    /// True, once, after [`SenderState::request_rejoin`].
    pub fn take_rejoin_request(&self) -> bool {
        self.must_rejoin.swap(false, Ordering::SeqCst)
    }

    pub fn end(&self) {
        // Under the lock, so that a sender that is about to wait sees it.
        let _waiting = self.lock();
        self.ended.store(true, Ordering::SeqCst);
        self.arrived.notify_one();
    }

    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
