//! Pictures for people to look at: a frame at another size, with boxes, or the part around a face. Hidden parts stay hidden.

use opencv::core::{Mat, MatTraitConst, Rect, Scalar, Size};
use opencv::imgproc;

use super::codecs::encode_jpeg;
use super::decode::Decoder;
use super::error::PictureError;
use super::header::{self, Format};
use everyframe_config::{Polygon, VisionSettings};
use everyframe_types::face;

/// How much of a face's surroundings a crop shows on each side, as a share of the longer side of its box.
const MARGIN: f32 = 0.35;
/// The usual quality of the JPEGs, 1 to 100.
const QUALITY: u8 = 88;
/// Width of the lines of boxes, as a share of the picture's width.
const LINE: f32 = 1.0 / 400.0;

/// Blocks on each side of what is left of a blurred part: 16 colours of a face, whatever its size. No detector finds a face in it, and no
/// embedder can compare it.
const BLOCKS: i32 = 4;

/// The parts of a picture that must not be seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct HiddenParts<'a> {
    /// Painted over in grey.
    pub painted: &'a [&'a Polygon],
    /// The rectangles around these are blurred, so far that it cannot be undone.
    pub blurred: &'a [&'a Polygon],
}

/// A box to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrawnBox {
    /// The box, pixels of the full-size picture.
    pub bounds: face::Rect,
    /// Red, green and blue.
    pub colour: [u8; 3],
}

/// Renders JPEGs from encoded pictures.
pub struct PictureRenderer {
    decoder: Decoder,
    max_pixels: u64,
    quality: u8,
}

impl PictureRenderer {
    /// A renderer with the limits of `settings`.
    pub fn new(settings: &VisionSettings) -> Self {
        Self { decoder: Decoder::new(settings), max_pixels: settings.max_pixels, quality: QUALITY }
    }

    /// The same, with this quality of the JPEGs, 1 to 100.
    pub fn with_quality(self, quality: u8) -> Self {
        Self { quality, ..self }
    }

    /// The picture as JPEG, its longer side at most `max_side` pixels, with boxes. None if the bytes can be shown as they are:
    /// a JPEG with nothing to hide, to draw or to scale. A browser turns it upright by its EXIF orientation.
    ///
    /// # Errors
    ///
    /// See [`PictureError`]: the picture cannot be shown.
    pub fn render(
        &mut self,
        encoded: &[u8],
        hidden: HiddenParts<'_>,
        max_side: Option<u32>,
        boxes: &[DrawnBox],
    ) -> Result<Option<Vec<u8>>, PictureError> {
        let header = header::inspect(encoded, self.max_pixels)?;
        let (width, height) = header.upright_size();
        let max_side = max_side.unwrap_or(u32::MAX);
        let is_small = width.max(height) <= max_side;
        let HiddenParts { painted, blurred } = hidden;
        let is_open = painted.is_empty() && blurred.is_empty();
        if is_small && is_open && boxes.is_empty() && header.format == Format::Jpeg {
            return Ok(None);
        }
        let decoded = self.decoder.decode_within(encoded, header, painted, max_side)?;
        let mut picture = decoded.pixels.clone();
        blur_parts(&mut picture, blurred)?;
        let thickness = ((picture.cols() as f32 * LINE).round() as i32).max(1);
        for DrawnBox { bounds, colour } in boxes {
            let scaled = |value: f32, scale: f32| (value / scale).round() as i32;
            let (across, down) = decoded.scale;
            let place = Rect::new(
                scaled(bounds.x, across),
                scaled(bounds.y, down),
                scaled(bounds.width, across),
                scaled(bounds.height, down),
            );
            let [red, green, blue] = colour.map(f64::from);
            let colour = Scalar::new(blue, green, red, 0.0);
            imgproc::rectangle(&mut picture, place, colour, thickness, imgproc::LINE_8, 0)
                .map_err(PictureError::unreadable)?;
        }
        encode_jpeg(&picture, self.quality).map(Some)
    }

    /// The part of the picture around a box as a square JPEG of at most `side` × `side` pixels. It is not enlarged.
    ///
    /// # Errors
    ///
    /// See [`PictureError`]: the picture cannot be shown. [`PictureError::Undecodable`] also if the box is outside the picture.
    pub fn crop(
        &mut self,
        encoded: &[u8],
        hidden: HiddenParts<'_>,
        bounds: &face::Rect,
        side: u32,
    ) -> Result<Vec<u8>, PictureError> {
        let header = header::inspect(encoded, self.max_pixels)?;
        let mut picture = self.decoder.decode_full(encoded, header, hidden.painted)?.clone();
        blur_parts(&mut picture, hidden.blurred)?;
        let place = square_around(bounds, (picture.cols(), picture.rows()))
            .ok_or_else(|| PictureError::Undecodable("the box is outside the picture".into()))?;
        let part = Mat::roi(&picture, place).map_err(PictureError::unreadable)?.clone_pointee();
        let side = i32::try_from(side).unwrap_or(i32::MAX).max(1);
        if part.cols().max(part.rows()) <= side {
            return encode_jpeg(&part, self.quality);
        }
        let mut scaled = Mat::default();
        let scale = f64::from(side) / f64::from(part.cols().max(part.rows()));
        let size = |length: i32| ((f64::from(length) * scale).round() as i32).max(1);
        let size = Size::new(size(part.cols()), size(part.rows()));
        imgproc::resize(&part, &mut scaled, size, 0.0, 0.0, imgproc::INTER_AREA)
            .map_err(PictureError::unreadable)?;
        encode_jpeg(&scaled, self.quality)
    }
}

