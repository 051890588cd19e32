//! Decodes the outputs of YuNet: pure arithmetic.
//!
//! YuNet has outputs at three strides (8, 16, 32). For each cell of each stride, row by row: a class score and an object score, a
//! box and five landmarks, in units of the stride and relative to the cell. The formulas are those of OpenCV's `FaceDetectorYN` (`modules/objdetect/src/face_detect.cpp`).

use everyframe_types::face::{Detection, Point, Rect};

/// The outputs at one stride: `n` cells, row by row.
pub(super) struct Maps<'a> {
    /// Pixels of the input for each cell.
    pub stride: usize,
    /// `[n]`, 0 to 1: the class score (face).
    pub class: &'a [f32],
    /// `[n]`, 0 to 1: the object score.
    pub object: &'a [f32],
    /// `[n, 4]`: centre x and y, logarithm of width and height.
    pub boxes: &'a [f32],
    /// `[n, 10]`: x and y of each landmark.
    pub landmarks: &'a [f32],
}

/// Appends to `found` the detections of all cells that score at least `score`, in pixels of the input, which is `width` pixels
/// wide. Detections that are not finite are left out.
pub(super) fn decode_outputs(maps: &Maps<'_>, width: usize, score: f32, found: &mut Vec<Detection>) {
    let columns = (width / maps.stride).max(1);
    let stride = maps.stride as f32;
    let cells = maps
        .class
        .iter()
        .zip(maps.object)
        .zip(maps.boxes.chunks_exact(4).zip(maps.landmarks.chunks_exact(10)))
        .enumerate();
    // The score is the geometric mean of the two scores. Comparing squares saves the root of all that fail.
    let floor = score * score;
    for (cell, ((class, object), (bounds, points))) in cells {
        let squared = class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0);
        if squared.is_nan() || squared < floor {
            continue;
        }
        let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
        let (width, height) = (bounds[2].exp() * stride, bounds[3].exp() * stride);
        let x = (column + bounds[0]) * stride - width / 2.0;
        let y = (row + bounds[1]) * stride - height / 2.0;
        let point =
            |i: usize| Point { x: (points[2 * i] + column) * stride, y: (points[2 * i + 1] + row) * stride };
        let detection = Detection {
            bounds: Rect { x, y, width, height },
            landmarks: std::array::from_fn(point),
            score: squared.sqrt(),
        };
        if is_finite(&detection) {
            found.push(detection);
        }
    }
}

pub(super) fn is_finite(detection: &Detection) -> bool {
    let Rect { x, y, width, height } = detection.bounds;
    [x, y, width, height].iter().all(|v| v.is_finite())
        && detection.landmarks.iter().all(|p| p.x.is_finite() && p.y.is_finite())
}

/// Non-maximum suppression: of two detections that overlap by more than `overlap` (intersection over union), the better stays.
/// Returns the best first.
pub(super) fn non_max_suppression(mut found: Vec<Detection>, overlap: f32) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for detection in found {
        if kept.iter().all(|better| better.bounds.iou(&detection.bounds) <= overlap) {
            kept.push(detection);
        }
    }
    kept
}

/// Converts a detection from pixels of a scaled picture to pixels of the full-size picture.
pub(super) fn rescale(detection: &mut Detection, (across, down): (f32, f32)) {
    let bounds = &mut detection.bounds;
    bounds.x *= across;
    bounds.width *= across;
    bounds.y *= down;
    bounds.height *= down;
    for point in &mut detection.landmarks {
        point.x *= across;
        point.y *= down;
    }
}

