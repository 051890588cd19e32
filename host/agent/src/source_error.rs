//! Why a source gives no pictures.

use super::address::SourceAddress;
use super::fault::Fault;
use std::path::PathBuf;

/// Why a source gives no pictures.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source is neither a file, a folder, a device nor an address.
    #[error(
        "{0}: no such file, folder or device; give a video file, a folder of pictures, a device number, or an rtsp:// or http:// address"
    )]
    NotFound(SourceAddress),
    /// FFmpeg cannot open the source, or not decode it.
    #[error("{0}: cannot be opened as a video: {1}")]
    NotVideo(SourceAddress, #[source] Fault),
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
    #[error("{}: no .jpg, .jpeg, .png or .webp in this folder; give a video as a file, not its folder", .0.display())]
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
    /// The operating system cannot start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}
