//! The detector: from pixels to detections.
//!
//! YuNet finds faces of up to about 500 pixels and breaks larger ones into pieces: for a face of 900 pixels it finds two of
//! 560, both in the wrong place. So if there may be a large face, the detector also searches a reduced picture. There, it found
//! all faces of 350 to 1,400 pixels once, in the right place (34 faces of the footage and the stills, in nine sizes each).

use opencv::core::{Mat, MatTraitConst, MatTraitConstManual, Size, ToInputArray};
use opencv::imgproc;

use super::error::PictureError;
use super::manifest::Manifest;
use super::network::{Network, StageTimes};
use super::outputs::{OutputDecoder, STRIDES};
use super::preprocess::Planes;
use super::search_plan::{Part, longer};
use super::yunet;
use everyframe_config::{DetectorSettings, VisionSettings};
use everyframe_telemetry::cpu_timer::CpuTimer;
use everyframe_types::face::{Detection, Rect};

/// The longer side of the reduced picture, pixels.
const REDUCED_SIDE: i32 = 320;
/// Faces whose longer side has at least this many pixels are taken from the reduced picture.
const LARGE: f32 = 350.0;
/// Whenever a picture had a large face, the first search found a large box with at least this score, right or wrong.
const HINT_SCORE: f32 = 0.3;
/// A detection is a piece of a large face if at least this share of its box is within the face's box ...
const PIECE_INSIDE: f32 = 0.5;
/// ... and its box is not smaller than the face's by more than this factor.
const PIECE_SMALLER: f32 = 4.0;

/// The sizes of faces to search for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// Search the reduced picture only if the first search found a large box.
    Usual,
    /// Always search the reduced picture.
    AllSizes,
}

/// A detector, for pictures of any size.
pub(super) struct Detector {
    whole: Input,
    /// For parts of pictures, which have many different sizes.
    parts: Input,
    outputs: OutputDecoder,
    reduced: Mat,
    part: Mat,
    score: f32,
    low_score: f32,
    overlap: f32,
}

/// What one search has found: boxes of faces, best score first.
#[derive(Debug, Default)]
pub(super) struct Boxes {
    /// With at least `[vision.detector] score`.
    pub faces: Vec<Detection>,
    /// With a lower score, of at least `[vision.tracker] low_score`. They do not overlap `faces`.
    pub weak: Vec<Detection>,
}

/// A rectangle of a picture.
#[derive(Clone, Copy)]
struct Pixels<'a> {
    /// Rows of BGR without gaps: the whole picture.
    bgr: &'a [u8],
    /// Bytes of a row.
    stride: usize,
    /// The rectangle, which lies inside the picture.
    bounds: opencv::core::Rect,
}

impl<'a> Pixels<'a> {
    /// All pixels of a picture whose rows have no gaps.
    fn of(picture: &'a Mat) -> Result<Self, PictureError> {
        let bgr = picture.data_bytes().map_err(PictureError::unreadable)?;
        let bounds = opencv::core::Rect::new(0, 0, picture.cols(), picture.rows());
        Ok(Self { bgr, stride: 3 * picture.cols().max(0) as usize, bounds })
    }

    /// The rectangle's rows.
    fn rows(self) -> impl Iterator<Item = &'a [u8]> {
        let [x, y, width, height] = [self.bounds.x, self.bounds.y, self.bounds.width, self.bounds.height]
            .map(|number| number.max(0) as usize);
        let rows = self.bgr.chunks_exact(self.stride.max(1)).skip(y).take(height);
        rows.map(move |row| &row[3 * x..3 * (x + width)])
    }
}

/// A model with its input.
struct Input {
    network: Box<dyn Network>,
    planes: Planes,
}

