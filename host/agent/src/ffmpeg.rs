//! Connections and packets of FFmpeg, through `capture.c` in this folder.

use super::address::SourceAddress;
use super::capture_sys::{self as sys, AGAIN, UNKNOWN};
use super::fault::Fault;
use super::protocol::Protocol;
use everyframe_config::Transport;
use everyframe_kafka::redacted;
use everyframe_types::redact::redact_addresses;
use std::ffi::{CStr, CString, c_int, c_uint};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The longest content type that is read, bytes.
const TYPE_BYTES: usize = 200;

/// An address that FFmpeg has opened, or is about to.
pub(super) struct Input {
    pub(super) raw: NonNull<sys::Input>,
    /// FFmpeg reads it while it waits.
    _stop: Arc<AtomicBool>,
}

// SAFETY: FFmpeg's contexts may be used by any thread, by one at a time; `&mut self` ensures that.
unsafe impl Send for Input {}

impl Input {
    /// An input whose calls end when `stop` is set.
    ///
    /// # Errors
    ///
    /// FFmpeg is not installed, or there is no memory.
    pub fn new(stop: &Arc<AtomicBool>) -> Result<Self, Fault> {
        static FFMPEG: OnceLock<Result<(), String>> = OnceLock::new();
        FFMPEG.get_or_init(load).clone().map_err(Fault::Other)?;
        // SAFETY: the flag lives as long as the input, which holds it. An `AtomicBool` has the layout of a byte.
        let raw = unsafe { sys::everyframe_input_new(stop.as_ptr().cast::<u8>().cast_const()) };
        let raw = NonNull::new(raw).ok_or_else(|| Fault::Other("no memory".into()))?;
        Ok(Self { raw, _stop: stop.clone() })
    }

    /// Connects to an `http` address and reads the head of the answer.
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    pub fn connect(&mut self, address: &SourceAddress, timeout: Duration) -> Result<(), Fault> {
        let address = c_string(address.text().as_bytes())?;
        // SAFETY: the address is a C string; the input is valid until it is dropped.
        let outcome = unsafe {
            sys::everyframe_input_connect(self.raw.as_ptr(), address.as_ptr(), milliseconds(timeout))
        };
        self.check(outcome)
    }

    /// The content type of the answer, and its length in bytes if the server states one.
    pub fn content(&mut self) -> (String, Option<u64>) {
        let mut text = [0u8; TYPE_BYTES];
        // SAFETY: at most `TYPE_BYTES` bytes are written, with a final zero. `connect` has opened the connection.
        let length =
            unsafe { sys::everyframe_input_content(self.raw.as_ptr(), text.as_mut_ptr().cast(), TYPE_BYTES) };
        let text = CStr::from_bytes_until_nul(&text).map(CStr::to_string_lossy).unwrap_or_default();
        (text.into_owned(), u64::try_from(length).ok())
    }

