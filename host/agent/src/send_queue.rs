//! The line of what is to be sent: some of it with the producer, the rest in the spool or just arrived.
//!
//! Every entry that was taken is in one of these places, in this order, until the broker has acknowledged it:
//!
//! 1. `flight`: given to the producer, or about to be. A bounded number of bytes.
//! 2. the backlog: in the spool only.
//! 3. `arrived`: in memory only. A bounded number of bytes.
//!
//! What has been in memory for [`DELAY`] without an acknowledgement is written to the spool, and taken from it only
//! after its acknowledgement. So a prompt broker costs no write at all, a crash loses at most what arrived in the last
//! [`DELAY`], and what the next start sends again has the stamps that it had.

use super::inbox::{FRESH_BYTES, Shared};
use super::spool::{Entry, Spool, SpoolError, What};
use everyframe_kafka::BrokerError;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an entry may be in memory only.
pub(super) const DELAY: Duration = Duration::from_millis(250);
/// What may be with the producer at once, bytes: a tenth of a second of a fast broker.
const FLIGHT_BYTES: u64 = 16 << 20;
/// How much of the spool is read at once, bytes.
const READ_BYTES: u64 = 4 << 20;
/// Without an acknowledgement for so long, the broker counts as away.
const AWAY: Duration = Duration::from_secs(5);
/// Until a refused record is sent again.
const PAUSE: Duration = Duration::from_secs(1);
/// Until a spool that could not be used is tried again.
const REOPEN: Duration = Duration::from_secs(10);

/// Where entries go: the frames topic, or a fake of it.
pub(super) trait Broker {
    /// Gives an entry to the producer; false if its queue is full. What becomes of it comes by [`Shared::settle`].
    fn send(&mut self, position: u64, entry: &Entry) -> bool;
    /// True when the topic is known to be there.
    fn is_ready(&self) -> bool;
    /// Begins anew after the broker refused something: the topic may be gone, the producer of no use any more.
    fn renew(&mut self);
    /// What is wrong with the connection, as far as is known.
    fn trouble(&self) -> Option<String>;
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// Frames of this run that are acknowledged.
    pub acknowledged: u64,
    /// Frames that wait in the spool, of whichever run.
    pub in_spool: u64,
    /// Frames that are neither: without a spool there was nowhere to leave them.
    pub lost: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Sent,
    Acknowledged,
    Failed,
}

struct Flying {
    position: u64,
    state: State,
    size: u64,
    session: Arc<str>,
    /// Of a frame; a refusal has none.
    sequence: Option<u64>,
    /// Until it is safe in the spool.
    memory: Option<(Entry, Instant)>,
    /// It is in the spool, or may be: a commit that failed may have been written all the same.
    spooled: bool,
}

/// One that has not been sent yet.
struct Arrived {
    position: u64,
    entry: Entry,
    at: Instant,
    /// As in [`Flying`].
    spooled: bool,
}

/// Since when the broker is away, and what came of it.
#[derive(Default)]
struct Away {
    is_back: bool,
    caught_up: u64,
}

pub(super) struct Line<B> {
    shared: Arc<Shared>,
    broker: B,
    folder: PathBuf,
    camera: String,
    session: Arc<str>,
    spool: Option<Spool>,
    was_open: bool,
    /// Why there is none, as it was told.
    no_spool: Option<String>,
    reopen_at: Option<Instant>,
    flight: VecDeque<Flying>,
    flight_bytes: u64,
    /// Entries that are in the spool only, and the position from which they are read.
    backlog: u64,
    read_from: u64,
    /// The last of the backlog, if it is a refusal: the next one may be added to it.
    last_refusal: Option<(u64, Entry)>,
    arrived: VecDeque<Arrived>,
    next: u64,
    /// Acknowledged and still in the spool, since when.
    removable: Vec<u64>,
    removable_since: Option<Instant>,
    paused_until: Option<Instant>,
    complained: Option<String>,
    stuck_since: Option<Instant>,
    away: Option<Away>,
    acknowledged: u64,
}

