//! The detector: pixels in, detections out.

use opencv::core::{Mat, MatTraitConst, MatTraitConstManual};

use super::PictureError;
use super::manifest::{Channels, Manifest};
use super::network::{Network, Tensor, Took};
use super::planes::Planes;
use super::yunet::{self, Maps, STRIDES};
use crate::config::DetectorSettings;
use crate::face::Detection;
use crate::laps::Laps;

/// YuNet, for pictures of any size.
pub(super) struct Detector {
    network: Box<dyn Network>,
    channels: Channels,
    planes: Planes,
    score: f32,
    overlap: f32,
}

impl Detector {
    pub fn new(network: Box<dyn Network>, manifest: &Manifest, settings: &DetectorSettings) -> Self {
        let DetectorSettings { score, overlap, .. } = *settings;
        Self { network, channels: manifest.channels, planes: Planes::default(), score, overlap }
    }

    /// The faces in a BGR picture, best first, in pixels of that picture.
    pub fn detect(&mut self, picture: &Mat) -> Result<(Vec<Detection>, Took), PictureError> {
        let mut laps = Laps::start();
        let size = (picture.rows().max(0) as usize, picture.cols().max(0) as usize);
        let pixels = picture.data_bytes().map_err(|e| PictureError::Undecodable(e.message))?;
        let [_, _, widest] = STRIDES;
        self.planes.reshape(1, size, widest);
        self.planes.write(0, pixels, self.channels);
        let prepare = laps.lap();
        let answer = self.network.run(&self.planes)?;
        let infer = laps.lap();
        let [_, _, _, width] = self.planes.shape();
        let found = yunet::suppress(located(answer, width, self.score)?, self.overlap);
        Ok((found, Took { prepare, infer, read: laps.lap() }))
    }
}

/// Every cell that scores at least `score` in the answer to an input `width` pixels wide; they overlap.
pub(super) fn located(answer: &[Tensor], width: usize, score: f32) -> Result<Vec<Detection>, PictureError> {
    let map = |kind: &str, stride: usize| {
        let name = format!("{kind}_{stride}");
        answer.iter().find(|t| t.name == name).map(|t| t.values.as_slice()).ok_or_else(|| {
            PictureError::Inference(format!("the detector has no output `{name}`; is it YuNet 2023mar?"))
        })
    };
    let mut found = Vec::new();
    for stride in STRIDES {
        let maps = Maps {
            stride,
            class: map("cls", stride)?,
            object: map("obj", stride)?,
            boxes: map("bbox", stride)?,
            landmarks: map("kps", stride)?,
        };
        yunet::locate(&maps, width, score, &mut found);
    }
    Ok(found)
}
