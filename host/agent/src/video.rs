//! A video as a source: a recording, a device, or a stream.

use super::address::SourceAddress;
use super::capture_clock::CaptureClock;
use super::decoder::Decoder;
use super::fault::Fault;
use super::feed::{Event, Feed, unix_us};
use super::ffmpeg::{Input, Packet};
use super::options::SourceOptions;
use super::packet_decoder::{Choice, PacketDecoder, Shot};
use super::protocol::Protocol;
use super::rate_limit::RateLimit;
use super::reading::{Picture, Reading};
use super::source_error::SourceError;
use super::timeline::Timeline;
use everyframe_config::SlowPolicy;
use everyframe_types::machine::unix_ms;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The rate of a video that states none, frames per second.
const UNSTATED_RATE: f64 = 25.0;
/// How long one read may take.
const READ: Duration = Duration::from_millis(100);
/// How long a file on a network disk may take.
const FILE_TIMEOUT: Duration = Duration::from_secs(60);
/// The agent is slow if a picture waited for so long, milliseconds.
const LATE: i64 = 1000;
/// How often the agent looks what a live picture shows.
const VIEW_INTERVAL: Duration = Duration::from_secs(1);
/// How often skipped parts are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Where packets come from.
enum Origin {
    File(PathBuf, Input),
    Network(Feed),
}

/// The counts of a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VideoCounts {
    /// Parts that are no pictures.
    pub skipped: u64,
    /// Damaged pictures, sent or not.
    pub damaged: u64,
    /// Pictures that were not sent because the agent was slow.
    pub dropped: u64,
    /// Connections after the first.
    pub reconnects: u64,
}

/// An open video.
pub(super) struct Video {
    name: SourceAddress,
    options: SourceOptions,
    origin: Origin,
    is_live: bool,
    rate: Option<f64>,
    /// What is there, in words.
    codec: String,
    pictures: PacketDecoder,
    timing: Timing,
    ready: VecDeque<Picture>,
    counts: VideoCounts,
    has_opened: bool,
    /// The recording has no more packets.
    has_ended: bool,
    /// The count and the time of the last log line about skipped parts.
    logged: Option<(u64, Instant)>,
    /// Set while the agent is slow: the number of pictures that were dropped before.
    slow: Option<u64>,
}

/// The times of pictures, and which are wanted.
struct Timing {
    timeline: Timeline,
    clock: CaptureClock,
    limit: Option<RateLimit>,
    viewed: Option<Instant>,
}

impl Timing {
    fn new(rate: f64, options: &SourceOptions) -> Self {
        let limit = options.max_fps.map(RateLimit::new);
        Self { timeline: Timeline::new(rate), clock: CaptureClock::default(), limit, viewed: None }
    }

    /// Whether a picture of this time, in milliseconds, is wanted.
    fn choose(&mut self, time: f64, is_live: bool) -> Choice {
        if self.limit.as_mut().is_some_and(|limit| !limit.takes(time)) {
            return Choice::Leave;
        }
        let wants_view = is_live && self.viewed.is_none_or(|at| at.elapsed() >= VIEW_INTERVAL);
        if wants_view {
            self.viewed = Some(Instant::now());
        }
        Choice::Take { wants_view }
    }
}

impl Video {
    /// Opens a video file. It has an end, whatever length it states.
    ///
    /// # Errors
    ///
    /// The file is not a video: show the message.
    pub fn open_file(
        path: &Path,
        name: &SourceAddress,
        options: &SourceOptions,
    ) -> Result<Self, SourceError> {
        let (input, decoder) = open_file(path, name, options)?;
        let (rate, codec) = (input.rate(), input.codec());
        let origin = Origin::File(path.to_owned(), input);
        let mut video = Self::new(name, options, origin, false);
        video.begin(rate, codec, decoder);
        Ok(video)
    }

    /// Starts to connect to a device or a network address, and tries until it succeeds.
    ///
    /// # Errors
    ///
    /// The operating system cannot start a thread.
    pub fn connect(name: &SourceAddress, options: &SourceOptions) -> Result<Self, SourceError> {
        let origin = Origin::Network(Feed::start(name, options).map_err(SourceError::Thread)?);
        Ok(Self::new(name, options, origin, true))
    }

    fn new(name: &SourceAddress, options: &SourceOptions, origin: Origin, is_live: bool) -> Self {
        Self {
            name: name.clone(),
            options: options.clone(),
            origin,
            is_live,
            rate: None,
            codec: String::new(),
            pictures: PacketDecoder::new(None, false, options),
            timing: Timing::new(UNSTATED_RATE, options),
            ready: VecDeque::new(),
            counts: VideoCounts::default(),
            has_opened: false,
            has_ended: false,
            logged: None,
            slow: None,
        }
    }