/// Replaces each part by the mean colours of a few blocks, with smooth transitions.
fn blur_parts(picture: &mut Mat, parts: &[&Polygon]) -> Result<(), PictureError> {
    let (width, height) = (picture.cols(), picture.rows());
    for part in parts {
        let (across, down): (Vec<i32>, Vec<i32>) = part.corners((width, height)).unzip();
        let range = |places: &[i32], size: i32| {
            let first = places.iter().min().map_or(0, |first| (*first).clamp(0, size));
            let last = places.iter().max().map_or(0, |last| (*last).clamp(0, size));
            (first, last - first)
        };
        let ((x, columns), (y, rows)) = (range(&across, width), range(&down, height));
        if columns == 0 || rows == 0 {
            continue;
        }
        let (mut few, mut smooth) = (Mat::default(), Mat::default());
        let mut place =
            Mat::roi_mut(picture, Rect::new(x, y, columns, rows)).map_err(PictureError::unreadable)?;
        let blocks = Size::new(BLOCKS.min(columns), BLOCKS.min(rows));
        imgproc::resize(&place, &mut few, blocks, 0.0, 0.0, imgproc::INTER_AREA)
            .map_err(PictureError::unreadable)?;
        let size = Size::new(columns, rows);
        imgproc::resize(&few, &mut smooth, size, 0.0, 0.0, imgproc::INTER_LINEAR)
            .map_err(PictureError::unreadable)?;
        smooth.copy_to(&mut place).map_err(PictureError::unreadable)?;
    }
    Ok(())
}

/// A square around a box with some margin, moved and cut to fit into the picture; none if nothing of the box is in it.
fn square_around(bounds: &face::Rect, (width, height): (i32, i32)) -> Option<Rect> {
    let face::Rect { x, y, width: across, height: down } = *bounds;
    if ![x, y, across, down].iter().all(|value| value.is_finite()) || across <= 0.0 || down <= 0.0 {
        return None;
    }
    if x >= width as f32 || y >= height as f32 || x + across <= 0.0 || y + down <= 0.0 {
        return None;
    }
    let wanted = (across.max(down) * (1.0 + 2.0 * MARGIN)).min(width.max(height) as f32).ceil() as i32;
    let (middle_x, middle_y) = (x + across / 2.0, y + down / 2.0);
    let start = |middle: f32, length: i32, limit: i32| {
        let first = (middle - length as f32 / 2.0).round() as i32;
        first.min(limit - length).max(0)
    };
    let (columns, rows) = (wanted.clamp(1, width), wanted.clamp(1, height));
    Some(Rect::new(start(middle_x, columns, width), start(middle_y, rows, height), columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(x: f32, y: f32, width: f32, height: f32) -> Option<(i32, i32, i32, i32)> {
        let rect = square_around(&face::Rect { x, y, width, height }, (100, 80))?;
        Some((rect.x, rect.y, rect.width, rect.height))
    }

    #[test]
    fn a_crop_is_a_square_within_the_picture() {
        assert_eq!(place(40.0, 30.0, 20.0, 20.0), Some((33, 23, 34, 34)));
        assert_eq!(place(-10.0, 0.0, 20.0, 20.0), Some((0, 0, 34, 34)), "moved into the picture");
        assert_eq!(place(90.0, 70.0, 20.0, 20.0), Some((66, 46, 34, 34)), "moved into the picture");
        assert_eq!(place(0.0, 0.0, 100.0, 80.0), Some((0, 0, 100, 80)), "no larger than the picture");
    }

    #[test]
    fn a_box_outside_the_picture_has_no_crop() {
        for (x, y, width, height) in [
            (100.0, 0.0, 10.0, 10.0),
            (0.0, -20.0, 10.0, 10.0),
            (0.0, 0.0, 0.0, 10.0),
            (f32::NAN, 0.0, 10.0, 10.0),
            (0.0, 0.0, f32::INFINITY, 10.0),
        ] {
            assert_eq!(place(x, y, width, height), None);
        }
        assert!(
            place(-1e30, -1e30, 2e30, 2e30).is_some_and(|(.., width, height)| (width, height) == (100, 80))
        );
    }
}
