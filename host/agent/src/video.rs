//! A video as a source: a recording, a device, or a stream.

use super::address::SourceAddress;
use super::source_error::SourceError;
use super::stated_length::{Length, request_length};
use super::timeline::Timeline;
use everyframe_vision::check_header;
use opencv::core::Vector;
use opencv::imgcodecs::{IMWRITE_JPEG_QUALITY, imencode};
use opencv::prelude::*;
use opencv::videoio::{
    CAP_ANY, CAP_FFMPEG, CAP_PROP_FORMAT, CAP_PROP_FOURCC, CAP_PROP_FPS, CAP_PROP_FRAME_COUNT,
    CAP_PROP_POS_MSEC, VideoCapture,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The rate of a video that states none, frames per second.
const UNSTATED_RATE: f64 = 25.0;
/// A video ends after this many consecutive failed attempts. At its end an attempt takes microseconds; a web page among the
/// pictures of a stream takes an attempt for each of its lines.
const MAX_ATTEMPTS: u32 = 1000;
/// A stream counts as interrupted after this time without a picture, since the first failed attempt.
pub(super) const MAX_WITHOUT_PICTURE: Duration = Duration::from_secs(10);
/// How often skipped pictures are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Where a video comes from.
enum Origin {
    File(PathBuf),
    Device(i32),
    Network(SourceAddress),
}

/// The result of one attempt to read.
pub(super) enum Attempt {
    /// A picture, and its time since the first picture of the recording, milliseconds.
    Picture { bytes: Vec<u8>, at_ms: f64 },
    /// No picture: the next attempt may return one.
    Failed,
    /// The recording ended, or the stream was interrupted.
    End,
}

/// Consecutive attempts without a picture.
struct Failures {
    attempts: u32,
    /// The start of the first attempt.
    since: Instant,
    /// The number of parts of the video that these attempts skipped.
    parts: u64,
    /// True if the last attempt found no part: FFmpeg searches for the next one, line by line.
    is_searching: bool,
}

/// An open video.
pub(super) struct Video {
    origin: Origin,
    capture: VideoCapture,
    is_live: bool,
    /// The stream's JPEG pictures are sent unchanged.
    is_raw: bool,
    /// The server stated no length.
    is_surely_endless: bool,
    timeline: Timeline,
    /// The failed attempts since the last picture.
    failed: Option<Failures>,
    skipped: u64,
    /// The count and the time of the last log line about skipped parts.
    logged: Option<(u64, Instant)>,
}

impl Video {
    /// Opens a video file. It has an end, whatever length it states.
    ///
    /// # Errors
    ///
    /// The file is not a video: show the message.
    pub fn open_file(path: &Path, name: &SourceAddress) -> Result<Self, SourceError> {
        Self::open(Origin::File(path.to_owned()), name)
    }

    /// Opens a device by its number.
    ///
    /// # Errors
    ///
    /// There is no such device, or it is in use: show the message.
    pub fn open_device(number: i32, name: &SourceAddress) -> Result<Self, SourceError> {
        Self::open(Origin::Device(number), name)
    }

    /// Opens a network address. It is live unless its length is stated.
    ///
    /// # Errors
    ///
    /// The address does not answer, or is not a video: show the message.
    pub fn open_address(address: &SourceAddress) -> Result<Self, SourceError> {
        Self::open(Origin::Network(address.clone()), address)
    }

    fn open(origin: Origin, name: &SourceAddress) -> Result<Self, SourceError> {
        let capture = origin.open()?;
        if !capture.is_opened()? {
            return Err(SourceError::NotVideo(name.clone()));
        }
        let timeline = Timeline::new(stated_rate(&capture));
        let mut video = Self {
            origin,
            capture,
            is_live: false,
            is_raw: false,
            is_surely_endless: false,
            timeline,
            failed: None,
            skipped: 0,
            logged: None,
        };
        video.is_live = match &video.origin {
            Origin::File(_) => false,
            Origin::Device(_) => true,
            Origin::Network(address) => video.is_endless(address),
        };
        video.enable_raw()?;
        Ok(video)
    }

    /// True for an address without a stated length, neither by its container nor by its web server. The server of a bare sequence
    /// of JPEG pictures is not asked: it is a camera, and many cameras accept only one client.
    fn is_endless(&self, address: &SourceAddress) -> bool {
        let states_frames = self.capture.get(CAP_PROP_FRAME_COUNT).is_ok_and(|frames| frames > 0.0);
        if states_frames || !address.is_http() || self.is_bare_jpeg() {
            return !states_frames;
        }
        request_length(address.text()) != Length::Stated
    }

    /// True for a sequence of JPEG pictures without timestamps, as cameras send it. FFmpeg assumes 25 a second. For an unknown
    /// length, OpenCV computes the number of frames from the least integer in this unit.
    fn is_bare_jpeg(&self) -> bool {
        let number = |property| self.capture.get(property).unwrap_or(0.0);
        let code = (number(CAP_PROP_FOURCC) as i32).to_le_bytes();
        let ticks_per_second = i64::MIN as f64 * number(CAP_PROP_FPS) / number(CAP_PROP_FRAME_COUNT);
        code.eq_ignore_ascii_case(b"mjpe") && (ticks_per_second - 25.0).abs() < 0.01
    }

    /// Makes OpenCV return a camera's motion JPEG unchanged. After one part that is not marked as a picture, FFmpeg's decoder
    /// would return no picture for the rest of the connection.
    fn enable_raw(&mut self) -> Result<(), SourceError> {
        let is_http = matches!(&self.origin, Origin::Network(address) if address.is_http());
        self.is_raw =
            self.is_live && is_http && self.is_bare_jpeg() && self.capture.set(CAP_PROP_FORMAT, -1.0)?;
        Ok(())
    }

    /// Goes back to the first picture, or reconnects.
    ///
    /// # Errors
    ///
    /// The video cannot be opened: end, or try again later for a stream.
    pub fn start_over(&mut self, name: &SourceAddress) -> Result<(), SourceError> {
        // Release it first: devices, and many cameras, accept only one client.
        self.capture.release()?;
        self.capture = self.origin.open()?;
        if !self.capture.is_opened()? {
            return Err(SourceError::NotVideo(name.clone()));
        }
        self.timeline.start_over();
        self.failed = None;
        self.enable_raw()
    }

    /// The stated rate, frames per second.
    pub fn rate(&self) -> f64 {
        stated_rate(&self.capture)
    }

    /// True for a device or a stream: it has no end, and its pictures are taken now.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// The number of parts of the video that were skipped because they are not pictures.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Tries to read the next picture, as JPEG.
    ///
    /// # Errors
    ///
    /// OpenCV failed: end, with this message.
    pub fn read(&mut self, quality: i32, name: &SourceAddress) -> Result<Attempt, SourceError> {
        let begun = Instant::now();
        let mut pixels = Mat::default();
        // `VideoCapture::read` would treat an empty part as the end.
        let is_read = self.capture.grab()?;
        if is_read {
            self.capture.retrieve_def(&mut pixels)?;
        }
        let bytes = match (is_read && !pixels.empty(), self.is_raw) {
            (false, _) => None,
            (true, true) => Some(pixels.data_bytes()?.to_vec()).filter(|bytes| check_header(bytes).is_ok()),
            (true, false) => Some(encode_jpeg(&pixels, quality)?),
        };
        let Some(bytes) = bytes else {
            let is_searching = self.is_raw && !is_read;
            let failed = self.failed.get_or_insert(Failures {
                attempts: 0,
                since: begun,
                parts: 0,
                is_searching: false,
            });
            failed.attempts += 1;
            failed.parts += u64::from(!(is_searching && failed.is_searching));
            failed.is_searching = is_searching;
            if failed.attempts < MAX_ATTEMPTS && failed.since.elapsed() < MAX_WITHOUT_PICTURE {
                return Ok(Attempt::Failed);
            }
            self.check_whether_recording();
            return Ok(Attempt::End);
        };
        if let Some(failed) = self.failed.take() {
            self.skipped += failed.parts;
            self.log_skipped(name);
        }
        let at_ms = self.timeline.advance(self.capture.get(CAP_PROP_POS_MSEC)?);
        Ok(Attempt::Picture { bytes, at_ms })
    }

    /// After the end of a stream of JPEG pictures: a stream with a length is a file, and must not be opened again.
    fn check_whether_recording(&mut self) {
        let Origin::Network(address) = &self.origin else { return };
        if self.is_raw && !self.is_surely_endless {
            match request_length(address.text()) {
                Length::Stated => self.is_live = false,
                Length::Unstated => self.is_surely_endless = true,
                Length::Unknown => {}
            }
        }
    }

    fn log_skipped(&mut self, name: &SourceAddress) {
        if self.logged.is_none_or(|(_, at)| at.elapsed() >= LOG_INTERVAL) {
            let count = self.skipped - self.logged.map_or(0, |(count, _)| count);
            self.logged = Some((self.skipped, Instant::now()));
            tracing::warn!("{name}: {count} parts of this video are no pictures; skipped");
        }
    }
}

impl Origin {
    fn open(&self) -> Result<VideoCapture, SourceError> {
        Ok(match self {
            Self::Device(number) => VideoCapture::new(*number, CAP_ANY)?,
            // FFmpeg would treat a relative name with a colon as an address.
            Self::File(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                VideoCapture::from_file(path.as_os_str(), CAP_FFMPEG)?
            }
            Self::Network(address) => VideoCapture::from_file(address.text(), CAP_FFMPEG)?,
        })
    }
}

fn stated_rate(capture: &VideoCapture) -> f64 {
    let stated = capture.get(CAP_PROP_FPS).unwrap_or(0.0);
    if (0.1..=1000.0).contains(&stated) { stated } else { UNSTATED_RATE }
}

fn encode_jpeg(picture: &Mat, quality: i32) -> Result<Vec<u8>, opencv::Error> {
    let mut encoded = Vector::<u8>::new();
    imencode(".jpg", picture, &mut encoded, &Vector::from_slice(&[IMWRITE_JPEG_QUALITY, quality]))?;
    Ok(encoded.to_vec())
}
