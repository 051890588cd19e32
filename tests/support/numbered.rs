//! Pictures that show their number, as JPEG, H.264 and H.265, and the comparison of a published picture with its source.

use opencv::core::{Mat, Vector};
use opencv::imgcodecs::{IMREAD_GRAYSCALE, IMWRITE_JPEG_QUALITY, imdecode, imencode};
use opencv::prelude::*;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// The bits of a number in a picture.
const BITS: usize = 16;

/// The luma of the picture with this number, 16 to 235: a moving pattern, and at its top a row of blocks with the number's bits
/// and a row with their complement.
pub fn luma(width: usize, height: usize, number: u64) -> Vec<u8> {
    let band = height / 8;
    let shift = number as usize * 5;
    let wave = |position: usize, length: usize| {
        let place = position % (2 * length);
        place.min(2 * length - place) * 100 / length
    };
    let mut samples = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let sample = if y < 2 * band {
                let bit = (number >> (x * BITS / width)) & 1 == 1;
                if bit == (y < band) { 225 } else { 26 }
            } else {
                // As bright and as fine as a scene, and nowhere as the picture before.
                16 + wave(x + shift, 90) + wave(y + shift / 2, 60)
            };
            samples.push(sample as u8);
        }
    }
    samples
}

/// The picture as JPEG.
pub fn jpeg(width: usize, height: usize, number: u64) -> Vec<u8> {
    let samples = luma(width, height, number);
    let flat = Mat::from_slice(&samples).expect("samples");
    let pixels = flat.reshape(1, height as i32).expect("rows");
    let mut bytes = Vector::<u8>::new();
    imencode(".jpg", &pixels, &mut bytes, &Vector::from_slice(&[IMWRITE_JPEG_QUALITY, 90]))
        .expect("a picture can be encoded");
    bytes.to_vec()
}

/// The picture as a camera sends it in RTP (RFC 2435): in colour, with the usual Huffman tables.
fn colour_jpeg(width: usize, height: usize, number: u64) -> Vec<u8> {
    let samples = luma(width, height, number);
    let flat = Mat::from_slice(&samples).expect("samples");
    let grey = flat.reshape(1, height as i32).expect("rows");
    let mut pixels = Mat::default();
    opencv::imgproc::cvt_color_def(&grey, &mut pixels, opencv::imgproc::COLOR_GRAY2BGR).expect("a picture");
    let mut bytes = Vector::<u8>::new();
    imencode(".jpg", &pixels, &mut bytes, &Vector::from_slice(&[IMWRITE_JPEG_QUALITY, 90]))
        .expect("a picture can be encoded");
    bytes.to_vec()
}

/// A published picture: luma, width, height and number.
struct Published {
    samples: Vec<u8>,
    width: usize,
    height: usize,
    number: u64,
}

impl Published {
    /// Fails if the bits of its number contradict each other.
    fn decode(picture: &[u8]) -> Result<Self, String> {
        let bytes = Vector::from_slice(picture);
        let pixels = imdecode(&bytes, IMREAD_GRAYSCALE).map_err(|error| error.to_string())?;
        let (width, height) = (pixels.cols() as usize, pixels.rows() as usize);
        let samples = pixels.data_bytes().map_err(|error| error.to_string())?.to_vec();
        let at = |x: usize, y: usize| samples[y * width + x];
        let mut number = 0;
        for bit in 0..BITS {
            let x = (2 * bit + 1) * width / BITS / 2;
            let (upper, lower) = (at(x, height / 16), at(x, height / 8 + height / 16));
            if upper.abs_diff(lower) < 100 {
                return Err(format!("bit {bit} is {upper} above {lower}"));
            }
            number |= u64::from(upper > lower) << bit;
        }
        Ok(Self { samples, width, height, number })
    }
}

/// Width, height and number of a published picture that may be scaled.
pub fn read(picture: &[u8]) -> Result<(usize, usize, u64), String> {
    Published::decode(picture).map(|Published { width, height, number, .. }| (width, height, number))
}

/// As [`read`], and checks that the picture is its source with this number, and not a mixture or a smear. `is_full_range` tells that
/// the source had luma of 0 to 255.
pub fn check(picture: &[u8], is_full_range: bool) -> Result<(usize, usize, u64), String> {
    let Published { samples, width, height, number } = Published::decode(picture)?;
    let at = |x: usize, y: usize| samples[y * width + x];
    let expand = |sample: u8| match is_full_range {
        true => f64::from(sample),
        false => ((f64::from(sample) - 16.0) * 255.0 / 219.0).clamp(0.0, 255.0),
    };
    let source = luma(width, height, number);
    // The mean difference in each block: a smear is local.
    for top in (0..height / 16 * 16).step_by(16) {
        for left in (0..width / 16 * 16).step_by(16) {
            let mut sum = 0.0;
            for y in top..top + 16 {
                for x in left..left + 16 {
                    sum += (f64::from(at(x, y)) - expand(source[y * width + x])).abs();
                }
            }
            if sum / 256.0 > 14.0 {
                return Err(format!("number {number} differs by {:.0} at {left}, {top}", sum / 256.0));
            }
        }
    }
    Ok((width, height, number))
}

