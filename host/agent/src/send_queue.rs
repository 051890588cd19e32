//! The send queue: entries on their way to the broker.
//!
//! Every entry is in one of these places, in this order, until the broker has acknowledged it:
//!
//! 1. `flight`: with the producer, or the next to be sent. Bounded by bytes.
//! 2. the backlog: in the spool only.
//! 3. `arrived`: in memory only. Bounded by bytes.
//!
//! An entry that has been in memory for [`DELAY`] without an acknowledgement is written to the spool, and removed from it only
//! after its acknowledgement. So a fast broker needs no write at all, a crash loses at most the entries of the last [`DELAY`], and
//! entries that the next start sends again keep their session, number and time.

use super::entry::{Entry, Payload};
use super::inbox::{FRESH_BYTES, SharedInbox};
use super::spool::{Spool, SpoolError};
use everyframe_kafka::BrokerError;
use everyframe_privacy::KeyRing;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an entry may be in memory only.
pub(super) const DELAY: Duration = Duration::from_millis(250);
/// The most bytes in flight: a tenth of a second of a fast broker.
const FLIGHT_BYTES: u64 = 16 << 20;
/// The most bytes of the spool that are read at once.
const READ_BYTES: u64 = 4 << 20;
/// The broker counts as away after this time without an acknowledgement.
const AWAY: Duration = Duration::from_secs(5);
/// The pause before a refused record is sent again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The pause before a spool that could not be used is opened again.
const REOPEN_PAUSE: Duration = Duration::from_secs(10);

/// The destination of entries: the frames topic, or a fake in tests.
pub(super) trait Broker {
    /// Gives an entry to the producer; false if the producer's queue is full. The result is reported by
    /// [`SharedInbox::report_delivery`].
    fn send(&mut self, position: u64, entry: &Entry) -> bool;
    /// True if the topic is known to exist.
    fn is_ready(&self) -> bool;
    /// Creates a new producer after the broker refused a record: the topic may be gone, or the producer unusable.
    fn renew(&mut self);
    /// The last known error of the connection.
    fn trouble(&self) -> Option<String>;
}

/// The counts when a queue is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SendSummary {
    /// Frames of this run that are acknowledged.
    pub acknowledged: u64,
    /// Frames in the spool, including those of earlier runs.
    pub in_spool: u64,
    /// Frames that are neither: there was no spool to keep them.
    pub lost: u64,
}

/// The state of an entry in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Sent,
    Acknowledged,
    Failed,
}

/// An entry in flight.
struct InFlight {
    position: u64,
    state: State,
    size: u64,
    session: Arc<str>,
    /// The frame's number; none for a refusal.
    sequence: Option<u64>,
    /// The entry and the time of its arrival, until it is in the spool.
    memory: Option<(Entry, Instant)>,
    /// True if it is, or may be, in the spool: a commit that failed may have been written nevertheless.
    spooled: bool,
}

/// An entry that has not been sent yet.
struct Arrived {
    position: u64,
    entry: Entry,
    at: Instant,
    /// As in [`InFlight`].
    spooled: bool,
}

/// The progress after the broker was away.
#[derive(Default)]
struct Away {
    is_back: bool,
    caught_up: u64,
}

/// The send queue of one camera.
pub(super) struct SendQueue<B> {
    shared: Arc<SharedInbox>,
    broker: B,
    folder: PathBuf,
    ring: Arc<KeyRing>,
    camera: String,
    session: Arc<str>,
    spool: Option<Spool>,
    was_open: bool,
    /// Why there is no spool, as logged last.
    spool_error: Option<String>,
    reopen_at: Option<Instant>,
    flight: VecDeque<InFlight>,
    flight_bytes: u64,
    /// Number of entries that are in the spool only.
    backlog: u64,
    /// The position from which the backlog is read.
    read_from: u64,
    /// The last entry of the backlog, if it is a refusal: the next one may be merged into it.
    last_refusal: Option<(u64, Entry)>,
    arrived: VecDeque<Arrived>,
    next: u64,
    /// Positions of entries that are acknowledged and still in the spool.
    removable: Vec<u64>,
    /// Since when `removable` is not empty.
    removable_since: Option<Instant>,
    paused_until: Option<Instant>,
    /// The last error of the broker that was logged.
    logged_error: Option<String>,
    /// The time of the last acknowledgement, or of the first entry after the queue was empty.
    stuck_since: Option<Instant>,
    /// Set from the time when the broker counts as away until the spool is sent.
    away: Option<Away>,
    acknowledged: u64,
}

