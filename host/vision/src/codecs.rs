//! Reads PNG and WebP, and writes JPEG and PNG, by libraries in Rust.
//!
//! OpenCV's `imgcodecs` does that, too, but it needs 118 shared libraries, from GDAL to PostgreSQL's client. Loading them took 75 ms
//! of processor time whenever a command started.

use super::error::PictureError;
use super::header::{Format, Header, webp_without_false_flags};
use everyframe_telemetry::cpu_timer::CpuTimer;
use everyframe_telemetry::panic::panic_text;
use image_webp::WebPDecoder;
use jpeg_encoder::ColorType as JpegColour;
use opencv::core::{Mat, MatTraitConst, MatTraitConstManual};
use png::{ColorType, Compression, InterlaceInfo, Limits, Transformations, expand_interlaced_row};
use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A decoder may allocate so many bytes for each pixel: 16 bits for each of four channels, twice.
const BYTES_PER_PIXEL: usize = 16;
/// A decoder may allocate so many bytes in addition, for its tables.
const SPARE_BYTES: usize = 16 << 20;
/// The error of a decoder that wants to allocate more.
const TOO_MUCH_MEMORY: &str = "its decoder needs more memory than a picture of its size should";
/// Rows of a PNG between two readings of the clock.
const ROWS_PER_CLOCK_READ: usize = 64;

/// A decoded picture: rows of pixels without gaps.
#[derive(Debug)]
pub(super) struct Samples {
    pub width: u32,
    pub height: u32,
    /// Bytes of each pixel. 1: grey; 2: grey and alpha; 3: red, green, blue; 4: the same and alpha. Alpha is ignored.
    pub channels: usize,
    pub bytes: Vec<u8>,
}

impl Samples {
    /// Decodes a PNG or WebP at full size, without applying the orientation.
    ///
    /// A PNG may take `max_time` of this thread's processor time. The decoder of WebP cannot be stopped: its time is limited only by
    /// the number of pixels, which the caller has checked.
    ///
    /// # Errors
    ///
    /// Park the frame: its data are damaged, or it takes too long.
    pub fn decode(bytes: &[u8], header: Header, max_time: Duration) -> Result<Self, PictureError> {
        let pixels = header.width as usize * header.height as usize;
        let limit = pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(SPARE_BYTES);
        let samples = guard(|| match header.format {
            Format::Webp => decode_webp(bytes, limit),
            Format::Png | Format::Jpeg => decode_png(bytes, limit, max_time),
        })?;
        if (samples.width, samples.height) != (header.width, header.height) {
            return Err(PictureError::Undecodable(format!(
                "its header says {} × {} pixels, but the decoder returns {} × {}",
                header.width, header.height, samples.width, samples.height
            )));
        }
        samples.checked()
    }

    fn checked(self) -> Result<Self, PictureError> {
        let wanted = self.width as usize * self.height as usize * self.channels;
        if self.bytes.len() != wanted || wanted == 0 {
            return Err(undecodable(format!("{} bytes instead of {wanted}", self.bytes.len())));
        }
        Ok(self)
    }

    /// Writes all pixels as BGR. `bgr` has 3 bytes for each.
    pub fn write_bgr(&self, bgr: &mut [u8]) {
        for (pixel, samples) in bgr.chunks_exact_mut(3).zip(self.bytes.chunks_exact(self.channels)) {
            let colours = match samples {
                [red, green, blue, ..] => [*blue, *green, *red],
                [grey, ..] => [*grey; 3],
                [] => [0; 3],
            };
            pixel.copy_from_slice(&colours);
        }
    }
}

/// Runs a decoder of another project. Some panic on damaged pictures; an agent would end, and a host would take the panic for a
/// defect of its own.
fn guard<T>(decode: impl FnOnce() -> Result<T, PictureError>) -> Result<T, PictureError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|panic| Err(undecodable(format!("the decoder failed: {}", panic_text(&*panic)))))
}

