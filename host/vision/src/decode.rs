//! Decoding: from encoded bytes to pixels, at full or at reduced size.
//!
//! The decoder applies the EXIF orientation before masks, so all sizes and positions outside this file are those of the upright
//! picture, as a viewer shows it.

use opencv::core::{
    CV_8UC3, Mat, MatTrait, MatTraitConst, MatTraitConstManual, MatTraitManual, Point, Scalar, Size, Vector,
};
use opencv::imgproc;

use super::codecs::Samples;
use super::error::PictureError;
use super::header::{Format, Header, inspect, png_without_extras};
use super::jpeg;
use everyframe_config::{Polygon, VisionSettings};
use std::time::Duration;

/// A decoder with its own buffers. It reuses their memory for the next picture, but never their content: it writes every pixel,
/// or returns an error.
pub(super) struct Decoder {
    max_time: Duration,
    decoded: Mat,
    upright: Mat,
    scaled: Mat,
}

/// A decoded picture: 8-bit BGR, rows without gaps.
pub(super) struct Decoded<'a> {
    /// The picture, its longer side at most `max_side` pixels.
    pub pixels: &'a Mat,
    /// The picture at full size, if it was decoded at full size.
    pub full: Option<&'a Mat>,
    /// Width of the full-size upright picture, pixels.
    pub width: u32,
    /// Height of the full-size upright picture, pixels.
    pub height: u32,
    /// Pixels of the full-size picture for each pixel of `pixels`, horizontally and vertically.
    pub scale: (f32, f32),
}

/// Checks and decodes pictures as a worker does, without a model.
pub struct PictureDecoder {
    decoder: Decoder,
    max_pixels: u64,
    max_side: u32,
}

/// A decoded picture, upright.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedPicture {
    /// Width at full size, pixels.
    pub width: u32,
    /// Height at full size, pixels.
    pub height: u32,
    /// The detector's input: rows of BGR, scaled down to `[vision.detector] max_side`.
    pub scaled: Vec<u8>,
    /// At full size: rows of BGR.
    pub full: Vec<u8>,
}

impl PictureDecoder {
    /// A decoder with the limits of `settings`.
    pub fn new(settings: &VisionSettings) -> Self {
        let decoder = Decoder::new(settings);
        Self { decoder, max_pixels: settings.max_pixels, max_side: settings.detector.max_side }
    }

    /// Decodes a JPEG, PNG or WebP picture at both sizes.
    ///
    /// # Errors
    ///
    /// See [`PictureError`]: park the frame.
    pub fn decode(&mut self, encoded: &[u8], masks: &[&Polygon]) -> Result<DecodedPicture, PictureError> {
        let header = inspect(encoded, self.max_pixels)?;
        let bytes = |pixels: &Mat| pixels.data_bytes().map(<[u8]>::to_vec).map_err(PictureError::unreadable);
        let decoded = self.decoder.decode_within(encoded, header, masks, self.max_side)?;
        let (width, height, scaled) = (decoded.width, decoded.height, bytes(decoded.pixels)?);
        let full = bytes(self.decoder.decode_full(encoded, header, masks)?)?;
        Ok(DecodedPicture { width, height, scaled, full })
    }
}

/// Checks whether the bytes begin like a picture that the host can read, without decoding them.
///
/// # Errors
///
/// [`PictureError::Empty`], [`PictureError::NotAPicture`] or [`PictureError::Truncated`]: do not send the picture. The host finds
/// all other faults and parks the frame with its bytes.
pub fn check_header(encoded: &[u8]) -> Result<(), PictureError> {
    ignore_parked_faults(inspect(encoded, u64::MAX).map(|_| ()))
}

/// Width and height of an upright picture, pixels, by its header; none if the host cannot read it.
pub fn picture_size(encoded: &[u8]) -> Option<(u32, u32)> {
    inspect(encoded, u64::MAX).ok().map(|header| header.upright_size())
}

/// Checks whether the bytes are a complete picture that the host can read. A JPEG is decoded at the smallest size, because only
/// its coded data show whether it is complete.
///
/// # Errors
///
/// As [`check_header`].
pub fn check_whole(encoded: &[u8]) -> Result<(), PictureError> {
    let settings = VisionSettings::default();
    ignore_parked_faults(inspect(encoded, settings.max_pixels).and_then(|header| match header.format {
        Format::Jpeg => Decoder::new(&settings).decode(encoded, header, 8),
        Format::Png | Format::Webp => Ok(()),
    }))
}

/// The pixels of a picture as rows of BGR, a JPEG at an eighth of its size; none if the host cannot read it.
pub fn decode_smallest(encoded: &[u8]) -> Option<Vec<u8>> {
    let settings = VisionSettings::default();
    let header = inspect(encoded, settings.max_pixels).ok()?;
    let mut decoder = Decoder::new(&settings);
    decoder.decode(encoded, header, 8).ok()?;
    decoder.decoded.data_bytes().ok().map(<[u8]>::to_vec)
}

