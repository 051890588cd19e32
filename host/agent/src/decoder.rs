//! FFmpeg's decoders and scaler, through `capture.c` in this folder.

use super::capture_sys::{self as sys, AGAIN, UNKNOWN};
use super::fault::Fault;
use super::ffmpeg::{Input, Packet, known};
use everyframe_config::DecodingDevice;
use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};

/// The result of asking a decoder for a picture.
pub(super) enum Decoded<'a> {
    /// A picture.
    Picture(DecodedPicture<'a>),
    /// The decoder needs a packet.
    NeedsPacket,
    /// It cannot decode this one.
    Damaged,
    /// There are no more.
    End,
}

/// Decodes the packets of one video.
pub(super) struct Decoder {
    raw: NonNull<sys::Decoder>,
}

// SAFETY: as for `Input`.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder for the video of this input. If the device cannot decode it, it decodes in software, and has a note.
    ///
    /// # Errors
    ///
    /// FFmpeg was built without a decoder for it.
    pub fn new(input: &Input, device: DecodingDevice) -> Result<Self, Fault> {
        let device = match device {
            DecodingDevice::Software => None,
            DecodingDevice::Auto => Some(c"auto"),
            DecodingDevice::Cuda => Some(c"cuda"),
            DecodingDevice::Vaapi => Some(c"vaapi"),
        };
        // SAFETY: the video is open; the name is a static C string.
        let raw = unsafe {
            sys::everyframe_decoder_new(input.raw.as_ptr(), device.map_or(ptr::null(), CStr::as_ptr))
        };
        let missing = || Fault::Other(format!("this FFmpeg has no decoder for {}", input.codec()));
        Ok(Self { raw: NonNull::new(raw).ok_or_else(missing)? })
    }

    /// Takes the note why pictures are decoded in software although a device was wanted.
    pub fn take_note(&mut self) -> Option<String> {
        // SAFETY: the decoder is valid; its note is a C string until it is cleared.
        unsafe {
            let note = sys::everyframe_decoder_note(self.raw.as_ptr());
            let text = (!note.is_null()).then(|| CStr::from_ptr(note).to_string_lossy().into_owned());
            sys::everyframe_decoder_clear_note(self.raw.as_ptr());
            text
        }
    }

    /// Gives it a packet, or tells it that there are no more. False if the packet is damaged.
    pub fn send(&mut self, packet: Option<&Packet>) -> bool {
        let packet = packet.map_or(ptr::null(), |packet| packet.raw.as_ptr().cast_const());
        // SAFETY: the packet is valid; FFmpeg takes a reference of its own.
        unsafe { sys::everyframe_decoder_send(self.raw.as_ptr(), packet) == 0 }
    }

    /// True if it logged an error since the last call.
    pub fn take_errors(&mut self) -> bool {
        // SAFETY: the decoder is valid.
        unsafe { sys::everyframe_decoder_errors(self.raw.as_ptr()) > 0 }
    }

    /// Takes the next picture.
    pub fn receive(&mut self) -> Decoded<'_> {
        let mut picture = sys::PictureProperties {
            width: 0,
            height: 0,
            planes: [ptr::null(); 3],
            strides: [0; 3],
            is_planar_420: 0,
            is_full_range: 0,
            is_bt709: 0,
            is_rgb: 0,
            rotation: 0,
            is_key: 0,
            is_damaged: 0,
            time: UNKNOWN,
        };
        // SAFETY: the place is valid.
        match unsafe { sys::everyframe_decoder_receive(self.raw.as_ptr(), &raw mut picture) } {
            0 => Decoded::Picture(DecodedPicture {
                decoder: self,
                width: picture.width.unsigned_abs(),
                height: picture.height.unsigned_abs(),
                time: known(picture.time),
                rotation: picture.rotation,
                is_key: picture.is_key != 0,
                is_damaged: picture.is_damaged != 0,
                colours: Colours {
                    is_full_range: picture.is_full_range != 0,
                    is_bt709: picture.is_bt709 != 0,
                    is_rgb: picture.is_rgb != 0,
                },
                raw: picture,
            }),
            AGAIN => Decoded::NeedsPacket,
            1 => Decoded::End,
            _ => Decoded::Damaged,
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: nothing else has the pointer.
        unsafe { sys::everyframe_decoder_free(self.raw.as_ptr()) }
    }
}