    /// Gives the first bytes of the answer, which the next read gives again. It waits for at least one byte, and gives as many as have
    /// come by then.
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    pub fn peek(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, Fault> {
        self.receive(sys::everyframe_input_peek, bytes, timeout)
    }

    /// Reads the next bytes of the answer; at least one.
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    pub fn read(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, Fault> {
        self.receive(sys::everyframe_input_bytes, bytes, timeout)
    }

    fn receive(&mut self, read: sys::Read, bytes: &mut [u8], timeout: Duration) -> Result<usize, Fault> {
        let mut count = 0;
        let size = c_int::try_from(bytes.len()).unwrap_or(c_int::MAX);
        // SAFETY: at most `size` bytes are written. `connect` has opened the connection.
        let outcome = unsafe {
            read(self.raw.as_ptr(), bytes.as_mut_ptr(), size, milliseconds(timeout), &raw mut count)
        };
        self.check(outcome)?;
        Ok(usize::try_from(count).unwrap_or(0).min(bytes.len()))
    }

    /// Opens the video. `is_stream`: its protocol describes it, so nothing is read ahead.
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    pub fn open(
        &mut self,
        address: &[u8],
        protocol: Protocol,
        is_stream: bool,
        timeout: Duration,
    ) -> Result<(), Fault> {
        let address = c_string(address)?;
        let transport = match protocol {
            Protocol::Rtsp(Transport::Tcp) => Some(c"tcp"),
            Protocol::Rtsp(Transport::Udp) => Some(c"udp"),
            Protocol::File | Protocol::Device | Protocol::Network => None,
        };
        // SAFETY: all texts are C strings that outlive the call.
        let outcome = unsafe {
            sys::everyframe_input_open(
                self.raw.as_ptr(),
                address.as_ptr(),
                transport.map_or(ptr::null(), CStr::as_ptr),
                c_int::from(protocol == Protocol::Device),
                c_int::from(is_stream),
                milliseconds(timeout),
            )
        };
        self.check(outcome)
    }

    /// Pictures per second, if the container states them.
    pub fn rate(&self) -> Option<f64> {
        // SAFETY: the video is open.
        let rate = unsafe { sys::everyframe_input_rate(self.raw.as_ptr()) };
        Some(rate).filter(|rate| (0.1..=1000.0).contains(rate))
    }

    /// True if the container states a length.
    pub fn has_length(&self) -> bool {
        // SAFETY: the video is open.
        unsafe { sys::everyframe_input_has_length(self.raw.as_ptr()) != 0 }
    }

    /// True if its packets are JPEG pictures.
    pub fn is_jpeg(&self) -> bool {
        // SAFETY: the video is open.
        unsafe { sys::everyframe_input_is_jpeg(self.raw.as_ptr()) != 0 }
    }

    /// The codec's name: `h264`, `hevc`, `mjpeg`.
    pub fn codec(&self) -> String {
        // SAFETY: the video is open; FFmpeg's names are static C strings.
        unsafe { CStr::from_ptr(sys::everyframe_input_codec(self.raw.as_ptr())) }
            .to_string_lossy()
            .into_owned()
    }

    /// Reads the next packet of the video; none if there is none just now.
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    pub fn read_packet(&mut self, timeout: Duration) -> Result<Option<Packet>, Fault> {
        let mut raw = ptr::null_mut();
        let mut properties = sys::PacketProperties {
            bytes: ptr::null(),
            size: 0,
            time: UNKNOWN,
            is_key: 0,
            is_corrupt: 0,
            missed: 0,
        };
        // SAFETY: both places are valid; the video is open.
        let outcome = unsafe {
            sys::everyframe_input_packet(
                self.raw.as_ptr(),
                milliseconds(timeout),
                &raw mut raw,
                &raw mut properties,
            )
        };
        if outcome == AGAIN {
            return Ok(None);
        }
        self.check(outcome)?;
        Ok(NonNull::new(raw).map(|raw| Packet {
            raw,
            bytes: properties.bytes,
            size: properties.size,
            time: known(properties.time),
            is_key: properties.is_key != 0,
            is_corrupt: properties.is_corrupt != 0,
            is_after_loss: properties.missed > 0,
        }))
    }

    fn check(&self, outcome: c_int) -> Result<(), Fault> {
        // The numbers of `enum outcome` in capture.c.
        Err(match outcome {
            0 => return Ok(()),
            1 => Fault::Ended,
            2 => Fault::Stopped,
            3 => Fault::TimedOut,
            4 => Fault::WrongPassword,
            5 => Fault::NotFound,
            6 => Fault::Refused,
            7 => Fault::Unreachable,
            8 => Fault::NotAVideo,
            _ => {
                // SAFETY: the message is a C string in the input.
                let text = unsafe { CStr::from_ptr(sys::everyframe_input_message(self.raw.as_ptr())) };
                // It may contain the address.
                Fault::Other(redacted(&redact_addresses(&text.to_string_lossy())))
            }
        })
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: nothing else has the pointer.
        unsafe { sys::everyframe_input_free(self.raw.as_ptr()) }
    }
}

/// One coded picture, or a part of one.
pub(super) struct Packet {
    pub(super) raw: NonNull<sys::Packet>,
    bytes: *const u8,
    size: usize,
    /// Its time in the video, microseconds.
    pub time: Option<i64>,
    /// It can be decoded without the ones before.
    pub is_key: bool,
    /// The container or the protocol knows that it is damaged.
    pub is_corrupt: bool,
    /// Data before it were lost on the network.
    pub is_after_loss: bool,
}

// SAFETY: a packet owns a reference to its data, which nothing changes.
unsafe impl Send for Packet {}

impl Packet {
    /// Its coded data.
    pub fn bytes(&self) -> &[u8] {
        if self.bytes.is_null() || self.size == 0 {
            return &[];
        }
        // SAFETY: FFmpeg's packet holds `size` bytes until it is freed, in `drop`.
        unsafe { std::slice::from_raw_parts(self.bytes, self.size) }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: nothing else has the pointer.
        unsafe { sys::everyframe_packet_free(self.raw.as_ptr()) }
    }
}

/// Loads FFmpeg, or says what is missing.
fn load() -> Result<(), String> {
    let mut message = [0u8; sys::MESSAGE_BYTES];
    // SAFETY: nothing has called FFmpeg yet, and at most `MESSAGE_BYTES` bytes are written, with a final zero.
    match unsafe { sys::everyframe_ffmpeg_load(message.as_mut_ptr().cast()) } {
        0 => Ok(()),
        _ => Err(CStr::from_bytes_until_nul(&message)
            .map(CStr::to_string_lossy)
            .unwrap_or_default()
            .into_owned()),
    }
}

fn milliseconds(time: Duration) -> c_uint {
    c_uint::try_from(time.as_millis()).unwrap_or(c_uint::MAX)
}

/// A time of FFmpeg, microseconds.
pub(super) fn known(time: i64) -> Option<i64> {
    (time != UNKNOWN).then_some(time)
}

fn c_string(text: &[u8]) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault::Other("the address contains a zero byte".into()))
}
