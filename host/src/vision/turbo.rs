//! JPEG by libjpeg-turbo's own interface, straight into BGR.
//!
//! OpenCV 4.6 decodes by the same library, but into RGB, and then swaps the bytes of each pixel in a loop that takes
//! more than twice as long as the decoding: 960 × 540 pixels take 0.9 ms here and 2.9 ms there (AMD EPYC, one core).
//! The pixels are the same; a test compares them.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_ulong, c_void};
use std::ptr::NonNull;

/// The TurboJPEG interface of libjpeg-turbo 1.4 and later; 3.x still has it. `turbojpeg.h` is its reference.
mod sys {
    use super::{c_char, c_int, c_uchar, c_ulong, c_void};

    #[link(name = "turbojpeg")]
    unsafe extern "C" {
        pub fn tjInitDecompress() -> *mut c_void;
        pub fn tjDestroy(handle: *mut c_void) -> c_int;
        pub fn tjDecompressHeader3(
            handle: *mut c_void,
            jpeg: *const c_uchar,
            size: c_ulong,
            width: *mut c_int,
            height: *mut c_int,
            subsampling: *mut c_int,
            colourspace: *mut c_int,
        ) -> c_int;
        pub fn tjDecompress2(
            handle: *mut c_void,
            jpeg: *const c_uchar,
            size: c_ulong,
            pixels: *mut c_uchar,
            width: c_int,
            pitch: c_int,
            height: c_int,
            format: c_int,
            flags: c_int,
        ) -> c_int;
        pub fn tjGetErrorStr2(handle: *mut c_void) -> *const c_char;
        pub fn tjGetErrorCode(handle: *mut c_void) -> c_int;
    }

    /// `TJPF_BGR`
    pub const BGR: c_int = 1;
    /// `TJCS_CMYK`, and above it `TJCS_YCCK`: there is no way from these to BGR.
    pub const CMYK: c_int = 3;
    /// `TJFLAG_LIMITSCANS`: a progressive picture of a few bytes may ask for thousands of passes.
    pub const LIMIT_SCANS: c_int = 32768;
    /// `TJERR_WARNING`: the picture is there, but something about the data was odd.
    pub const WARNING: c_int = 0;
}

/// A decompressor. Its memory is used again.
pub(super) struct Turbo(NonNull<c_void>);

// SAFETY: a handle belongs to no thread; it must only not be used by two at once, and every use takes `&mut`.
unsafe impl Send for Turbo {}

impl Drop for Turbo {
    fn drop(&mut self) {
        // SAFETY: the handle came from `tjInitDecompress` and is not used after this.
        unsafe { sys::tjDestroy(self.0.as_ptr()) };
    }
}

impl Turbo {
    /// None only if there is no memory for it.
    pub fn new() -> Option<Self> {
        // SAFETY: takes nothing and gives a handle or null.
        NonNull::new(unsafe { sys::tjInitDecompress() }).map(Self)
    }

    /// The size that the header says, in pixels; none if the header can't be read or the picture is not in a
    /// colour space that has a way to BGR.
    pub fn size(&mut self, jpeg: &[u8]) -> Option<(u32, u32)> {
        let (mut width, mut height, mut subsampling, mut colourspace) = (0, 0, 0, 0);
        // SAFETY: `jpeg` is valid for `len` bytes and only read; the others outlive the call.
        let failed = unsafe {
            sys::tjDecompressHeader3(
                self.0.as_ptr(),
                jpeg.as_ptr(),
                jpeg.len() as c_ulong,
                &mut width,
                &mut height,
                &mut subsampling,
                &mut colourspace,
            )
        };
        let size = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
        (failed == 0 && colourspace < sys::CMYK).then_some(size)
    }

    /// Decodes into rows of BGR without gaps. `width` × `height` is the size in the header divided by 1, 2, 4 or 8,
    /// rounded up. Odd data is decoded as well as can be, as by other decoders.
    pub fn decode(&mut self, jpeg: &[u8], pixels: &mut [u8], width: u32, height: u32) -> Result<(), String> {
        let needed = 3 * u64::from(width) * u64::from(height);
        let (Ok(columns), Ok(rows)) = (c_int::try_from(width), c_int::try_from(height)) else {
            return Err("too many pixels".into());
        };
        if pixels.len() as u64 != needed || columns > c_int::MAX / 3 {
            return Err(format!("{} bytes for {width} × {height} pixels", pixels.len()));
        }
        // SAFETY: `jpeg` is valid for `len` bytes and only read. At most `rows` rows of `3 × columns` bytes are
        // written, and `pixels` has exactly these: the library scales to the largest size that fits, or fails.
        let failed = unsafe {
            sys::tjDecompress2(
                self.0.as_ptr(),
                jpeg.as_ptr(),
                jpeg.len() as c_ulong,
                pixels.as_mut_ptr(),
                columns,
                3 * columns,
                rows,
                sys::BGR,
                sys::LIMIT_SCANS,
            )
        };
        // SAFETY: the handle is valid; the code is a number.
        if failed != 0 && unsafe { sys::tjGetErrorCode(self.0.as_ptr()) } != sys::WARNING {
            // SAFETY: the text is a C string which lives until the next call on this handle.
            let text = unsafe { CStr::from_ptr(sys::tjGetErrorStr2(self.0.as_ptr())) };
            return Err(text.to_string_lossy().into_owned());
        }
        Ok(())
    }
}