/// How numbers become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colours {
    /// Numbers from 0 to 255, as in JPEG; else from 16 to 235.
    pub is_full_range: bool,
    /// The matrix of BT.709; else that of BT.601, as in JPEG.
    pub is_bt709: bool,
    /// Red, green and blue.
    pub is_rgb: bool,
}

/// A decoded picture, as long as its decoder is not asked for another.
pub(super) struct DecodedPicture<'a> {
    decoder: &'a mut Decoder,
    raw: sys::PictureProperties,
    /// Pixels, before the rotation.
    pub width: u32,
    /// Pixels, before the rotation.
    pub height: u32,
    /// Its time in the video, microseconds.
    pub time: Option<i64>,
    /// Degrees clockwise by which it must be turned: 0, 90, 180 or 270.
    pub rotation: i32,
    /// No picture before it was needed.
    pub is_key: bool,
    /// The decoder replaced missing or wrong parts of it.
    pub is_damaged: bool,
    /// Its colours.
    pub colours: Colours,
}

impl DecodedPicture<'_> {
    /// The rows of a plane (0: luma, 1 and 2: colours at half the size) of a picture in the usual format; none if it has another
    /// format, and must be scaled first.
    pub fn rows(&self, plane: usize) -> Option<impl Iterator<Item = &[u8]>> {
        let (width, height) = match plane {
            0 => (self.width, self.height),
            _ => (self.width.div_ceil(2), self.height.div_ceil(2)),
        };
        let (start, stride) = (*self.raw.planes.get(plane)?, *self.raw.strides.get(plane)? as isize);
        if self.raw.is_planar_420 == 0 || start.is_null() || stride.unsigned_abs() < width as usize {
            return None;
        }
        // SAFETY: FFmpeg's picture has `height` rows of at least `width` bytes, `stride` apart, until the decoder is used again;
        // `self` borrows it for as long.
        Some((0..height as isize).map(move |row| unsafe {
            std::slice::from_raw_parts(start.offset(row * stride), width as usize)
        }))
    }

    /// Scales it to the size of `planes`, three planes of full range. `widths` are the bytes a row.
    ///
    /// # Errors
    ///
    /// FFmpeg cannot read this format of pixels.
    pub fn scale(
        &mut self,
        (width, height): (u32, u32),
        planes: [&mut [u8]; 3],
        strides: [usize; 3],
    ) -> Result<(), Fault> {
        let failed = || Fault::Other("the pixels of this video cannot be converted".into());
        let rows = [height, height.div_ceil(2), height.div_ceil(2)];
        let columns = [width, width.div_ceil(2), width.div_ceil(2)];
        let fits = (0..3).all(|plane| {
            strides[plane] >= columns[plane] as usize
                && planes[plane].len() >= strides[plane] * rows[plane] as usize
        });
        if !fits || width == 0 || height == 0 {
            return Err(failed());
        }
        let planes = planes.map(<[u8]>::as_mut_ptr);
        let strides = strides.map(|stride| c_int::try_from(stride).unwrap_or(0));
        let (width, height) = (c_int::try_from(width).unwrap_or(0), c_int::try_from(height).unwrap_or(0));
        // SAFETY: the planes have the rows and bytes that were checked above.
        let outcome = unsafe {
            sys::everyframe_decoder_scale(
                self.decoder.raw.as_ptr(),
                width,
                height,
                planes.as_ptr(),
                strides.as_ptr(),
                c_int::from(self.colours.is_full_range),
            )
        };
        if outcome == 0 { Ok(()) } else { Err(failed()) }
    }
}