/// Converts a detection from pixels of a part to pixels of the picture; `(x, y)` is the part's corner.
pub(super) fn shift(detection: &mut Detection, (x, y): (f32, f32)) {
    detection.bounds.x += x;
    detection.bounds.y += y;
    for point in &mut detection.landmarks {
        point.x += x;
        point.y += y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outputs at one stride for an input of 4 × 2 cells, all zero but for the values that a test sets.
    struct Fake {
        stride: usize,
        class: Vec<f32>,
        object: Vec<f32>,
        boxes: Vec<f32>,
        landmarks: Vec<f32>,
    }

    impl Fake {
        fn new(stride: usize) -> Self {
            let zero = |n: usize| vec![0.0; 8 * n];
            Self { stride, class: zero(1), object: zero(1), boxes: zero(4), landmarks: zero(10) }
        }

        fn maps(&self) -> Maps<'_> {
            Maps {
                stride: self.stride,
                class: &self.class,
                object: &self.object,
                boxes: &self.boxes,
                landmarks: &self.landmarks,
            }
        }

        fn decode(&self, score: f32) -> Vec<Detection> {
            let mut found = Vec::new();
            decode_outputs(&self.maps(), 4 * self.stride, score, &mut found);
            found
        }
    }

    #[test]
    fn a_cell_becomes_a_box_and_landmarks_in_pixels() {
        let mut fake = Fake::new(16);
        // Row 1, column 2.
        fake.class[6] = 0.9;
        fake.object[6] = 0.4;
        fake.boxes[24..28].copy_from_slice(&[0.5, 0.25, 2f32.ln(), 3f32.ln()]);
        fake.landmarks[60..70].copy_from_slice(&[0.0, 0.0, 1.0, 0.0, 0.5, 0.5, 0.0, 1.0, -1.0, 2.0]);
        let found = fake.decode(0.59);
        assert_eq!(found.len(), 1);
        let face = &found[0];
        assert!((face.score - 0.6).abs() < 1e-6);
        let expected = [(2.5 * 16.0 - 16.0), (1.25 * 16.0 - 24.0), 32.0, 48.0];
        let bounds = [face.bounds.x, face.bounds.y, face.bounds.width, face.bounds.height];
        for (is, should) in bounds.into_iter().zip(expected) {
            assert!((is - should).abs() < 1e-3, "{bounds:?} is not {expected:?}");
        }
        assert_eq!(face.landmarks[0], Point { x: 32.0, y: 16.0 });
        assert_eq!(face.landmarks[1], Point { x: 48.0, y: 16.0 });
        assert_eq!(face.landmarks[4], Point { x: 16.0, y: 48.0 });
    }

    #[test]
    fn scores_are_clamped_and_compared_with_the_floor() {
        let mut fake = Fake::new(8);
        (fake.class[0], fake.object[0]) = (1.7, 1.2);
        (fake.class[1], fake.object[1]) = (-3.0, -3.0);
        (fake.class[2], fake.object[2]) = (0.5, 0.5);
        let scores = |floor| fake.decode(floor).iter().map(|d| d.score).collect::<Vec<_>>();
        assert_eq!(scores(0.6), [1.0]);
        assert_eq!(scores(0.5), [1.0, 0.5]);
    }

    #[test]
    fn nan_and_infinity_are_no_faces() {
        let mut fake = Fake::new(8);
        (fake.class[0], fake.object[0]) = (f32::NAN, 1.0);
        (fake.class[1], fake.object[1]) = (1.0, 1.0);
        fake.boxes[6] = 1000.0;
        (fake.class[2], fake.object[2]) = (1.0, 1.0);
        fake.landmarks[20] = f32::INFINITY;
        assert!(fake.decode(0.1).is_empty());
    }

    #[test]
    fn of_overlapping_boxes_the_best_stays() {
        let face = |x: f32, score: f32| Detection {
            bounds: Rect { x, y: 0.0, width: 10.0, height: 10.0 },
            landmarks: Default::default(),
            score,
        };
        let kept =
            non_max_suppression(vec![face(1.0, 0.7), face(0.0, 0.9), face(30.0, 0.8), face(9.0, 0.6)], 0.3);
        assert_eq!(kept.iter().map(|d| d.score).collect::<Vec<_>>(), [0.9, 0.8, 0.6]);
    }

    #[test]
    fn a_detection_grows_with_the_picture() {
        let mut face = Detection {
            bounds: Rect { x: 1.0, y: 2.0, width: 3.0, height: 4.0 },
            landmarks: [Point { x: 5.0, y: 6.0 }; 5],
            score: 0.5,
        };
        rescale(&mut face, (2.0, 3.0));
        assert_eq!(face.bounds, Rect { x: 2.0, y: 6.0, width: 6.0, height: 12.0 });
        assert_eq!(face.landmarks[0], Point { x: 10.0, y: 18.0 });
    }
}
