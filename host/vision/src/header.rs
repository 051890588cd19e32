//! Reads format, size and orientation of a picture before anything is decoded.
//!
//! The size limits the memory that a decoder allocates, so it is read as strictly as the decoders read it. Chunks of PNG and
//! WebP have lengths, so a missing end is detected here. A missing end of a JPEG is detected by its decoder, because only the
//! coded data show whether the picture is complete.

use super::error::PictureError;
use super::orientation::Orientation;
use std::borrow::Cow;

/// The supported formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    Webp,
}

/// The header of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub format: Format,
    /// Width as stored, before the orientation is applied, pixels.
    pub width: u32,
    /// Height as stored, pixels.
    pub height: u32,
    pub orientation: Orientation,
}

impl Header {
    /// Width and height of the upright picture, pixels.
    pub fn upright_size(&self) -> (u32, u32) {
        match self.orientation.is_sideways() {
            true => (self.height, self.width),
            false => (self.width, self.height),
        }
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

/// Reads the header, and checks the size against `max_pixels`.
///
/// # Errors
///
/// Park the frame without decoding the picture.
pub(super) fn inspect(bytes: &[u8], max_pixels: u64) -> Result<Header, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    let (format, outline) = if bytes.starts_with(JPEG) {
        (Format::Jpeg, jpeg(bytes))
    } else if bytes.starts_with(PNG) {
        (Format::Png, png(bytes))
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        (Format::Webp, webp(bytes))
    } else if JPEG.starts_with(bytes) || PNG.starts_with(bytes) {
        return Err(PictureError::Truncated);
    } else {
        return Err(PictureError::NotAPicture);
    };
    let Outline { size: (width, height), exif, is_complete } = outline?;
    if width == 0 || height == 0 {
        return Err(PictureError::Undecodable(format!("its header says {width} × {height} pixels")));
    }
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(PictureError::TooLarge { width, height, limit: max_pixels });
    }
    if !is_complete {
        return Err(PictureError::Truncated);
    }
    Ok(Header { format, width, height, orientation: exif.map(Orientation::from_exif).unwrap_or_default() })
}

/// The result of reading a container.
struct Outline<'a> {
    /// Width and height as stored, pixels.
    size: (u32, u32),
    /// The EXIF data, if there are any.
    exif: Option<&'a [u8]>,
    /// False if the container's end is missing.
    is_complete: bool,
}

fn big16(bytes: &[u8], at: usize) -> Option<u32> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u32::from(pair[0]) << 8 | u32::from(pair[1]))
}

fn big32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(big16(bytes, at)? << 16 | big16(bytes, at.checked_add(2)?)?)
}

fn little24(bytes: &[u8], at: usize) -> Option<u32> {
    let three = bytes.get(at..at.checked_add(3)?)?;
    Some(u32::from(three[0]) | u32::from(three[1]) << 8 | u32::from(three[2]) << 16)
}

fn little32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(little24(bytes, at)? | u32::from(*bytes.get(at.checked_add(3)?)?) << 24)
}

/// Reads the segments before the coded data as libjpeg's `jdmarker.c` does: it skips invalid bytes before a marker, some markers
/// have no length, and the first start of frame gives the size.
fn jpeg(bytes: &[u8]) -> Result<Outline<'_>, PictureError> {
    let (mut size, mut exif) = (None, None);
    let mut at = 2;
    while let Some((marker, body)) = next_marker(bytes, at) {
        match marker {
            0x01 | 0xd0..=0xd7 => at = body,
            0xd8 => return Err(undecodable("a second start of image")),
            0xd9 if size.is_none() => return Err(undecodable("it ends before a frame header")),
            // The coded data begin here, or there are none, which the decoder reports.
            0xda | 0xd9 => break,
            _ => {
                let Some(length) = big16(bytes, body) else { break };
                let content = body + 2;
                at = body + length.max(2) as usize;
                if let Some(process) = unsupported_process(marker) {
                    return Err(undecodable(&format!("{process}; send baseline or progressive JPEG")));
                }
                if matches!(marker, 0xc0..=0xc2) && size.is_none() {
                    let (Some(precision), Some(height), Some(width)) =
                        (bytes.get(content), big16(bytes, content + 1), big16(bytes, content + 3))
                    else {
                        break;
                    };
                    if *precision != 8 {
                        return Err(undecodable(&format!(
                            "a JPEG of {precision} bits a sample; send one of 8 bits"
                        )));
                    }
                    size = Some((width, height));
                }
                let segment = bytes.get(content..at.max(content)).unwrap_or_default();
                // Segments with this marker may hold other data, above all XMP.
                if marker == 0xe1 && exif.is_none() && segment.starts_with(b"Exif\0\0") {
                    exif = Some(segment);
                }
            }
        }
    }
    // Without a size, the header is truncated.
    size.map(|size| Outline { size, exif, is_complete: true }).ok_or(PictureError::Truncated)
}

