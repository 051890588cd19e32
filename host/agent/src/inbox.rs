//! The inbox: shared state of the source's thread, the thread of the send queue, and the producer's acknowledgements.

use super::entry::{Entry, Payload};
use everyframe_kafka::BrokerError;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most bytes of frames that are neither with the producer nor in the spool.
pub(super) const FRESH_BYTES: u64 = 8 << 20;
/// The most unacknowledged bytes of a patient source while the broker is available: enough to keep a fast broker busy, and few
/// enough to be acknowledged before they would be written to the spool.
const PATIENT_BYTES: u64 = 1 << 20;
/// How often refusals are logged while they go on.
const LOG_INTERVAL: Duration = Duration::from_secs(30);
/// Refusals are over after this time without one.
const REFUSALS_OVER: Duration = Duration::from_secs(5);

/// The result of offering an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfferResult {
    /// The entry is in the queue.
    Taken,
    /// There is no room. A refusal with the frame's number is in the queue instead.
    Refused,
    /// The agent was stopped while it waited for room. The entry is not in the queue.
    Stopped,
}

/// The state under the lock.
pub(super) struct Inbox {
    camera: String,
    /// New entries, with the time of their arrival.
    pub fresh: VecDeque<(Entry, Instant)>,
    fresh_bytes: u64,
    /// Bytes of all frames that were taken and are not acknowledged.
    outstanding: u64,
    /// The most bytes in the spool.
    limit: u64,
    has_spool: bool,
    /// False while the broker is away and frames go to the spool.
    is_broker_there: bool,
    /// Deliveries by position in the queue: acknowledged, or the error.
    pub settled: Vec<(u64, Result<(), BrokerError>)>,
    /// True if the send queue has something to do.
    news: bool,
    /// After closing: until when to wait for acknowledgements.
    pub closed: Option<Instant>,
    refused: u64,
    /// Set while frames are refused.
    refusing: Option<Refusing>,
}

struct Refusing {
    count: u64,
    last: Instant,
    logged_at: Instant,
}

/// The inbox with its lock and condition variables.
pub(super) struct SharedInbox {
    inbox: Mutex<Inbox>,
    /// Notified when the send queue has something to do.
    news: Condvar,
    /// Notified when there is more room.
    room: Condvar,
}

