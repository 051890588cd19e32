//! Where the source's thread, the line's thread and the producer's acknowledgements meet.

use super::spool::{Entry, What};
use everyframe_kafka::BrokerError;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What may have arrived and neither be with the producer nor in the spool, bytes.
pub(super) const FRESH_BYTES: u64 = 8 << 20;
/// What a patient source may have under way while the broker takes frames, bytes. Enough to keep a fast broker busy, and
/// little enough to be acknowledged before it would be written to the spool.
const PATIENT_BYTES: u64 = 1 << 20;
/// How often it is told that frames are refused.
const TELL: Duration = Duration::from_secs(30);
/// Without a refusal for so long, they are over.
const OVER: Duration = Duration::from_secs(5);

/// What became of an entry that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// It is in the line.
    Taken,
    /// There is no room; its number is noted, in order, among the refused.
    Refused,
    /// The agent was asked to end while it waited for room; nothing was noted.
    Stopped,
}

/// Under the lock.
pub(super) struct Inbox {
    camera: String,
    /// Just arrived, with the time.
    pub fresh: VecDeque<(Entry, Instant)>,
    fresh_bytes: u64,
    /// Of all frames that were taken and are not acknowledged.
    outstanding: u64,
    limit: u64,
    has_spool: bool,
    /// False while frames are to gather in the spool.
    is_broker_there: bool,
    /// By position: what the broker said.
    pub settled: Vec<(u64, Result<(), BrokerError>)>,
    news: bool,
    /// When the line is to be given up, once nothing more comes.
    pub closed: Option<Instant>,
    refused: u64,
    refusing: Option<Refusing>,
}

struct Refusing {
    count: u64,
    last: Instant,
    told: Instant,
}

/// The lock, and who waits at it.
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    news: Condvar,
    room: Condvar,
}

impl Shared {
    /// For a camera's line whose spool may take `limit` bytes.
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

    /// Puts an entry at the end of the line. Without room, a patient source waits, and another's entry is refused.
    pub fn offer(&self, entry: Entry, patient: bool, stop: &AtomicBool) -> Offered {
        let mut inbox = self.lock();
        while !inbox.has_room(entry.size(), patient) {
            if !patient {
                inbox.refuse(&entry);
                self.tell(&mut inbox);
                return Offered::Refused;
            }
            if stop.load(Ordering::Relaxed) {
                return Offered::Stopped;
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
        self.tell(&mut inbox);
        Offered::Taken
    }

    /// The broker has, or has refused, the entry at this position.
    pub fn settle(&self, position: u64, result: Result<(), BrokerError>) {
        let mut inbox = self.lock();
        inbox.settled.push((position, result));
        self.tell(&mut inbox);
    }

    /// Nothing more comes; what is not acknowledged at this time stays in the spool.
    pub fn close(&self, until: Instant) {
        let mut inbox = self.lock();
        inbox.closed = Some(until);
        self.tell(&mut inbox);
    }

    /// Waits for something new, a little at most.
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

    /// So much is no longer fresh: it is with the producer or in the spool.
    pub fn moved(&self, bytes: u64) {
        let mut inbox = self.lock();
        inbox.fresh_bytes = inbox.fresh_bytes.saturating_sub(bytes);
        self.room.notify_all();
    }

    /// So much is done with.
    pub fn done(&self, bytes: u64) {
        let mut inbox = self.lock();
        inbox.outstanding = inbox.outstanding.saturating_sub(bytes);
        self.room.notify_all();
    }

    fn tell(&self, inbox: &mut Inbox) {
        inbox.news = true;
        self.news.notify_one();
    }
}

impl Inbox {
    /// A frame that is larger than the whole spool is taken while there is nothing else.
    fn has_room(&self, size: u64, patient: bool) -> bool {
        let fits = |held: u64, limit: u64| held == 0 || held + size <= limit;
        fits(self.fresh_bytes, FRESH_BYTES)
            && (!self.has_spool || fits(self.outstanding, self.limit))
            && (!patient || !self.is_broker_there || fits(self.outstanding, PATIENT_BYTES))
    }

    /// Says whether the broker takes frames.
    pub fn broker(&mut self, is_there: bool) {
        self.is_broker_there = is_there;
    }

    /// Says whether there is a spool, and what it held that nobody knew of.
    pub fn spool(&mut self, is_there: bool, found: u64) {
        self.has_spool = is_there;
        self.outstanding += found;
    }

    /// How much is fresh, bytes.
    pub fn fresh_bytes(&self) -> u64 {
        self.fresh_bytes
    }

    /// Frames that this run refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Counts frames as refused that nothing can be said about in the line.
    pub fn count_refused(&mut self, count: u64) {
        self.refused += count;
    }

    fn refuse(&mut self, entry: &Entry) {
        let What::Frame { sequence, .. } = entry.what else { return };
        let now = Instant::now();
        self.refused += 1;
        match &mut self.refusing {
            Some(refusing) => (refusing.count, refusing.last) = (refusing.count + 1, now),
            None => {
                self.refusing = Some(Refusing { count: 1, last: now, told: now });
                let why = if self.has_spool {
                    format!("the spool is full ({} MB)", self.limit / 1_000_000)
                } else {
                    "there is no spool and the broker does not take them".to_owned()
                };
                tracing::warn!(camera = self.camera, "{why}: frames are refused from number {sequence} on");
            }
        }
        let what = What::Refused { first: sequence, last: sequence };
        let word = Entry { session: entry.session.clone(), what };
        if !self.fresh.back_mut().is_some_and(|(last, _)| last.absorb(&word)) {
            self.fresh.push_back((word, now));
        }
    }

    /// Tells of refusals that go on, or are over.
    pub fn tell_refusals(&mut self, now: Instant, ending: bool) {
        let Some(refusing) = &mut self.refusing else { return };
        let (camera, count) = (&self.camera, refusing.count);
        if ending || now.saturating_duration_since(refusing.last) >= OVER {
            tracing::warn!(camera, "{count} frames were refused in all; frames are taken again");
            self.refusing = None;
        } else if now.saturating_duration_since(refusing.told) >= TELL {
            tracing::warn!(camera, "{count} frames refused so far");
            refusing.told = now;
        }
    }
}