/// Decodes row by row, so that it can be stopped between two rows.
fn decode_png(bytes: &[u8], limit: usize, max_time: Duration) -> Result<Samples, PictureError> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: limit });
    // Palettes become colours, and 16 bits become 8.
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(explain_png)?;
    let size = reader.output_buffer_size().ok_or_else(|| undecodable("it is too large"))?;
    let ((width, height), channels) = (reader.info().size(), reader.output_color_type().0.samples());
    let stride = width as usize * channels;
    let mut bytes = vec![0; size];
    let (mut clock, mut spent) = (CpuTimer::start(), Duration::ZERO);
    for number in 0.. {
        if number % ROWS_PER_CLOCK_READ == 0 {
            spent += clock.lap();
            if spent > max_time {
                return Err(PictureError::TooSlow { limit: max_time });
            }
        }
        let Some(row) = reader.next_interlaced_row().map_err(explain_png)? else { break };
        match row.interlace() {
            InterlaceInfo::Adam7(place) => {
                expand_interlaced_row(&mut bytes, stride, row.data(), place, 8 * channels as u8)
            }
            InterlaceInfo::Null(_) => {
                let place = bytes.chunks_exact_mut(stride).nth(number);
                place.ok_or_else(|| undecodable("it has too many rows"))?.copy_from_slice(row.data());
            }
        }
    }
    Ok(Samples { width, height, channels, bytes })
}

fn decode_webp(bytes: &[u8], limit: usize) -> Result<Samples, PictureError> {
    let bytes = webp_without_false_flags(bytes);
    let mut decoder = WebPDecoder::new(Cursor::new(&bytes)).map_err(explain_webp)?;
    decoder.set_memory_limit(limit);
    let size = decoder.output_buffer_size().ok_or_else(|| undecodable("it is too large"))?;
    let mut bytes = vec![0; size];
    decoder.read_image(&mut bytes).map_err(explain_webp)?;
    let (width, height) = decoder.dimensions();
    Ok(Samples { width, height, channels: if decoder.has_alpha() { 4 } else { 3 }, bytes })
}

/// The error of the PNG decoder as a sentence. It hides the kinds of its errors, so their texts tell them apart.
fn explain_png(error: png::DecodingError) -> PictureError {
    let text = match error {
        png::DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return PictureError::Truncated;
        }
        png::DecodingError::LimitsExceeded => return undecodable(TOO_MUCH_MEMORY),
        error => error.to_string(),
    };
    // `ChunkType { type: IDAT, … }`.
    let chunk = text.split_once("{ type: ").and_then(|(_, rest)| rest.split_once(','));
    let chunk = chunk.map_or("of unknown type", |(chunk, _)| chunk);
    let has = |part: &str| text.contains(part);
    if has("does not have enough data") || has("InsufficientInput") {
        PictureError::Truncated
    } else if has("CRC error") {
        undecodable(format!("a checksum is wrong in chunk {chunk}"))
    } else if has("IDAT or fdAT chunk is missing") {
        undecodable("it has no pixels (chunk IDAT)")
    } else if has("Corrupt deflate stream") {
        undecodable("its compressed pixels (chunk IDAT) are damaged")
    } else if has("ChunkType {") {
        undecodable(format!("chunk {chunk} is in the wrong place, has the wrong length, or is not known"))
    } else {
        undecodable(as_clause(&text))
    }
}

/// The error of the WebP decoder as a sentence.
fn explain_webp(error: image_webp::DecodingError) -> PictureError {
    use image_webp::DecodingError as Error;
    undecodable(match error {
        Error::NotEnoughInitData => return PictureError::Truncated,
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => return PictureError::Truncated,
        Error::BitStreamError | Error::HuffmanError | Error::TransformError => {
            "its coded pixels are damaged, or end too early".to_owned()
        }
        Error::Vp8MagicInvalid(_) | Error::LosslessSignatureInvalid(_) => {
            "its coded pixels do not begin as those of a WebP do".to_owned()
        }
        Error::ChunkMissing => "it has no pixels (chunk VP8 or VP8L), or twice".to_owned(),
        Error::InconsistentImageSizes => "its header and its coded pixels have different sizes".to_owned(),
        Error::ImageTooLarge | Error::MemoryLimitExceeded => TOO_MUCH_MEMORY.to_owned(),
        error => as_clause(&error.to_string()),
    })
}

/// A library's message as a part of a sentence.
fn as_clause(message: &str) -> String {
    let message = message.trim_end_matches('.');
    match message.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_lowercase() + rest,
        None => message.to_owned(),
    }
}

