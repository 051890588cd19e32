//! Stamps the pictures of a source with session, sequence number and time, and passes them to the outbox.

use super::camera_watch::{CameraWatch, WatchSettings};
use super::entry::{Entry, Payload};
use super::inbox::OfferResult;
use super::outbox::{Destination, Outbox, OutboxError, Prepare};
use super::reading::{Picture, Reading};
use super::source::Source;
use super::source_error::SourceError;
use super::status::{CameraState, CameraStatus};
use everyframe_types::camera_notice::{CameraNotice, NoticeKind};
use everyframe_types::frame::SourceKind;
use everyframe_types::machine::unix_ms;
use everyframe_vision::picture_size;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the agent waits for the last acknowledgements at the end of its source.
const MAX_LAST_WAIT: Duration = Duration::from_secs(30);
/// The same after it was stopped, by default.
pub const STOPPED_WAIT: Duration = Duration::from_millis(1500);
/// How often the state of a camera is checked, and its status written.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
const STATUS_INTERVAL: Duration = Duration::from_secs(2);
/// How often a camera that cannot be reached, or sends damaged pictures, is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

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
    /// When a live camera counts as away, frozen or black.
    pub watch: WatchSettings,
    /// How long to wait for the last acknowledgements after it was stopped. What is not acknowledged then waits in the spool.
    pub stopped_wait: Duration,
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
    /// Damaged pictures. They do not count as read, unless the options say to send them.
    pub damaged: u64,
    /// Pictures that were left out because the agent was slow. They do not count as read.
    pub dropped: u64,
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
        // A source without pictures must create neither a spool nor topics. A camera may be off.
        let first = match source.kind() {
            SourceKind::Live => None,
            SourceKind::Recording | SourceKind::Pictures => read_first_picture(source, stop)?,
        };
        if first.is_none() && source.kind() != SourceKind::Live && !stop.load(Ordering::Relaxed) {
            return Err(source.no_picture_error().into());
        }
        let session: Arc<str> = format!("{:x}-{:x}", unix_ms(), std::process::id()).into();
        let outbox = Outbox::open(&self.destination, &session, prepare)?;
        let mut run = Run::new(self, &outbox, session, stop);
        let ended = run.send_pictures(source, first);
        run.finish(source);
        let read = run.read;
        // Also after an error: the frames that were read before it must be sent.
        let wait = if stop.load(Ordering::Relaxed) { self.stopped_wait } else { MAX_LAST_WAIT };
        let summary = outbox.close(wait);
        ended?;
        let counts = source.counts();
        Ok(AgentSummary {
            read,
            acknowledged: summary.acknowledged,
            refused: summary.refused,
            skipped: counts.skipped,
            damaged: counts.damaged,
            dropped: counts.dropped,
            in_spool: summary.in_spool,
            spool: summary.spool,
        })
    }
}

/// One run of an agent.
struct Run<'a> {
    agent: &'a Agent,
    outbox: &'a Outbox,
    session: Arc<str>,
    stop: &'a AtomicBool,
    /// The number of frames so far: the number of the next one.
    read: u64,
    refused: u64,
    begun: Instant,
    first_at: i64,
    watch: CameraWatch,
    watched: Instant,
    dropped: u64,
    status: StatusWriter,
    /// When the present trouble was logged last.
    logged: Option<Instant>,
    /// When damaged pictures were logged last.
    damage_logged: Option<Instant>,
}

/// What the status needs besides the counts.
struct StatusWriter {
    written: Option<Instant>,
    /// `read` when it was written.
    read: u64,
    size: Option<(u32, u32)>,
    last_picture: Option<i64>,
    lateness_ms: i64,
    failed: bool,
}

impl<'a> Run<'a> {
    fn new(agent: &'a Agent, outbox: &'a Outbox, session: Arc<str>, stop: &'a AtomicBool) -> Self {
        let (now, first_at) = (Instant::now(), unix_ms());
        Self {
            agent,
            outbox,
            session,
            stop,
            read: 0,
            refused: 0,
            begun: now,
            first_at,
            watch: CameraWatch::new(agent.watch, first_at),
            watched: now,
            dropped: 0,
            status: StatusWriter {
                written: None,
                read: 0,
                size: None,
                last_picture: None,
                lateness_ms: 0,
                failed: false,
            },
            logged: None,
            damage_logged: None,
        }
    }