impl<B: Broker> Line<B> {
    /// Opens the spool; what it holds is sent first. A spool that is in use or damaged is an error; one that the disk
    /// does not allow is done without, and tried again.
    pub fn open(
        shared: Arc<Shared>,
        broker: B,
        folder: PathBuf,
        camera: &str,
        session: Arc<str>,
    ) -> Result<Self, SpoolError> {
        let mut line = Self {
            shared,
            broker,
            folder,
            camera: camera.to_owned(),
            session,
            spool: None,
            was_open: false,
            no_spool: None,
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
            complained: None,
            stuck_since: None,
            away: None,
            acknowledged: 0,
        };
        match Spool::open(&line.folder, camera) {
            Ok(spool) => line.take_up(spool)?,
            Err(error @ SpoolError::Disk { .. }) => {
                // Above the positions of whatever spool may be found there later.
                line.next = 1 << 48;
                line.without_spool(&error, Instant::now());
            }
            Err(error) => return Err(error),
        }
        Ok(line)
    }

    /// The spool's file, if there is one.
    pub fn spool(&self) -> Option<PathBuf> {
        self.spool.as_ref().map(|spool| spool.path().to_owned())
    }

    /// Does what there is to do now.
    pub fn step(&mut self, now: Instant) {
        self.settle(now);
        self.take_fresh();
        self.reopen(now);
        if let Err(error) = self.fill(now) {
            self.without_spool(&error, now);
        }
        self.write(now, false);
        self.tell(now);
    }