/// A BGR picture without gaps between its rows as JPEG of this quality, 1 to 100.
///
/// # Errors
///
/// It has a side of more than 65,535 pixels, or none.
pub(super) fn encode_jpeg(bgr: &Mat, quality: u8) -> Result<Vec<u8>, PictureError> {
    let side = |pixels: i32| {
        let too_long = |_| undecodable("a side has more than 65,535 pixels, which JPEG cannot hold");
        u16::try_from(pixels).map_err(too_long)
    };
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, quality)
        .encode(pixels_of(bgr)?, side(bgr.cols())?, side(bgr.rows())?, JpegColour::Bgr)
        .map_err(undecodable)?;
    Ok(bytes)
}

/// A BGR picture without gaps between its rows as PNG.
///
/// # Errors
///
/// It has no pixels.
pub(super) fn encode_png(bgr: &Mat) -> Result<Vec<u8>, PictureError> {
    let mut rgb = pixels_of(bgr)?.to_vec();
    rgb.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, bgr.cols().unsigned_abs(), bgr.rows().unsigned_abs());
    encoder.set_color(ColorType::Rgb);
    encoder.set_compression(Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&rgb));
    written.map_err(undecodable)?;
    Ok(bytes)
}

fn pixels_of(picture: &Mat) -> Result<&[u8], PictureError> {
    picture.data_bytes().map_err(PictureError::unreadable)
}

fn undecodable(reason: impl std::fmt::Display) -> PictureError {
    PictureError::Undecodable(reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orientation::Orientation;
    use opencv::core::{CV_8UC3, Scalar};

    #[test]
    fn errors_of_decoders_are_sentences() {
        let folder = "../../tests/fixtures/pictures";
        let png = std::fs::read(format!("{folder}/png-plain.png")).unwrap();
        let webp = std::fs::read(format!("{folder}/webp-plain.webp")).unwrap();
        let changed = |bytes: &[u8], at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1;
            bytes
        };
        let data = png.windows(4).position(|kind| kind == b"IDAT").unwrap();
        let end = png.windows(4).position(|kind| kind == b"IEND").unwrap();
        let png_header =
            Header { format: Format::Png, width: 320, height: 180, orientation: Orientation::Upright };
        let webp_header = Header { format: Format::Webp, ..png_header };
        for (bytes, header, expected) in [
            (changed(&png, 30), png_header, "a checksum is wrong in chunk IHDR"),
            (changed(&png, end - 5), png_header, "a checksum is wrong in chunk IDAT"),
            (changed(&png, data + 4), png_header, "its compressed pixels (chunk IDAT) are damaged"),
            (changed(&png, data - 1), png_header, "a checksum is wrong in chunk IDAT"),
            (png[..end - 500].to_vec(), png_header, "the picture is cut off"),
            ([&png[..data - 4], &png[end - 4..]].concat(), png_header, "it has no pixels (chunk IDAT)"),
            (changed(&webp, 23), webp_header, "its coded pixels do not begin as those of a WebP do"),
            (webp[..webp.len() / 2].to_vec(), webp_header, "its coded pixels are damaged, or end too early"),
        ] {
            let error = Samples::decode(&bytes, header, Duration::MAX).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} instead of {expected:?}");
        }
    }

    #[test]
    fn a_side_that_jpeg_cannot_hold_is_named() {
        let wide = Mat::new_rows_cols_with_default(1, 65_536, CV_8UC3, Scalar::default()).unwrap();
        let error = encode_jpeg(&wide, 90).unwrap_err().to_string();
        assert!(error.contains("a side has more than 65,535 pixels, which JPEG cannot hold"), "{error}");
    }

    #[test]
    fn a_panic_of_a_decoder_is_an_error() {
        // Its header would be refused: the decoder panics on half a colour in the palette.
        let png = std::fs::read("../../tests/fixtures/pictures/png-half-a-colour.png").unwrap();
        let header =
            Header { format: Format::Png, width: 100, height: 100, orientation: Orientation::Upright };
        let error = Samples::decode(&png, header, Duration::MAX).unwrap_err();
        assert_eq!(error.reason(), "undecodable");
        assert!(error.to_string().contains("the decoder failed: range end index"), "{error}");
    }
}
