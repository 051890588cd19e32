//! Stamps the pictures of a source with session, sequence number and time, and passes them to the outbox.

use super::inbox::OfferResult;
use super::outbox::{Destination, Outbox, OutboxError, Prepare};
use super::source::{Picture, Reading, Source};
use super::source_error::SourceError;
use super::spool::{Entry, Payload};
use everyframe_types::frame::SourceKind;
use everyframe_types::machine::unix_ms;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the agent waits for the last acknowledgements.
const MAX_LAST_WAIT: Duration = Duration::from_secs(30);
/// Pauses between attempts to reconnect to a stream, seconds; the last one is repeated.
const RECONNECT_PAUSES: [u64; 5] = [1, 2, 5, 10, 30];

/// Why an agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The source gives no pictures.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The spool or Kafka cannot be used.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// One camera's agent.
pub struct Agent {
    /// Where to send the frames.
    pub destination: Destination,
    /// Frames per second of a recording or a folder, for sending and for the frames' times. None: as fast as the broker takes
    /// them, with the recording's own times.
    pub rate: Option<f64>,
    /// Start again at the end of a recording or a folder.
    pub repeat: bool,
}

/// The counts of one run of an agent. Each frame that it read is acknowledged, refused, or in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSummary {
    /// Frames read from the source.
    pub read: u64,
    /// Of these, the frames that all in-sync replicas have.
    pub acknowledged: u64,
    /// Of these, the frames that could be neither sent nor spooled. A record in the topic lists their numbers.
    pub refused: u64,
    /// Files of a folder, or parts of a video, that were skipped because they are not pictures. They do not count as read.
    pub skipped: u64,
    /// Frames in the spool, including those of earlier runs. The next run sends them.
    pub in_spool: u64,
    /// The spool's file; none if it could not be used.
    pub spool: Option<PathBuf>,
}

impl Agent {
    /// Sends frames until the source ends or `stop` is set, then waits for the acknowledgements. `prepare` creates missing topics;
    /// it is called until it succeeds.
    ///
    /// # Errors
    ///
    /// See [`AgentError`]: show the message, which says what to do. Frames that were read before are sent or in the spool.
    pub fn run(
        &self,
        source: &mut Source,
        prepare: Prepare,
        stop: &AtomicBool,
    ) -> Result<AgentSummary, AgentError> {
        // A source without pictures must create neither a spool nor topics.
        let first = read_first_picture(source, stop)?;
        if first.is_none() && source.kind() != SourceKind::Live && !stop.load(Ordering::Relaxed) {
            return Err(source.no_picture_error().into());
        }
        let session: Arc<str> = format!("{:x}-{:x}", unix_ms(), std::process::id()).into();
        let outbox = Outbox::open(&self.destination, &session, prepare)?;
        let read = self.send_pictures(source, first, &outbox, &session, stop);
        // Also after an error: the frames that were read before it must be sent.
        let summary = outbox.close(MAX_LAST_WAIT);
        Ok(AgentSummary {
            read: read?,
            acknowledged: summary.acknowledged,
            refused: summary.refused,
            skipped: source.skipped(),
            in_spool: summary.in_spool,
            spool: summary.spool,
        })
    }

    fn send_pictures(
        &self,
        source: &mut Source,
        mut first: Option<Picture>,
        outbox: &Outbox,
        session: &Arc<str>,
        stop: &AtomicBool,
    ) -> Result<u64, SourceError> {
        let kind = source.kind();
        let live = kind == SourceKind::Live;
        // A recording that is sent at full speed can wait for room; a live source cannot.
        let patient = !live && self.rate.is_none();
        let step = Duration::from_secs_f64(1.0 / self.rate.unwrap_or_else(|| source.rate()));
        let (begun, first_at) = (Instant::now(), unix_ms());
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
                    // Only at its end may a stream turn out to be a file.
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
            // A live picture gets the current time. One of a recording gets its position there, unless the user sets a rate.
            let captured_at = match picture.at {
                _ if live => unix_ms(),
                Some(at) if self.rate.is_none() => first_at + milliseconds(at),
                _ => first_at + milliseconds(paced),
            };
            let picture = picture.bytes;
            let payload = Payload::Frame { sequence: read, captured_at, source: Some(kind), picture };
            match outbox.offer(Entry { session: session.clone(), payload }, patient, stop) {
                OfferResult::Taken | OfferResult::Refused => read += 1,
                OfferResult::Stopped => break,
            }
        }
        Ok(read)
    }

    /// Reconnects to the stream, until it succeeds or `stop` is set.
    fn reconnect(&self, source: &mut Source, stop: &AtomicBool) {
        tracing::warn!(camera = self.destination.camera, "the stream ended; reconnecting");
        for attempt in 0.. {
            let pause = RECONNECT_PAUSES.get(attempt).or(RECONNECT_PAUSES.last()).copied().unwrap_or(1);
            if !wait_until(Instant::now() + Duration::from_secs(pause), stop) {
                return;
            }
            match source.rewind() {
                Ok(()) => {
                    return tracing::info!(camera = self.destination.camera, "reconnected to the stream");
                }
                Err(error) => tracing::debug!(%error, attempt, "cannot reconnect to the stream"),
            }
        }
    }
}

/// Reads the first picture of a source; none if the source ends or `stop` is set before.
fn read_first_picture(source: &mut Source, stop: &AtomicBool) -> Result<Option<Picture>, SourceError> {
    while !stop.load(Ordering::Relaxed) {
        match source.read()? {
            Reading::Picture(picture) => return Ok(Some(picture)),
            Reading::Nothing => {}
            Reading::End => break,
        }
    }
    Ok(None)
}

/// Waits until the given time; false if `stop` is set before.
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
