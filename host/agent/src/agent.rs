//! Stamps a source's pictures with session, sequence and time, and hands them on.

use super::inbox::Offered;
use super::outbox::{Destination, Outbox, OutboxError, Prepare};
use super::spool::{Entry, What};
use super::{Picture, Reading, Source, SourceError};
use everyframe_types::frame::SourceKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the agent waits for the last acknowledgements.
const LAST_WAIT: Duration = Duration::from_secs(30);
/// Pauses between attempts to reach a stream that broke off.
const RECONNECT: [u64; 5] = [1, 2, 5, 10, 30];

/// Why an agent ends early.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The source gives no pictures.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is nowhere to send them.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// One camera's agent.
pub struct Agent {
    /// Where its frames go.
    pub destination: Destination,
    /// Frames per second of a recording or a folder, for sending and for the frames' times. None: as fast as the broker takes
    /// them, with a recording's own times.
    pub rate: Option<f64>,
    /// Start over at the end.
    pub repeat: bool,
}

/// What an agent did. Each frame that it read is acknowledged, refused, or in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Frames read from the source.
    pub read: u64,
    /// Of these, that all in-sync replicas have.
    pub acknowledged: u64,
    /// Of these, that could neither be sent nor spooled; the topic is told which.
    pub refused: u64,
    /// Files of a folder, and parts of a video, that were skipped because they are not pictures. They do not count as read.
    pub skipped: u64,
    /// Frames in the spool, also of earlier runs: the next start sends them.
    pub in_spool: u64,
    /// The spool's file, if it could be used.
    pub spool: Option<PathBuf>,
}

impl Agent {
    /// Sends until the source ends or `stop` is set, then waits for the acknowledgements. `prepare` creates missing
    /// topics; it is asked until it succeeds.
    ///
    /// # Errors
    /// See [`AgentError`]: the source gives no picture, or there is nowhere to send them.
    pub fn run(&self, source: &mut Source, prepare: Prepare, stop: &AtomicBool) -> Result<Tally, AgentError> {
        // A source that gives nothing makes neither a spool nor topics.
        let first = first_picture(source, stop)?;
        if first.is_none() && source.kind() != SourceKind::Live && !stop.load(Ordering::Relaxed) {
            return Err(source.nothing_read().into());
        }
        let session: Arc<str> = format!("{:x}-{:x}", now(), std::process::id()).into();
        let outbox = Outbox::open(&self.destination, &session, prepare)?;
        let read = self.read(source, first, &outbox, &session, stop);
        // Also after an error: what was read before it must get in.
        let account = outbox.close(LAST_WAIT);
        Ok(Tally {
            read: read?,
            acknowledged: account.acknowledged,
            refused: account.refused,
            skipped: source.skipped(),
            in_spool: account.in_spool,
            spool: account.spool,
        })
    }

    fn read(
        &self,
        source: &mut Source,
        mut first: Option<Picture>,
        outbox: &Outbox,
        session: &Arc<str>,
        stop: &AtomicBool,
    ) -> Result<u64, SourceError> {
        let kind = source.kind();
        let live = kind == SourceKind::Live;
        // A clip that nobody paces can wait for room; a clock can't.
        let patient = !live && self.rate.is_none();
        let step = Duration::from_secs_f64(1.0 / self.rate.unwrap_or_else(|| source.rate()));
        let (begun, first_at) = (Instant::now(), now());
        let mut read = 0u64;
        while !stop.load(Ordering::Relaxed) {
            let reading = match first.take() {
                Some(picture) => Reading::Picture(picture),
                None => source.read()?,
            };
            let picture = match reading {
                Reading::Picture(picture) => picture,
                Reading::Nothing => continue,
                Reading::End => {
                    // A stream may turn out to be a file only at its end.
                    match (source.kind() == SourceKind::Live, self.repeat) {
                        (true, _) => self.reconnect(source, stop),
                        (false, true) => source.rewind()?,
                        (false, false) => break,
                    }
                    continue;
                }
            };
            let paced = step.mul_f64(read as f64);
            if self.rate.is_some() && !live && !wait_until(begun + paced, stop) {
                break;
            }
            // A live picture gets the present time. One of a recording gets its position there, unless the user sets a rate.
            let captured_at = match picture.at {
                _ if live => now(),
                Some(at) if self.rate.is_none() => first_at + milliseconds(at),
                _ => first_at + milliseconds(paced),
            };
            let picture = picture.bytes;
            let what = What::Frame { sequence: read, captured_at, source: Some(kind), picture };
            match outbox.offer(Entry { session: session.clone(), what }, patient, stop) {
                Offered::Taken | Offered::Refused => read += 1,
                Offered::Stopped => break,
            }
        }
        Ok(read)
    }

    /// Tries until the stream is back.
    fn reconnect(&self, source: &mut Source, stop: &AtomicBool) {
        tracing::warn!(camera = self.destination.camera, "the stream broke off; connecting again");
        for attempt in 0.. {
            let pause = RECONNECT.get(attempt).or(RECONNECT.last()).copied().unwrap_or(1);
            if !wait_until(Instant::now() + Duration::from_secs(pause), stop) {
                return;
            }
            match source.rewind() {
                Ok(()) => return tracing::info!(camera = self.destination.camera, "the stream is back"),
                Err(error) => tracing::debug!(%error, attempt, "still away"),
            }
        }
    }
}

/// The first picture of a source; none if the source ends, or `stop` is set, before that.
fn first_picture(source: &mut Source, stop: &AtomicBool) -> Result<Option<Picture>, SourceError> {
    while !stop.load(Ordering::Relaxed) {
        match source.read()? {
            Reading::Picture(picture) => return Ok(Some(picture)),
            Reading::Nothing => {}
            Reading::End => break,
        }
    }
    Ok(None)
}

/// Waits until this time; false if `stop` is set before.
fn wait_until(until: Instant, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    false
}

fn milliseconds(time: Duration) -> i64 {
    (time.as_secs_f64() * 1000.0).round() as i64
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}
