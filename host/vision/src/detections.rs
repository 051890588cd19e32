//! The faces of one picture, as the detector returns them.

use std::time::Duration;

use super::align::CROP_BYTES;
use super::quality::{CropQuality, Quality};
use super::thumbnail::Thumbnail;
use super::track::TrackedFace;
use everyframe_types::face::Detection;

/// The faces of one picture.
#[derive(Debug, Clone, Default)]
pub struct Detections {
    /// Width of the full-size upright picture, pixels.
    pub width: u32,
    /// Height of the full-size upright picture, pixels.
    pub height: u32,
    /// The faces, best score first, in pixels of the full-size picture.
    pub detections: Vec<Detection>,
    /// The processor time that decoding and detection took.
    pub times: DetectionTimes,
    /// The aligned crop of each detection, in their order; empty if the picture was decoded at reduced size. A crop takes
    /// 37 KB and the picture megabytes, so frames that wait for their turn keep the crops.
    pub(super) crops: Vec<[u8; CROP_BYTES]>,
    /// The thumbnail of each crop; none for a crop of one brightness.
    pub(super) thumbnails: Vec<Option<Thumbnail>>,
    /// The quality of each crop.
    pub(super) crop_qualities: Vec<CropQuality>,
    /// The thumbnail of the whole picture; none if it is of one brightness.
    pub(super) scene: Option<Thumbnail>,
}

/// Processor time of one picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DetectionTimes {
    /// Checking the header, decoding and scaling.
    pub decode: Duration,
    /// From pixels to detections.
    pub detect: Duration,
}

impl Detections {
    /// The faces as the tracker takes them, in the order of the detections.
    pub fn tracked_faces(&self) -> Vec<TrackedFace<'_>> {
        let faces = self.detections.iter().zip(self.qualities()).zip(&self.thumbnails);
        faces
            .map(|((detection, quality), thumbnail)| TrackedFace {
                detection,
                quality: quality.value(),
                thumbnail: thumbnail.as_ref(),
            })
            .collect()
    }

    /// How well each face can be recognised, in the order of the detections.
    pub fn qualities(&self) -> Vec<Quality> {
        let faces = self.detections.iter().zip(&self.crop_qualities);
        faces.map(|(face, crop)| Quality::new(face, (self.width, self.height), crop)).collect()
    }

    /// The thumbnail of the whole picture, which shows a scene cut; none if the picture is of one brightness.
    pub fn scene(&self) -> Option<&Thumbnail> {
        self.scene.as_ref()
    }

    /// The aligned crop of one of these detections, if it was kept.
    pub(super) fn crop(&self, face: &Detection) -> Option<&[u8; CROP_BYTES]> {
        let index = self.detections.iter().position(|detection| detection == face)?;
        self.crops.get(index)
    }
}