/// The kinds of JPEG that hardly any decoder supports, by the marker of their frame header.
fn unsupported_process(marker: u8) -> Option<&'static str> {
    match marker {
        0xc3 => Some("a lossless JPEG"),
        0xc5..=0xc7 => Some("a hierarchical JPEG"),
        // libjpeg's decoder for these replaces missing data without a warning.
        0xc9..=0xcb | 0xcd..=0xcf => Some("a JPEG in arithmetic coding"),
        0xf7 => Some("a JPEG-LS picture"),
        _ => None,
    }
}

/// The next marker at or after `at`, and the position after it. Fill bytes and invalid bytes are skipped.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xff)?;
        match *bytes.get(at + 1)? {
            0xff => at += 1,
            0x00 => at += 2,
            marker => return Some((marker, at + 2)),
        }
    }
}

/// A PNG chunk.
struct PngChunk<'a> {
    kind: &'a [u8],
    content: &'a [u8],
    whole: &'a [u8],
}

/// The chunks of a PNG in order, up to the first incomplete one.
fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = PngChunk<'_>> {
    let mut at = PNG.len();
    std::iter::from_fn(move || {
        let length = usize::try_from(big32(bytes, at)?).ok()?;
        let whole = bytes.get(at..at.checked_add(length)?.checked_add(12)?)?;
        at += whole.len();
        Some(PngChunk { kind: &whole[4..8], content: &whole[8..8 + length], whole })
    })
}

/// Reads the chunks from `IHDR`, which must be the first, to `IEND`.
fn png(bytes: &[u8]) -> Result<Outline<'_>, PictureError> {
    let (Some(width), Some(height)) = (big32(bytes, 16), big32(bytes, 20)) else {
        return Err(PictureError::Truncated);
    };
    if bytes.get(12..16) != Some(b"IHDR") {
        return Err(undecodable("its first chunk is not IHDR"));
    }
    let (mut exif, mut has_palette, mut is_complete) = (None, false, false);
    for PngChunk { kind, content, .. } in png_chunks(bytes) {
        match kind {
            b"eXIf" => exif = exif.or(Some(content)),
            b"PLTE" => {
                check_palette(content.len())?;
                has_palette = true;
            }
            b"IEND" => {
                is_complete = true;
                break;
            }
            _ => {}
        }
    }
    const INDEXED: u8 = 3;
    if is_complete && !has_palette && bytes.get(25) == Some(&INDEXED) {
        return Err(undecodable("its colours are in a palette, and it has no palette (chunk PLTE)"));
    }
    Ok(Outline { size: (width, height), exif, is_complete })
}

/// A palette has 1 to 256 colours of 3 bytes. The decoder panics on half a colour.
fn check_palette(bytes: usize) -> Result<(), PictureError> {
    match bytes {
        3..=768 if bytes.is_multiple_of(3) => Ok(()),
        _ => Err(undecodable(&format!(
            "its palette (chunk PLTE) has {bytes} bytes; it must have 3 for each of 1 to 256 colours"
        ))),
    }
}

/// Removes the chunks that do not affect a PNG's pixels. Texts and profiles are compressed: a thousand in a small file would
/// take half a minute to unpack.
pub(super) fn png_without_extras(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend(PNG);
    for chunk in png_chunks(bytes) {
        if matches!(chunk.kind, b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT" | b"IEND") {
            kept.extend(chunk.whole);
        }
        if chunk.kind == b"IEND" {
            break;
        }
    }
    kept
}

