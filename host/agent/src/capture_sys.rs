//! The functions and structures of `capture.c`, and the function of `jpeg_encoder.c`.

use std::ffi::{c_char, c_int, c_uint};

#[repr(C)]
pub(super) struct Input {
    _private: [u8; 0],
}

#[repr(C)]
pub(super) struct Decoder {
    _private: [u8; 0],
}

#[repr(C)]
pub(super) struct Packet {
    _private: [u8; 0],
}

#[repr(C)]
pub(super) struct PacketProperties {
    pub bytes: *const u8,
    pub size: usize,
    pub time: i64,
    pub is_key: c_int,
    pub is_corrupt: c_int,
    pub missed: c_uint,
}

#[repr(C)]
pub(super) struct PictureProperties {
    pub width: c_int,
    pub height: c_int,
    pub planes: [*const u8; 3],
    pub strides: [c_int; 3],
    pub is_planar_420: c_int,
    pub is_full_range: c_int,
    pub is_bt709: c_int,
    pub is_rgb: c_int,
    pub rotation: c_int,
    pub is_key: c_int,
    pub is_damaged: c_int,
    pub time: i64,
}

/// Reads bytes of the answer: `everyframe_input_bytes`, `everyframe_input_peek`.
pub type Read = unsafe extern "C" fn(*mut Input, *mut u8, c_int, c_uint, *mut c_int) -> c_int;

unsafe extern "C" {
    pub fn everyframe_ffmpeg_load(message: *mut c_char) -> c_int;
    pub fn everyframe_input_new(stop: *const u8) -> *mut Input;
    pub fn everyframe_input_free(input: *mut Input);
    pub fn everyframe_input_message(input: *const Input) -> *const c_char;
    pub fn everyframe_input_connect(input: *mut Input, address: *const c_char, ms: c_uint) -> c_int;
    pub fn everyframe_input_content(input: *mut Input, text: *mut c_char, size: usize) -> i64;
    pub fn everyframe_input_bytes(
        input: *mut Input,
        bytes: *mut u8,
        size: c_int,
        ms: c_uint,
        read: *mut c_int,
    ) -> c_int;
    pub fn everyframe_input_peek(
        input: *mut Input,
        bytes: *mut u8,
        size: c_int,
        ms: c_uint,
        read: *mut c_int,
    ) -> c_int;
    pub fn everyframe_input_open(
        input: *mut Input,
        address: *const c_char,
        transport: *const c_char,
        is_device: c_int,
        is_stream: c_int,
        ms: c_uint,
    ) -> c_int;
    pub fn everyframe_input_rate(input: *const Input) -> f64;
    pub fn everyframe_input_has_length(input: *const Input) -> c_int;
    pub fn everyframe_input_is_jpeg(input: *const Input) -> c_int;
    pub fn everyframe_input_codec(input: *const Input) -> *const c_char;
    pub fn everyframe_input_packet(
        input: *mut Input,
        ms: c_uint,
        packet: *mut *mut Packet,
        properties: *mut PacketProperties,
    ) -> c_int;
    pub fn everyframe_packet_free(packet: *mut Packet);
    pub fn everyframe_decoder_new(input: *const Input, device: *const c_char) -> *mut Decoder;
    pub fn everyframe_decoder_note(decoder: *const Decoder) -> *const c_char;
    pub fn everyframe_decoder_clear_note(decoder: *mut Decoder);
    pub fn everyframe_decoder_free(decoder: *mut Decoder);
    pub fn everyframe_decoder_send(decoder: *mut Decoder, packet: *const Packet) -> c_int;
    pub fn everyframe_decoder_errors(decoder: *mut Decoder) -> c_uint;
    pub fn everyframe_decoder_receive(decoder: *mut Decoder, picture: *mut PictureProperties) -> c_int;
    pub fn everyframe_decoder_scale(
        decoder: *mut Decoder,
        width: c_int,
        height: c_int,
        planes: *const *mut u8,
        strides: *const c_int,
        is_full_range: c_int,
    ) -> c_int;
    pub fn everyframe_encode_jpeg(
        width: c_uint,
        height: c_uint,
        quality: c_int,
        planes: *const *const u8,
        strides: *const usize,
        bytes: *mut u8,
        capacity: usize,
    ) -> usize;
}

/// `MESSAGE_BYTES` of capture.c.
pub(super) const MESSAGE_BYTES: usize = 200;
/// `AGAIN` of `enum outcome`.
pub(super) const AGAIN: c_int = 9;
/// FFmpeg's "unknown" time.
pub(super) const UNKNOWN: i64 = i64::MIN;
