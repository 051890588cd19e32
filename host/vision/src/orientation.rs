//! The EXIF orientation of a picture, and how to make it upright: one type for all formats.

use exif::{In, Reader, Tag};
use opencv::core::{self, Mat};
use std::panic::catch_unwind;

/// The prefix of EXIF data: always in JPEG, and in WebP by mistake of some writers.
const PREFIX: &[u8] = b"Exif\0\0";

/// The value of EXIF's orientation tag (TIFF 6.0, page 36).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Orientation {
    /// Upright as stored.
    #[default]
    Upright = 1,
    /// Mirrored horizontally.
    MirroredAcross = 2,
    /// Rotated by 180 degrees.
    HalfTurn = 3,
    /// Mirrored vertically.
    MirroredDown = 4,
    /// Transposed: rows are stored as columns.
    Transposed = 5,
    /// To be rotated clockwise by 90 degrees.
    QuarterTurn = 6,
    /// Transposed along the other diagonal.
    Transversed = 7,
    /// To be rotated clockwise by 270 degrees.
    ThreeQuarterTurn = 8,
}

impl Orientation {
    /// Reads the orientation from EXIF data, with or without the prefix `Exif\0\0`. Unreadable data, or data without an
    /// orientation, count as upright, as in viewers.
    pub fn from_exif(data: &[u8]) -> Self {
        let tiff = data.strip_prefix(PREFIX).unwrap_or(data);
        // As with the decoders: a panic of another project's code must not end an agent.
        match catch_unwind(|| orientation_value(tiff)).ok().flatten() {
            Some(2) => Self::MirroredAcross,
            Some(3) => Self::HalfTurn,
            Some(4) => Self::MirroredDown,
            Some(5) => Self::Transposed,
            Some(6) => Self::QuarterTurn,
            Some(7) => Self::Transversed,
            Some(8) => Self::ThreeQuarterTurn,
            _ => Self::Upright,
        }
    }

    /// True if width and height of the upright picture are swapped.
    pub fn is_sideways(self) -> bool {
        matches!(self, Self::Transposed | Self::QuarterTurn | Self::Transversed | Self::ThreeQuarterTurn)
    }

    /// Writes the upright picture to `upright`; false if `stored` is upright, and nothing is written.
    pub fn make_upright(self, stored: &Mat, upright: &mut Mat) -> opencv::Result<bool> {
        const ACROSS: i32 = 1;
        const DOWN: i32 = 0;
        let mut transversed = Mat::default();
        match self {
            Self::Upright => return Ok(false),
            Self::MirroredAcross => core::flip(stored, upright, ACROSS)?,
            Self::HalfTurn => core::rotate(stored, upright, core::ROTATE_180)?,
            Self::MirroredDown => core::flip(stored, upright, DOWN)?,
            Self::Transposed => core::transpose(stored, upright)?,
            Self::QuarterTurn => core::rotate(stored, upright, core::ROTATE_90_CLOCKWISE)?,
            Self::Transversed => {
                core::transpose(stored, &mut transversed)?;
                core::rotate(&transversed, upright, core::ROTATE_180)?;
            }
            Self::ThreeQuarterTurn => core::rotate(stored, upright, core::ROTATE_90_COUNTERCLOCKWISE)?,
        }
        Ok(true)
    }
}

/// The value of the orientation tag; none without a readable one.
fn orientation_value(tiff: &[u8]) -> Option<u32> {
    // Damaged tags must not hide this one.
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let exif = reader.read_raw(tiff.to_vec()).or_else(|error| error.distill_partial_result(|_| ())).ok()?;
    exif.get_field(Tag::Orientation, In::PRIMARY)?.value.get_uint(0)
}
