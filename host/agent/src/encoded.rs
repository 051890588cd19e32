//! Pictures that are encoded already: whether they are whole, and how they are scaled.

use everyframe_config::VisionSettings;
use everyframe_vision::{
    HiddenParts, PictureError, PictureRenderer, check_header, check_whole, picture_size,
};

/// The most bytes after the end marker of a JPEG: cameras fill their buffers.
const MAX_PADDING: usize = 64;

const JPEG_START: &[u8] = b"\xff\xd8";

/// Why a picture is not sent as a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EncodedFault {
    /// It is no picture that the host can read.
    NotAPicture,
    /// Data are missing at its end.
    Truncated,
}

/// Checks whether a picture is whole. Only a JPEG without its end marker is decoded for that; the host finds other faults.
pub(super) fn check_encoded(bytes: &[u8]) -> Result<(), EncodedFault> {
    let fault = |error| match error {
        // What is cut within its header shows nothing.
        PictureError::Truncated if picture_size(bytes).is_some() => EncodedFault::Truncated,
        _ => EncodedFault::NotAPicture,
    };
    check_header(bytes).map_err(fault)?;
    let must_decode = bytes.starts_with(JPEG_START) && !has_jpeg_end(bytes);
    if must_decode { check_whole(bytes).map_err(fault) } else { Ok(()) }
}

/// True for a JPEG that ends with its end marker, which only padding may follow.
pub(super) fn has_jpeg_end(bytes: &[u8]) -> bool {
    let end = &bytes[bytes.len().saturating_sub(MAX_PADDING)..];
    bytes.starts_with(JPEG_START) && end.windows(2).any(|pair| pair == b"\xff\xd9")
}

/// Scales a picture whose longer side has more than `max_side` pixels; none if it is smaller, or cannot be decoded.
pub(super) fn scale_encoded(bytes: &[u8], max_side: u32, quality: i32) -> Option<Vec<u8>> {
    let (width, height) = picture_size(bytes)?;
    if width.max(height) <= max_side {
        return None;
    }
    let quality = quality.clamp(1, 100) as u8;
    let mut renderer = PictureRenderer::new(&VisionSettings::default()).with_quality(quality);
    renderer.render(bytes, HiddenParts::default(), Some(max_side), &[]).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_video::picture;

    #[test]
    fn a_cut_picture_is_found() {
        let jpeg = picture(".jpg", 7);
        let padded = [jpeg.as_slice(), &[0; 20]].concat();
        for whole in [&jpeg, &padded, &picture(".png", 7), &picture(".webp", 7)] {
            assert_eq!(check_encoded(whole), Ok(()));
        }
        assert_eq!(check_encoded(&jpeg[..jpeg.len() - 2]), Ok(()), "only its end marker is missing");
        assert_eq!(check_encoded(&jpeg[..jpeg.len() / 2]), Err(EncodedFault::Truncated));
        for not in [&b""[..], b"text", &jpeg[..100], b"\xff\xd8\xff"] {
            assert_eq!(check_encoded(not), Err(EncodedFault::NotAPicture));
        }
    }

    #[test]
    fn a_large_picture_is_scaled() {
        let jpeg = picture(".jpg", 7);
        assert_eq!(scale_encoded(&jpeg, 128, 90), None);
        let scaled = scale_encoded(&jpeg, 64, 90).unwrap();
        assert_eq!(picture_size(&scaled), Some((64, 48)));
    }
}
