//! Decodes the outputs of SCRFD: pure arithmetic.
//!
//! Each cell of a stride has two anchors with the same centre, the cell's corner. For each anchor there are a score, the distances
//! from the centre to the four sides of the box, and the offsets of five landmarks from the centre, in units of the stride. The
//! formulas are those of InsightFace's `scrfd.py` (`distance2bbox`, `distance2kps`).

use super::yunet::is_finite;
use everyframe_types::face::{Detection, Point, Rect};

/// The anchors of each cell.
pub(super) const ANCHORS: usize = 2;

/// The outputs at one stride: `n` anchors, row by row, those of one cell together.
pub(super) struct Maps<'a> {
    /// Pixels of the input for each cell.
    pub stride: usize,
    /// `[n]`, 0 to 1.
    pub scores: &'a [f32],
    /// `[n, 4]`: distances to the left, upper, right and lower side.
    pub boxes: &'a [f32],
    /// `[n, 10]`: x and y of each landmark.
    pub landmarks: &'a [f32],
}

/// Appends to `found` the detections of all anchors that score at least `score`, in pixels of the input, which is `width` pixels
/// wide. Detections that are not finite are left out.
pub(super) fn decode_outputs(maps: &Maps<'_>, width: usize, score: f32, found: &mut Vec<Detection>) {
    let columns = (width / maps.stride).max(1);
    let stride = maps.stride as f32;
    let anchors =
        maps.scores.iter().zip(maps.boxes.as_chunks::<4>().0.iter().zip(maps.landmarks.as_chunks::<10>().0));
    for (anchor, (value, (sides, points))) in anchors.enumerate() {
        if value.is_nan() || *value < score {
            continue;
        }
        let cell = anchor / ANCHORS;
        let (x, y) = ((cell % columns) as f32 * stride, (cell / columns) as f32 * stride);
        let [left, upper, right, lower] = sides.map(|side| side * stride);
        let detection = Detection {
            bounds: Rect { x: x - left, y: y - upper, width: left + right, height: upper + lower },
            landmarks: std::array::from_fn(|i| Point {
                x: x + points[2 * i] * stride,
                y: y + points[2 * i + 1] * stride,
            }),
            score: value.min(1.0),
        };
        if is_finite(&detection) {
            found.push(detection);
        }
    }
}
