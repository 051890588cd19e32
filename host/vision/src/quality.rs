//! How well a detected face can be recognised.

use super::align::TEMPLATE;
use everyframe_types::face::{Detection, Point};

/// The distance between the eyes in the aligned crop, pixels. A smaller face is enlarged for the embedder and lacks detail.
const EYE_DISTANCE: f32 = TEMPLATE[1].x - TEMPLATE[0].x;

/// How well a face can be recognised, 0 (not at all) to 1: score × size × pose × how much of it is in the picture.
///
/// - score: the detector's, which falls with blur, darkness and things in front of the face.
/// - size: the longer of eye to eye and eyes to mouth (the other shrinks when the head turns), as a share of its
///   length in the aligned crop; 1 from about 35 pixels between the eyes.
/// - pose: 1 from the front, falling to 0 in profile and when the head is bent so far that the nose is level with
///   the eyes or the mouth. A head leaned to the shoulder loses nothing, because alignment turns it upright.
/// - in the picture: the share of the box that is within `width` × `height`, the size of the picture in pixels.
pub fn quality(detection: &Detection, width: u32, height: u32) -> f32 {
    let quality = detection.score.clamp(0.0, 1.0)
        * size(&detection.landmarks)
        * pose(&detection.landmarks)
        * visible(detection, width as f32, height as f32);
    if quality.is_finite() { quality.clamp(0.0, 1.0) } else { 0.0 }
}

fn middle(a: Point, b: Point) -> Point {
    Point { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0 }
}

fn from_to(a: Point, b: Point) -> (f32, f32) {
    (b.x - a.x, b.y - a.y)
}

fn dot(a: (f32, f32), b: (f32, f32)) -> f32 {
    a.0 * b.0 + a.1 * b.1
}

fn size(landmarks: &[Point; 5]) -> f32 {
    let [right, left, _, mouth_right, mouth_left] = *landmarks;
    let eyes = from_to(right, left);
    let down = from_to(middle(right, left), middle(mouth_right, mouth_left));
    // In the template the mouth is 1.16 times as far from the eyes as they are from each other.
    let down_share = (TEMPLATE[3].y - TEMPLATE[0].y) / EYE_DISTANCE;
    (dot(eyes, eyes).sqrt().max(dot(down, down).sqrt() / down_share) / EYE_DISTANCE).min(1.0)
}

fn pose(landmarks: &[Point; 5]) -> f32 {
    let [right, left, nose, mouth_right, mouth_left] = *landmarks;
    let across = from_to(middle(right, mouth_right), middle(left, mouth_left));
    let eyes = middle(right, left);
    let down = from_to(eyes, middle(mouth_right, mouth_left));
    let centre = middle(eyes, middle(mouth_right, mouth_left));
    // The nose tip stands out of the plane of eyes and mouth, so it moves against them when the head turns.
    let sideways = dot(from_to(centre, nose), across) / dot(across, across);
    let lengthways = dot(from_to(centre, nose), down) / dot(down, down);
    // ±½ is the edge of the square of eyes and mouth.
    let frontal = |offset: f32| (1.0 - 4.0 * offset * offset).max(0.0);
    frontal(sideways) * frontal(lengthways)
}

fn visible(detection: &Detection, width: f32, height: f32) -> f32 {
    let bounds = detection.bounds;
    let inside = |start: f32, length: f32, limit: f32| {
        ((start + length).min(limit) - start.max(0.0)).max(0.0) / length
    };
    inside(bounds.x, bounds.width, width) * inside(bounds.y, bounds.height, height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_types::face::Rect;
    use proptest::prelude::*;

    /// A frontal face at (x, y), as large as the template times `scale`.
    fn face(scale: f32, x: f32, y: f32) -> Detection {
        let landmarks = TEMPLATE.map(|p| Point { x: p.x * scale + x, y: p.y * scale + y });
        let bounds =
            Rect { x: x + 20.0 * scale, y: y + 15.0 * scale, width: 72.0 * scale, height: 95.0 * scale };
        Detection { bounds, landmarks, score: 0.9 }
    }

    fn quality_of(detection: &Detection) -> f32 {
        quality(detection, 1000, 1000)
    }

    #[test]
    fn a_large_frontal_face_has_the_quality_of_its_score() {
        assert!((quality_of(&face(2.0, 100.0, 100.0)) - 0.9).abs() < 0.02);
    }

    #[test]
    fn a_small_face_has_less() {
        let (large, small) = (quality_of(&face(1.0, 100.0, 100.0)), quality_of(&face(0.5, 100.0, 100.0)));
        assert!((small / large - 0.5).abs() < 0.02, "{small} {large}");
    }

    #[test]
    fn a_turned_head_has_less_and_a_profile_none() {
        let frontal = face(2.0, 100.0, 100.0);
        let turned = |by: f32| {
            let mut turned = frontal.clone();
            turned.landmarks[2].x += by;
            quality_of(&turned)
        };
        let (a_little, more, profile) = (turned(8.0), turned(20.0), turned(40.0));
        assert!(quality_of(&frontal) > a_little && a_little > more && more > profile);
        assert_eq!(profile, 0.0);
    }

    #[test]
    fn leaning_the_head_costs_nothing() {
        let upright = face(2.0, 300.0, 300.0);
        let mut leaning = upright.clone();
        let centre = upright.landmarks[2];
        let (sin, cos) = 0.6f32.sin_cos();
        for point in &mut leaning.landmarks {
            let (x, y) = (point.x - centre.x, point.y - centre.y);
            *point = Point { x: centre.x + cos * x - sin * y, y: centre.y + sin * x + cos * y };
        }
        assert!((quality_of(&upright) - quality_of(&leaning)).abs() < 1e-3);
    }

    #[test]
    fn a_face_half_outside_the_picture_has_half() {
        let mut half = face(2.0, 100.0, 100.0);
        let whole = quality_of(&half);
        half.bounds.x = -half.bounds.width / 2.0;
        assert!((quality_of(&half) / whole - 0.5).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn any_input_gives_a_quality_from_0_to_1(
            values in prop::array::uniform15(prop_oneof![any::<f32>(), Just(0.0), -10f32..10.0]),
        ) {
            let detection = Detection {
                bounds: Rect { x: values[0], y: values[1], width: values[2], height: values[3] },
                landmarks: std::array::from_fn(|i| Point { x: values[4 + 2 * i], y: values[5 + 2 * i] }),
                score: values[14],
            };
            let quality = quality(&detection, 640, 480);
            prop_assert!((0.0..=1.0).contains(&quality), "{quality}");
        }
    }
}