impl<B: Broker> SendQueue<B> {
    /// Opens the spool; its entries are sent first. If the disk does not allow a spool, the queue works without one and tries
    /// again later.
    ///
    /// # Errors
    ///
    /// The spool is in use or damaged: show the message.
    pub fn open(
        shared: Arc<SharedInbox>,
        broker: B,
        (folder, ring): (PathBuf, Arc<KeyRing>),
        camera: &str,
        session: Arc<str>,
    ) -> Result<Self, SpoolError> {
        let mut queue = Self {
            shared,
            broker,
            folder,
            ring,
            camera: camera.to_owned(),
            session,
            spool: None,
            was_open: false,
            spool_error: None,
            reopen_at: None,
            flight: VecDeque::new(),
            flight_bytes: 0,
            backlog: 0,
            read_from: 0,
            last_refusal: None,
            arrived: VecDeque::new(),
            next: 0,
            removable: Vec::new(),
            removable_since: None,
            paused_until: None,
            logged_error: None,
            stuck_since: None,
            away: None,
            acknowledged: 0,
        };
        match Spool::open(&queue.folder, camera, &queue.ring) {
            Ok(spool) => queue.adopt_spool(spool)?,
            Err(error @ SpoolError::Disk { .. }) => {
                // Above the positions of any spool that may be opened later.
                queue.next = 1 << 48;
                queue.close_spool(&error, Instant::now());
            }
            Err(error) => return Err(error),
        }
        Ok(queue)
    }

    /// The spool's file, if there is one.
    pub fn spool(&self) -> Option<PathBuf> {
        self.spool.as_ref().map(|spool| spool.path().to_owned())
    }

    /// Does everything that is due now.
    pub fn step(&mut self, now: Instant) {
        self.settle(now);
        self.take_fresh();
        self.reopen(now);
        if let Err(error) = self.send_more(now) {
            self.close_spool(&error, now);
        }
        self.write_spool(now, false);
        self.log_state(now);
    }

