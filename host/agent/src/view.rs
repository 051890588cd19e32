//! What a picture shows, in short: whether it is the same as the one before, and whether it is black.

use super::planes::Plane;
use everyframe_vision::decode_smallest;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Every so many rows and columns of a decoded picture are looked at.
const STEP: usize = 8;
/// A picture is black if its luma is at most this, 0 to 255: a camera's black has noise, and a few samples are brighter.
const BLACK: u8 = 24;
/// The share of samples of a black picture that may be brighter: a clock in its corner.
const BRIGHT_SHARE: f64 = 0.02;

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Equal for equal pictures.
    pub fingerprint: u64,
    /// True if there is nothing to see.
    pub is_black: bool,
}

impl View {
    /// Of a decoded picture.
    pub(super) fn of_luma(luma: &Plane) -> Self {
        let rows = luma.samples.chunks_exact(luma.stride.max(1)).take(luma.height).step_by(STEP);
        let samples: Vec<u8> = rows.flat_map(|row| row[..luma.width].iter().step_by(STEP).copied()).collect();
        Self::of_samples(&samples, &samples)
    }

    /// Of an encoded picture. It costs a decoding at an eighth of the size.
    pub(super) fn of_encoded(picture: &[u8]) -> Option<Self> {
        let bgr = decode_smallest(picture)?;
        // Green stands for brightness.
        let luma: Vec<u8> = bgr.chunks_exact(3).map(|pixel| pixel[1]).collect();
        Some(Self::of_samples(picture, &luma))
    }

    fn of_samples(content: &[u8], luma: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let bright = luma.iter().filter(|sample| **sample > BLACK).count();
        let is_black = !luma.is_empty() && bright as f64 <= BRIGHT_SHARE * luma.len() as f64;
        Self { fingerprint: hasher.finish(), is_black }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_video::picture;

    #[test]
    fn equal_pictures_have_equal_views() {
        let view = |shade| View::of_encoded(&picture(".jpg", shade)).unwrap();
        assert_eq!(view(20), view(20));
        assert_ne!(view(20).fingerprint, view(21).fingerprint);
        assert_eq!(View::of_encoded(b"no picture"), None);
    }

    #[test]
    fn a_black_picture_may_show_a_clock() {
        let mut luma = Plane::default();
        luma.resize(640, 480, 16);
        luma.samples.fill(17);
        assert!(View::of_luma(&luma).is_black);
        for row in luma.samples.chunks_exact_mut(640).take(40) {
            row[..100].fill(235);
        }
        assert!(View::of_luma(&luma).is_black);
        luma.samples[..640 * 100].fill(60);
        assert!(!View::of_luma(&luma).is_black);
    }
}
