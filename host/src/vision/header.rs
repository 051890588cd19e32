//! What the bytes of a picture say about it before anything is decoded: format, size, and whether the end is there.
//!
//! Decoders are lenient: libjpeg fills the missing part of a cut-off picture with grey and says nothing. A face
//! in the grey part would be lost in silence, so the end is looked for here. The size is read here as well, and as
//! strictly as the decoders read it, because it bounds what they will allocate.

use super::PictureError;

/// The encodings that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    Webp,
}

/// What a picture says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub format: Format,
    /// Pixels as stored, that is before an EXIF orientation turns the picture.
    pub width: u32,
    /// Pixels as stored.
    pub height: u32,
    /// A JPEG with an EXIF segment, which may say how the picture is to be turned.
    pub exif: bool,
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

/// Reads the header, and checks the size against `max_pixels` and that the picture is whole.
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
    let outline = outline?;
    let (width, height) = outline.size;
    if width == 0 || height == 0 {
        return Err(PictureError::Undecodable(format!("its header says {width} × {height} pixels")));
    }
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(PictureError::TooLarge { width, height, limit: max_pixels });
    }
    if !outline.whole {
        return Err(PictureError::Truncated);
    }
    Ok(Header { format, width, height, exif: outline.exif })
}

/// Checks, without decoding anything, whether these bytes are a whole picture of a kind that the host reads.
///
/// # Errors
///
/// [`PictureError::Empty`], [`PictureError::NotAPicture`] or [`PictureError::Truncated`]. What else may be wrong with a
/// picture is found out by whoever decodes it.
pub fn check_whole(encoded: &[u8]) -> Result<(), PictureError> {
    match inspect(encoded, u64::MAX) {
        Err(error @ (PictureError::Empty | PictureError::NotAPicture | PictureError::Truncated)) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// The size as stored, and whether the end marker is there.
struct Outline {
    size: (u32, u32),
    whole: bool,
    exif: bool,
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

/// Walks the segments as libjpeg's `jdmarker.c` does: rubbish before a marker is skipped, some markers have no
/// length, the first start-of-frame gives the size.
fn jpeg(bytes: &[u8]) -> Result<Outline, PictureError> {
    let mut size = None;
    let mut exif = false;
    let mut at = 2;
    while let Some((marker, body)) = next_marker(bytes, at) {
        match marker {
            0x01 | 0xd0..=0xd7 => at = body,
            0xd8 => return Err(undecodable("a second start of image")),
            0xd9 => match size {
                Some(size) => return Ok(Outline { size, whole: true, exif }),
                None => return Err(undecodable("it ends before a frame header")),
            },
            _ => {
                let Some(length) = big16(bytes, body) else { break };
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) && size.is_none() {
                    let (Some(height), Some(width)) = (big16(bytes, body + 3), big16(bytes, body + 5)) else {
                        break;
                    };
                    size = Some((width, height));
                }
                exif |= marker == 0xe1 && bytes.get(body + 2..body + 6) == Some(b"Exif");
                at = body + length.max(2) as usize;
                // The usual picture ends in an end marker, padded or not. In coded data 0xff is always followed
                // by zero or a restart marker, so a cut in it can't look like that: no need to walk through it.
                if marker == 0xda
                    && let Some(size) = size
                    && ends_in_jpeg_end(bytes.get(at..).unwrap_or_default())
                {
                    return Ok(Outline { size, whole: true, exif });
                }
            }
        }
    }
    // Without a size it was cut off in its header.
    size.map(|size| Outline { size, whole: false, exif }).ok_or(PictureError::Truncated)
}

/// The next marker at or after `at`, and where its body begins. Coded data, fill bytes and rubbish are skipped.
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

fn ends_in_jpeg_end(bytes: &[u8]) -> bool {
    let end = bytes.iter().rposition(|b| !matches!(b, 0x00 | 0xff | b'\n' | b'\r' | b' '));
    end.is_some_and(|end| bytes[..=end].ends_with(b"\xff\xd9"))
}

/// Walks the chunks from `IHDR`, which must come first, to `IEND`.
fn png(bytes: &[u8]) -> Result<Outline, PictureError> {
    let (Some(width), Some(height)) = (big32(bytes, 16), big32(bytes, 20)) else {
        return Err(PictureError::Truncated);
    };
    if bytes.get(12..16) != Some(b"IHDR") {
        return Err(undecodable("its first chunk is no IHDR"));
    }
    let mut at = PNG.len();
    while let (Some(length), Some(kind)) = (big32(bytes, at), bytes.get(at + 4..at + 8)) {
        at += 12 + length as usize;
        if kind == b"IEND" && at <= bytes.len() {
            return Ok(Outline { size: (width, height), whole: true, exif: false });
        }
    }
    Ok(Outline { size: (width, height), whole: false, exif: false })
}

/// The container's size says where the end is; the first chunk, of one of three kinds, has the picture's.
/// <https://developers.google.com/speed/webp/docs/riff_container>
fn webp(bytes: &[u8]) -> Result<Outline, PictureError> {
    let stored = |at| Some((little24(bytes, at)? & 0x3fff, little24(bytes, at + 2)? & 0x3fff));
    let size = match bytes.get(12..16) {
        Some(b"VP8 ") => stored(26),
        Some(b"VP8L") => little24(bytes, 21).zip(bytes.get(24)).map(|(low, high)| {
            let bits = low | u32::from(*high) << 24;
            ((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1)
        }),
        Some(b"VP8X") => little24(bytes, 24).zip(little24(bytes, 27)).map(|(w, h)| (w + 1, h + 1)),
        Some(_) => return Err(undecodable("its first chunk is no VP8, VP8L or VP8X")),
        None => None,
    };
    let size = size.ok_or(PictureError::Truncated)?;
    let riff = bytes[4..8].iter().rev().fold(0u64, |length, b| length << 8 | u64::from(*b));
    Ok(Outline { size, whole: riff + 8 <= bytes.len() as u64, exif: false })
}

fn undecodable(what: &str) -> PictureError {
    PictureError::Undecodable(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::drawn;

    const PIXELS: u64 = 1 << 20;

    #[test]
    fn each_format_tells_its_size_and_that_it_is_whole() {
        for (extension, format) in [(".jpg", Format::Jpeg), (".png", Format::Png), (".webp", Format::Webp)] {
            let bytes = drawn::encoded(extension, 37, 21);
            let header = Header { format, width: 37, height: 21, exif: false };
            assert_eq!(inspect(&bytes, PIXELS), Ok(header), "{extension}");
        }
    }

    #[test]
    fn every_cut_of_a_picture_is_noticed() {
        for extension in [".jpg", ".png", ".webp"] {
            let bytes = drawn::encoded(extension, 64, 48);
            for end in 1..bytes.len() {
                let found = inspect(&bytes[..end], PIXELS);
                assert!(
                    matches!(found, Err(PictureError::Truncated | PictureError::NotAPicture)),
                    "{extension} cut at {end} of {}: {found:?}",
                    bytes.len()
                );
                if end >= 12 {
                    assert_eq!(found, Err(PictureError::Truncated), "{extension} cut at {end}");
                }
            }
        }
    }

    #[test]
    fn bytes_after_the_end_are_allowed() {
        for extension in [".jpg", ".png", ".webp"] {
            for tail in [&[0u8; 700][..], b"\xff\xff\r\n", b"a trailer of the camera's maker"] {
                let bytes = [drawn::encoded(extension, 64, 48), tail.to_vec()].concat();
                assert!(inspect(&bytes, PIXELS).is_ok(), "{extension} and {tail:?}");
            }
        }
    }

    #[test]
    fn the_end_of_an_embedded_thumbnail_is_not_the_end_of_the_picture() {
        let whole = drawn::encoded(".jpg", 64, 48);
        let thumbnail = drawn::encoded(".jpg", 16, 16);
        let segment = [&[0xff, 0xe1][..], &(thumbnail.len() as u16 + 2).to_be_bytes(), &thumbnail].concat();
        let with_thumbnail = [&whole[..2], &segment, &whole[2..]].concat();
        assert_eq!(inspect(&with_thumbnail, PIXELS).map(|h| (h.width, h.height)), Ok((64, 48)));
        let cut = &with_thumbnail[..with_thumbnail.len() - 30];
        assert_eq!(inspect(cut, PIXELS), Err(PictureError::Truncated));
    }

    #[test]
    fn a_huge_header_is_refused_before_anything_is_decoded() {
        let mut jpeg = drawn::encoded(".jpg", 64, 48);
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
        let mut png = drawn::encoded(".png", 64, 48);
        png[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
        for bytes in [jpeg, png] {
            let refused = PictureError::TooLarge { width: 20_000, height: 20_000, limit: PIXELS };
            assert_eq!(inspect(&bytes, PIXELS), Err(refused));
        }
    }

    #[test]
    fn what_is_no_picture_says_so() {
        assert_eq!(inspect(b"", PIXELS), Err(PictureError::Empty));
        for bytes in [&b"GIF89a"[..], b"<html>", b"\0", b"RIFF\x04\0\0\0WAVE", b"BM\0\0"] {
            assert_eq!(inspect(bytes, PIXELS), Err(PictureError::NotAPicture));
        }
        assert_eq!(inspect(b"\xff\xd8", PIXELS), Err(PictureError::Truncated));
        assert!(matches!(inspect(b"\xff\xd8\xff\xd9", PIXELS), Err(PictureError::Undecodable(_))));
    }
}