impl SharedInbox {
    /// An empty inbox for a camera whose spool may hold `limit` bytes.
    pub fn new(camera: &str, limit: u64) -> Self {
        let inbox = Inbox {
            camera: camera.to_owned(),
            fresh: VecDeque::new(),
            fresh_bytes: 0,
            outstanding: 0,
            limit,
            has_spool: false,
            is_broker_there: true,
            settled: Vec::new(),
            news: false,
            closed: None,
            refused: 0,
            refusing: None,
        };
        Self { inbox: Mutex::new(inbox), news: Condvar::new(), room: Condvar::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry to the queue. Without room, a patient source waits; otherwise the entry is refused.
    pub fn offer(&self, entry: Entry, patient: bool, stop: &AtomicBool) -> OfferResult {
        let mut inbox = self.lock();
        while !inbox.has_room(entry.size(), patient) {
            if !patient {
                inbox.refuse(&entry);
                self.notify(&mut inbox);
                return OfferResult::Refused;
            }
            if stop.load(Ordering::Relaxed) {
                return OfferResult::Stopped;
            }
            inbox = self
                .room
                .wait_timeout(inbox, Duration::from_millis(100))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        inbox.fresh_bytes += entry.size();
        inbox.outstanding += entry.size();
        inbox.fresh.push_back((entry, Instant::now()));
        self.notify(&mut inbox);
        OfferResult::Taken
    }

    /// Reports that the broker has acknowledged or refused the entry at this position.
    pub fn report_delivery(&self, position: u64, result: Result<(), BrokerError>) {
        let mut inbox = self.lock();
        inbox.settled.push((position, result));
        self.notify(&mut inbox);
    }

    /// Closes the inbox. Entries that are not acknowledged at this time stay in the spool.
    pub fn close(&self, until: Instant) {
        let mut inbox = self.lock();
        inbox.closed = Some(until);
        self.notify(&mut inbox);
    }

    /// Waits until there is something to do, at most 50 ms.
    pub fn wait(&self) {
        let mut inbox = self.lock();
        if !inbox.news {
            inbox = self
                .news
                .wait_timeout(inbox, Duration::from_millis(50))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        inbox.news = false;
    }

    /// Frees bytes of entries that are with the producer or in the spool now.
    pub fn release_fresh(&self, bytes: u64) {
        let mut inbox = self.lock();
        inbox.fresh_bytes = inbox.fresh_bytes.saturating_sub(bytes);
        self.room.notify_all();
    }

    /// Frees bytes of entries that are acknowledged or refused.
    pub fn release(&self, bytes: u64) {
        let mut inbox = self.lock();
        inbox.outstanding = inbox.outstanding.saturating_sub(bytes);
        self.room.notify_all();
    }

    fn notify(&self, inbox: &mut Inbox) {
        inbox.news = true;
        self.news.notify_one();
    }
}

impl Inbox {
    /// True if there is room for an entry. A frame that is larger than the whole spool is taken while nothing else is held.
    fn has_room(&self, size: u64, patient: bool) -> bool {
        let fits = |held: u64, limit: u64| held == 0 || held + size <= limit;
        fits(self.fresh_bytes, FRESH_BYTES)
            && (!self.has_spool || fits(self.outstanding, self.limit))
            && (!patient || !self.is_broker_there || fits(self.outstanding, PATIENT_BYTES))
    }

    /// Sets whether the broker is available.
    pub fn set_broker(&mut self, is_there: bool) {
        self.is_broker_there = is_there;
    }

    /// Sets whether there is a spool, and adds the bytes that were found in it.
    pub fn set_spool(&mut self, is_there: bool, found: u64) {
        self.has_spool = is_there;
        self.outstanding += found;
    }

    /// Bytes of entries that are neither with the producer nor in the spool.
    pub fn fresh_bytes(&self) -> u64 {
        self.fresh_bytes
    }

    /// The number of frames that this run refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Counts frames as refused without adding a refusal to the queue.
    pub fn count_refused(&mut self, count: u64) {
        self.refused += count;
    }

    fn refuse(&mut self, entry: &Entry) {
        let Payload::Frame { sequence, .. } = entry.payload else { return };
        let now = Instant::now();
        self.refused += 1;
        match &mut self.refusing {
            Some(refusing) => (refusing.count, refusing.last) = (refusing.count + 1, now),
            None => {
                self.refusing = Some(Refusing { count: 1, last: now, logged_at: now });
                let reason = if self.has_spool {
                    format!("the spool is full ({} MB)", self.limit / 1_000_000)
                } else {
                    "there is no spool and the broker is away".to_owned()
                };
                tracing::warn!(
                    camera = self.camera,
                    "{reason}: frames are refused from number {sequence} on"
                );
            }
        }
        let payload = Payload::Refused { first: sequence, last: sequence };
        let refusal = Entry { session: entry.session.clone(), payload };
        if !self.fresh.back_mut().is_some_and(|(last, _)| last.merge(&refusal)) {
            self.fresh.push_back((refusal, now));
        }
    }

    /// Logs refusals that go on, or are over.
    pub fn log_refusals(&mut self, now: Instant, ending: bool) {
        let Some(refusing) = &mut self.refusing else { return };
        let (camera, count) = (&self.camera, refusing.count);
        if ending || now.saturating_duration_since(refusing.last) >= REFUSALS_OVER {
            tracing::warn!(camera, "{count} frames were refused in all; frames are taken again");
            self.refusing = None;
        } else if now.saturating_duration_since(refusing.logged_at) >= LOG_INTERVAL {
            tracing::warn!(camera, "{count} frames were refused so far");
            refusing.logged_at = now;
        }
    }
}
