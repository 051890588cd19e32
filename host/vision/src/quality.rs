//! How well a detected face can be recognised.

use super::align::{GreyCrop, SIDE, TEMPLATE};
use everyframe_types::face::{Detection, Point};

/// The distance between the eyes in the aligned crop, pixels. A smaller face is enlarged for the embedder and lacks detail.
const EYE_DISTANCE: f32 = TEMPLATE[1].x - TEMPLATE[0].x;

/// The part of the crop that shows the face without hair and background: left, top, right, bottom, pixels of the crop.
const FACE: [usize; 4] = [24, 36, 88, 104];
/// Distance of the pixels that `sharpness` compares, pixels of the crop. The embedder needs no finer detail: a face of 28 pixels,
/// enlarged to the crop, is as sharp at this distance as one of 112.
const DETAIL: usize = 4;
/// The detail of a face that is blurred beyond recognition, and that of one that is sharp enough. In ORL, blur that reduces the
/// cosine to the person's other pictures from 0.79 to 0.64, 0.24 and 0.11 reduces the detail from 1.9 to 1.0, 0.48 and 0.34. In the
/// footage and the stills it is 1.75 or more.
const BLURRED: f32 = 0.25;
const SHARP: f32 = 1.0;
/// The standard deviation of the brightness (0 to 255) of a face without and with enough contrast. In ORL, faces are recognised as
/// well with 8 as with 34; with 3.5 the cosine to the person's other pictures is 0.6 instead of 0.79, with 2 it is 0.27.
const FLAT: f32 = 1.0;
const CONTRAST: f32 = 8.0;
/// Pixels of at least this brightness are overexposed. Black pixels do not count, because the crop is black outside the picture;
/// an underexposed face has too little contrast.
const WHITE: u8 = 251;
/// This share of a face may be overexposed without loss, 0 to 1. In ORL, overexposure of 21, 56 and 87 % of the face reduces the
/// cosine to the person's other pictures from 0.79 to 0.73, 0.56 and 0.32.
const MAX_WHITE: f32 = 0.2;

/// How well a face can be recognised, by component: each is 0 (not at all) to 1 (without loss).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// The detector's score, which falls with blur, darkness and things in front of the face.
    pub score: f32,
    /// The longer of eye to eye and eyes to mouth (the other shrinks when the head turns), as a share of its length in the
    /// aligned crop; 1 from about 35 pixels between the eyes, which a face of 95 pixels of height has.
    pub size: f32,
    /// 1 from the front, falling to 0 in profile and when the head is bent so far that the nose is level with the eyes or the
    /// mouth. A head leaned to the shoulder loses nothing, because alignment turns it upright.
    pub pose: f32,
    /// The share of the face's box that is within the picture.
    pub visible: f32,
    /// The detail of the aligned crop in relation to its contrast.
    pub sharpness: f32,
    /// Contrast, and the share of the face that is not overexposed.
    pub exposure: f32,
    /// True if the face is rather dark than bright.
    is_dark: bool,
}

/// The component of a quality that is lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// The detector is not sure: something may cover the face.
    Covered,
    /// The face has too few pixels.
    Small,
    /// The head is turned or bent.
    TurnedAway,
    /// The edge of the picture cuts the face.
    CutOff,
    /// The face is blurred.
    Blurred,
    /// The face is too dark.
    Dark,
    /// The face is too bright.
    Bright,
}

impl Quality {
    /// The quality of a face in a picture of `width` × `height` pixels.
    pub(super) fn new(detection: &Detection, (width, height): (u32, u32), crop: &CropQuality) -> Self {
        let unit = |value: f32| if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
        Self {
            score: unit(detection.score),
            size: unit(size(&detection.landmarks)),
            pose: unit(pose(&detection.landmarks)),
            visible: unit(visible(detection, width as f32, height as f32)),
            sharpness: crop.sharpness,
            exposure: crop.exposure,
            is_dark: crop.is_dark,
        }
    }

    /// The quality as one number, 0 (cannot be recognised) to 1: the product of the components.
    pub fn value(&self) -> f32 {
        self.score * self.size * self.pose * self.visible * self.sharpness * self.exposure
    }

    /// The lowest component.
    pub fn weakness(&self) -> Weakness {
        let exposure = if self.is_dark { Weakness::Dark } else { Weakness::Bright };
        let mut lowest = (self.score, Weakness::Covered);
        for component in [
            (self.size, Weakness::Small),
            (self.pose, Weakness::TurnedAway),
            (self.visible, Weakness::CutOff),
            (self.sharpness, Weakness::Blurred),
            (self.exposure, exposure),
        ] {
            if component.0 < lowest.0 {
                lowest = component;
            }
        }
        lowest.1
    }
}

/// The components that the aligned crop shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CropQuality {
    sharpness: f32,
    exposure: f32,
    is_dark: bool,
}

