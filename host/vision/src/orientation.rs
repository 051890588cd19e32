//! The orientation of a picture from its EXIF data, and the turn that makes it upright: one type for all containers.

use exif::{In, Reader, Tag};
use opencv::core::{self, Mat};

/// The prefix of EXIF data: in JPEG always, in WebP by mistake of some writers.
const PREFIX: &[u8] = b"Exif\0\0";

/// The value of EXIF's orientation tag (TIFF 6.0, page 36).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Orientation {
    /// As it is stored.
    #[default]
    Upright = 1,
    /// Left and right are exchanged.
    MirroredAcross = 2,
    /// Upside down.
    HalfTurn = 3,
    /// Top and bottom are exchanged.
    MirroredDown = 4,
    /// Rows are columns.
    Transposed = 5,
    /// To be turned clockwise by 90 degrees.
    QuarterTurn = 6,
    /// Rows are columns, from the other corner.
    Transversed = 7,
    /// To be turned clockwise by 270 degrees.
    ThreeQuarterTurn = 8,
}

impl Orientation {
    /// Reads it from EXIF data, with or without the prefix `Exif\0\0`. Data that cannot be read, or that name no
    /// orientation, leave the picture as it is stored: that is what viewers do.
    pub fn from_exif(data: &[u8]) -> Self {
        let tiff = data.strip_prefix(PREFIX).unwrap_or(data);
        // Damage in other tags must not hide this one.
        let mut reader = Reader::new();
        reader.continue_on_error(true);
        let exif = reader.read_raw(tiff.to_vec()).or_else(|error| error.distill_partial_result(|_| ()));
        let Ok(exif) = exif else { return Self::Upright };
        let value = exif.get_field(Tag::Orientation, In::PRIMARY).and_then(|field| field.value.get_uint(0));
        match value {
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

    /// True if width and height change places.
    pub fn swaps_sides(self) -> bool {
        matches!(self, Self::Transposed | Self::QuarterTurn | Self::Transversed | Self::ThreeQuarterTurn)
    }

    /// Turns `stored` into `upright`; false if it is upright already, and nothing is written.
    pub fn turn(self, stored: &Mat, upright: &mut Mat) -> opencv::Result<bool> {
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
