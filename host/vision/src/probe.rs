//! The probe: inputs with which providers are measured, and the comparison of their outputs.
//!
//! Each input is a drawn face. Noise would do for measuring time, but not for the comparison: a detector's boxes mean something
//! only where there is a face.

use opencv::core::{Mat, MatTraitConstManual, Point, Scalar, Size};
use opencv::imgproc::{self, FILLED, LINE_AA};

use super::align::{SIDE, TEMPLATE};
use super::error::PictureError;
use super::manifest::{Kind, Manifest};
use super::network::{Network, Tensor};
use super::outputs::{OutputDecoder, STRIDES};
use super::preprocess::Planes;
use super::yunet::non_max_suppression;
use everyframe_types::face::{Detection, Embedding};

/// The least cosine of two embeddings of the same input. Two pictures of one person have at least 0.363 (OpenCV's
/// FaceRecognizerSF); the same picture in another precision is far nearer.
const SAME_EMBEDDING: f32 = 0.999;
/// The largest difference of two scores of the same face.
const SAME_SCORE: f32 = 0.03;
/// The least intersection over union of two boxes of the same face.
const SAME_BOX: f32 = 0.9;
/// Detections of a lower score are not compared.
const MIN_SCORE: f32 = 0.5;

/// The sizes at which a model of this kind is used: width and height of the picture, pixels. A detector searches whole pictures
/// of cameras, mostly 16:9; parts of pictures, which have any size, are run by ONNX Runtime's own provider.
pub(super) fn input_sizes(kind: Kind, max_side: u32) -> Vec<(i32, i32)> {
    let side = i32::try_from(max_side).unwrap_or(i32::MAX / 2).max(64);
    match kind {
        Kind::Detector => vec![(side, side * 9 / 16)],
        Kind::Embedder => vec![(SIDE as i32, SIDE as i32)],
    }
}

/// One input for each size, and the comparison of outputs for them.
pub(super) struct Probe {
    inputs: Vec<Planes>,
    outputs: OutputDecoder,
    kind: Kind,
}

impl Probe {
    /// The probe for a model, with inputs of these widths and heights.
    pub fn new(manifest: &Manifest, sizes: &[(i32, i32)]) -> opencv::Result<Self> {
        let [_, _, widest] = STRIDES;
        let multiple = if manifest.kind == Kind::Detector { widest } else { 1 };
        let mut inputs = Vec::new();
        for (width, height) in sizes.iter().copied() {
            let picture = draw_face(width, height)?;
            let mut input = Planes::for_model(manifest);
            input.reshape(1, (height as usize, width as usize), multiple);
            input.write(0, picture.data_bytes()?);
            inputs.push(input);
        }
        Ok(Self { inputs, outputs: OutputDecoder::new(manifest), kind: manifest.kind })
    }

    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Runs a network on one of the inputs.
    ///
    /// # Errors
    ///
    /// Inference failed: the provider cannot be used.
    pub fn run<'a>(&self, network: &'a mut dyn Network, input: usize) -> Result<&'a [Tensor], PictureError> {
        network.run(&self.inputs[input])
    }

    /// Runs a network on all inputs.
    ///
    /// # Errors
    ///
    /// As [`Probe::run`].
    pub fn run_all(&self, network: &mut dyn Network) -> Result<Vec<Vec<Tensor>>, PictureError> {
        self.inputs.iter().map(|input| network.run(input).map(<[Tensor]>::to_vec)).collect()
    }

    /// Compares the outputs of all inputs with the reference.
    ///
    /// # Errors
    ///
    /// They differ: the reason for which the provider cannot be used.
    pub fn compare(&self, reference: &[Vec<Tensor>], answers: &[Vec<Tensor>]) -> Result<(), String> {
        for ((input, reference), answer) in self.inputs.iter().zip(reference).zip(answers) {
            match self.kind {
                Kind::Embedder => compare_embeddings(reference, answer)?,
                Kind::Detector => {
                    let [_, _, height, width] = input.shape();
                    let read = |answer: &[Tensor]| {
                        let found = self.outputs.decode(answer, (height, width), MIN_SCORE);
                        found.map(|found| non_max_suppression(found, 0.3)).map_err(|e| e.to_string())
                    };
                    compare_detections(&read(reference)?, &read(answer)?)
                        .map_err(|reason| format!("{reason} (input {width} × {height})"))?;
                }
            }
        }
        Ok(())
    }
}

pub(super) fn compare_embeddings(reference: &[Tensor], answer: &[Tensor]) -> Result<(), String> {
    let read = |answer: &[Tensor]| answer.first().and_then(|t| Embedding::from_raw(&t.values));
    let (Some(reference), Some(answer)) = (read(reference), read(answer)) else {
        return Err("the output is not an embedding".into());
    };
    let cosine = reference.similarity(&answer);
    if cosine >= SAME_EMBEDDING {
        Ok(())
    } else {
        Err(format!("its embedding differs: cosine {cosine:.5}, wanted {SAME_EMBEDDING}"))
    }
}

pub(super) fn compare_detections(reference: &[Detection], answer: &[Detection]) -> Result<(), String> {
    if reference.len() != answer.len() {
        return Err(format!("it finds {} faces, the reference {}", answer.len(), reference.len()));
    }
    for (one, other) in reference.iter().zip(answer) {
        let (apart, overlap) = ((one.score - other.score).abs(), one.bounds.iou(&other.bounds));
        if apart > SAME_SCORE || overlap < SAME_BOX {
            return Err(format!("its face differs: score by {apart:.3}, boxes overlap by {overlap:.3}"));
        }
    }
    Ok(())
}

