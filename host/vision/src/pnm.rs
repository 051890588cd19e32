//! Reads binary PGM and PPM of 8 bits: a header in text, and the pixels as they are.
//!
//! The library `zune-ppm` reads pixels that look like white space or a comment as a part of the header. It refused 7 of the 400
//! pictures of ORL, and shifted the pixels of others.

use super::codecs::Samples;
use super::error::PictureError;

/// True if a file begins like a binary PGM or PPM.
pub(super) fn is_pnm(bytes: &[u8]) -> bool {
    bytes.starts_with(b"P5") || bytes.starts_with(b"P6")
}

/// Decodes a binary PGM or PPM.
///
/// # Errors
///
/// [`PictureError::NotAPicture`]: the header is not that of a picture with 8 bits a sample. [`PictureError::Truncated`]: pixels are
/// missing.
pub(super) fn decode(bytes: &[u8]) -> Result<Samples, PictureError> {
    let channels = if bytes.starts_with(b"P5") { 1 } else { 3 };
    let ([width, height, maximum], rest) = header(bytes).ok_or(PictureError::NotAPicture)?;
    let size = u64::from(width) * u64::from(height) * channels as u64;
    if size == 0 || !(1..=255).contains(&maximum) {
        return Err(PictureError::NotAPicture);
    }
    let size = usize::try_from(size).map_err(|_| PictureError::Truncated)?;
    // Exactly one character of white space ends the header.
    let pixels = match rest {
        [space, pixels @ ..] if space.is_ascii_whitespace() => pixels,
        [] => return Err(PictureError::Truncated),
        _ => return Err(PictureError::NotAPicture),
    };
    let pixels = pixels.get(..size).ok_or(PictureError::Truncated)?;
    let scaled = |sample: &u8| (u32::from(*sample) * 255 / maximum).min(255) as u8;
    Ok(Samples { width, height, channels, bytes: pixels.iter().map(scaled).collect() })
}

/// Width, height and the largest value of a sample, and the bytes after them.
fn header(bytes: &[u8]) -> Option<([u32; 3], &[u8])> {
    let (mut numbers, mut rest) = ([0; 3], bytes.get(2..)?);
    for next in &mut numbers {
        (*next, rest) = number(rest)?;
    }
    Some((numbers, rest))
}

/// The next number of a header, and the bytes after it. White space and comments come before it.
fn number(mut bytes: &[u8]) -> Option<(u32, &[u8])> {
    loop {
        bytes = bytes.trim_ascii_start();
        let Some(comment) = bytes.strip_prefix(b"#") else { break };
        bytes = &comment[comment.iter().position(|byte| *byte == b'\n')?..];
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at(digits);
    Some((str::from_utf8(number).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(bytes: &[u8]) -> Result<(u32, u32, Vec<u8>), &'static str> {
        let decoded = decode(bytes).map_err(|error| error.reason())?;
        Ok((decoded.width, decoded.height, decoded.bytes))
    }

    #[test]
    fn headers_may_have_comments_and_any_white_space() {
        for header in ["P5\n2 1\n255\n", "P5 2 1 255 ", "P5\r\n2 1\r\n255\r", "P5\n# a\n# b\n2\t1 #c\n255\n"]
        {
            assert_eq!(samples(&[header.as_bytes(), &[7, 8]].concat()), Ok((2, 1, vec![7, 8])), "{header:?}");
        }
        assert_eq!(samples(b"P6 1 1 255\n\x01\x02\x03"), Ok((1, 1, vec![1, 2, 3])));
        assert_eq!(samples(b"P5 2 1 100\n\x32\xff"), Ok((2, 1, vec![127, 255])), "scaled to 255");
    }

    #[test]
    fn a_picture_that_is_not_whole_or_not_of_8_bits_is_refused() {
        for (bytes, reason) in [
            (&b"P5 2 1 255\n\x01"[..], "truncated"),
            (b"P5 2 1 255", "truncated"),
            (b"P5 4294967295 4294967295 255\n", "truncated"),
            (b"P5 2 1 65535\n\x01\x02\x03\x04", "not-a-picture"),
            (b"P5 0 1 255\n", "not-a-picture"),
            (b"P5 2 1 0\n\x01\x02", "not-a-picture"),
            (b"P5 2 x 255\n\x01\x02", "not-a-picture"),
            (b"P5 # no end", "not-a-picture"),
            (b"P5", "not-a-picture"),
        ] {
            assert_eq!(samples(bytes), Err(reason), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn pixels_are_never_taken_for_the_header(
            pixels in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"# \t\r\n0".to_vec())], 6),
            end in prop::sample::select(vec!["\n", " ", "\r"]),
        ) {
            let bytes = [format!("P5\n3 2\n255{end}").as_bytes(), &pixels].concat();
            prop_assert_eq!(samples(&bytes), Ok((3, 2, pixels)));
        }

        #[test]
        fn any_bytes_are_a_picture_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&[b"P5", &bytes[..]].concat());
        }
    }
}
