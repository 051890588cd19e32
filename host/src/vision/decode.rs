//! From encoded bytes to pixels, no larger than somebody wants them.
//!
//! An EXIF orientation is applied by OpenCV, at full and at reduced size alike: all sizes and positions outside
//! this file are those of the upright picture, as a viewer shows it.

use opencv::core::{CV_8UC3, Mat, MatTrait, MatTraitConst, MatTraitManual, Point, Scalar, Size, Vector};
use opencv::{imgcodecs, imgproc};

use super::PictureError;
use super::header::{Format, Header, inspect};
use super::turbo::Turbo;
use crate::config::VisionSettings;
use crate::premises::Polygon;

/// Decodes into its own buffers, which are used again for the next picture.
#[derive(Default)]
pub(super) struct Decoder {
    turbo: Option<Turbo>,
    decoded: Mat,
    scaled: Mat,
}

/// A decoded picture: 8-bit BGR, rows without gaps.
pub(super) struct Decoded<'a> {
    /// At most as large as was asked for.
    pub pixels: &'a Mat,
    /// The picture at full size, if that is what was decoded.
    pub full: Option<&'a Mat>,
    /// Width of the full-size upright picture, pixels.
    pub width: u32,
    /// Height of the full-size upright picture, pixels.
    pub height: u32,
    /// Pixels of the full-size picture for each pixel of this one, across and down.
    pub scale: (f32, f32),
}

/// Checks and decodes a picture as a worker does before and after it looks for faces, within the limits of `settings`,
/// and tells the size of the upright picture, pixels. No model is needed.
///
/// # Errors
///
/// See [`PictureError`]: the picture is to be parked.
pub fn decodable(
    encoded: &[u8],
    masks: &[&Polygon],
    settings: &VisionSettings,
) -> Result<(u32, u32), PictureError> {
    let mut decoder = Decoder::default();
    let header = inspect(encoded, settings.max_pixels)?;
    let seen = decoder.decode_within(encoded, header, masks, settings.detector.max_side)?;
    let (size, is_full) = ((seen.width, seen.height), seen.full.is_some());
    if !is_full {
        decoder.decode_full(encoded, header, masks)?;
    }
    Ok(size)
}

