//! Asks a web server whether its content has a known length. The request goes through FFmpeg, which follows redirects and handles
//! certificates and passwords.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::time::{Duration, Instant};

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The input functions of libavformat, on which OpenCV's video capture is built. FFmpeg 2 and later have them; see `avio.h`.
mod sys {
    use super::{c_char, c_int, c_void};

    #[repr(C)]
    pub struct Interrupt {
        pub callback: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
        pub opaque: *mut c_void,
    }

    #[link(name = "avformat")]
    unsafe extern "C" {
        pub fn avio_open2(
            context: *mut *mut c_void,
            url: *const c_char,
            flags: c_int,
            interrupt: *const Interrupt,
            options: *mut *mut c_void,
        ) -> c_int;
        pub fn avio_size(context: *mut c_void) -> i64;
        pub fn avio_closep(context: *mut *mut c_void) -> c_int;
    }

    /// `AVIO_FLAG_READ`
    pub const READ: c_int = 1;
}

/// A server's answer about the length of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// The server states a length: this is a file.
    Stated,
    /// The server states no length, as for a camera's stream.
    Unstated,
    /// The server does not answer, or refuses.
    Unknown,
}

/// FFmpeg's interrupt callback, called while it waits: 1 ends the waiting.
unsafe extern "C" fn is_timed_out(until: *mut c_void) -> c_int {
    // SAFETY: `request_length` gives the address of an instant that outlives the connection.
    let until = unsafe { &*until.cast::<Instant>() };
    c_int::from(Instant::now() >= *until)
}

/// Asks the server at this address for the length of its content, over a new connection. Takes at most [`TIMEOUT`].
pub(super) fn request_length(address: &str) -> Length {
    let Ok(address) = CString::new(address) else { return Length::Unknown };
    let mut until = Instant::now() + TIMEOUT;
    let interrupt = sys::Interrupt { callback: Some(is_timed_out), opaque: ptr::from_mut(&mut until).cast() };
    let mut context = ptr::null_mut();
    // SAFETY: the address is a C string, `interrupt` and what it points to live until the connection is closed below,
    // and the context is used only if it was opened.
    unsafe {
        let interrupt = &raw const interrupt;
        if sys::avio_open2(&raw mut context, address.as_ptr(), sys::READ, interrupt, ptr::null_mut()) < 0 {
            return Length::Unknown;
        }
        let size = sys::avio_size(context);
        sys::avio_closep(&raw mut context);
        if size > 0 { Length::Stated } else { Length::Unstated }
    }
}