impl Detector {
    /// `parts` is the same model as `whole`, for inputs of many different sizes.
    pub fn new(
        whole: Box<dyn Network>,
        parts: Box<dyn Network>,
        manifest: &Manifest,
        settings: &VisionSettings,
    ) -> Self {
        let DetectorSettings { score, overlap, .. } = settings.detector;
        let low_score = settings.tracker.low_score.min(score);
        let input = |network| Input { network, planes: Planes::for_model(manifest) };
        let (whole, parts, outputs) = (input(whole), input(parts), OutputDecoder::new(manifest));
        let (reduced, part) = (Mat::default(), Mat::default());
        Self { whole, parts, outputs, reduced, part, score, low_score, overlap }
    }

    /// Detects the faces in a BGR picture: best score first, in pixels of that picture.
    ///
    /// # Errors
    ///
    /// See [`PictureError`]: inference failed (retry), or OpenCV cannot read the pixels (park the frame).
    pub fn detect(&mut self, picture: &Mat, search: Search) -> Result<(Boxes, StageTimes), PictureError> {
        let mut took = StageTimes::default();
        let score = self.low_score.min(HINT_SCORE);
        let found = self.whole.search(Pixels::of(picture)?, &self.outputs, score, &mut took)?;
        let found = self.complete(found, picture, search, &mut took)?;
        Ok((found, took))
    }