/// Draws a face in the middle of a picture, aligned to the embedder's template.
fn draw_face(width: i32, height: i32) -> opencv::Result<Mat> {
    let scale = f64::from(height.min(width)) / SIDE as f64 * if width > 2 * SIDE as i32 { 0.5 } else { 1.0 };
    let corner =
        ((f64::from(width) - scale * SIDE as f64) / 2.0, (f64::from(height) - scale * SIDE as f64) / 2.0);
    let point = |x: f64, y: f64| {
        Point::new((corner.0 + scale * x).round() as i32, (corner.1 + scale * y).round() as i32)
    };
    let size = |x: f64, y: f64| Size::new((scale * x).round() as i32, (scale * y).round() as i32);
    let ink = |b: f64, g: f64, r: f64| Scalar::new(b, g, r, 0.0);
    let mut picture =
        Mat::new_rows_cols_with_default(height, width, opencv::core::CV_8UC3, ink(150.0, 140.0, 120.0))?;
    let mut ellipse = |centre: Point, axes: Size, from: f64, to: f64, colour: Scalar, thick: i32| {
        imgproc::ellipse(&mut picture, centre, axes, 0.0, from, to, colour, thick, LINE_AA, 0)
    };
    let (skin, shade) = (ink(150.0, 180.0, 225.0), ink(110.0, 140.0, 190.0));
    let (hair, lips) = (ink(30.0, 40.0, 60.0), ink(90.0, 90.0, 180.0));
    let line = (1.5 * scale).ceil() as i32;
    ellipse(point(56.0, 128.0), size(48.0, 30.0), 0.0, 360.0, ink(120.0, 60.0, 40.0), FILLED)?;
    ellipse(point(56.0, 108.0), size(17.0, 25.0), 0.0, 360.0, shade, FILLED)?;
    ellipse(point(56.0, 52.0), size(44.0, 54.0), 0.0, 360.0, hair, FILLED)?;
    ellipse(point(56.0, 64.0), size(37.0, 50.0), 0.0, 360.0, skin, FILLED)?;
    for eye in [TEMPLATE[0], TEMPLATE[1]] {
        let (x, y) = (f64::from(eye.x), f64::from(eye.y));
        ellipse(point(x, y + 1.0), size(10.0, 7.0), 0.0, 360.0, shade, FILLED)?;
        ellipse(point(x, y), size(7.0, 3.6), 0.0, 360.0, ink(235.0, 235.0, 235.0), FILLED)?;
        ellipse(point(x, y), size(3.4, 3.4), 0.0, 360.0, ink(40.0, 50.0, 60.0), FILLED)?;
        ellipse(point(x, y - 7.0), size(10.0, 4.0), 190.0, 350.0, hair, 2 * line)?;
    }
    let nose = (f64::from(TEMPLATE[2].x), f64::from(TEMPLATE[2].y));
    ellipse(point(nose.0, nose.1 - 10.0), size(4.0, 14.0), 0.0, 180.0, shade, line)?;
    ellipse(point(nose.0, nose.1 + 3.0), size(7.0, 4.0), 0.0, 180.0, shade, FILLED)?;
    let mouth = (56.0, f64::from(TEMPLATE[3].y));
    ellipse(point(mouth.0, mouth.1), size(14.6, 5.0), 0.0, 360.0, lips, FILLED)?;
    ellipse(point(mouth.0, mouth.1), size(14.6, 1.2), 0.0, 360.0, hair, FILLED)?;
    let mut soft = Mat::default();
    let border = opencv::core::BORDER_DEFAULT;
    imgproc::gaussian_blur(&picture, &mut soft, Size::default(), 0.8 * scale, 0.0, border)?;
    Ok(soft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_types::face::Rect;

    fn embedding(values: &[f32]) -> Vec<Tensor> {
        vec![Tensor { name: "fc1".into(), values: values.to_vec() }]
    }

    fn detection(x: f32, score: f32) -> Detection {
        Detection {
            bounds: Rect { x, y: 0.0, width: 100.0, height: 100.0 },
            landmarks: Default::default(),
            score,
        }
    }

    #[test]
    fn embeddings_of_one_direction_agree() {
        let reference = embedding(&[3.0, 4.0]);
        assert_eq!(compare_embeddings(&reference, &embedding(&[6.0, 8.01])), Ok(()));
        assert!(compare_embeddings(&reference, &embedding(&[3.0, 4.5])).unwrap_err().contains("cosine 0.99"));
        assert!(compare_embeddings(&reference, &embedding(&[f32::NAN, 4.0])).is_err());
        assert!(compare_embeddings(&reference, &[]).is_err());
    }

    #[test]
    fn detections_agree_in_number_score_and_box() {
        let reference = [detection(0.0, 0.9)];
        assert_eq!(compare_detections(&reference, &[detection(1.0, 0.91)]), Ok(()));
        assert!(compare_detections(&reference, &[]).is_err());
        assert!(compare_detections(&reference, &[detection(1.0, 0.8)]).is_err());
        assert!(compare_detections(&reference, &[detection(20.0, 0.9)]).is_err());
    }

    #[test]
    fn a_detector_is_measured_at_both_of_its_sizes() {
        assert_eq!(input_sizes(Kind::Detector, 640), [(640, 360)]);
        assert_eq!(input_sizes(Kind::Embedder, 640), [(112, 112)]);
    }

    #[test]
    fn the_drawn_face_is_in_the_middle() {
        for (width, height) in [(112, 112), (320, 180), (640, 360)] {
            let picture = draw_face(width, height).unwrap();
            let bytes = picture.data_bytes().unwrap();
            let at = |x: i32, y: i32| bytes[((y * width + x) * 3 + 2) as usize];
            assert!(at(width / 2, height / 2) > 150, "skin in the middle of {width} × {height}");
        }
    }
}
