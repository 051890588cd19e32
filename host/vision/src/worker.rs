//! One worker: its own sessions and buffers. Workers are the parallelism; each keeps to one core.

use std::time::Duration;

use opencv::core::{Mat, MatTraitConst, MatTraitConstManual};

use super::align::{self, CROP_BYTES};
use super::decode::Decoder;
use super::detector::{Detector, Search};
use super::embedder::Embedder;
use super::header;
use super::thumbnail::Thumbnail;
use super::{PictureError, yunet};
use everyframe_config::{Polygon, VisionSettings};
use everyframe_telemetry::cpu_timer::CpuTimer;
use everyframe_types::face::{Detection, Embedding};

/// What the detector saw in one picture.
#[derive(Debug, Clone, Default)]
pub struct Detections {
    /// Of the full-size picture, upright, pixels.
    pub width: u32,
    /// Of the full-size picture, upright, pixels.
    pub height: u32,
    /// In pixels of the full-size picture, best score first.
    pub detections: Vec<Detection>,
    /// What it took.
    pub times: Times,
    /// The aligned face of each detection, in their order, if the picture was decoded at full size anyway. They are
    /// kept rather than the picture: 37 KB a face instead of megabytes, for frames that wait for their turn.
    crops: Vec<[u8; CROP_BYTES]>,
    thumbnails: Vec<Option<Thumbnail>>,
    scene: Option<Thumbnail>,
}

/// What one picture took, milliseconds and less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Checking the header, and decoding.
    pub decode: Duration,
    /// Everything from pixels to detections.
    pub detect: Duration,
}

/// Where a worker's time went, in all since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Checking headers, decoding, scaling down.
    pub decode: Duration,
    /// From pixels to the input of the models, both.
    pub prepare: Duration,
    /// The detector's inference.
    pub detect: Duration,
    /// From the detector's output to detections.
    pub decode_outputs: Duration,
    /// Cutting out aligned faces.
    pub align: Duration,
    /// The embedder's inference.
    pub embed: Duration,
    /// Decoded pictures, the second decoding of one included.
    pub decoded: u64,
    /// Embedded faces.
    pub embedded: u64,
}

impl std::ops::Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            decode: self.decode + other.decode,
            prepare: self.prepare + other.prepare,
            detect: self.detect + other.detect,
            decode_outputs: self.decode_outputs + other.decode_outputs,
            align: self.align + other.align,
            embed: self.embed + other.embed,
            decoded: self.decoded + other.decoded,
            embedded: self.embedded + other.embedded,
        }
    }
}

/// A turned picture must score higher by this to be called upright. The detector scores an upright face at least 0.03 higher
/// than the same face turned (the footage and the stills).
const CLEARLY: f32 = 0.01;

/// Detects and embeds. Made by [`Vision::worker`](super::Vision::worker).
pub struct Worker {
    decoder: Decoder,
    detector: Detector,
    embedder: Embedder,
    max_pixels: u64,
    max_side: u32,
    spent: Spent,
}

impl Worker {
    pub(super) fn new(detector: Detector, embedder: Embedder, settings: &VisionSettings) -> Self {
        Self {
            decoder: Decoder::new(settings),
            detector,
            embedder,
            max_pixels: settings.max_pixels,
            max_side: settings.detector.max_side,
            spent: Spent::default(),
        }
    }

    /// Decodes a JPEG, PNG or WebP picture and finds its faces. Nothing is found in what is masked.
    ///
    /// # Errors
    ///
    /// See [`PictureError`]: all but one say that the picture is to be parked.
    pub fn detect(&mut self, encoded: &[u8], masks: &[&Polygon]) -> Result<Detections, PictureError> {
        self.search(encoded, masks, Search::Usual)
    }

