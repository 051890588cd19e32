//! A source of pictures: a video file, picture files, a device, or a stream.

use super::address::SourceAddress;
use super::pictures::{Pictures, is_picture_file};
use super::source_error::SourceError;
use super::video::{Attempt, Video};
use everyframe_types::frame::SourceKind;
use std::time::Duration;

/// The rate of a folder of pictures, frames per second.
const FOLDER_RATE: f64 = 10.0;

/// A picture of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// JPEG, PNG or WebP.
    pub bytes: Vec<u8>,
    /// Only of a recording: the time since its first picture. It keeps growing when the recording starts again.
    pub at: Option<Duration>,
}

/// The result of one read from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A picture.
    Picture(Picture),
    /// No picture this time; the next read may return one.
    Nothing,
    /// The source ended, or the stream was interrupted.
    End,
}

/// A source of pictures.
pub struct Source {
    address: SourceAddress,
    input: Input,
    jpeg_quality: i32,
    /// Number of skipped files.
    skipped: u64,
    /// Why the last of them was skipped.
    last_skipped: Option<SourceError>,
    /// True if a picture was read since the source was opened or rewound.
    has_picture: bool,
    /// The pictures of the folder are the frames of one recording.
    is_recording: bool,
}

enum Input {
    Video(Box<Video>),
    Pictures(Pictures),
}

impl Source {
    /// Opens a source. `jpeg_quality`, 1 to 100, is used for frames of a video; picture files are sent unchanged.
    ///
    /// # Errors
    ///
    /// See [`SourceError`]: show the message, which says what to give instead.
    pub fn open(address: &SourceAddress, jpeg_quality: i32) -> Result<Self, SourceError> {
        let path = address.path();
        let device = address.text().strip_prefix("/dev/video").unwrap_or(address.text()).parse::<i32>();
        let input = match (path, device) {
            (Some(path), _) if path.is_dir() => Input::Pictures(Pictures::in_folder(&path)?),
            (_, Ok(number)) => Input::Video(Box::new(Video::open_device(number, address)?)),
            (Some(path), _) if path.is_file() && is_picture_file(&path) => {
                Input::Pictures(Pictures::single(&path))
            }
            (Some(path), _) if path.is_file() => Input::Video(Box::new(Video::open_file(&path, address)?)),
            (Some(_), _) => return Err(SourceError::NotFound(address.clone())),
            (None, _) => Input::Video(Box::new(Video::open_address(address)?)),
        };
        Ok(Self {
            address: address.clone(),
            input,
            jpeg_quality,
            skipped: 0,
            last_skipped: None,
            has_picture: false,
            is_recording: false,
        })
    }

    /// The same source, with the pictures of its folder treated as the frames of one recording.
    pub fn as_recording(self) -> Self {
        Self { is_recording: true, ..self }
    }

    /// The source's own rate, frames per second.
    pub fn rate(&self) -> f64 {
        match &self.input {
            Input::Video(video) => video.rate(),
            Input::Pictures(_) => FOLDER_RATE,
        }
    }

    /// The kind of source. It decides a frame's time, and whether frames are continuous.
    pub fn kind(&self) -> SourceKind {
        match &self.input {
            Input::Video(video) if video.is_live() => SourceKind::Live,
            Input::Video(_) => SourceKind::Recording,
            Input::Pictures(_) if self.is_recording => SourceKind::Recording,
            Input::Pictures(_) => SourceKind::Pictures,
        }
    }

    /// The number of files, or parts of a video, that were skipped because they are not pictures.
    pub fn skipped(&self) -> u64 {
        match &self.input {
            Input::Video(video) => video.skipped(),
            Input::Pictures(_) => self.skipped,
        }
    }

    /// Goes back to the first picture, or reconnects.
    ///
    /// # Errors
    ///
    /// The source cannot be opened: end, or try again later for a stream. Or it gave no picture since it was opened: reading it
    /// again would never end.
    pub fn rewind(&mut self) -> Result<(), SourceError> {
        if self.kind() != SourceKind::Live && !self.has_picture {
            return Err(self.no_picture_error());
        }
        self.has_picture = false;
        match &mut self.input {
            Input::Video(video) => video.start_over(&self.address),
            Input::Pictures(pictures) => pictures.start_over(),
        }
    }

    /// Reads once. A file or a part of a video that is not a picture is skipped with a warning.
    ///
    /// # Errors
    ///
    /// OpenCV failed: end, with this message.
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
        self.has_picture |= matches!(reading, Reading::Picture(_));
        Ok(reading)
    }

    /// The next picture; none at the end.
    ///
    /// # Errors
    ///
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
    pub fn no_picture_error(&mut self) -> SourceError {
        match &self.input {
            Input::Video(_) => SourceError::NothingRead(self.address.clone()),
            Input::Pictures(pictures) => pictures.no_picture_error(self.last_skipped.take()),
        }
    }
}
