//! The health of a camera, as its agent writes it to a file: for `everyframe cameras list` and for metrics.

use everyframe_types::hexadecimal::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// What is the matter with a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CameraState {
    /// Not connected yet, or again.
    Connecting,
    /// Pictures come.
    Fine,
    /// No picture came for a while.
    Away,
    /// The picture is always the same.
    Frozen,
    /// The picture is black.
    Black,
    /// The agent has ended.
    Stopped,
}

impl CameraState {
    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Fine => "fine",
            Self::Away => "away",
            Self::Frozen => "frozen",
            Self::Black => "black",
            Self::Stopped => "stopped",
        }
    }
}

/// The health of a camera at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraStatus {
    /// The camera's id.
    pub camera: String,
    /// When this was written, Unix milliseconds.
    pub at: i64,
    /// What is the matter.
    pub state: CameraState,
    /// Why no picture is sent; empty if pictures are sent, or the reason is not known.
    pub trouble: String,
    /// What is there: `h264`, `JPEG parts`.
    pub codec: String,
    /// Width and height of the last picture, pixels.
    pub size: Option<(u32, u32)>,
    /// When the last picture came, Unix milliseconds.
    pub last_picture: Option<i64>,
    /// Pictures per second, over the time since the status before.
    pub fps: f64,
    /// How long after it was taken the last picture was passed on, milliseconds.
    pub lateness_ms: i64,
    /// Pictures that were numbered.
    pub read: u64,
    /// Numbered pictures that were refused: no room.
    pub refused: u64,
    /// Damaged pictures.
    pub damaged: u64,
    /// Pictures that were left out because the agent was slow.
    pub dropped: u64,
    /// Parts that are no pictures.
    pub skipped: u64,
    /// Connections after the first.
    pub reconnects: u64,
}

/// Where the status of a camera is, in the folder of its spool.
pub fn status_path(folder: &Path, camera: &str) -> PathBuf {
    let digest = hexadecimal(&Sha256::digest(camera));
    folder.join(format!("{}.status.json", &digest[..32]))
}

/// Reads the status of a camera; none if its agent has never run here.
pub fn read_status(folder: &Path, camera: &str) -> Option<CameraStatus> {
    serde_json::from_slice(&std::fs::read(status_path(folder, camera)).ok()?).ok()
}

impl CameraStatus {
    /// Writes it. A reader sees either this status or the one before.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let path = status_path(folder, &self.camera);
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(self)?)?;
        std::fs::rename(new, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let status = CameraStatus {
            camera: "gate/1".into(),
            at: 7,
            state: CameraState::Away,
            trouble: "the connection was refused".into(),
            codec: "h264".into(),
            size: Some((1280, 720)),
            last_picture: Some(5),
            fps: 24.5,
            lateness_ms: 30,
            read: 1,
            refused: 2,
            damaged: 3,
            dropped: 4,
            skipped: 5,
            reconnects: 6,
        };
        assert_eq!(read_status(folder.path(), "gate/1"), None);
        status.write(folder.path()).unwrap();
        assert_eq!(read_status(folder.path(), "gate/1"), Some(status));
    }
}
