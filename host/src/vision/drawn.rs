//! Pictures drawn for tests.

use opencv::core::{self, Mat, MatTraitConst, MatTraitConstManual, Point, Rect, Scalar, Vector};
use opencv::{imgcodecs, imgproc};

fn encode(extension: &str, picture: &Mat) -> Vec<u8> {
    let mut bytes = Vector::new();
    assert!(imgcodecs::imencode_def(extension, picture, &mut bytes).unwrap());
    bytes.as_slice().to_vec()
}

fn canvas(width: i32, height: i32, kind: i32, colour: f64) -> Mat {
    Mat::new_rows_cols_with_default(height, width, kind, Scalar::all(colour)).unwrap()
}

/// A grey ground with a bright disc in its middle.
pub fn encoded(extension: &str, width: i32, height: i32) -> Vec<u8> {
    let mut picture = canvas(width, height, core::CV_8UC3, 90.0);
    let centre = Point::new(width / 2, height / 2);
    let colour = Scalar::new(40.0, 180.0, 220.0, 0.0);
    imgproc::circle(&mut picture, centre, height / 3, colour, -1, imgproc::LINE_AA, 0).unwrap();
    encode(extension, &picture)
}

/// A black ground with a white square of 60 pixels round (x, y).
pub fn spot(extension: &str, width: i32, height: i32, x: i32, y: i32) -> Vec<u8> {
    let mut picture = canvas(width, height, core::CV_8UC3, 0.0);
    let square = Rect::new(x - 30, y - 30, 60, 60);
    imgproc::rectangle(&mut picture, square, Scalar::all(255.0), -1, imgproc::LINE_8, 0).unwrap();
    encode(extension, &picture)
}

/// The centre of gravity of the white pixels, in pixels from the upper left edge.
pub fn centre_of_white(picture: &Mat) -> (f32, f32) {
    let width = picture.cols() as usize;
    let white = picture.data_bytes().unwrap().chunks(3).enumerate().filter(|(_, p)| p[0] > 127);
    let (n, x, y) = white.fold((0.0, 0.0, 0.0), |(n, x, y), (at, _)| {
        (n + 1.0, x + (at % width) as f32 + 0.5, y + (at / width) as f32 + 0.5)
    });
    (x / n, y / n)
}

/// The JPEG with an EXIF segment which says how to turn it (1 to 8).
pub fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

pub fn grey(extension: &str) -> Vec<u8> {
    encode(extension, &canvas(40, 30, core::CV_8UC1, 120.0))
}

pub fn transparent(extension: &str) -> Vec<u8> {
    encode(extension, &canvas(40, 30, core::CV_8UC4, 120.0))
}
