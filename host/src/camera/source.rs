//! Where pictures come from: a video file, a folder of pictures, a device, a stream.

use opencv::core::Vector;
use opencv::imgcodecs::{IMREAD_COLOR, IMWRITE_JPEG_QUALITY, imdecode, imencode};
use opencv::prelude::*;
use opencv::videoio::{CAP_ANY, CAP_FFMPEG, CAP_PROP_FPS, CAP_PROP_FRAME_COUNT, VideoCapture};
use std::path::{Path, PathBuf};

/// What a folder of pictures counts as, frames per second.
const FOLDER_RATE: f64 = 10.0;

/// Why a source gives no pictures.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Neither a file, a folder, a device nor an address.
    #[error(
        "{0}: no such file, folder or device; give a video file, a folder of pictures, a device number, or an rtsp:// or http:// address"
    )]
    NotFound(String),
    /// OpenCV cannot open it.
    #[error("{0}: cannot be opened as video; is it one, and is it reachable?")]
    NotVideo(String),
    /// It opens, and gives nothing.
    #[error(
        "{0}: opens, but not one picture can be read from it; is it whole, and can its server send parts of it?"
    )]
    NothingRead(String),
    /// A folder without pictures.
    #[error("{0}: no .jpg, .jpeg, .png or .webp in this folder")]
    NoPictures(String),
    /// One picture of a folder is none.
    #[error("{}: {reason}", path.display())]
    BadPicture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// OpenCV failed.
    #[error("video: {0}")]
    OpenCv(#[from] opencv::Error),
}

/// A source of pictures.
pub struct Source {
    name: String,
    kind: Kind,
    jpeg_quality: i32,
}

enum Kind {
    Video { capture: VideoCapture, frames: f64 },
    Folder { files: Vec<PathBuf>, next: usize },
}

impl Source {
    /// Opens a source. `jpeg_quality` is 1 to 100.
    pub fn open(name: &str, jpeg_quality: i32) -> Result<Self, SourceError> {
        let kind = if Path::new(name).is_dir() { folder(name)? } else { video(name)? };
        Ok(Self { name: name.to_owned(), kind, jpeg_quality })
    }

    /// As it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Frames per second, as the source itself says.
    pub fn rate(&self) -> f64 {
        match &self.kind {
            Kind::Video { capture, .. } => Some(capture.get(CAP_PROP_FPS).unwrap_or(0.0))
                .filter(|rate| (0.1..=1000.0).contains(rate))
                .unwrap_or(25.0),
            Kind::Folder { .. } => FOLDER_RATE,
        }
    }

    /// True for a camera or a stream: it has no end, and its pictures are of now.
    pub fn is_live(&self) -> bool {
        matches!(&self.kind, Kind::Video { frames, .. } if *frames <= 0.0)
    }

    /// Goes back to the first picture, or connects again.
    pub fn rewind(&mut self) -> Result<(), SourceError> {
        *self = Self::open(&self.name, self.jpeg_quality)?;
        Ok(())
    }

    /// The next picture as JPEG, or none at the end.
    pub fn next_picture(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        match &mut self.kind {
            Kind::Video { capture, .. } => {
                let mut picture = Mat::default();
                if !capture.read(&mut picture)? || picture.empty() {
                    return Ok(None);
                }
                Ok(Some(jpeg(&picture, self.jpeg_quality)?))
            }
            Kind::Folder { files, next } => {
                let Some(path) = files.get(*next) else { return Ok(None) };
                *next += 1;
                read_picture(path, self.jpeg_quality).map(Some)
            }
        }
    }
}

fn video(name: &str) -> Result<Kind, SourceError> {
    let device = name.strip_prefix("/dev/video").unwrap_or(name).parse::<i32>();
    let capture = match device {
        Ok(number) => VideoCapture::new(number, CAP_ANY)?,
        Err(_) if name.contains("://") || Path::new(name).is_file() => {
            VideoCapture::from_file(name, CAP_FFMPEG)?
        }
        Err(_) => return Err(SourceError::NotFound(name.to_owned())),
    };
    if !capture.is_opened()? {
        return Err(SourceError::NotVideo(name.to_owned()));
    }
    let frames = capture.get(CAP_PROP_FRAME_COUNT).unwrap_or(0.0);
    Ok(Kind::Video { capture, frames })
}

fn folder(name: &str) -> Result<Kind, SourceError> {
    let is_picture = |path: &PathBuf| {
        path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| {
            ["jpg", "jpeg", "png", "webp"].contains(&extension.to_lowercase().as_str())
        })
    };
    let entries = std::fs::read_dir(name).map_err(|_| SourceError::NotFound(name.to_owned()))?;
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_picture).collect();
    files.sort();
    if files.is_empty() {
        return Err(SourceError::NoPictures(name.to_owned()));
    }
    Ok(Kind::Folder { files, next: 0 })
}

/// A JPEG goes as it is; what it is worth, the host decides. Other formats are encoded anew.
fn read_picture(path: &Path, quality: i32) -> Result<Vec<u8>, SourceError> {
    let bad = |reason: String| SourceError::BadPicture { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    if bytes.starts_with(&[0xff, 0xd8]) {
        return Ok(bytes);
    }
    let picture =
        imdecode(&Vector::from_slice(&bytes), IMREAD_COLOR).map_err(|error| bad(error.to_string()))?;
    if picture.empty() {
        return Err(bad("not a picture".into()));
    }
    Ok(jpeg(&picture, quality)?)
}

fn jpeg(picture: &Mat, quality: i32) -> Result<Vec<u8>, opencv::Error> {
    let mut encoded = Vector::<u8>::new();
    imencode(".jpg", picture, &mut encoded, &Vector::from_slice(&[IMWRITE_JPEG_QUALITY, quality]))?;
    Ok(encoded.to_vec())
}