impl Decoder {
    /// Decodes so that the longer side has at most `max_side` pixels.
    pub fn decode_within(
        &mut self,
        bytes: &[u8],
        header: Header,
        masks: &[&Polygon],
        max_side: u32,
    ) -> Result<Decoded<'_>, PictureError> {
        let reduction = reduction(header, max_side);
        let (width, height) = self.decode(bytes, header, reduction)?;
        self.mask(masks)?;
        let reduced = size_of(&self.decoded)?;
        let wanted = fit(reduced, max_side.max(1));
        if wanted != reduced {
            // Bilinear looks at 2 × 2 pixels, so beyond a factor of two it would skip some.
            let twice = reduced.width <= 2 * wanted.width && reduced.height <= 2 * wanted.height;
            let how = if twice { imgproc::INTER_LINEAR } else { imgproc::INTER_AREA };
            imgproc::resize(&self.decoded, &mut self.scaled, wanted, 0.0, 0.0, how).map_err(unreadable)?;
        }
        let pixels = if wanted == reduced { &self.decoded } else { &self.scaled };
        let full = (reduction == 1).then_some(&self.decoded);
        let across = reduction as f32 * reduced.width as f32 / wanted.width as f32;
        let down = reduction as f32 * reduced.height as f32 / wanted.height as f32;
        Ok(Decoded { pixels, full, width, height, scale: (across, down) })
    }

    /// Decodes at full size.
    pub fn decode_full(
        &mut self,
        bytes: &[u8],
        header: Header,
        masks: &[&Polygon],
    ) -> Result<&Mat, PictureError> {
        self.decode(bytes, header, 1)?;
        self.mask(masks)?;
        Ok(&self.decoded)
    }

    /// Paints over what nobody is to look at, in grey: black has sharper edges.
    fn mask(&mut self, masks: &[&Polygon]) -> Result<(), PictureError> {
        if masks.is_empty() {
            return Ok(());
        }
        let size = size_of(&self.decoded)?;
        for mask in masks {
            let corners = mask.corners((size.width, size.height)).map(|(x, y)| Point::new(x, y));
            let corners = Vector::<Point>::from_iter(corners);
            let grey = Scalar::all(128.0);
            imgproc::fill_poly(&mut self.decoded, &corners, grey, imgproc::LINE_8, 0, Point::default())
                .map_err(unreadable)?;
        }
        Ok(())
    }

    /// Decodes at 1/`reduction` of full size, and tells the full size of the upright picture.
    fn decode(&mut self, bytes: &[u8], header: Header, reduction: u32) -> Result<(u32, u32), PictureError> {
        // OpenCV turns pictures as their EXIF says, and knows the colours of print. Cameras send neither.
        if header.format == Format::Jpeg && !header.exif && self.decode_plain(bytes, header, reduction)? {
            return Ok((header.width, header.height));
        }
        self.decode_any(bytes, header, reduction)
    }

    /// The fast way, for a JPEG that is upright as stored. False, and nothing done, if it is none for it.
    fn decode_plain(&mut self, bytes: &[u8], header: Header, reduction: u32) -> Result<bool, PictureError> {
        if self.turbo.is_none() {
            self.turbo = Turbo::new();
        }
        let Some(turbo) = &mut self.turbo else { return Ok(false) };
        if turbo.size(bytes) != Some((header.width, header.height)) {
            return Ok(false);
        }
        let (width, height) = (header.width.div_ceil(reduction), header.height.div_ceil(reduction));
        // SAFETY: the new pixels are not read before `turbo` has written them, or failed.
        unsafe { self.decoded.create_rows_cols(height as i32, width as i32, CV_8UC3) }.map_err(unreadable)?;
        let pixels = self.decoded.data_bytes_mut().map_err(unreadable)?;
        turbo.decode(bytes, pixels, width, height).map_err(PictureError::Undecodable)?;
        Ok(true)
    }

    /// OpenCV's way.
    fn decode_any(
        &mut self,
        bytes: &[u8],
        header: Header,
        reduction: u32,
    ) -> Result<(u32, u32), PictureError> {
        let flags = match reduction {
            2 => imgcodecs::IMREAD_REDUCED_COLOR_2,
            4 => imgcodecs::IMREAD_REDUCED_COLOR_4,
            8 => imgcodecs::IMREAD_REDUCED_COLOR_8,
            _ => imgcodecs::IMREAD_COLOR,
        };
        let input = Mat::from_slice(bytes).map_err(unreadable)?;
        imgcodecs::imdecode_to(&input, flags, &mut self.decoded).map_err(unreadable)?;
        let size = size_of(&self.decoded)?;
        let upright = (header.width, header.height);
        let turned = (header.height, header.width);
        let is = |full: (u32, u32)| {
            size.width as u32 == full.0.div_ceil(reduction)
                && size.height as u32 == full.1.div_ceil(reduction)
        };
        if is(upright) {
            Ok(upright)
        } else if is(turned) {
            Ok(turned)
        } else if size.empty() {
            Err(PictureError::Undecodable("the decoder gives nothing; the data is damaged".into()))
        } else {
            let (width, height) = upright;
            Err(PictureError::Undecodable(format!(
                "its header says {width} × {height}, but {} × {} pixels came out at 1/{reduction}",
                size.width, size.height
            )))
        }
    }
}

/// The most that a JPEG decoder can leave out (its blocks of 8 × 8 give 1/2, 1/4 and 1/8 for less work), with a
/// result that is not smaller than wanted.
fn reduction(header: Header, max_side: u32) -> u32 {
    // Where both sides round to one number, the turned picture could not be told from the upright one.
    let tells =
        |by: &u32| header.width == header.height || header.width.div_ceil(*by) != header.height.div_ceil(*by);
    let large_enough = |by: &u32| header.width.max(header.height).div_ceil(*by) >= max_side;
    match header.format {
        Format::Jpeg => [8, 4, 2].into_iter().find(|by| large_enough(by) && tells(by)).unwrap_or(1),
        Format::Png | Format::Webp => 1,
    }
}

