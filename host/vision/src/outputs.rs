//! Reads the outputs of a detector, by the family that its manifest names.

use super::error::PictureError;
use super::manifest::{Manifest, Outputs};
use super::network::Tensor;
use super::{retinaface, scrfd, yunet};
use everyframe_types::face::Detection;

/// The three strides of all families, pixels. The sides of the input must be a multiple of the largest.
pub(super) const STRIDES: [usize; 3] = [8, 16, 32];

/// Decodes the outputs of one model.
pub(super) struct OutputDecoder {
    outputs: Outputs,
    /// The names of the output tensors, in the order of the family.
    tensors: Vec<String>,
}

impl OutputDecoder {
    pub fn new(manifest: &Manifest) -> Self {
        let outputs = manifest.outputs.unwrap_or(Outputs::Yunet);
        Self { outputs, tensors: manifest.tensors.clone() }
    }

    /// All boxes that score at least `score`, before non-maximum suppression, in pixels of the input. `size` is the height and
    /// width of the input.
    ///
    /// # Errors
    ///
    /// An output is missing or too short for the input: the manifest is not that of the model.
    pub fn decode(
        &self,
        answer: &[Tensor],
        size: (usize, usize),
        score: f32,
    ) -> Result<Vec<Detection>, PictureError> {
        let (height, width) = size;
        let cells = |stride: usize| (height / stride) * (width / stride);
        let tensor = |place: usize, length: usize| self.find_tensor(answer, place, length);
        let mut found = Vec::new();
        match self.outputs {
            Outputs::Yunet => {
                for (place, stride) in STRIDES.into_iter().enumerate() {
                    let n = cells(stride);
                    let maps = yunet::Maps {
                        stride,
                        class: tensor(place, n)?,
                        object: tensor(place + 3, n)?,
                        boxes: tensor(place + 6, 4 * n)?,
                        landmarks: tensor(place + 9, 10 * n)?,
                    };
                    yunet::decode_outputs(&maps, width, score, &mut found);
                }
            }
            Outputs::Scrfd => {
                for (place, stride) in STRIDES.into_iter().enumerate() {
                    let n = scrfd::ANCHORS * cells(stride);
                    let maps = scrfd::Maps {
                        stride,
                        scores: tensor(place, n)?,
                        boxes: tensor(place + 3, 4 * n)?,
                        landmarks: tensor(place + 6, 10 * n)?,
                    };
                    scrfd::decode_outputs(&maps, width, score, &mut found);
                }
            }
            Outputs::Retinaface => {
                let n = STRIDES.into_iter().map(|stride| retinaface::ANCHORS * cells(stride)).sum::<usize>();
                let maps = retinaface::Maps {
                    boxes: tensor(0, 4 * n)?,
                    scores: tensor(1, 2 * n)?,
                    landmarks: tensor(2, 10 * n)?,
                };
                retinaface::decode_outputs(&maps, size, score, &mut found);
            }
        }
        Ok(found)
    }

    /// The values of the output at `place` in the order of the family, which must have this length.
    fn find_tensor<'a>(
        &self,
        answer: &'a [Tensor],
        place: usize,
        length: usize,
    ) -> Result<&'a [f32], PictureError> {
        let name = self.tensors.get(place).map_or("", String::as_str);
        let tensor = answer.iter().find(|tensor| tensor.name == name).ok_or_else(|| {
            PictureError::Inference(format!(
                "the detector has no output `{name}`, which its manifest names for `outputs = {:?}`",
                self.outputs
            ))
        })?;
        if tensor.values.len() != length {
            return Err(PictureError::Inference(format!(
                "the detector's output `{name}` has {} numbers instead of {length}: it is not of the family {:?}",
                tensor.values.len(),
                self.outputs
            )));
        }
        Ok(&tensor.values)
    }
}

#[cfg(test)]
mod tests;