    fn camera(&self) -> &'a str {
        &self.agent.destination.camera
    }

    fn send_pictures(&mut self, source: &mut Source, mut first: Option<Picture>) -> Result<(), AgentError> {
        while !self.stop.load(Ordering::Relaxed) {
            let reading = match first.take() {
                Some(picture) => Reading::Picture(picture),
                None => source.read()?,
            };
            let is_live = source.kind() == SourceKind::Live;
            if is_live {
                self.check_camera(source);
            }
            match reading {
                Reading::Picture(picture) => {
                    if !self.send_picture(source, picture) {
                        break;
                    }
                }
                Reading::Nothing | Reading::Opened => {}
                Reading::Damaged => self.handle_damaged_picture(source),
                Reading::Lost(fault) => self.handle_connection_loss(source, fault.to_string()),
                Reading::End if self.agent.repeat => source.rewind()?,
                Reading::End if self.read == 0 => return Err(source.no_picture_error().into()),
                Reading::End => break,
            }
        }
        Ok(())
    }

    /// Sends a picture. False if the agent was stopped before.
    fn send_picture(&mut self, source: &Source, picture: Picture) -> bool {
        let kind = source.kind();
        let rate = self.agent.rate.filter(|_| kind != SourceKind::Live);
        // A recording that is sent at full speed can wait for room; a live source cannot.
        let patient = kind != SourceKind::Live && rate.is_none();
        let step = Duration::from_secs_f64(1.0 / rate.unwrap_or_else(|| source.rate()));
        let paced = step.mul_f64(self.read as f64);
        if rate.is_some() && !wait_until(self.begun + paced, self.stop) {
            return false;
        }
        let now = unix_ms();
        // A picture of a recording gets its position there, unless the user sets a rate.
        let captured_at = match (picture.captured_at, picture.at) {
            (Some(captured_at), _) => captured_at,
            (None, Some(at)) if rate.is_none() => self.first_at + milliseconds(at),
            _ => self.first_at + milliseconds(paced),
        };
        if kind == SourceKind::Live {
            self.log_connected(source);
            if picture.is_damaged {
                self.watch.record_damaged(now);
            }
            let notices = self.watch.record_picture(now, picture.view);
            self.send_notices(notices);
            self.status.lateness_ms = now - captured_at;
            self.status.last_picture = Some(now);
            if picture.view.is_some() || self.status.size.is_none() {
                self.status.size = picture_size(&picture.bytes);
            }
        }
        let Picture { bytes, is_damaged, .. } = picture;
        let payload = Payload::Frame {
            sequence: self.read,
            captured_at,
            source: Some(kind),
            is_damaged,
            picture: bytes,
        };
        let result = self.outbox.offer(self.entry(payload), patient, self.stop);
        self.refused += u64::from(result == OfferResult::Refused);
        self.read += u64::from(result != OfferResult::Stopped);
        result != OfferResult::Stopped
    }

    fn entry(&self, payload: Payload) -> Entry {
        Entry { session: self.session.clone(), payload }
    }

    /// A picture came, but it is damaged, and is not sent.
    fn handle_damaged_picture(&mut self, source: &Source) {
        self.watch.record_withheld(unix_ms());
        if self.damage_logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            let count = source.counts().damaged;
            tracing::warn!(
                camera = self.camera(),
                "{}: damaged pictures are not sent, {count} so far; `damaged = \"mark\"` or `--damaged mark` sends those \
                 that are not lost",
                source.address()
            );
            self.damage_logged = Some(Instant::now());
        }
    }

    /// Logs that pictures come, for the first time or again.
    fn log_connected(&mut self, source: &Source) {
        let (camera, codec) = (self.camera(), source.codec());
        if self.logged.take().is_some() {
            tracing::info!(camera, "connected again: {codec}");
        } else if self.status.last_picture.is_none() {
            tracing::info!(camera, "connected: {codec}");
        }
    }

    /// Logs that the connection ended or could not be made.
    fn handle_connection_loss(&mut self, source: &Source, reason: String) {
        if self.logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            tracing::warn!(camera = self.camera(), "{}: {reason}; trying again", source.address());
            self.logged = Some(Instant::now());
        }
        self.watch.record_connection_loss(reason);
    }

    /// Writes the state of the camera to the topic and to the status file, if it is time for that.
    fn check_camera(&mut self, source: &Source) {
        if self.watched.elapsed() < WATCH_INTERVAL {
            return;
        }
        self.watched = Instant::now();
        let (now, dropped) = (unix_ms(), source.counts().dropped);
        self.watch.record_dropped(dropped - self.dropped, now);
        self.dropped = dropped;
        let notices = self.watch.tick(now);
        self.send_notices(notices);
        if self.status.written.is_none_or(|at| at.elapsed() >= STATUS_INTERVAL) {
            let state = match (self.watch.state(), self.watch.is_connected(), self.status.last_picture) {
                (Some(NoticeKind::Frozen), ..) => CameraState::Frozen,
                (Some(NoticeKind::Black), ..) => CameraState::Black,
                (Some(_), ..) => CameraState::Away,
                (None, false, _) | (None, true, None) => CameraState::Connecting,
                (None, true, Some(_)) => CameraState::Fine,
            };
            self.write_status(source, state);
        }
    }

    /// Logs notices and sends them to the topic.
    fn send_notices(&self, notices: Vec<CameraNotice>) {
        for notice in notices {
            let camera = self.camera();
            match notice.alert(camera) {
                Some(alert) if notice.to.is_none() => tracing::warn!(camera, "{}", alert.text),
                Some(alert) => tracing::info!(camera, "{}", alert.text),
                None => {}
            }
            // It needs no room.
            self.outbox.offer(self.entry(Payload::Notice(notice)), false, self.stop);
        }
    }

    fn write_status(&mut self, source: &Source, state: CameraState) {
        let (counts, now) = (source.counts(), unix_ms());
        let seconds = self.status.written.map_or(self.begun.elapsed(), |at| at.elapsed()).as_secs_f64();
        let status = CameraStatus {
            camera: self.camera().to_owned(),
            at: now,
            state,
            trouble: self.watch.trouble().unwrap_or_default().to_owned(),
            codec: source.codec().to_owned(),
            size: self.status.size,
            last_picture: self.status.last_picture,
            fps: (self.read - self.status.read) as f64 / seconds.max(0.001),
            lateness_ms: self.status.lateness_ms,
            read: self.read,
            refused: self.refused,
            damaged: counts.damaged,
            dropped: counts.dropped,
            skipped: counts.skipped,
            reconnects: counts.reconnects,
        };
        (self.status.written, self.status.read) = (Some(Instant::now()), self.read);
        if let Err(error) = status.write(&self.agent.destination.spool)
            && !std::mem::replace(&mut self.status.failed, true)
        {
            tracing::warn!(camera = self.camera(), "the status of this camera cannot be written: {error}");
        }
    }

    /// Sends the last notices, and writes the last status.
    fn finish(&mut self, source: &Source) {
        if source.kind() == SourceKind::Live {
            let dropped = source.counts().dropped;
            self.watch.record_dropped(dropped - self.dropped, unix_ms());
            let notices = self.watch.finish();
            self.send_notices(notices);
            self.write_status(source, CameraState::Stopped);
        }
    }
}

/// Reads the first picture of a source; none if the source ends or `stop` is set before.
fn read_first_picture(source: &mut Source, stop: &AtomicBool) -> Result<Option<Picture>, SourceError> {
    while !stop.load(Ordering::Relaxed) {
        match source.read()? {
            Reading::Picture(picture) => return Ok(Some(picture)),
            Reading::Nothing | Reading::Damaged | Reading::Opened => {}
            Reading::Lost(_) | Reading::End => break,
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