impl CropQuality {
    /// Measures an aligned face.
    pub fn of_crop(crop: &GreyCrop) -> Self {
        let [left, top, right, bottom] = FACE;
        let (mut sum, mut squares, mut details, mut white) = (0u32, 0u32, 0u64, 0u32);
        for y in top..bottom {
            let row = |y: usize, x: usize| &crop[y * SIDE + x..y * SIDE + x + (right - left)];
            let horizontal = row(y, left - DETAIL).iter().zip(row(y, left + DETAIL));
            let vertical = row(y - DETAIL, left).iter().zip(row(y + DETAIL, left));
            // The sum of a row fits 32 bits, of which a register of the processor holds twice as many as of 64.
            let mut row_details = 0u32;
            for ((&pixel, (a, b)), (c, d)) in row(y, left).iter().zip(horizontal).zip(vertical) {
                let value = u32::from(pixel);
                let around = [a, b, c, d].map(|pixel| u32::from(*pixel)).iter().sum::<u32>();
                sum += value;
                squares += value * value;
                row_details += (4 * value).abs_diff(around).pow(2);
                white += u32::from(pixel >= WHITE);
            }
            details += u64::from(row_details);
        }
        let count = ((right - left) * (bottom - top)) as f32;
        let mean = sum as f32 / count;
        let deviation = (squares as f32 / count - mean * mean).max(0.0).sqrt();
        let detail = (details as f32 / count).sqrt() / deviation.max(FLAT);
        let unclipped = (1.0 - white as f32 / count) / (1.0 - MAX_WHITE);
        Self {
            sharpness: share(detail, BLURRED, SHARP),
            exposure: share(deviation, FLAT, CONTRAST) * unclipped.min(1.0),
            is_dark: mean < 128.0,
        }
    }
}

/// Where `value` is between `none` (0) and `full` (1).
fn share(value: f32, none: f32, full: f32) -> f32 {
    ((value - none) / (full - none)).clamp(0.0, 1.0)
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

    const GOOD_CROP: CropQuality = CropQuality { sharpness: 1.0, exposure: 1.0, is_dark: false };

    fn quality_of(detection: &Detection) -> f32 {
        Quality::new(detection, (1000, 1000), &GOOD_CROP).value()
    }

    /// A crop whose brightness at (x, y) is given.
    fn crop(brightness: impl Fn(f32, f32) -> f32) -> GreyCrop {
        std::array::from_fn(|at| brightness((at % SIDE) as f32, (at / SIDE) as f32) as u8)
    }

    /// Waves of this length, pixels.
    fn waves(length: f32, contrast: f32) -> CropQuality {
        let angle = std::f32::consts::TAU / length;
        CropQuality::of_crop(&crop(|x, y| 128.0 + contrast * ((angle * x).sin() + (angle * y).sin()) / 2.0))
    }

    #[test]
    fn coarse_waves_are_blurred_and_fine_ones_sharp() {
        let lengths = [8.0, 30.0, 50.0, 100.0];
        let [fine, medium, coarse, blurred] = lengths.map(|length| waves(length, 80.0).sharpness);
        assert_eq!(fine, 1.0);
        assert!(fine > medium && medium > coarse && coarse >= blurred, "{medium} {coarse} {blurred}");
        assert_eq!(blurred, 0.0);
    }

    #[test]
    fn contrast_does_not_change_sharpness() {
        assert!((waves(30.0, 100.0).sharpness - waves(30.0, 25.0).sharpness).abs() < 0.03);
    }

    #[test]
    fn a_face_without_contrast_has_no_exposure() {
        let exposures = [100.0, 20.0, 8.0, 1.0].map(|contrast| waves(30.0, contrast).exposure);
        assert_eq!((exposures[0], exposures[3]), (1.0, 0.0));
        assert!(exposures[1] >= exposures[2] && exposures[2] > exposures[3], "{exposures:?}");
    }

    #[test]
    fn an_overexposed_face_is_too_bright() {
        let overexposed = crop(|x, y| if (x + y) % 10.0 < 6.0 { 255.0 } else { 180.0 });
        let overexposed = CropQuality::of_crop(&overexposed);
        assert!((0.4..0.6).contains(&overexposed.exposure), "{overexposed:?}");
        let quality = Quality::new(&face(2.0, 100.0, 100.0), (1000, 1000), &overexposed);
        assert_eq!(quality.weakness(), Weakness::Bright);
    }

    #[test]
    fn the_weakness_is_the_lowest_component() {
        let good = face(2.0, 100.0, 100.0);
        let weakness = |detection: &Detection, crop: &CropQuality| {
            Quality::new(detection, (1000, 1000), crop).weakness()
        };
        assert_eq!(weakness(&good, &GOOD_CROP), Weakness::Covered);
        assert_eq!(weakness(&face(0.5, 100.0, 100.0), &GOOD_CROP), Weakness::Small);
        assert_eq!(weakness(&face(2.0, -120.0, 100.0), &GOOD_CROP), Weakness::CutOff);
        assert_eq!(weakness(&good, &CropQuality { sharpness: 0.5, ..GOOD_CROP }), Weakness::Blurred);
        let dark = CropQuality { exposure: 0.2, is_dark: true, ..GOOD_CROP };
        assert_eq!(weakness(&good, &dark), Weakness::Dark);
        let mut turned = good.clone();
        turned.landmarks[2].x += 25.0;
        assert_eq!(weakness(&turned, &GOOD_CROP), Weakness::TurnedAway);
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
            let quality = Quality::new(&detection, (640, 480), &GOOD_CROP).value();
            prop_assert!((0.0..=1.0).contains(&quality), "{quality}");
        }
    }
}