    /// Prepares for the packets of a new connection, or of a file from its start.
    fn begin(&mut self, rate: Option<f64>, codec: String, decoder: Option<Decoder>) {
        if !self.has_opened {
            self.timing = Timing::new(rate.unwrap_or(UNSTATED_RATE), &self.options);
        }
        self.timing.timeline.start_over();
        self.timing.clock = CaptureClock::default();
        let is_file = matches!(self.origin, Origin::File(..));
        self.pictures = PacketDecoder::new(decoder, is_file, &self.options);
        (self.rate, self.codec) = (rate, codec);
        (self.has_opened, self.has_ended) = (true, false);
    }

    /// Goes back to the first picture of a recording.
    ///
    /// # Errors
    ///
    /// It cannot be opened any more: end.
    pub fn start_over(&mut self) -> Result<(), SourceError> {
        match &mut self.origin {
            Origin::File(path, input) => {
                let (opened, decoder) = open_file(path, &self.name, &self.options)?;
                *input = opened;
                let (rate, codec) = (self.rate, self.codec.clone());
                self.begin(rate, codec, decoder);
            }
            Origin::Network(feed) => {
                *feed = Feed::start(&self.name, &self.options).map_err(SourceError::Thread)?;
            }
        }
        Ok(())
    }

    /// The stated rate, frames per second.
    pub fn rate(&self) -> f64 {
        self.rate.unwrap_or(UNSTATED_RATE)
    }

    /// True for a device or a stream: it has no end, and its pictures are taken now.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// What is there: `h264`, `JPEG parts`.
    pub fn codec(&self) -> &str {
        &self.codec
    }

    /// What happened so far.
    pub fn counts(&self) -> VideoCounts {
        let dropped = match &self.origin {
            Origin::Network(feed) => feed.backlog().1,
            Origin::File(..) => 0,
        };
        VideoCounts { dropped: self.counts.dropped + dropped, ..self.counts }
    }

    /// Reads once; it takes a tenth of a second at most, and longer for a file on a slow disk.
    ///
    /// # Errors
    ///
    /// The pictures of this video cannot be converted: end, with this message.
    pub fn read(&mut self) -> Result<Reading, SourceError> {
        if let Some(picture) = self.ready.pop_front() {
            return Ok(Reading::Picture(picture));
        }
        let damaged = self.counts.damaged;
        let event = match &mut self.origin {
            Origin::File(_, input) => match self.has_ended {
                true => return Ok(Reading::End),
                false => match input.read_packet(FILE_TIMEOUT) {
                    Ok(Some(packet)) => Event::Packet(packet, 0),
                    Ok(None) => return Ok(Reading::Nothing),
                    Err(fault) => Event::Lost { fault, is_final: true },
                },
            },
            Origin::Network(feed) => match feed.next(READ) {
                Some(event) => event,
                None => return Ok(if self.has_ended { Reading::End } else { Reading::Nothing }),
            },
        };
        match event {
            Event::Opened(opened) => {
                self.counts.reconnects += u64::from(self.has_opened);
                self.is_live = opened.is_live;
                self.begin(opened.rate, opened.codec, opened.decoder);
                return Ok(Reading::Opened);
            }
            Event::Packet(packet, arrived) => self.decode(Some(&packet), arrived)?,
            Event::Picture { bytes, arrived, is_complete } => self.pass(&bytes, arrived, is_complete),
            Event::Lost { fault, is_final: false } => return Ok(Reading::Lost(fault)),
            Event::Lost { fault, is_final: true } => {
                if !self.has_opened {
                    return Err(SourceError::NotVideo(self.name.clone(), fault));
                }
                if fault != Fault::Ended {
                    tracing::debug!("{}: {fault}", self.name);
                }
                self.has_ended = true;
                self.decode(None, unix_us())?;
            }
        }
        // A damaged picture that is sent is marked as damaged, and is not reported a second time.
        let is_marked = self.ready.front().is_some_and(|picture| picture.is_damaged);
        if self.counts.damaged > damaged && !is_marked {
            return Ok(Reading::Damaged);
        }
        Ok(self.ready.pop_front().map_or(Reading::Nothing, Reading::Picture))
    }