    /// True when everything is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.flight.is_empty() && self.backlog == 0 && self.arrived.is_empty()
    }

    /// Writes all entries that are not acknowledged to the spool.
    pub fn finish(mut self, now: Instant) -> SendSummary {
        self.settle(now);
        self.take_fresh();
        self.write_spool(now, true);
        let in_memory = self.flight.iter().filter(|in_flight| {
            in_flight.memory.is_some()
                && in_flight.sequence.is_some()
                && in_flight.state != State::Acknowledged
        });
        let lost = in_memory.count() + self.arrived.iter().filter(|next| next.entry.is_frame()).count();
        // If the spool cannot be used, the backlog is the best estimate.
        let in_spool = self.spool.as_ref().map_or(self.backlog, |spool| spool.held().frames);
        SendSummary { acknowledged: self.acknowledged, in_spool, lost: lost as u64 }
    }

    fn settle(&mut self, now: Instant) {
        let settled = std::mem::take(&mut self.shared.lock().settled);
        for (position, result) in settled {
            // Acknowledgements come in the order of sending, so the entry is among the first.
            let Some(in_flight) = self.flight.iter_mut().find(|in_flight| in_flight.position == position)
            else {
                continue;
            };
            match (result, in_flight.sequence) {
                (Ok(()), _) => {
                    in_flight.state = State::Acknowledged;
                    self.stuck_since = Some(now);
                    self.logged_error = None;
                }
                // The broker would refuse it again, so a refusal takes its place.
                (Err(error @ BrokerError::Unfit { .. }), Some(sequence)) => {
                    tracing::error!(camera = self.camera, "frame {sequence}: {error}");
                    in_flight.state = State::Waiting;
                    let payload = Payload::Refused { first: sequence, last: sequence };
                    in_flight.memory = Some((Entry { session: in_flight.session.clone(), payload }, now));
                    in_flight.sequence = None;
                    self.flight_bytes -= in_flight.size;
                    self.shared.release(std::mem::take(&mut in_flight.size));
                    self.shared.lock().count_refused(u64::from(in_flight.session == self.session));
                }
                (Err(error), _) => {
                    in_flight.state = State::Failed;
                    let message = error.to_string();
                    if self.logged_error.as_ref() != Some(&message) {
                        tracing::warn!(camera = self.camera, "{message}; trying again until it is taken");
                        self.logged_error = Some(message);
                    }
                }
            }
        }
        while self.flight.front().is_some_and(|first| first.state == State::Acknowledged) {
            let Some(first) = self.flight.pop_front() else { break };
            self.flight_bytes -= first.size;
            self.shared.release(first.size);
            if first.spooled {
                self.removable.push(first.position);
                self.removable_since.get_or_insert(now);
            }
            if let Some(away) = &mut self.away {
                away.is_back = true;
                away.caught_up += u64::from(first.spooled && first.sequence.is_some());
            }
            self.acknowledged += u64::from(first.sequence.is_some() && first.session == self.session);
        }
        // To keep the order, all later entries are sent again, once none of them is with the producer any more.
        let has = |state| self.flight.iter().any(|in_flight| in_flight.state == state);
        if has(State::Failed) && !has(State::Sent) {
            self.flight
                .iter_mut()
                .filter(|in_flight| in_flight.state == State::Failed)
                .for_each(|in_flight| in_flight.state = State::Waiting);
            self.paused_until = Some(now + RETRY_PAUSE);
            self.broker.renew();
        }
    }

    fn take_fresh(&mut self) {
        let fresh = std::mem::take(&mut self.shared.lock().fresh);
        for (entry, at) in fresh {
            if self.arrived.back_mut().is_some_and(|last| last.entry.merge(&entry)) {
                continue;
            }
            self.arrived.push_back(Arrived { position: self.next, entry, at, spooled: false });
            self.next += 1;
        }
    }

    /// Sends as many entries as may be in flight.
    fn send_more(&mut self, now: Instant) -> Result<(), SpoolError> {
        if !self.broker.is_ready()
            || self.paused_until.is_some_and(|until| now < until)
            || self.flight.iter().any(|in_flight| in_flight.state == State::Failed)
        {
            return Ok(());
        }
        self.paused_until = None;
        for index in 0..self.flight.len() {
            let in_flight = &mut self.flight[index];
            if in_flight.state != State::Waiting {
                continue;
            }
            let from_spool = match (&in_flight.memory, &self.spool) {
                (Some(_), _) => None,
                (None, Some(spool)) => spool.read(in_flight.position, 1)?.pop(),
                (None, None) => return Ok(()),
            };
            let in_memory = in_flight.memory.as_ref().map(|(entry, _)| entry);
            // Only this queue removes entries from the spool, so the entry is there.
            let Some(entry) = in_memory.or(from_spool.as_ref().map(|(_, entry)| entry)) else { continue };
            if !self.broker.send(in_flight.position, entry) {
                return Ok(());
            }
            in_flight.state = State::Sent;
        }
        while self.flight_bytes < FLIGHT_BYTES && self.backlog > 0 {
            let Some(spool) = &self.spool else { return Ok(()) };
            let read = spool.read(self.read_from, READ_BYTES)?;
            if read.is_empty() {
                self.backlog = 0;
            }
            for (position, entry) in read {
                if self.backlog == 0 {
                    break;
                }
                // After the spool was opened again, it may hold entries that are elsewhere in the queue.
                if self.is_in_queue(position) {
                    self.read_from = position + 1;
                    continue;
                }
                self.backlog -= 1;
                if !self.send(position, entry, None, true) {
                    return Ok(());
                }
            }
        }
        while self.flight_bytes < FLIGHT_BYTES && self.backlog == 0 {
            let Some(Arrived { position, entry, at, spooled }) = self.arrived.pop_front() else { break };
            self.shared.release_fresh(entry.size());
            if !self.send(position, entry, Some(at), spooled) {
                break;
            }
        }
        Ok(())
    }

    fn is_in_queue(&self, position: u64) -> bool {
        self.flight.iter().any(|in_flight| in_flight.position == position)
            || self.arrived.iter().any(|arrived| arrived.position == position)
            || self.removable.contains(&position)
    }

    /// Adds the next entry to those in flight and gives it to the producer. `at` is the time of arrival of an entry in memory.
    fn send(&mut self, position: u64, entry: Entry, at: Option<Instant>, spooled: bool) -> bool {
        let sent = self.broker.send(position, &entry);
        let sequence = match entry.payload {
            Payload::Frame { sequence, .. } => Some(sequence),
            Payload::Refused { .. } | Payload::Notice(_) => None,
        };
        let (size, session) = (entry.size(), entry.session.clone());
        let state = if sent { State::Sent } else { State::Waiting };
        let memory = at.map(|at| (entry, at));
        self.flight.push_back(InFlight { position, state, size, session, sequence, memory, spooled });
        self.flight_bytes += size;
        self.read_from = position + 1;
        sent
    }

    /// Writes entries that have been in memory for [`DELAY`], and removes acknowledged ones. `all` writes all entries.
    fn write_spool(&mut self, now: Instant, all: bool) {
        let is_due = |since: Instant| now.saturating_duration_since(since) >= DELAY;
        let in_flight = self.flight.iter().find_map(|in_flight| in_flight.memory.as_ref().map(|(_, at)| *at));
        let oldest = in_flight.into_iter().chain(self.arrived.front().map(|arrived| arrived.at)).min();
        let is_much = !self.arrived.is_empty() && 2 * self.shared.lock().fresh_bytes() >= FRESH_BYTES;
        if !(all || is_much || oldest.is_some_and(is_due) || self.removable_since.is_some_and(is_due)) {
            return;
        }
        let Some(spool) = &mut self.spool else { return };
        // A refusal that continues the one at the end of the backlog is merged into it.
        let mut last = self.last_refusal.take().filter(|(position, _)| *position >= self.read_from);
        let merged = match (&mut last, self.arrived.front()) {
            (Some((_, last)), Some(first)) => last.merge(&first.entry),
            _ => false,
        };
        let in_flight = self.flight.iter_mut().filter_map(|in_flight| {
            let (entry, _) = in_flight.memory.as_ref()?;
            in_flight.spooled = true;
            Some((in_flight.position, entry))
        });
        let merged_entry = last.iter().filter(|_| merged).map(|(position, entry)| (*position, entry));
        let arrived = self.arrived.iter_mut().skip(usize::from(merged)).map(|arrived| {
            arrived.spooled = true;
            (arrived.position, &arrived.entry)
        });
        if let Err(error) = spool.update(&self.removable, in_flight.chain(merged_entry).chain(arrived)) {
            return self.close_spool(&error, now);
        }
        if self.spool_error.take().is_some() {
            tracing::info!(camera = self.camera, "the spool can be used again");
        }
        self.removable.clear();
        self.removable_since = None;
        self.flight.iter_mut().for_each(|in_flight| in_flight.memory = None);
        self.backlog += self.arrived.len() as u64 - u64::from(merged);
        self.shared.release_fresh(self.arrived.iter().map(|arrived| arrived.entry.size()).sum());
        let all_merged = self.arrived.len() == usize::from(merged);
        let last_arrived = self.arrived.drain(..).next_back();
        self.last_refusal = if all_merged {
            last
        } else {
            last_arrived
                .filter(|arrived| !arrived.entry.is_frame())
                .map(|arrived| (arrived.position, arrived.entry))
        };
    }

    fn reopen(&mut self, now: Instant) {
        if self.reopen_at.is_none_or(|at| now < at) {
            return;
        }
        self.reopen_at = Some(now + REOPEN_PAUSE);
        match Spool::open(&self.folder, &self.camera, &self.ring).and_then(|spool| self.adopt_spool(spool)) {
            // It is logged when the spool was written.
            Ok(()) => {}
            Err(error) => self.close_spool(&error, now),
        }
    }

    /// Makes the entries of a spool the backlog, except those that are elsewhere in the queue.
    fn adopt_spool(&mut self, spool: Spool) -> Result<(), SpoolError> {
        let positions = spool.positions()?;
        self.backlog = positions.into_iter().filter(|position| !self.is_in_queue(*position)).count() as u64;
        self.read_from = 0;
        self.last_refusal = None;
        self.next = self.next.max(spool.next());
        let held = spool.held();
        self.shared.lock().set_spool(true, if self.was_open { 0 } else { held.bytes });
        if !self.was_open && held.frames > 0 {
            let count = held.frames;
            tracing::info!(camera = self.camera, "{count} frames wait in the spool; they are sent first");
        }
        (self.was_open, self.reopen_at) = (true, None);
        self.spool = Some(spool);
        Ok(())
    }

    /// Continues without a spool after an error, and opens it again later.
    fn close_spool(&mut self, error: &SpoolError, now: Instant) {
        // When the file is opened again, redb finds out whether the last commit was written.
        self.spool = None;
        self.reopen_at = Some(now + REOPEN_PAUSE);
        self.shared.lock().set_spool(false, 0);
        let message = error.to_string();
        if self.spool_error.as_ref() != Some(&message) {
            tracing::error!(
                camera = self.camera,
                "{message}; until the spool can be used, frames are sent from memory, and refused while the broker is away"
            );
            self.spool_error = Some(message);
        }
    }

    /// Logs that the broker is away, and that all entries of the spool were sent after it came back.
    fn log_state(&mut self, now: Instant) {
        if self.is_empty() {
            self.stuck_since = None;
        } else if now.saturating_duration_since(*self.stuck_since.get_or_insert(now)) >= AWAY
            && self.away.is_none()
        {
            let to = match &self.spool {
                Some(spool) => format!("frames go to the spool ({})", spool.path().display()),
                None => "there is no spool, and frames that do not fit into memory are refused".to_owned(),
            };
            let why = self.broker.trouble().map(|why| format!("; {why}")).unwrap_or_default();
            tracing::warn!(camera = self.camera, "broker away: {to}{why}");
            self.away = Some(Away::default());
        }
        let is_caught_up = self.backlog == 0 && self.flight.iter().all(|in_flight| !in_flight.spooled);
        if let Some(away) = self.away.take_if(|away| away.is_back && is_caught_up) {
            let count = away.caught_up;
            tracing::info!(camera = self.camera, "the broker is back: {count} frames of the spool caught up");
        }
        let mut inbox = self.shared.lock();
        inbox.set_broker(self.away.as_ref().is_none_or(|away| away.is_back));
        inbox.log_refusals(now, false);
    }
}