/// `size` scaled down so that its longer side is at most `max_side`; never to nothing.
fn fit(size: Size, max_side: u32) -> Size {
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
    mat.size().map_err(unreadable)
}

fn unreadable(error: opencv::Error) -> PictureError {
    PictureError::Undecodable(error.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::drawn;
    use opencv::core::{MatTraitConstManual, Vec3b};
    use proptest::prelude::*;

    fn header_of(bytes: &[u8]) -> Header {
        inspect(bytes, 1 << 24).unwrap()
    }

    #[test]
    fn a_jpeg_is_reduced_while_it_stays_large_enough() {
        let header = |width, height| Header { format: Format::Jpeg, width, height, exif: false };
        assert_eq!(reduction(header(640, 360), 640), 1);
        assert_eq!(reduction(header(960, 540), 640), 1);
        assert_eq!(reduction(header(1920, 1080), 640), 2);
        assert_eq!(reduction(header(1080, 1920), 960), 2);
        assert_eq!(reduction(header(3840, 2160), 640), 4);
        assert_eq!(reduction(header(8000, 6000), 640), 8);
        assert_eq!(reduction(header(4000, 3999), 640), 1, "turned or not could not be told");
        assert_eq!(reduction(Header { format: Format::Png, ..header(8000, 6000) }, 640), 1);
    }

    #[test]
    fn the_longer_side_is_brought_to_the_wanted_size() {
        assert_eq!(fit(Size::new(640, 360), 640), Size::new(640, 360));
        assert_eq!(fit(Size::new(960, 540), 640), Size::new(640, 360));
        assert_eq!(fit(Size::new(540, 960), 640), Size::new(360, 640));
        assert_eq!(fit(Size::new(5000, 1), 100), Size::new(100, 1));
    }

    #[test]
    fn the_fast_way_gives_the_same_pixels_as_opencv() {
        for bytes in [drawn::encoded(".jpg", 333, 217), drawn::grey(".jpg")] {
            let header = header_of(&bytes);
            for reduction in [1, 2, 4, 8] {
                let (mut fast, mut other) = (Decoder::default(), Decoder::default());
                assert!(fast.decode_plain(&bytes, header, reduction).unwrap());
                other.decode_any(&bytes, header, reduction).unwrap();
                assert!(
                    fast.decoded.data_bytes().unwrap() == other.decoded.data_bytes().unwrap(),
                    "{reduction}"
                );
            }
        }
    }

    #[test]
    fn a_spot_is_found_in_the_same_place_at_every_size() {
        // A white square with its centre at (1200, 420) in 1600 × 900.
        for extension in [".jpg", ".png", ".webp"] {
            let bytes = drawn::spot(extension, 1600, 900, 1200, 420);
            let header = header_of(&bytes);
            for max_side in [1600, 1000, 800, 500, 250] {
                let mut decoder = Decoder::default();
                let seen = decoder.decode_within(&bytes, header, &[], max_side).unwrap();
                assert_eq!((seen.width, seen.height), (1600, 900));
                let size = seen.pixels.size().unwrap();
                assert!(size.width as u32 <= max_side);
                let (x, y) = drawn::centre_of_white(seen.pixels);
                let (x, y) = (x * seen.scale.0, y * seen.scale.1);
                assert!(
                    (x - 1200.0).abs() < 4.0 && (y - 420.0).abs() < 4.0,
                    "{extension} {max_side}: {x}, {y}"
                );
            }
        }
    }

    #[test]
    fn an_exif_orientation_turns_the_reduced_and_the_full_picture_alike() {
        // Orientation 6: the camera was held turned; a viewer turns the picture clockwise by 90 degrees.
        let bytes = drawn::oriented(&drawn::spot(".jpg", 1600, 900, 1200, 420), 6);
        let header = header_of(&bytes);
        assert_eq!((header.width, header.height), (1600, 900));
        for max_side in [1600, 800, 400] {
            let mut decoder = Decoder::default();
            let seen = decoder.decode_within(&bytes, header, &[], max_side).unwrap();
            assert_eq!((seen.width, seen.height), (900, 1600), "{max_side}");
            let (x, y) = drawn::centre_of_white(seen.pixels);
            let (x, y) = (x * seen.scale.0, y * seen.scale.1);
            assert!((x - (900.0 - 420.0)).abs() < 4.0 && (y - 1200.0).abs() < 4.0, "{max_side}: {x}, {y}");
        }
    }

    #[test]
    fn a_single_pixel_is_a_picture() {
        for extension in [".jpg", ".png", ".webp"] {
            let bytes = drawn::encoded(extension, 1, 1);
            let mut decoder = Decoder::default();
            let seen = decoder.decode_within(&bytes, header_of(&bytes), &[], 640).unwrap();
            assert_eq!(seen.pixels.data_bytes().unwrap().len(), 3);
        }
    }

    #[test]
    fn grey_and_transparent_pictures_come_out_in_three_channels() {
        for bytes in [
            drawn::grey(".jpg"),
            drawn::grey(".png"),
            drawn::transparent(".png"),
            drawn::transparent(".webp"),
        ] {
            let mut decoder = Decoder::default();
            let seen = decoder.decode_within(&bytes, header_of(&bytes), &[], 640).unwrap();
            assert_eq!(seen.pixels.channels(), 3);
            assert_eq!(seen.pixels.depth(), opencv::core::CV_8U);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn damaged_pictures_are_decoded_or_refused_but_never_a_panic(
            which in 0usize..3,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            cut in prop::option::of(any::<prop::sample::Index>()),
            max_side in prop::sample::select(vec![1u32, 20, 64, 640]),
        ) {
            let mut bytes = drawn::encoded([".jpg", ".png", ".webp"][which], 150, 90);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            let mut decoder = Decoder::default();
            let seen = inspect(&bytes, 1 << 20).and_then(|h| decoder.decode_within(&bytes, h, &[], max_side));
            match seen {
                Ok(seen) => {
                    prop_assert!(seen.pixels.size().unwrap().width as u32 <= max_side);
                    prop_assert_eq!(seen.pixels.channels(), 3);
                }
                Err(error) => prop_assert!(!error.is_hosts_fault()),
            }
        }

        #[test]
        fn any_bytes_at_all_are_refused_with_a_reason(
            magic in prop::sample::select(vec![&b""[..], b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 "]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [magic, &rest].concat();
            let mut decoder = Decoder::default();
            if let Err(error) = inspect(&bytes, 1 << 20).and_then(|h| decoder.decode_within(&bytes, h, &[], 640).map(|_| ())) {
                prop_assert!(!error.reason().is_empty());
            }
        }
    }

    #[test]
    fn what_is_masked_is_grey_at_every_size() {
        let bytes = drawn::spot(".jpg", 640, 480, 160, 240);
        let left = Polygon::from(vec![(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]);
        for max_side in [640, 320, 100] {
            let mut decoder = Decoder::default();
            let size = |pixels: &Mat| (pixels.cols(), pixels.rows());
            let at = |pixels: &Mat, x: i32, y: i32| pixels.at_2d::<Vec3b>(y, x).unwrap()[0];
            let seen = decoder.decode_within(&bytes, header_of(&bytes), &[], max_side).unwrap();
            let (width, height) = size(seen.pixels);
            assert!(at(seen.pixels, width / 4, height / 2) > 200, "the spot");
            let beside = at(seen.pixels, 3 * width / 4, height / 2);
            let seen = decoder.decode_within(&bytes, header_of(&bytes), &[&left], max_side).unwrap();
            assert_eq!(at(seen.pixels, width / 4, height / 2), 128);
            assert_eq!(at(seen.pixels, 3 * width / 4, height / 2), beside);
        }
        let mut decoder = Decoder::default();
        let full = decoder.decode_full(&bytes, header_of(&bytes), &[&left]).unwrap();
        assert_eq!(full.at_2d::<Vec3b>(240, 160).unwrap()[0], 128);
    }
}