    fn search(
        &mut self,
        encoded: &[u8],
        masks: &[&Polygon],
        search: Search,
    ) -> Result<Detections, PictureError> {
        let mut cpu_timer = CpuTimer::start();
        let header = header::inspect(encoded, self.max_pixels)?;
        let decoded = self.decoder.decode_within(encoded, header, masks, self.max_side)?;
        let decode = cpu_timer.lap();
        let (mut detections, took) = self.detector.detect(decoded.pixels, search)?;
        let mut detect = cpu_timer.lap();
        // Crops of a reduced picture are good enough for thumbnails, but not for embeddings.
        let mut crops = cut(decoded.pixels, &detections)?;
        let thumbnails = crops.iter().map(Thumbnail::of_crop).collect();
        let scene = scene(decoded.pixels)?;
        self.spent.align += cpu_timer.lap();
        for detection in &mut detections {
            yunet::rescale(detection, decoded.scale);
        }
        if decoded.full.is_none() {
            crops.clear();
        }
        detect += cpu_timer.lap();
        self.spent.decode += decode;
        self.spent.decoded += 1;
        self.spent.prepare += took.prepare;
        self.spent.detect += took.infer;
        self.spent.decode_outputs += took.read;
        let (width, height) = (decoded.width, decoded.height);
        Ok(Detections {
            width,
            height,
            detections,
            times: Times { decode, detect },
            crops,
            thumbnails,
            scene,
        })
    }

    /// Searches a picture of a person to be enrolled for faces of all sizes, in all four orientations.
    ///
    /// # Errors
    ///
    /// See [`Worker::detect`].
    pub fn detect_for_enrolment(&mut self, encoded: &[u8]) -> Result<EnrolmentView, PictureError> {
        let seen = self.search(encoded, &[], Search::AllSizes)?;
        let best = best_score(&seen.detections);
        let header = header::inspect(encoded, self.max_pixels)?;
        let decoded = self.decoder.decode_within(encoded, header, &[], self.max_side)?;
        let mut better = None;
        for turn in Turn::ALL {
            let mut turned = Mat::default();
            opencv::core::rotate(decoded.pixels, &mut turned, turn.opencv_code())
                .map_err(|error| PictureError::Undecodable(error.message))?;
            let (detections, _) = self.detector.detect(&turned, Search::AllSizes)?;
            let score = best_score(&detections);
            if score > best + CLEARLY && better.is_none_or(|(_, other)| score > other) {
                better = Some((turn, score));
            }
        }
        Ok(EnrolmentView { seen, should_be_turned: better.map(|(turn, _)| turn) })
    }

    /// Aligns and embeds `faces` of a picture that was seen. In the order of `faces`; none for a face that gives no
    /// direction. The faces are cut out of the full-size picture, which is decoded (again) only if need be.
    ///
    /// # Errors
    /// As [`Worker::detect`].
    pub fn embed(
        &mut self,
        encoded: &[u8],
        masks: &[&Polygon],
        seen: &Detections,
        faces: &[Detection],
    ) -> Result<Vec<Option<Embedding>>, PictureError> {
        if faces.is_empty() {
            return Ok(Vec::new());
        }
        let mut cpu_timer = CpuTimer::start();
        let at_hand: Option<Vec<_>> = faces.iter().map(|face| seen.crop(face).copied()).collect();
        let crops = match at_hand {
            Some(crops) => crops,
            None => {
                let header = header::inspect(encoded, self.max_pixels)?;
                let picture = self.decoder.decode_full(encoded, header, masks)?;
                self.spent.decode += cpu_timer.lap();
                self.spent.decoded += 1;
                cut(picture, faces)?
            }
        };
        self.spent.align += cpu_timer.lap();
        let (embeddings, took) = self.embedder.embed(&crops)?;
        self.spent.prepare += took.prepare;
        self.spent.embed += took.infer;
        self.spent.embedded += faces.len() as u64;
        Ok(embeddings)
    }

    /// Where the time went since this worker began.
    pub fn spent(&self) -> Spent {
        self.spent
    }
}

/// The best score; 0 without a face.
fn best_score(detections: &[Detection]) -> f32 {
    detections.iter().map(|face| face.score).fold(0.0, f32::max)
}

/// The faces in a picture of a person to be enrolled, and its orientation.
#[derive(Debug, Clone)]
pub struct EnrolmentView {
    /// The faces, in the picture as it is.
    pub seen: Detections,
    /// The turn that makes the face upright, if it is not. A turned face would match nobody.
    pub should_be_turned: Option<Turn>,
}

/// A turn of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Clockwise by 90 degrees.
    Right,
    /// By 180 degrees.
    Over,
    /// Counterclockwise by 90 degrees.
    Left,
}

impl Turn {
    const ALL: [Self; 3] = [Self::Right, Self::Over, Self::Left];