    /// Of all boxes of a first search of `picture`, keeps the best one of each face. Adds large faces.
    fn complete(
        &mut self,
        mut found: Vec<Detection>,
        picture: &(impl MatTraitConst + ToInputArray),
        search: Search,
        took: &mut StageTimes,
    ) -> Result<Boxes, PictureError> {
        let longer_side = picture.rows().max(picture.cols());
        let hints_at_large = found
            .iter()
            .any(|face| longer(&face.bounds) >= LARGE && face.score >= HINT_SCORE.min(self.score));
        found.retain(|face| face.score >= self.low_score);
        let mut found = yunet::non_max_suppression(found, self.overlap);
        let mut weak = found.split_off(found.partition_point(|face| face.score >= self.score));
        if longer_side > REDUCED_SIDE && (hints_at_large || search == Search::AllSizes) {
            let large = self.search_reduced(picture, took)?;
            for pieces in [&mut found, &mut weak] {
                pieces.retain(|face| !large.iter().any(|large| is_piece(&face.bounds, &large.bounds)));
            }
            found.extend(large);
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        Ok(Boxes { faces: found, weak })
    }

    /// Detects the faces in a part of a BGR picture: best score first, in pixels of that picture.
    ///
    /// # Errors
    ///
    /// As [`Detector::detect`].
    pub fn detect_part(&mut self, picture: &Mat, part: &Part) -> Result<(Boxes, StageTimes), PictureError> {
        let mut cpu_timer = CpuTimer::start();
        let bounds = part.bounds;
        let mut bounds = opencv::core::Rect::new(
            bounds.x as i32,
            bounds.y as i32,
            bounds.width as i32,
            bounds.height as i32,
        );
        let side = |full: i32| ((full as f32 * part.scale).round() as i32).max(1);
        let size = Size::new(side(bounds.width), side(bounds.height));
        let half = Size::new(bounds.width / 2, bounds.height / 2);
        let is_halved = size.width <= half.width && size.height <= half.height;
        if is_halved {
            // OpenCV has a fast mean of 2 × 2 pixels. Sides that are not exactly twice as long would take 15 times as long.
            (bounds.width, bounds.height) = (2 * half.width, 2 * half.height);
        }
        let inside = Mat::roi(picture, bounds).map_err(PictureError::unreadable)?;
        let score = self.low_score.min(HINT_SCORE);
        let mut took = StageTimes::default();
        let mut found = if part.scale < 1.0 {
            let mut pixels = std::mem::take(&mut self.part);
            if is_halved {
                // Bilinear interpolation to less than half would skip pixels.
                imgproc::resize(&inside, &mut self.reduced, half, 0.0, 0.0, imgproc::INTER_AREA)
                    .map_err(PictureError::unreadable)?;
                imgproc::resize(&self.reduced, &mut pixels, size, 0.0, 0.0, imgproc::INTER_LINEAR)
            } else {
                imgproc::resize(&inside, &mut pixels, size, 0.0, 0.0, imgproc::INTER_LINEAR)
            }
            .map_err(PictureError::unreadable)?;
            took.prepare = cpu_timer.lap();
            let found = self.parts.search(Pixels::of(&pixels)?, &self.outputs, score, &mut took);
            let found = found.and_then(|found| self.complete(found, &pixels, Search::Usual, &mut took));
            self.part = pixels;
            found?
        } else {
            let pixels = Pixels { bounds, ..Pixels::of(picture)? };
            let found = self.parts.search(pixels, &self.outputs, score, &mut took)?;
            self.complete(found, &inside, Search::Usual, &mut took)?
        };
        let across = bounds.width as f32 / size.width as f32;
        let down = bounds.height as f32 / size.height as f32;
        for face in found.faces.iter_mut().chain(&mut found.weak) {
            yunet::rescale(face, (across, down));
            yunet::shift(face, (bounds.x as f32, bounds.y as f32));
        }
        Ok((found, took))
    }

    /// Detects the large faces, in a reduced picture.
    fn search_reduced(
        &mut self,
        picture: &(impl MatTraitConst + ToInputArray),
        took: &mut StageTimes,
    ) -> Result<Vec<Detection>, PictureError> {
        let mut cpu_timer = CpuTimer::start();
        let scale = f64::from(REDUCED_SIDE) / f64::from(picture.rows().max(picture.cols()));
        let side = |full: i32| ((f64::from(full) * scale).round() as i32).max(1);
        let size = Size::new(side(picture.cols()), side(picture.rows()));
        let mut reduced = std::mem::take(&mut self.reduced);
        imgproc::resize(picture, &mut reduced, size, 0.0, 0.0, imgproc::INTER_AREA)
            .map_err(PictureError::unreadable)?;
        took.prepare += cpu_timer.lap();
        let found = self.parts.search(Pixels::of(&reduced)?, &self.outputs, self.score, took)?;
        self.reduced = reduced;
        let mut found = yunet::non_max_suppression(found, self.overlap);
        let across = picture.cols() as f32 / size.width as f32;
        let down = picture.rows() as f32 / size.height as f32;
        found.iter_mut().for_each(|face| yunet::rescale(face, (across, down)));
        found.retain(|face| longer(&face.bounds) >= LARGE);
        Ok(found)
    }
}

impl Input {
    /// All boxes that score at least `score`, before non-maximum suppression.
    fn search(
        &mut self,
        pixels: Pixels<'_>,
        outputs: &OutputDecoder,
        score: f32,
        took: &mut StageTimes,
    ) -> Result<Vec<Detection>, PictureError> {
        let mut cpu_timer = CpuTimer::start();
        let size = (pixels.bounds.height.max(0) as usize, pixels.bounds.width.max(0) as usize);
        let [_, _, widest] = STRIDES;
        self.planes.reshape(1, size, widest);
        self.planes.write_rows(0, pixels.rows());
        took.prepare += cpu_timer.lap();
        let answer = self.network.run(&self.planes)?;
        took.infer += cpu_timer.lap();
        let [_, _, height, width] = self.planes.shape();
        let found = outputs.decode(answer, (height, width), score)?;
        took.decode_outputs += cpu_timer.lap();
        Ok(found)
    }
}

/// True if `bounds` is a piece of the `large` face rather than a face of its own.
fn is_piece(bounds: &Rect, large: &Rect) -> bool {
    let width = (bounds.x + bounds.width).min(large.x + large.width) - bounds.x.max(large.x);
    let height = (bounds.y + bounds.height).min(large.y + large.height) - bounds.y.max(large.y);
    let inside = width.max(0.0) * height.max(0.0);
    inside >= PIECE_INSIDE * bounds.width * bounds.height && longer(bounds) * PIECE_SMALLER >= longer(large)
}