/// Reads the container's size, which shows whether its end is missing, and the picture's size from the first chunk.
/// <https://developers.google.com/speed/webp/docs/riff_container>
fn webp(bytes: &[u8]) -> Result<Outline<'_>, PictureError> {
    let stored = |at| Some((little24(bytes, at)? & 0x3fff, little24(bytes, at + 2)? & 0x3fff));
    let size = match bytes.get(12..16) {
        Some(b"VP8 ") => stored(26),
        Some(b"VP8L") => little32(bytes, 21).map(|bits| ((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1)),
        Some(b"VP8X") => {
            const ANIMATED: u8 = 0x02;
            if bytes.get(20).is_some_and(|flags| flags & ANIMATED != 0) {
                return Err(undecodable("an animated WebP; send single pictures"));
            }
            little24(bytes, 24).zip(little24(bytes, 27)).map(|(w, h)| (w + 1, h + 1))
        }
        Some(_) => return Err(undecodable("its first chunk is not VP8, VP8L or VP8X")),
        None => None,
    };
    let size = size.ok_or(PictureError::Truncated)?;
    let length = little32(bytes, 4).unwrap_or_default() as usize;
    Ok(Outline { size, exif: webp_chunk(bytes, b"EXIF"), is_complete: length + 8 <= bytes.len() })
}

/// The content of the first chunk of this kind.
fn webp_chunk<'a>(bytes: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    let mut at = 12;
    loop {
        let kind = bytes.get(at..at + 4)?;
        let length = little32(bytes, at + 4)? as usize;
        let content = bytes.get(at + 8..(at + 8).checked_add(length)?)?;
        if kind == wanted {
            return Some(content);
        }
        // Chunks begin at even offsets.
        at += 8 + length.next_multiple_of(2);
    }
}

/// Clears the flags of a WebP that announce chunks which are not there: transparency, EXIF and XMP. No pixel depends on them, and
/// libwebp ignores them, but the decoder in Rust refuses the picture.
pub(super) fn webp_without_false_flags(bytes: &[u8]) -> Cow<'_, [u8]> {
    const FLAGS: usize = 20;
    let is_false = |chunk: &[u8; 4]| webp_chunk(bytes, chunk).is_none();
    let announced = [(0x10, b"ALPH"), (0x08, b"EXIF"), (0x04, b"XMP ")];
    let wrong =
        announced.iter().filter(|(_, chunk)| is_false(chunk)).fold(0, |wrong, (flag, _)| wrong | flag);
    match bytes.get(FLAGS) {
        Some(flags) if bytes.get(12..16) == Some(b"VP8X") && flags & wrong != 0 => {
            let mut changed = bytes.to_vec();
            changed[FLAGS] = flags & !wrong;
            changed.into()
        }
        _ => bytes.into(),
    }
}