    /// True when everything is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.flight.is_empty() && self.backlog == 0 && self.arrived.is_empty()
    }

    /// Leaves what is not acknowledged in the spool.
    pub fn end(mut self, now: Instant) -> Ended {
        self.settle(now);
        self.take_fresh();
        self.write(now, true);
        let in_memory = self.flight.iter().filter(|flying| {
            flying.memory.is_some() && flying.sequence.is_some() && flying.state != State::Acknowledged
        });
        let lost = in_memory.count() + self.arrived.iter().filter(|next| next.entry.is_frame()).count();
        // Without the spool, what was left in it before is not known to be gone.
        let in_spool = self.spool.as_ref().map_or(self.backlog, |spool| spool.held().frames);
        Ended { acknowledged: self.acknowledged, in_spool, lost: lost as u64 }
    }

    fn settle(&mut self, now: Instant) {
        let settled = std::mem::take(&mut self.shared.lock().settled);
        for (position, result) in settled {
            // Acknowledgements come in the order of sending: it is among the first.
            let Some(flying) = self.flight.iter_mut().find(|flying| flying.position == position) else {
                continue;
            };
            match (result, flying.sequence) {
                (Ok(()), _) => {
                    flying.state = State::Acknowledged;
                    self.stuck_since = Some(now);
                    self.complained = None;
                }
                // Sent again, it would be refused again: its place is taken by the word that it is missing.
                (Err(error @ BrokerError::Unfit { .. }), Some(sequence)) => {
                    tracing::error!(camera = self.camera, "frame {sequence}: {error}");
                    flying.state = State::Waiting;
                    let what = What::Refused { first: sequence, last: sequence };
                    flying.memory = Some((Entry { session: flying.session.clone(), what }, now));
                    flying.sequence = None;
                    self.flight_bytes -= flying.size;
                    self.shared.done(std::mem::take(&mut flying.size));
                    self.shared.lock().count_refused(u64::from(flying.session == self.session));
                }
                (Err(error), _) => {
                    flying.state = State::Failed;
                    let said = error.to_string();
                    if self.complained.as_ref() != Some(&said) {
                        tracing::warn!(camera = self.camera, "{said}; trying again until it is taken");
                        self.complained = Some(said);
                    }
                }
            }
        }
        while self.flight.front().is_some_and(|first| first.state == State::Acknowledged) {
            let Some(first) = self.flight.pop_front() else { break };
            self.flight_bytes -= first.size;
            self.shared.done(first.size);
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
        // To keep the order, all of the rest is sent again, and only when nothing of it is under way any more.
        let has = |state| self.flight.iter().any(|flying| flying.state == state);
        if has(State::Failed) && !has(State::Sent) {
            self.flight
                .iter_mut()
                .filter(|flying| flying.state == State::Failed)
                .for_each(|flying| flying.state = State::Waiting);
            self.paused_until = Some(now + PAUSE);
            self.broker.renew();
        }
    }

    fn take_fresh(&mut self) {
        let fresh = std::mem::take(&mut self.shared.lock().fresh);
        for (entry, at) in fresh {
            if self.arrived.back_mut().is_some_and(|last| last.entry.absorb(&entry)) {
                continue;
            }
            self.arrived.push_back(Arrived { position: self.next, entry, at, spooled: false });
            self.next += 1;
        }
    }

    /// Gives the producer as much as it may have.
    fn fill(&mut self, now: Instant) -> Result<(), SpoolError> {
        if !self.broker.is_ready()
            || self.paused_until.is_some_and(|until| now < until)
            || self.flight.iter().any(|flying| flying.state == State::Failed)
        {
            return Ok(());
        }
        self.paused_until = None;
        for index in 0..self.flight.len() {
            let flying = &mut self.flight[index];
            if flying.state != State::Waiting {
                continue;
            }
            let from_spool = match (&flying.memory, &self.spool) {
                (Some(_), _) => None,
                (None, Some(spool)) => spool.read(flying.position, 1)?.pop(),
                (None, None) => return Ok(()),
            };
            let in_memory = flying.memory.as_ref().map(|(entry, _)| entry);
            // Nothing but this line takes anything out of the spool.
            let Some(entry) = in_memory.or(from_spool.as_ref().map(|(_, entry)| entry)) else { continue };
            if !self.broker.send(flying.position, entry) {
                return Ok(());
            }
            flying.state = State::Sent;
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
                // After the spool was opened again, what is elsewhere in the line may come by here, too.
                if self.is_known(position) {
                    self.read_from = position + 1;
                    continue;
                }
                self.backlog -= 1;
                if !self.fly(position, entry, None, true) {
                    return Ok(());
                }
            }
        }
        while self.flight_bytes < FLIGHT_BYTES && self.backlog == 0 {
            let Some(Arrived { position, entry, at, spooled }) = self.arrived.pop_front() else { break };
            self.shared.moved(entry.size());
            if !self.fly(position, entry, Some(at), spooled) {
                break;
            }
        }
        Ok(())
    }

    fn is_known(&self, position: u64) -> bool {
        self.flight.iter().any(|flying| flying.position == position)
            || self.arrived.iter().any(|arrived| arrived.position == position)
            || self.removable.contains(&position)
    }

    /// Puts the next entry into flight and offers it to the producer. `at` is given for one that is in memory.
    fn fly(&mut self, position: u64, entry: Entry, at: Option<Instant>, spooled: bool) -> bool {
        let sent = self.broker.send(position, &entry);
        let sequence = match entry.what {
            What::Frame { sequence, .. } => Some(sequence),
            What::Refused { .. } => None,
        };
        let (size, session) = (entry.size(), entry.session.clone());
        let state = if sent { State::Sent } else { State::Waiting };
        let memory = at.map(|at| (entry, at));
        self.flight.push_back(Flying { position, state, size, session, sequence, memory, spooled });
        self.flight_bytes += size;
        self.read_from = position + 1;
        sent
    }

    /// Writes what has been in memory for long enough, and removes what is acknowledged.
    fn write(&mut self, now: Instant, all: bool) {
        let is_due = |since: Instant| now.saturating_duration_since(since) >= DELAY;
        let in_flight = self.flight.iter().find_map(|flying| flying.memory.as_ref().map(|(_, at)| *at));
        let oldest = in_flight.into_iter().chain(self.arrived.front().map(|arrived| arrived.at)).min();
        let is_much = !self.arrived.is_empty() && 2 * self.shared.lock().fresh_bytes() >= FRESH_BYTES;
        if !(all || is_much || oldest.is_some_and(is_due) || self.removable_since.is_some_and(is_due)) {
            return;
        }
        let Some(spool) = &mut self.spool else { return };
        // A refusal that goes on from the one at the end of the backlog is one with it.
        let mut last = self.last_refusal.take().filter(|(position, _)| *position >= self.read_from);
        let merged = match (&mut last, self.arrived.front()) {
            (Some((_, last)), Some(first)) => last.absorb(&first.entry),
            _ => false,
        };
        let flying = self.flight.iter_mut().filter_map(|flying| {
            let (entry, _) = flying.memory.as_ref()?;
            flying.spooled = true;
            Some((flying.position, entry))
        });
        let merger = last.iter().filter(|_| merged).map(|(position, entry)| (*position, entry));
        let arrived = self.arrived.iter_mut().skip(usize::from(merged)).map(|arrived| {
            arrived.spooled = true;
            (arrived.position, &arrived.entry)
        });
        if let Err(error) = spool.change(&self.removable, flying.chain(merger).chain(arrived)) {
            return self.without_spool(&error, now);
        }
        if self.no_spool.take().is_some() {
            tracing::info!(camera = self.camera, "the spool can be used again");
        }
        self.removable.clear();
        self.removable_since = None;
        self.flight.iter_mut().for_each(|flying| flying.memory = None);
        self.backlog += self.arrived.len() as u64 - u64::from(merged);
        self.shared.moved(self.arrived.iter().map(|arrived| arrived.entry.size()).sum());
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
        self.reopen_at = Some(now + REOPEN);
        match Spool::open(&self.folder, &self.camera).and_then(|spool| self.take_up(spool)) {
            // Told when it has taken something.
            Ok(()) => {}
            Err(error) => self.without_spool(&error, now),
        }
    }

    /// Takes what a spool holds as the backlog, but for what is elsewhere in the line.
    fn take_up(&mut self, spool: Spool) -> Result<(), SpoolError> {
        let positions = spool.positions()?;
        self.backlog = positions.into_iter().filter(|position| !self.is_known(*position)).count() as u64;
        self.read_from = 0;
        self.last_refusal = None;
        self.next = self.next.max(spool.next());
        let held = spool.held();
        self.shared.lock().spool(true, if self.was_open { 0 } else { held.bytes });
        if !self.was_open && held.frames > 0 {
            let count = held.frames;
            tracing::info!(camera = self.camera, "{count} frames wait in the spool; they are sent first");
        }
        (self.was_open, self.reopen_at) = (true, None);
        self.spool = Some(spool);
        Ok(())
    }

    fn without_spool(&mut self, error: &SpoolError, now: Instant) {
        // Opened anew, redb finds out how far the last commit came.
        self.spool = None;
        self.reopen_at = Some(now + REOPEN);
        self.shared.lock().spool(false, 0);
        let said = error.to_string();
        if self.no_spool.as_ref() != Some(&said) {
            tracing::error!(
                camera = self.camera,
                "{said}; until it can be used, frames go straight to the broker, and are refused when it is away"
            );
            self.no_spool = Some(said);
        }
    }

    /// Says when the broker is away, and when it has all of the spool again.
    fn tell(&mut self, now: Instant) {
        if self.is_empty() {
            self.stuck_since = None;
        } else if now.saturating_duration_since(*self.stuck_since.get_or_insert(now)) >= AWAY
            && self.away.is_none()
        {
            let to = match &self.spool {
                Some(spool) => format!("frames go to the spool ({})", spool.path().display()),
                None => "there is no spool, and what does not fit into memory is refused".to_owned(),
            };
            let why = self.broker.trouble().map(|why| format!("; {why}")).unwrap_or_default();
            tracing::warn!(camera = self.camera, "broker away: {to}{why}");
            self.away = Some(Away::default());
        }
        let is_caught_up = self.backlog == 0 && self.flight.iter().all(|flying| !flying.spooled);
        if let Some(away) = self.away.take_if(|away| away.is_back && is_caught_up) {
            let count = away.caught_up;
            tracing::info!(camera = self.camera, "the broker is back: {count} frames of the spool caught up");
        }
        let mut inbox = self.shared.lock();
        inbox.broker(self.away.as_ref().is_none_or(|away| away.is_back));
        inbox.tell_refusals(now, false);
    }
}
