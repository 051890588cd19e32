//! Decodes the outputs of RetinaFace (biubug6/Pytorch_Retinaface and its descendants): pure arithmetic.
//!
//! Each cell of a stride has two square anchors around the cell's centre. For each anchor there are the scores of "no face" and
//! "face", a box and five landmarks, relative to the anchor's centre and side. The formulas and variances are those of
//! `utils/box_utils.py` and `layers/functions/prior_box.py` there. The scores have gone through a softmax in the network.

use super::yunet::is_finite;
use everyframe_types::face::{Detection, Point, Rect};

/// The anchors of each cell.
pub(super) const ANCHORS: usize = 2;
/// The strides, and the sides of the anchors at each, pixels.
const LEVELS: [(usize, [f32; ANCHORS]); 3] = [(8, [16.0, 32.0]), (16, [64.0, 128.0]), (32, [256.0, 512.0])];
/// What offsets of a centre or a landmark are multiplied by.
const CENTRE_VARIANCE: f32 = 0.1;
/// What logarithms of sizes are multiplied by.
const SIZE_VARIANCE: f32 = 0.2;

/// The outputs of all strides: `n` anchors; by stride, then row by row, those of one cell together.
pub(super) struct Maps<'a> {
    /// `[n, 4]`: centre x and y, logarithm of width and height.
    pub boxes: &'a [f32],
    /// `[n, 2]`: the probabilities of no face and of a face.
    pub scores: &'a [f32],
    /// `[n, 10]`: x and y of each landmark.
    pub landmarks: &'a [f32],
}

/// Appends to `found` the detections of all anchors that score at least `score`, in pixels of the input of this height and width.
/// Detections that are not finite are left out.
pub(super) fn decode_outputs(
    maps: &Maps<'_>,
    (height, width): (usize, usize),
    score: f32,
    found: &mut Vec<Detection>,
) {
    let anchors = LEVELS.into_iter().flat_map(|(stride, sides)| {
        let (rows, columns) = (height / stride, width / stride);
        let centre = move |at: usize| (at as f32 + 0.5) * stride as f32;
        (0..rows * columns)
            .flat_map(move |cell| sides.map(|side| (centre(cell % columns), centre(cell / columns), side)))
    });
    let outputs = maps
        .boxes
        .as_chunks::<4>()
        .0
        .iter()
        .zip(maps.scores.as_chunks::<2>().0)
        .zip(maps.landmarks.as_chunks::<10>().0);
    for ((x, y, side), ((bounds, [_, value]), points)) in anchors.zip(outputs) {
        if value.is_nan() || *value < score {
            continue;
        }
        let (centre_x, centre_y) =
            (x + bounds[0] * CENTRE_VARIANCE * side, y + bounds[1] * CENTRE_VARIANCE * side);
        let size = |log: f32| side * (log * SIZE_VARIANCE).exp();
        let (width, height) = (size(bounds[2]), size(bounds[3]));
        let detection = Detection {
            bounds: Rect { x: centre_x - width / 2.0, y: centre_y - height / 2.0, width, height },
            landmarks: std::array::from_fn(|i| Point {
                x: x + points[2 * i] * CENTRE_VARIANCE * side,
                y: y + points[2 * i + 1] * CENTRE_VARIANCE * side,
            }),
            score: value.min(1.0),
        };
        if is_finite(&detection) {
            found.push(detection);
        }
    }
}