/// Ignores the faults for which the host parks the frame.
fn ignore_parked_faults(checked: Result<(), PictureError>) -> Result<(), PictureError> {
    match checked {
        Err(error @ (PictureError::Empty | PictureError::NotAPicture | PictureError::Truncated)) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

impl Decoder {
    /// A decoder that stops after `[vision] max_decode_ms`, except for WebP: see [`Samples::decode`].
    pub fn new(settings: &VisionSettings) -> Self {
        let max_time = Duration::from_millis(settings.max_decode_ms);
        Self { max_time, decoded: Mat::default(), upright: Mat::default(), scaled: Mat::default() }
    }

    /// Decodes so that the longer side has at most `max_side` pixels.
    ///
    /// # Errors
    ///
    /// See [`PictureError`]: park the frame.
    pub fn decode_within(
        &mut self,
        bytes: &[u8],
        header: Header,
        masks: &[&Polygon],
        max_side: u32,
    ) -> Result<Decoded<'_>, PictureError> {
        let reduction = choose_reduction(header, max_side);
        self.decode(bytes, header, reduction)?;
        let (width, height) = header.upright_size();
        self.apply_masks(masks)?;
        let reduced = size_of(&self.decoded)?;
        let wanted = fit_size(reduced, max_side.max(1));
        if wanted != reduced {
            // Bilinear interpolation reads 2 × 2 pixels, so beyond a factor of two it would skip some.
            let twice = reduced.width <= 2 * wanted.width && reduced.height <= 2 * wanted.height;
            let how = if twice { imgproc::INTER_LINEAR } else { imgproc::INTER_AREA };
            imgproc::resize(&self.decoded, &mut self.scaled, wanted, 0.0, 0.0, how)
                .map_err(PictureError::unreadable)?;
        }
        let pixels = if wanted == reduced { &self.decoded } else { &self.scaled };
        let full = (reduction == 1).then_some(&self.decoded);
        let across = reduction as f32 * reduced.width as f32 / wanted.width as f32;
        let down = reduction as f32 * reduced.height as f32 / wanted.height as f32;
        Ok(Decoded { pixels, full, width, height, scale: (across, down) })
    }

    /// Decodes at full size.
    ///
    /// # Errors
    ///
    /// See [`PictureError`]: park the frame.
    pub fn decode_full(
        &mut self,
        bytes: &[u8],
        header: Header,
        masks: &[&Polygon],
    ) -> Result<&Mat, PictureError> {
        self.decode(bytes, header, 1)?;
        self.apply_masks(masks)?;
        Ok(&self.decoded)
    }

    /// Paints over the masked parts, in grey: black has sharper edges.
    fn apply_masks(&mut self, masks: &[&Polygon]) -> Result<(), PictureError> {
        if masks.is_empty() {
            return Ok(());
        }
        let size = size_of(&self.decoded)?;
        for mask in masks {
            let corners = mask.corners((size.width, size.height)).map(|(x, y)| Point::new(x, y));
            let corners = Vector::<Point>::from_iter(corners);
            let grey = Scalar::all(128.0);
            imgproc::fill_poly(&mut self.decoded, &corners, grey, imgproc::LINE_8, 0, Point::default())
                .map_err(PictureError::unreadable)?;
        }
        Ok(())
    }

    /// Decodes at 1/`reduction` of full size into `decoded`, upright.
    fn decode(&mut self, bytes: &[u8], header: Header, reduction: u32) -> Result<(), PictureError> {
        match header.format {
            Format::Jpeg => self.decode_jpeg(bytes, header, reduction)?,
            Format::Png => self.decode_samples(&png_without_extras(bytes), header)?,
            Format::Webp => self.decode_samples(bytes, header)?,
        }
        if header
            .orientation
            .make_upright(&self.decoded, &mut self.upright)
            .map_err(PictureError::unreadable)?
        {
            std::mem::swap(&mut self.decoded, &mut self.upright);
        }
        Ok(())
    }

    fn decode_jpeg(&mut self, bytes: &[u8], header: Header, reduction: u32) -> Result<(), PictureError> {
        let (width, height) = (header.width.div_ceil(reduction), header.height.div_ceil(reduction));
        let max_time = self.max_time;
        jpeg::decode(bytes, header, reduction, max_time, self.pixels(width, height)?)
    }

    /// Decodes a PNG or WebP at full size, without applying the orientation.
    fn decode_samples(&mut self, bytes: &[u8], header: Header) -> Result<(), PictureError> {
        let samples = Samples::decode(bytes, header, self.max_time)?;
        samples.write_bgr(self.pixels(header.width, header.height)?);
        Ok(())
    }

    /// The pixels of `decoded`, which gets this size.
    fn pixels(&mut self, width: u32, height: u32) -> Result<&mut [u8], PictureError> {
        // SAFETY: both callers write all pixels, or fail; after a failure nobody reads them.
        unsafe { self.decoded.create_rows_cols(height as i32, width as i32, CV_8UC3) }
            .map_err(PictureError::unreadable)?;
        self.decoded.data_bytes_mut().map_err(PictureError::unreadable)
    }
}

/// The reduction at which to decode: 8, 4, 2 or 1. A JPEG decoder makes 1/2, 1/4 and 1/8 of the size directly from its 8 × 8
/// blocks, for less work. The largest reduction is chosen whose result is not smaller than `max_side`.
fn choose_reduction(header: Header, max_side: u32) -> u32 {
    let large_enough = |by: &u32| header.width.max(header.height).div_ceil(*by) >= max_side;
    match header.format {
        Format::Jpeg => [8, 4, 2].into_iter().find(large_enough).unwrap_or(1),
        Format::Png | Format::Webp => 1,
    }
}

/// `size` scaled down so that its longer side is at most `max_side`; each side is at least 1.
fn fit_size(size: Size, max_side: u32) -> Size {
    let longer = size.width.max(size.height);
    let max_side = i32::try_from(max_side).unwrap_or(i32::MAX);
    if longer <= max_side {
        return size;
    }
    let scaled =
        |side: i32| ((f64::from(side) * f64::from(max_side) / f64::from(longer)).round() as i32).max(1);
    Size::new(scaled(size.width), scaled(size.height))
}

fn size_of(mat: &Mat) -> Result<Size, PictureError> {
    mat.size().map_err(PictureError::unreadable)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