    /// Decodes a packet, or the last pictures at the end. `arrived`: Unix microseconds.
    fn decode(&mut self, packet: Option<&Packet>, arrived: i64) -> Result<(), SourceError> {
        let (is_live, timing) = (self.is_live, &mut self.timing);
        if let Some(time) = packet.and_then(|packet| packet.time).filter(|_| is_live) {
            timing.clock.observe(time, arrived);
        }
        let is_behind = is_live && is_slow(&self.origin, arrived / 1000);
        let may_drop = self.options.slow == SlowPolicy::Drop;
        let (mut times, mut shots, mut dropped) = (Vec::new(), Vec::new(), 0);
        let choose = |time: Option<i64>| {
            let at = match is_live {
                true => time.and_then(|time| timing.clock.time_of(time)).unwrap_or(arrived) as f64 / 1000.0,
                false => timing.timeline.advance(time.map_or(f64::NAN, |time| time as f64 / 1000.0)),
            };
            let choice = timing.choose(at, is_live);
            if choice == Choice::Leave {
                return choice;
            }
            if is_behind && may_drop {
                dropped += 1;
                return Choice::Leave;
            }
            times.push(at);
            choice
        };
        let done = self.pictures.decode(packet, choose, |shot| shots.push(shot));
        if let Some(note) = self.pictures.take_note() {
            tracing::warn!("{}: {note}", self.name);
        }
        self.counts.dropped += dropped;
        self.log_slow(is_behind);
        // Lost pictures, and parts that are no pictures, have no time.
        let mut times = times.into_iter();
        for shot in shots {
            let at = match shot {
                Shot::Picture { .. } | Shot::Damaged => times.next().unwrap_or_default(),
                Shot::Lost | Shot::Skipped => 0.0,
            };
            self.keep(shot, at);
        }
        done.map_err(|fault| SourceError::NotVideo(self.name.clone(), fault))
    }

    /// Passes a picture that is encoded already. `arrived`: Unix milliseconds.
    fn pass(&mut self, bytes: &[u8], arrived: i64, is_complete: bool) {
        let is_behind = is_slow(&self.origin, arrived);
        let (timing, may_drop) = (&mut self.timing, self.options.slow == SlowPolicy::Drop);
        let mut dropped = 0;
        let choose = || match timing.choose(arrived as f64, true) {
            Choice::Take { .. } if is_behind && may_drop => {
                dropped += 1;
                Choice::Leave
            }
            choice => choice,
        };
        let shot = self.pictures.pass(bytes, is_complete, choose);
        self.counts.dropped += dropped;
        self.log_slow(is_behind);
        if let Some(shot) = shot {
            self.keep(shot, arrived as f64);
        }
    }

    /// Counts a picture, and keeps it for the next reads. `at`: milliseconds, of the clock for a live one.
    fn keep(&mut self, shot: Shot, at: f64) {
        match shot {
            Shot::Picture { bytes, is_damaged, view } => {
                self.counts.damaged += u64::from(is_damaged);
                let (at, captured_at) = match self.is_live {
                    true => (None, Some(at.round() as i64)),
                    false => (Some(Duration::from_secs_f64(at.max(0.0) / 1000.0)), None),
                };
                self.ready.push_back(Picture { bytes, at, captured_at, is_damaged, view });
            }
            Shot::Damaged | Shot::Lost => self.counts.damaged += 1,
            Shot::Skipped => self.counts.skipped += 1,
        }
        self.log_skipped();
    }

    fn log_skipped(&mut self) {
        let count = self.counts.skipped - self.logged.map_or(0, |(count, _)| count);
        if count > 0 && self.logged.is_none_or(|(_, at)| at.elapsed() >= LOG_INTERVAL) {
            self.logged = Some((self.counts.skipped, Instant::now()));
            tracing::warn!("{}: {count} parts of this video are no pictures; skipped", self.name);
        }
    }

    fn log_slow(&mut self, is_behind: bool) {
        let name = &self.name;
        let dropped = self.counts().dropped;
        match (self.slow, is_behind) {
            (None, true) => {
                let what = match self.options.slow {
                    SlowPolicy::Drop => "pictures are left out until it has caught up",
                    SlowPolicy::Keep => "pictures are sent late",
                };
                tracing::warn!("{name}: this agent is slower than the camera: {what}");
                self.slow = Some(dropped);
            }
            (Some(before), false) => {
                tracing::warn!(
                    "{name}: the agent has caught up; {} pictures were left out",
                    dropped - before
                );
                self.slow = None;
            }
            _ => {}
        }
    }
}

/// True if a picture that arrived at this Unix time, in milliseconds, waited for the agent, and others wait behind it.
fn is_slow(origin: &Origin, arrived: i64) -> bool {
    match origin {
        Origin::Network(feed) => unix_ms() - arrived > LATE && feed.backlog().0 > 0,
        Origin::File(..) => false,
    }
}

/// Opens a file, and a decoder for it unless its pictures are JPEG.
fn open_file(
    path: &Path,
    name: &SourceAddress,
    options: &SourceOptions,
) -> Result<(Input, Option<Decoder>), SourceError> {
    let open = || -> Result<(Input, Option<Decoder>), Fault> {
        let mut input = Input::new(&Arc::new(AtomicBool::new(false)))?;
        // FFmpeg would treat a relative name with a colon as an address.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let address = [b"file:", path.as_os_str().as_encoded_bytes()].concat();
        input.open(&address, Protocol::File, false, FILE_TIMEOUT)?;
        let decoder = if input.is_jpeg() { None } else { Some(Decoder::new(&input, options.device)?) };
        Ok((input, decoder))
    };
    open().map_err(|fault| SourceError::NotVideo(name.clone(), fault))
}
