//! Where pictures come from: a video file, picture files, a device, a stream.

use super::SourceAddress;
use super::pictures::{Pictures, is_picture_file};
use super::video::{Attempt, Video};
use everyframe_kafka::redacted;
use everyframe_types::frame::SourceKind;
use everyframe_types::redact::redact_addresses;
use std::path::PathBuf;
use std::time::Duration;

/// What a folder of pictures counts as, frames per second.
const FOLDER_RATE: f64 = 10.0;

/// Why a source gives no pictures.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Neither a file, a folder, a device nor an address.
    #[error(
        "{0}: no such file, folder or device; give a video file, a folder of pictures, a device number, or an rtsp:// or http:// address"
    )]
    NotFound(SourceAddress),
    /// OpenCV cannot open it.
    #[error("{0}: cannot be opened as video; is it one, and is it reachable?")]
    NotVideo(SourceAddress),
    /// It opens, and gives nothing.
    #[error(
        "{0}: opens, but not one picture can be read from it; is it whole, and can its server send parts of it?"
    )]
    NothingRead(SourceAddress),
    /// A folder that cannot be read.
    #[error("{}: this folder cannot be read: {reason}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// A folder without pictures.
    #[error("{}: no .jpg, .jpeg, .png or .webp in this folder", .0.display())]
    NoPictures(PathBuf),
    /// A file that cannot be sent as a picture. One of a folder is skipped.
    #[error("{}: {reason}", path.display())]
    BadPicture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder of which no file can be sent.
    #[error(
        "{}: none of the {files} picture files in this folder can be sent; the warnings above say why",
        folder.display()
    )]
    NoGoodPicture {
        /// The folder.
        folder: PathBuf,
        /// How many files have the extension of a picture.
        files: usize,
    },
    /// OpenCV failed.
    #[error("video: {0}")]
    OpenCv(String),
}

impl From<opencv::Error> for SourceError {
    fn from(error: opencv::Error) -> Self {
        // OpenCV's message may contain the address.
        Self::OpenCv(redacted(&redact_addresses(&error.to_string())))
    }
}

/// A picture of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// JPEG, PNG or WebP.
    pub bytes: Vec<u8>,
    /// Only of a recording: when it was taken, counted from the first picture. It keeps growing when the recording starts over.
    pub at: Option<Duration>,
}

/// The result of one read from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A picture.
    Picture(Picture),
    /// Nothing this time; the next time may give a picture.
    Nothing,
    /// The source is at its end, or broke off.
    End,
}

/// A source of pictures.
pub struct Source {
    address: SourceAddress,
    input: Input,
    jpeg_quality: i32,
    /// Files that were skipped.
    skipped: u64,
    /// Why the last of them was.
    last_skipped: Option<SourceError>,
    /// True if a picture was read since the source was opened or started over.
    has_given: bool,
    /// The pictures of the folder are the frames of one recording.
    is_recording: bool,
}

enum Input {
    Video(Box<Video>),
    Pictures(Pictures),
}

impl Source {
    /// Opens a source. `jpeg_quality`, 1 to 100, is for pictures that are not JPEG, PNG or WebP already.
    ///
    /// # Errors
    /// See [`SourceError`]. Each message says what to give instead.
    pub fn open(address: &SourceAddress, jpeg_quality: i32) -> Result<Self, SourceError> {
        let path = address.path();
        let device = address.text().strip_prefix("/dev/video").unwrap_or(address.text()).parse::<i32>();
        let input = match (path, device) {
            (Some(path), _) if path.is_dir() => Input::Pictures(Pictures::in_folder(&path)?),
            (_, Ok(number)) => Input::Video(Box::new(Video::of_device(number, address)?)),
            (Some(path), _) if path.is_file() && is_picture_file(&path) => {
                Input::Pictures(Pictures::of_file(&path))
            }
            (Some(path), _) if path.is_file() => Input::Video(Box::new(Video::of_file(&path, address)?)),
            (Some(_), _) => return Err(SourceError::NotFound(address.clone())),
            (None, _) => Input::Video(Box::new(Video::of_address(address)?)),
        };
        Ok(Self {
            address: address.clone(),
            input,
            jpeg_quality,
            skipped: 0,
            last_skipped: None,
            has_given: false,
            is_recording: false,
        })
    }

    /// The same source, with the pictures of its folder treated as the frames of one recording.
    pub fn as_recording(self) -> Self {
        Self { is_recording: true, ..self }
    }

    /// Frames per second, as the source itself says.
    pub fn rate(&self) -> f64 {
        match &self.input {
            Input::Video(video) => video.rate(),
            Input::Pictures(_) => FOLDER_RATE,
        }
    }

    /// The kind of source: a frame's time, and whether frames follow each other closely, depend on it.
    pub fn kind(&self) -> SourceKind {
        match &self.input {
            Input::Video(video) if video.is_live() => SourceKind::Live,
            Input::Video(_) => SourceKind::Recording,
            Input::Pictures(_) if self.is_recording => SourceKind::Recording,
            Input::Pictures(_) => SourceKind::Pictures,
        }
    }

    /// How many files, or parts of a video, were skipped because they are not pictures.
    pub fn skipped(&self) -> u64 {
        match &self.input {
            Input::Video(video) => video.skipped(),
            Input::Pictures(_) => self.skipped,
        }
    }

    /// Goes back to the first picture, or connects again.
    ///
    /// # Errors
    /// It cannot be opened any more, or it gave no picture since it was opened: reading it again would never end.
    pub fn rewind(&mut self) -> Result<(), SourceError> {
        if self.kind() != SourceKind::Live && !self.has_given {
            return Err(self.nothing_read());
        }
        self.has_given = false;
        match &mut self.input {
            Input::Video(video) => video.start_over(&self.address),
            Input::Pictures(pictures) => pictures.start_over(),
        }
    }

    /// Reads once. A file or part that is not a picture is skipped with a warning.
    ///
    /// # Errors
    /// OpenCV failed.
    pub fn read(&mut self) -> Result<Reading, SourceError> {
        let reading = match &mut self.input {
            Input::Video(video) => match video.read(self.jpeg_quality, &self.address)? {
                Attempt::Picture { bytes, at_ms } => {
                    Reading::Picture(Picture { bytes, at: Some(Duration::from_secs_f64(at_ms / 1000.0)) })
                }
                Attempt::Failed => Reading::Nothing,
                Attempt::End => Reading::End,
            },
            Input::Pictures(pictures) => match pictures.read_next() {
                Some(Ok(bytes)) => Reading::Picture(Picture { bytes, at: None }),
                Some(Err(reason)) => {
                    pictures.warn_of_skipped(&reason);
                    self.skipped += 1;
                    self.last_skipped = Some(reason);
                    Reading::Nothing
                }
                None => Reading::End,
            },
        };
        self.has_given |= matches!(reading, Reading::Picture(_));
        Ok(reading)
    }

    /// The next picture; none at the end.
    ///
    /// # Errors
    /// See [`Source::read`].
    pub fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        loop {
            match self.read()? {
                Reading::Picture(picture) => return Ok(Some(picture)),
                Reading::Nothing => {}
                Reading::End => return Ok(None),
            }
        }
    }

    /// The error for a source that gave no picture.
    pub fn nothing_read(&mut self) -> SourceError {
        match &self.input {
            Input::Video(_) => SourceError::NothingRead(self.address.clone()),
            Input::Pictures(pictures) => pictures.nothing_read(self.last_skipped.take()),
        }
    }
}