    fn opencv_code(self) -> i32 {
        match self {
            Self::Right => opencv::core::ROTATE_90_CLOCKWISE,
            Self::Over => opencv::core::ROTATE_180,
            Self::Left => opencv::core::ROTATE_90_COUNTERCLOCKWISE,
        }
    }
}

impl std::fmt::Display for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Right => "by 90 degrees clockwise",
            Self::Over => "by 180 degrees",
            Self::Left => "by 90 degrees counterclockwise",
        })
    }
}

/// The thumbnail of the whole picture, which shows a cut.
fn scene(picture: &Mat) -> Result<Option<Thumbnail>, PictureError> {
    /// Only every fourth pixel, across and down, counts: still hundreds for each cell.
    const STEP: usize = 4;
    let pixels = picture.data_bytes().map_err(|error| PictureError::Undecodable(error.message))?;
    let (width, height) = (picture.cols().max(0) as usize, picture.rows().max(0) as usize);
    Ok(Thumbnail::of_picture(pixels, width, height, STEP))
}

/// The aligned faces, in the order of `faces`; black for one without direction, whose embedding then says so.
fn cut(picture: &Mat, faces: &[Detection]) -> Result<Vec<[u8; CROP_BYTES]>, PictureError> {
    let mut crops = vec![[0; CROP_BYTES]; faces.len()];
    for (face, crop) in faces.iter().zip(&mut crops) {
        align::align(picture, &face.landmarks, crop)?;
    }
    Ok(crops)
}

impl Detections {
    /// The thumbnails of the aligned faces, in the order of the detections; none for a face of one brightness.
    pub fn thumbnails(&self) -> &[Option<Thumbnail>] {
        &self.thumbnails
    }

    /// The thumbnail of the whole picture; none if it is all of one brightness.
    pub fn scene(&self) -> Option<&Thumbnail> {
        self.scene.as_ref()
    }