fn undecodable(what: &str) -> PictureError {
    PictureError::Undecodable(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_images;

    const PIXELS: u64 = 1 << 20;

    #[test]
    fn the_size_is_read_in_every_format() {
        for (extension, format) in [(".jpg", Format::Jpeg), (".png", Format::Png), (".webp", Format::Webp)] {
            let bytes = test_images::encoded(extension, 37, 21);
            let header = Header { format, width: 37, height: 21, orientation: Orientation::Upright };
            assert_eq!(inspect(&bytes, PIXELS), Ok(header), "{extension}");
        }
    }

    #[test]
    fn bytes_after_the_end_are_allowed() {
        for extension in [".jpg", ".png", ".webp"] {
            for tail in [&[0u8; 700][..], b"\xff\xff\r\n", b"a trailer of the camera's maker"] {
                let bytes = [test_images::encoded(extension, 64, 48), tail.to_vec()].concat();
                assert!(inspect(&bytes, PIXELS).is_ok(), "{extension} and {tail:?}");
            }
        }
    }

    #[test]
    fn a_huge_size_is_refused_before_decoding() {
        let mut jpeg = test_images::encoded(".jpg", 64, 48);
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
        let mut png = test_images::encoded(".png", 64, 48);
        png[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
        for bytes in [jpeg, png] {
            let refused = PictureError::TooLarge { width: 20_000, height: 20_000, limit: PIXELS };
            assert_eq!(inspect(&bytes, PIXELS), Err(refused));
        }
    }

    #[test]
    fn the_orientation_is_read_in_every_format() {
        let exif = |orientation| test_images::exif(orientation);
        let prefixed = |orientation| [b"Exif\0\0", &exif(orientation)[..]].concat();
        let (jpeg, png, webp) = (
            test_images::encoded(".jpg", 64, 48),
            test_images::encoded(".png", 64, 48),
            test_images::encoded(".webp", 64, 48),
        );
        let xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>";
        for orientation in 1..=8 {
            let pictures = [
                test_images::oriented(&jpeg, orientation),
                test_images::with_app1(&test_images::oriented(&jpeg, orientation), xmp),
                test_images::with_app1(&test_images::with_app1(&jpeg, xmp), &prefixed(orientation)),
                test_images::with_png_chunk(&png, b"eXIf", &exif(orientation)),
                test_images::webp_with_exif(&webp, 64, 48, &exif(orientation)),
                test_images::webp_with_exif(&webp, 64, 48, &prefixed(orientation)),
            ];
            for (n, bytes) in pictures.iter().enumerate() {
                let header = inspect(bytes, PIXELS).unwrap();
                assert_eq!(header.orientation as u8, orientation, "picture {n}");
                let upright = if orientation < 5 { (64, 48) } else { (48, 64) };
                assert_eq!(header.upright_size(), upright, "picture {n}, orientation {orientation}");
            }
        }
    }

    #[test]
    fn unreadable_exif_means_upright() {
        let jpeg = test_images::encoded(".jpg", 64, 48);
        for exif in [
            &b""[..],
            b"MM",
            b"rubbish",
            &test_images::exif(0),
            &test_images::exif(9),
            &test_images::exif(255),
            &test_images::exif(6)[..15],
        ] {
            let bytes = test_images::with_app1(&jpeg, &[b"Exif\0\0", exif].concat());
            assert_eq!(inspect(&bytes, PIXELS).map(|header| header.orientation), Ok(Orientation::Upright));
        }
    }

    #[test]
    fn unsupported_kinds_of_pictures_are_named() {
        let jpeg = test_images::encoded(".jpg", 64, 48);
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        let with = |at: usize, value: u8| {
            let mut bytes = jpeg.clone();
            bytes[at] = value;
            bytes
        };
        let mut animated = test_images::webp_with_exif(&test_images::encoded(".webp", 64, 48), 64, 48, b"");
        animated[20] |= 0x02;
        for (bytes, words) in [
            (with(frame + 1, 0xc3), "a lossless JPEG"),
            (with(frame + 1, 0xc7), "a hierarchical JPEG"),
            (with(frame + 1, 0xc9), "a JPEG in arithmetic coding"),
            (with(frame + 1, 0xf7), "a JPEG-LS picture"),
            (with(frame + 4, 12), "a JPEG of 12 bits a sample"),
            (animated, "an animated WebP"),
        ] {
            let error = inspect(&bytes, PIXELS).unwrap_err();
            assert_eq!(error.reason(), "undecodable");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_png_with_a_wrong_or_missing_palette_is_refused() {
        let mut indexed = test_images::encoded(".png", 64, 48);
        indexed[25] = 3;
        let with_palette = |bytes| test_images::with_png_chunk(&indexed, b"PLTE", &vec![0; bytes]);
        for (bytes, words) in [
            (indexed.clone(), "it has no palette"),
            (with_palette(0), "has 0 bytes"),
            (with_palette(4), "has 4 bytes"),
            (with_palette(769), "has 769 bytes"),
            (with_palette(771), "has 771 bytes"),
            (std::fs::read("../../tests/fixtures/pictures/png-half-a-colour.png").unwrap(), "has 4 bytes"),
        ] {
            let error = inspect(&bytes, PIXELS).unwrap_err();
            assert_eq!(error.reason(), "undecodable");
            assert!(error.to_string().contains(words), "{error}");
        }
        for bytes in [3, 6, 768] {
            assert!(inspect(&with_palette(bytes), PIXELS).is_ok(), "{bytes} bytes");
        }
        // A cut PNG may have lost its palette: it is truncated, not wrong.
        let cut = &indexed[..indexed.len() - 1];
        assert_eq!(inspect(cut, PIXELS), Err(PictureError::Truncated));
    }

    #[test]
    fn bytes_that_are_no_picture_are_refused() {
        assert_eq!(inspect(b"", PIXELS), Err(PictureError::Empty));
        for bytes in [&b"GIF89a"[..], b"<html>", b"\0", b"RIFF\x04\0\0\0WAVE", b"BM\0\0"] {
            assert_eq!(inspect(bytes, PIXELS), Err(PictureError::NotAPicture));
        }
        assert_eq!(inspect(b"\xff\xd8", PIXELS), Err(PictureError::Truncated));
        assert!(matches!(inspect(b"\xff\xd8\xff\xd9", PIXELS), Err(PictureError::Undecodable(_))));
    }
}
