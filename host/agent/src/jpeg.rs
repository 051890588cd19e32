//! The JPEG encoder of libjpeg-turbo, through `jpeg_encoder.c` in this folder.

use super::capture_sys as sys;
use super::fault::Fault;

/// Encodes three planes as JPEG. `strides` are the bytes a row; rows and columns are whole blocks of 16 (8 for the colours).
/// `scratch` keeps its memory from picture to picture.
///
/// # Errors
///
/// libjpeg-turbo refuses the size.
pub(super) fn encode_jpeg(
    (width, height): (u32, u32),
    quality: i32,
    planes: [&[u8]; 3],
    strides: [usize; 3],
    scratch: &mut Vec<u8>,
) -> Result<Vec<u8>, Fault> {
    let failed = || Fault::Other(format!("{width} × {height} pixels cannot be encoded as JPEG"));
    let blocks = |size: u32| size.div_ceil(16) as usize * 16;
    let (columns, rows) = (blocks(width), blocks(height));
    let fits = |plane: usize, part: usize| {
        strides[plane] >= columns / part && planes[plane].len() >= strides[plane] * (rows / part)
    };
    if width == 0 || height == 0 || !(fits(0, 1) && fits(1, 2) && fits(2, 2)) {
        return Err(failed());
    }
    // Eight times the samples: a coefficient takes at most 26 bits, and an escape doubles a byte. And the tables.
    let capacity = columns * rows * 3 / 2 * 8 + 4096;
    scratch.clear();
    scratch.reserve(capacity);
    let planes = planes.map(<[u8]>::as_ptr);
    // SAFETY: the planes have the blocks that were checked above; at most `capacity` bytes are written, and as many are
    // initialised as the call returns.
    unsafe {
        let size = sys::everyframe_encode_jpeg(
            width,
            height,
            quality,
            planes.as_ptr(),
            strides.as_ptr(),
            scratch.as_mut_ptr(),
            capacity,
        );
        scratch.set_len(size.min(capacity));
    }
    if scratch.is_empty() { Err(failed()) } else { Ok(scratch.clone()) }
}