    fn crop(&self, face: &Detection) -> Option<&[u8; CROP_BYTES]> {
        let index = self.detections.iter().position(|detection| detection == face)?;
        self.crops.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::{SIDE, TEMPLATE};
    use crate::manifest::{Channels, Kind, Manifest};
    use crate::network::{Fake, Network, Tensor};
    use crate::preprocess::Planes;
    use crate::test_images;
    use everyframe_config::DetectorSettings;

    fn manifest(kind: Kind) -> Manifest {
        Manifest {
            name: "fake".into(),
            kind,
            licence: String::new(),
            source: String::new(),
            input: "input".into(),
            channels: Channels::Bgr,
            dimension: Some(3),
            variants: Vec::new(),
        }
    }

    /// Finds one face wherever the picture is brightest: 32 pixels wide there, with upright landmarks.
    fn brightest(input: &Planes) -> Vec<Tensor> {
        let [_, _, height, width] = input.shape();
        let blue = &input.values()[..height * width];
        let best = (0..blue.len()).max_by(|a, b| blue[*a].total_cmp(&blue[*b])).unwrap_or(0);
        let (x, y) = (best % width, best / width);
        let mut tensors = Vec::new();
        for stride in [8, 16, 32] {
            let cells = (height / stride) * (width / stride);
            let mut map = |kind: &str, each: usize| {
                tensors.push(Tensor { name: format!("{kind}_{stride}"), values: vec![0.0; cells * each] });
                tensors.len() - 1
            };
            let (class, object, bounds, points) =
                (map("cls", 1), map("obj", 1), map("bbox", 4), map("kps", 10));
            if stride == 32 {
                let cell = y / stride * (width / stride) + x / stride;
                tensors[class].values[cell] = 1.0;
                tensors[object].values[cell] = 1.0;
                tensors[bounds].values[4 * cell..4 * cell + 2].fill(0.5);
                for (i, p) in TEMPLATE.iter().enumerate() {
                    tensors[points].values[10 * cell + 2 * i] = p.x / SIDE as f32;
                    tensors[points].values[10 * cell + 2 * i + 1] = p.y / SIDE as f32;
                }
            }
        }
        tensors
    }

    /// The mean colour of each crop; nothing for a black one.
    fn mean_colour(input: &Planes) -> Vec<Tensor> {
        let planes = input.values().chunks(SIDE * SIDE);
        let means = planes.map(|plane| plane.iter().sum::<f32>() / plane.len() as f32).collect();
        vec![Tensor { name: "fc1".into(), values: means }]
    }

    fn worker(max_side: u32, embedder: Box<dyn Network>) -> Worker {
        let settings = VisionSettings {
            detector: DetectorSettings { max_side, ..DetectorSettings::default() },
            ..VisionSettings::default()
        };
        Worker::new(
            Detector::new(Fake::boxed(brightest), &manifest(Kind::Detector), &settings.detector),
            Embedder::new(embedder, &manifest(Kind::Embedder)),
            &settings,
        )
    }

    #[test]
    fn positions_are_those_of_the_full_size_picture() {
        for extension in [".jpg", ".png", ".webp"] {
            let bytes = test_images::spot(extension, 1600, 900, 1200, 420);
            for max_side in [1600, 800, 400] {
                let seen = worker(max_side, Fake::boxed(mean_colour)).detect(&bytes, &[]).unwrap();
                assert_eq!((seen.width, seen.height), (1600, 900));
                let [face] = &seen.detections[..] else { panic!("one face: {seen:?}") };
                let scale = 1600.0 / max_side as f32;
                assert!((face.bounds.width - 32.0 * scale).abs() < 0.5);
                let centre = face.bounds.x + face.bounds.width / 2.0;
                assert!((centre - 1200.0).abs() < 32.0 * scale + 30.0, "{extension} {max_side}: {centre}");
            }
        }
    }

    #[test]
    fn a_picture_is_decoded_again_only_if_it_was_reduced() {
        let bytes = test_images::spot(".jpg", 1600, 900, 1200, 420);
        let mut direct = worker(1600, Fake::boxed(mean_colour));
        let seen = direct.detect(&bytes, &[]).unwrap();
        let embedded = direct.embed(&bytes, &[], &seen, &seen.detections).unwrap();
        assert_eq!(direct.spent().decoded, 1);

        let mut again = worker(800, Fake::boxed(mean_colour));
        let reduced = again.detect(&bytes, &[]).unwrap();
        assert!(again.embed(&bytes, &[], &reduced, &[]).unwrap().is_empty());
        assert_eq!(again.spent().decoded, 1, "no face to embed");
        assert_eq!(
            again.embed(&bytes, &[], &reduced, &seen.detections).unwrap(),
            embedded,
            "cut from the full size"
        );
        assert_eq!(again.spent().decoded, 2);
        assert_eq!(again.spent().embedded, 1);
    }

    #[test]
    fn faces_keep_their_order_and_one_without_direction_has_no_embedding() {
        let bytes = test_images::spot(".png", 640, 480, 320, 240);
        let mut worker = worker(640, Fake::boxed(mean_colour));
        let seen = worker.detect(&bytes, &[]).unwrap();
        let bright = seen.detections[0].clone();
        let nowhere = Detection { landmarks: Default::default(), ..bright.clone() };
        // More than one batch.
        let faces: Vec<_> =
            (0..11).map(|i| if i % 3 == 1 { nowhere.clone() } else { bright.clone() }).collect();
        let embeddings = worker.embed(&bytes, &[], &seen, &faces).unwrap();
        let there: Vec<_> = embeddings.iter().map(Option::is_some).collect();
        assert_eq!(there, (0..11).map(|i| i % 3 != 1).collect::<Vec<_>>());
    }

    #[test]
    fn an_answer_of_the_wrong_length_is_the_hosts_fault_not_the_pictures() {
        let bytes = test_images::spot(".png", 640, 480, 320, 240);
        let mut worker =
            worker(640, Fake::boxed(|_| vec![Tensor { name: "fc1".into(), values: vec![1.0; 2] }]));
        let seen = worker.detect(&bytes, &[]).unwrap();
        let error = worker.embed(&bytes, &[], &seen, &seen.detections).unwrap_err();
        assert!(error.is_hosts_fault() && error.to_string().contains("its manifest says 3 each"), "{error}");
    }

    #[test]
    fn what_is_no_picture_is_refused_with_a_name_for_the_reason() {
        let mut worker = worker(640, Fake::boxed(mean_colour));
        let jpeg = test_images::encoded(".jpg", 64, 48);
        for (bytes, reason) in
            [(&b""[..], "empty"), (b"hello", "not-a-picture"), (&jpeg[..jpeg.len() / 2], "truncated")]
        {
            assert_eq!(worker.detect(bytes, &[]).unwrap_err().reason(), reason);
        }
    }
}
