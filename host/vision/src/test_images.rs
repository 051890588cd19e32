//! Pictures drawn for tests.

use opencv::core::{self, Mat, MatTraitConst, MatTraitConstManual, Point, Rect, Scalar, Vector};
use opencv::{imgcodecs, imgproc};

fn encode(extension: &str, picture: &Mat) -> Vec<u8> {
    encode_with(extension, picture, &[])
}

fn encode_with(extension: &str, picture: &Mat, parameters: &[i32]) -> Vec<u8> {
    let mut bytes = Vector::new();
    assert!(imgcodecs::imencode(extension, picture, &mut bytes, &Vector::from_slice(parameters)).unwrap());
    bytes.as_slice().to_vec()
}

fn canvas(width: i32, height: i32, kind: i32, colour: f64) -> Mat {
    Mat::new_rows_cols_with_default(height, width, kind, Scalar::all(colour)).unwrap()
}

fn disc(width: i32, height: i32) -> Mat {
    let mut picture = canvas(width, height, core::CV_8UC3, 90.0);
    let centre = Point::new(width / 2, height / 2);
    let colour = Scalar::new(40.0, 180.0, 220.0, 0.0);
    imgproc::circle(&mut picture, centre, height / 3, colour, -1, imgproc::LINE_AA, 0).unwrap();
    picture
}

/// A bright disc in the middle, on grey.
pub fn encoded(extension: &str, width: i32, height: i32) -> Vec<u8> {
    encode(extension, &disc(width, height))
}

/// The disc as a progressive JPEG.
pub fn progressive(width: i32, height: i32) -> Vec<u8> {
    encode_with(".jpg", &disc(width, height), &[imgcodecs::IMWRITE_JPEG_PROGRESSIVE, 1])
}

/// The disc as a JPEG with a restart marker after every `interval` blocks.
pub fn with_restarts(width: i32, height: i32, interval: i32) -> Vec<u8> {
    encode_with(".jpg", &disc(width, height), &[imgcodecs::IMWRITE_JPEG_RST_INTERVAL, interval])
}

/// A white square of 60 pixels around (x, y) on black.
pub fn spot(extension: &str, width: i32, height: i32, x: i32, y: i32) -> Vec<u8> {
    let mut picture = canvas(width, height, core::CV_8UC3, 0.0);
    let square = Rect::new(x - 30, y - 30, 60, 60);
    imgproc::rectangle(&mut picture, square, Scalar::all(255.0), -1, imgproc::LINE_8, 0).unwrap();
    encode(extension, &picture)
}

/// The centroid of the white pixels, in pixels from the upper left corner.
pub fn centre_of_white(picture: &Mat) -> (f32, f32) {
    centre_of_white_above(picture, 127)
}

/// The centroid of the pixels brighter than `floor`.
pub fn centre_of_white_above(picture: &Mat, floor: u8) -> (f32, f32) {
    let width = picture.cols() as usize;
    let white = picture.data_bytes().unwrap().chunks(3).enumerate().filter(|(_, p)| p[0] > floor);
    let (n, x, y) = white.fold((0.0, 0.0, 0.0), |(n, x, y), (at, _)| {
        (n + 1.0, x + (at % width) as f32 + 0.5, y + (at / width) as f32 + 0.5)
    });
    (x / n, y / n)
}

/// EXIF data with this orientation (1 to 8).
pub fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif
}

/// The JPEG with an APP1 segment before all others.
pub fn with_app1(jpeg: &[u8], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, content, &jpeg[2..]].concat()
}

/// The JPEG with an EXIF segment with this orientation.
pub fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    with_app1(jpeg, &[b"Exif\0\0", &exif(orientation)[..]].concat())
}

/// The PNG with a chunk after its header. The checksum is wrong, which does not matter for a chunk that is left out.
pub fn with_png_chunk(png: &[u8], kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&png[..33], &length, kind, content, &[0; 4], &png[33..]].concat()
}

/// The lossy WebP in the extended format, with an EXIF chunk.
pub fn webp_with_exif(webp: &[u8], width: u32, height: u32, exif: &[u8]) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let padding = &[0u8][..content.len() % 2];
        [kind, &(content.len() as u32).to_le_bytes(), content, padding].concat()
    };
    let size = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    let extended = [&[0x08, 0, 0, 0][..], &size(width), &size(height)].concat();
    let body = [b"WEBP", &chunk(b"VP8X", &extended)[..], &webp[12..], &chunk(b"EXIF", exif)].concat();
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

pub fn grey(extension: &str) -> Vec<u8> {
    encode(extension, &canvas(40, 30, core::CV_8UC1, 120.0))
}

pub fn transparent(extension: &str) -> Vec<u8> {
    encode(extension, &canvas(40, 30, core::CV_8UC4, 120.0))
}
