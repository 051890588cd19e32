//! Pictures for frames: from the footage, or generated.

use crate::places::cached;
use opencv::core::{
    BORDER_REFLECT_101, CV_8UC3, Mat, ROTATE_90_CLOCKWISE, Rect, Scalar, Size, Vector, absdiff, mean,
    no_array, randu, rotate,
};
use opencv::imgcodecs::{IMREAD_COLOR, IMWRITE_JPEG_QUALITY, imdecode, imencode};
use opencv::imgproc::{INTER_AREA, gaussian_blur, resize};
use opencv::prelude::*;
use opencv::videoio::{CAP_FFMPEG, VideoCapture};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// All frames of a clip of the footage as JPEG. Most tests need some, so each clip is decoded once.
pub fn clip(name: &str) -> Vec<Vec<u8>> {
    static CLIPS: Mutex<BTreeMap<String, Vec<Vec<u8>>>> = Mutex::new(BTreeMap::new());
    let mut clips = CLIPS.lock().unwrap_or_else(PoisonError::into_inner);
    clips.entry(name.to_owned()).or_insert_with(|| decode_clip(name)).clone()
}

fn decode_clip(name: &str) -> Vec<Vec<u8>> {
    let path = cached("footage").join(name);
    let mut capture = VideoCapture::from_file(path.as_path(), CAP_FFMPEG).expect("a clip opens");
    let mut pictures = Vec::new();
    let mut picture = Mat::default();
    while capture.read(&mut picture).expect("a clip can be read") && !picture.empty() {
        pictures.push(encoded(&picture, ".jpg", 95));
    }
    assert!(!pictures.is_empty(), "{} has no frames", path.display());
    pictures
}

/// The man of `single_face.mp4`: 72 frames, his face in each.
pub fn man() -> Vec<Vec<u8>> {
    clip("single_face.mp4")
}

/// A picture as JPEG.
pub fn jpeg(picture: &Mat) -> Vec<u8> {
    encoded(picture, ".jpg", 95)
}

/// A picture in another format: `.png`, `.webp`.
pub fn reencoded(picture: &[u8], extension: &str) -> Vec<u8> {
    encoded(&decoded(picture), extension, 95)
}

fn decoded(picture: &[u8]) -> Mat {
    imdecode(&Vector::from_slice(picture), IMREAD_COLOR).expect("a picture can be decoded")
}

/// A picture scaled by a factor.
pub fn scaled(picture: &[u8], factor: f64) -> Vec<u8> {
    let mut scaled = Mat::default();
    resize(&decoded(picture), &mut scaled, Size::default(), factor, factor, INTER_AREA)
        .expect("it can be scaled");
    jpeg(&scaled)
}

/// A picture blurred by a Gaussian of this standard deviation, pixels.
pub fn blurred(picture: &[u8], deviation: f64) -> Vec<u8> {
    let mut blurred = Mat::default();
    let (size, border) = (Size::default(), BORDER_REFLECT_101);
    gaussian_blur(&decoded(picture), &mut blurred, size, deviation, deviation, border)
        .expect("it can be blurred");
    jpeg(&blurred)
}

/// A picture whose brightness is multiplied by a factor, and clipped.
pub fn exposed(picture: &[u8], factor: f64) -> Vec<u8> {
    let mut exposed = Mat::default();
    decoded(picture).convert_to(&mut exposed, -1, factor, 0.0).expect("it can be exposed");
    jpeg(&exposed)
}

/// The left part of a picture, `width` pixels wide.
pub fn cut(picture: &[u8], width: i32) -> Vec<u8> {
    let whole = decoded(picture);
    let part = Rect::new(0, 0, width, whole.rows());
    jpeg(&Mat::roi(&whole, part).expect("a part").try_clone().expect("a copy"))
}

/// Width and height of a picture, pixels.
pub fn size(picture: &[u8]) -> (i32, i32) {
    let picture = decoded(picture);
    (picture.cols(), picture.rows())
}

/// How much two pictures differ in a box of a result, `{"x": …, "y": …, "width": …, "height": …}` in pixels: the mean of the absolute
/// differences, 0 to 255.
pub fn difference(one: &[u8], other: &[u8], bounds: &Value) -> f64 {
    let (one, other) = (decoded(one), decoded(other));
    let side = |name: &str| bounds[name].as_f64().unwrap_or_else(|| panic!("{bounds} has no {name}")) as i32;
    let (x, y) = (side("x").max(0), side("y").max(0));
    let (width, height) = (side("width").min(one.cols() - x), side("height").min(one.rows() - y));
    let part = Rect::new(x, y, width, height);
    let mut difference = Mat::default();
    let (one, other) = (Mat::roi(&one, part).expect("a part"), Mat::roi(&other, part).expect("a part"));
    absdiff(&one, &other, &mut difference).expect("they are of one size");
    let means = mean(&difference, &no_array()).expect("a mean");
    (means[0] + means[1] + means[2]) / 3.0
}

/// A grey picture without anything on it, as JPEG.
pub fn grey(width: i32, height: i32) -> Vec<u8> {
    let grey =
        Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(128.0)).expect("a picture");
    encoded(&grey, ".jpg", 95)
}

/// A picture turned clockwise by 90 degrees, as PNG.
pub fn turned_clockwise(picture: &[u8]) -> Vec<u8> {
    let mut turned = Mat::default();
    rotate(&decoded(picture), &mut turned, ROTATE_90_CLOCKWISE).expect("it can be turned");
    encoded(&turned, ".png", 95)
}

/// A black picture, as JPEG.
pub fn black(width: i32, height: i32) -> Vec<u8> {
    let black = Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(0.0)).expect("a picture");
    encoded(&black, ".jpg", 95)
}

/// A JPEG of noise, which nothing compresses.
pub fn noise(width: i32, height: i32) -> Vec<u8> {
    let mut noise =
        Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(0.0)).expect("a picture");
    randu(&mut noise, &Scalar::all(0.0), &Scalar::all(255.0)).expect("noise");
    encoded(&noise, ".jpg", 95)
}

fn encoded(picture: &Mat, extension: &str, quality: i32) -> Vec<u8> {
    let mut bytes = Vector::<u8>::new();
    let options = match extension {
        ".jpg" => Vector::from_slice(&[IMWRITE_JPEG_QUALITY, quality]),
        _ => Vector::new(),
    };
    imencode(extension, picture, &mut bytes, &options).expect("a picture can be encoded");
    bytes.to_vec()
}