/// How a picture is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// H.264.
    H264,
    /// H.265.
    Hevc,
    /// Motion JPEG.
    Jpeg,
}

/// One coded picture.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its coding.
    pub coding: Coding,
    /// Its parts (NAL units) without start codes; of motion JPEG, the file.
    pub nals: Vec<Vec<u8>>,
}

/// The pictures `numbers` as motion JPEG, 4:2:0.
pub fn motion_jpeg(width: usize, height: usize, numbers: std::ops::Range<u64>) -> Vec<Unit> {
    let unit = |number| Unit { coding: Coding::Jpeg, nals: vec![colour_jpeg(width, height, number)] };
    numbers.map(unit).collect()
}

/// The pictures `numbers` as H.265, a key picture every second of 25. `format` as for [`h264`].
pub fn hevc(width: usize, height: usize, numbers: std::ops::Range<u64>, format: &str) -> Vec<Unit> {
    let coder = "aud=1:repeat-headers=1:open-gop=0:keyint=25:min-keyint=25:pools=none:log-level=none";
    let coding =
        format!("-c:v libx265 -preset ultrafast -tune zerolatency -crf 18 -x265-params {coder} -f hevc");
    let stream = encode((width, height), numbers, format, &coding);
    split_units(&stream, Coding::Hevc)
}

/// The pictures `numbers` as H.264, a key picture every second of 25. `format` is FFmpeg's name: `yuv420p`, `yuv444p`.
pub fn h264(width: usize, height: usize, numbers: std::ops::Range<u64>, format: &str) -> Vec<Unit> {
    let coder = "aud=1:repeat-headers=1:sliced-threads=0:threads=1";
    let coding =
        format!("-c:v libx264 -preset veryfast -tune zerolatency -g 25 -crf 18 -x264-params {coder} -f h264");
    let stream = encode((width, height), numbers, format, &coding);
    split_units(&stream, Coding::H264)
}

/// A recording of the pictures `numbers` (NUT), not compressed. `format` as for [`h264`], or that of a device's memory: `nv12`.
pub fn recording(width: usize, height: usize, numbers: std::ops::Range<u64>, format: &str) -> Vec<u8> {
    encode((width, height), numbers, format, "-c:v rawvideo -f nut")
}

/// Encodes pictures by FFmpeg with these arguments.
fn encode(
    (width, height): (usize, usize),
    numbers: std::ops::Range<u64>,
    format: &str,
    coding: &str,
) -> Vec<u8> {
    let size = format!("{width}x{height}");
    let mut encoder = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", &size, "-r", "25", "-i", "-"])
        .args(["-color_range", "tv", "-vf", "scale=in_range=tv:out_range=tv", "-pix_fmt", format])
        .args(coding.split(' '))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg encodes; `make setup-test` installs it");
    let mut stdin = encoder.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || {
        for number in numbers {
            stdin.write_all(&luma(width, height, number)).expect("ffmpeg reads");
        }
    });
    let mut stream = Vec::new();
    encoder.stdout.take().expect("a pipe").read_to_end(&mut stream).expect("ffmpeg writes");
    writer.join().expect("ffmpeg reads all");
    assert!(encoder.wait().expect("it ends").success(), "ffmpeg failed");
    stream
}

/// Splits a stream with start codes and delimiters (type 9 of H.264, 35 of H.265) into pictures.
fn split_units(stream: &[u8], coding: Coding) -> Vec<Unit> {
    let is_delimiter = |byte: u8| match coding {
        Coding::Hevc => byte >> 1 == 35,
        _ => byte & 0x1f == 9,
    };
    let starts: Vec<usize> = stream
        .windows(3)
        .enumerate()
        .filter(|(_, bytes)| *bytes == [0, 0, 1])
        .map(|(at, _)| at + 3)
        .collect();
    let mut units: Vec<Unit> = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(stream.len(), |next| next - 3);
        let nal = stream[*start..end].strip_suffix(&[0]).unwrap_or(&stream[*start..end]).to_vec();
        match nal.first() {
            Some(byte) if is_delimiter(*byte) => units.push(Unit { coding, nals: Vec::new() }),
            Some(_) => units.last_mut().expect("a delimiter comes first").nals.push(nal),
            None => {}
        }
    }
    units
}
