//! Why a source gives no pictures.

use super::address::SourceAddress;
use everyframe_kafka::redacted;
use everyframe_types::redact::redact_addresses;
use std::path::PathBuf;

/// Why a source gives no pictures.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source is neither a file, a folder, a device nor an address.
    #[error(
        "{0}: no such file, folder or device; give a video file, a folder of pictures, a device number, or an rtsp:// or http:// address"
    )]
    NotFound(SourceAddress),
    /// OpenCV cannot open the source.
    #[error("{0}: cannot be opened as a video; check that it is one and that it can be reached")]
    NotVideo(SourceAddress),
    /// The source can be opened, but has no pictures.
    #[error(
        "{0}: can be opened, but no picture can be read from it; check that the file is complete and that its server can \
         send parts of it"
    )]
    NothingRead(SourceAddress),
    /// A folder that cannot be read.
    #[error("{}: this folder cannot be read: {reason}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// The operating system's message.
        reason: String,
    },
    /// A folder without pictures.
    #[error("{}: no .jpg, .jpeg, .png or .webp in this folder", .0.display())]
    NoPictures(PathBuf),
    /// A file that cannot be sent as a picture. In a folder, it is skipped.
    #[error("{}: {reason}", path.display())]
    BadPicture {
        /// The file.
        path: PathBuf,
        /// Payload is wrong with it.
        reason: String,
    },
    /// A folder in which no file can be sent.
    #[error(
        "{}: none of the {files} picture files in this folder can be sent; the warnings above say why",
        folder.display()
    )]
    NoGoodPicture {
        /// The folder.
        folder: PathBuf,
        /// The number of files with the extension of a picture.
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
