//! A source of pictures: a video file, picture files, a device, or a stream.

use super::address::SourceAddress;
use super::encoded::scale_encoded;
use super::options::SourceOptions;
use super::pictures::{Pictures, is_picture_file};
use super::protocol::Protocol;
use super::reading::{Picture, Reading};
use super::source_error::SourceError;
use super::video::{Video, VideoCounts};
use everyframe_config::Transport;
use everyframe_types::frame::SourceKind;

/// The rate of a folder of pictures, frames per second.
const FOLDER_RATE: f64 = 10.0;

/// A source of pictures.
pub struct Source {
    address: SourceAddress,
    input: Input,
    /// True once it is known to be there.
    is_open: bool,
    /// Number of skipped files.
    skipped: u64,
    /// Why the last of them was skipped.
    last_skipped: Option<SourceError>,
    /// True if a picture was read since the source was opened or rewound.
    has_picture: bool,
    /// The pictures of the folder are the frames of one recording.
    is_recording: bool,
    options: SourceOptions,
}

enum Input {
    Video(Box<Video>),
    Pictures(Pictures),
}

impl Source {
    /// Opens a source. A network address must answer.
    ///
    /// # Errors
    ///
    /// See [`SourceError`]: show the message, which says what to give instead.
    pub fn open(address: &SourceAddress, options: &SourceOptions) -> Result<Self, SourceError> {
        let mut source = Self::start(address, options)?;
        while !source.is_open {
            if let Reading::Lost(fault) = source.read()? {
                return Err(SourceError::NotVideo(address.clone(), fault));
            }
        }
        Ok(source)
    }

    /// Opens a source. A camera need not answer yet: it is tried again until it does.
    ///
    /// # Errors
    ///
    /// As [`Source::open`].
    pub fn wait_for(address: &SourceAddress, options: &SourceOptions) -> Result<Self, SourceError> {
        match options.may_be_live(address) {
            true => Self::start(address, options),
            false => Self::open(address, options),
        }
    }

    fn start(address: &SourceAddress, options: &SourceOptions) -> Result<Self, SourceError> {
        let (input, is_open) = match (address.protocol(Transport::default()), address.path()) {
            (Protocol::Rtsp(_) | Protocol::Device | Protocol::Network, _) | (_, None) => {
                (Input::Video(Box::new(Video::connect(address, options)?)), false)
            }
            (_, Some(path)) if path.is_dir() => (Input::Pictures(Pictures::in_folder(&path)?), true),
            (_, Some(path)) if path.is_file() && is_picture_file(&path) => {
                (Input::Pictures(Pictures::single(&path)), true)
            }
            (_, Some(path)) if path.is_file() => {
                (Input::Video(Box::new(Video::open_file(&path, address, options)?)), true)
            }
            _ => return Err(SourceError::NotFound(address.clone())),
        };
        Ok(Self {
            address: address.clone(),
            input,
            is_open,
            skipped: 0,
            last_skipped: None,
            has_picture: false,
            is_recording: false,
            options: options.clone(),
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

    /// The address, without its secrets when it is shown.
    pub fn address(&self) -> &SourceAddress {
        &self.address
    }

    /// What is there, in a few words: `h264`, `JPEG parts`, `picture files`.
    pub fn codec(&self) -> &str {
        match &self.input {
            Input::Video(video) => video.codec(),
            Input::Pictures(_) => "picture files",
        }
    }

    /// The kind of source. It decides a frame's time, and whether frames are continuous. Of an address that has not answered yet,
    /// the presumed kind.
    pub fn kind(&self) -> SourceKind {
        match &self.input {
            Input::Video(video) if video.is_live() => SourceKind::Live,
            Input::Video(_) => SourceKind::Recording,
            Input::Pictures(_) if self.is_recording => SourceKind::Recording,
            Input::Pictures(_) => SourceKind::Pictures,
        }
    }

    /// What happened so far, besides the pictures.
    pub fn counts(&self) -> VideoCounts {
        match &self.input {
            Input::Video(video) => video.counts(),
            Input::Pictures(_) => VideoCounts { skipped: self.skipped, ..VideoCounts::default() },
        }
    }

    /// Goes back to the first picture of a recording or a folder.
    ///
    /// # Errors
    ///
    /// The source cannot be opened: end. Or it gave no picture since it was opened: reading it again would never end.
    pub fn rewind(&mut self) -> Result<(), SourceError> {
        if !self.has_picture {
            return Err(self.no_picture_error());
        }
        self.has_picture = false;
        match &mut self.input {
            Input::Video(video) => video.start_over(),
            Input::Pictures(pictures) => pictures.start_over(),
        }
    }

    /// Reads once. A file or a part of a video that is not a picture is skipped with a warning.
    ///
    /// # Errors
    ///
    /// The pictures of the source cannot be converted, or it is no source after all: end, with this message.
    pub fn read(&mut self) -> Result<Reading, SourceError> {
        let reading = match &mut self.input {
            Input::Video(video) => video.read()?,
            Input::Pictures(pictures) => match pictures.read_next() {
                Some(Ok(bytes)) => {
                    let SourceOptions { max_side, quality, .. } = self.options;
                    let scaled = max_side.and_then(|side| scale_encoded(&bytes, side, quality));
                    Reading::Picture(Picture::of_file(scaled.unwrap_or(bytes)))
                }
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
        self.is_open |= matches!(reading, Reading::Opened);
        Ok(reading)
    }

    /// The next picture; none at the end, and when a connection ends.
    ///
    /// # Errors
    ///
    /// See [`Source::read`].
    pub fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        loop {
            match self.read()? {
                Reading::Picture(picture) => return Ok(Some(picture)),
                Reading::Nothing | Reading::Damaged | Reading::Opened => {}
                Reading::Lost(_) | Reading::End => return Ok(None),
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
