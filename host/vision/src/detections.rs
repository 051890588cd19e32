//! The faces of one picture, as the detector returns them.

use std::time::Duration;

use super::align::CROP_BYTES;
use super::anchor::Anchor;
use super::quality::{CropQuality, Quality};
use super::thumbnail::Thumbnail;
use super::track::TrackedFace;
use everyframe_types::face::Detection;
use everyframe_types::search::SearchKind;
use std::sync::Arc;

/// The faces of one picture.
#[derive(Debug, Clone)]
pub struct Detections {
    /// Width of the full-size upright picture, pixels.
    pub width: u32,
    /// Height of the full-size upright picture, pixels.
    pub height: u32,
    /// The faces, best score first, in pixels of the full-size picture.
    pub detections: Vec<Detection>,
    /// Detections of lower scores, at least `[vision.tracker] low_score`. They are faces only if they continue a track.
    pub(super) weak: Vec<Detection>,
    /// How the picture was searched.
    pub search: SearchKind,
    /// The shadow check, if it was asked for and the picture was not searched as a whole.
    pub shadow: Option<ShadowCheck>,
    /// The processor time that decoding and detection took.
    pub times: DetectionTimes,
    /// For each detection: true if its landmarks come from a search at a reduced scale, too rough to align by.
    pub(super) is_rough: Vec<bool>,
    /// For later pictures of this camera, if this one was searched as a whole.
    pub(super) anchor: Option<Arc<Anchor>>,
    /// The aligned crop of each detection, in their order; empty if the picture was decoded at reduced size. A crop takes
    /// 37 KB and the picture megabytes, so frames that wait for their turn keep the crops.
    pub(super) crops: Vec<[u8; CROP_BYTES]>,
    /// The thumbnail of each detection, then of each weak one; none for a crop of one brightness.
    pub(super) thumbnails: Vec<Option<Thumbnail>>,
    /// The quality of each crop, in the order of `thumbnails`.
    pub(super) crop_qualities: Vec<CropQuality>,
    /// The thumbnail of the whole picture; none if it is of one brightness.
    pub(super) scene: Option<Thumbnail>,
}

/// A second, full search of a picture, to count what its own search has missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShadowCheck {
    /// Faces of at least `min_face` pixels that the full search finds.
    pub faces: u32,
    /// Those of them that the picture's own search did not find.
    pub missed: u32,
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
    /// The faces as the tracker takes them: the detections in their order, then the weak ones.
    pub fn tracked_faces(&self) -> Vec<TrackedFace<'_>> {
        let strong = self.detections.iter().map(|detection| (detection, false));
        let weak = self.weak.iter().map(|detection| (detection, true));
        strong
            .chain(weak)
            .zip(&self.crop_qualities)
            .zip(&self.thumbnails)
            .map(|(((detection, is_weak), crop), thumbnail)| TrackedFace {
                detection,
                is_weak,
                quality: Quality::new(detection, (self.width, self.height), crop).value(),
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

    /// The picture, for the search of later ones of this camera; none if it was not searched as a whole.
    pub fn anchor(&self) -> Option<&Arc<Anchor>> {
        self.anchor.as_ref()
    }

    /// The aligned crop of one of these detections, if it was kept and is good enough for an embedding.
    pub(super) fn crop(&self, face: &Detection) -> Option<&[u8; CROP_BYTES]> {
        let index = self.detections.iter().position(|detection| detection == face)?;
        self.crops.get(index).filter(|_| !self.is_rough[index])
    }

    /// True if the landmarks of one of these detections are too rough to align by.
    pub(super) fn is_rough(&self, face: &Detection) -> bool {
        let faces = self.detections.iter().zip(&self.is_rough);
        faces.into_iter().any(|(detection, is_rough)| *is_rough && detection == face)
    }
}
