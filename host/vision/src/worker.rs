//! A worker: model sessions and buffers for one thread. Frames are processed in parallel by several workers, each of which
//! uses one core.

use std::time::Duration;

use opencv::core::{Mat, MatTraitConst};

use super::align::{self, CROP_BYTES, GreyCrop, SIDE};
use super::anchor::Anchor;
use super::decode::{Decoded, Decoder};
use super::detections::{DetectionTimes, Detections};
use super::detector::{Detector, Search};
use super::embedder::Embedder;
use super::error::PictureError;
use super::frame_search::{Found, FoundFace, FrameSearch, SAME_FACE};
use super::header;
use super::network::StageTimes;
use super::quality::CropQuality;
use super::search_plan::{FaceSizes, close_up};
use super::thumbnail::Thumbnail;
use super::yunet;
use everyframe_config::{Polygon, VisionSettings};
use everyframe_telemetry::cpu_timer::CpuTimer;
use everyframe_types::face::{Detection, Embedding, Point};
use everyframe_types::search::SearchKind;
use std::sync::Arc;

/// Processor time of a worker by stage, in total since it was created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Checking headers, decoding and scaling down.
    pub decode: Duration,
    /// Converting pixels to the input of both models.
    pub prepare: Duration,
    /// Inference of the detector.
    pub detect: Duration,
    /// Converting the detector's output to detections.
    pub decode_outputs: Duration,
    /// Aligning faces and making thumbnails.
    pub align: Duration,
    /// Inference of the embedder.
    pub embed: Duration,
    /// Number of decodings; a picture that is decoded twice counts twice.
    pub decoded: u64,
    /// Number of embedded faces.
    pub embedded: u64,
}

impl WorkerStats {
    fn add_search(&mut self, took: StageTimes) {
        self.prepare += took.prepare;
        self.detect += took.infer;
        self.decode_outputs += took.decode_outputs;
    }
}

impl std::ops::Add for WorkerStats {
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

/// A rotated picture counts as upright only if its best face scores higher by at least this much than in the picture as it
/// is. In the footage and the stills, the detector scores an upright face at least 0.03 higher than the same face rotated.
const MIN_SCORE_GAIN: f32 = 0.01;

/// Detects and embeds faces. Created by [`Vision::worker`](super::Vision::worker).
pub struct Worker {
    decoder: Decoder,
    detector: Detector,
    embedder: Embedder,
    max_pixels: u64,
    max_side: u32,
    min_face: u32,
    overlap: f32,
    stats: WorkerStats,
}

impl Worker {
    pub(super) fn new(detector: Detector, embedder: Embedder, settings: &VisionSettings) -> Self {
        Self {
            decoder: Decoder::new(settings),
            detector,
            embedder,
            max_pixels: settings.max_pixels,
            max_side: settings.detector.max_side,
            min_face: settings.detector.min_face,
            overlap: settings.detector.overlap,
            stats: WorkerStats::default(),
        }
    }

    /// Decodes a JPEG, PNG or WebP picture and detects its faces. Masked parts are painted over first.
    ///
    /// # Errors
    ///
    /// See [`PictureError`]. Retry after [`PictureError::Inference`]; park the frame after any other error.
    pub fn detect(&mut self, encoded: &[u8], masks: &[&Polygon]) -> Result<Detections, PictureError> {
        self.detect_since(None, encoded, masks, false)
    }

    /// As [`Worker::detect`], but with an `anchor`, an earlier picture of the same camera, only what changed since then is
    /// searched. `with_shadow` also searches the whole picture, to count what that has missed.
    ///
    /// # Errors
    ///
    /// As [`Worker::detect`].
    pub fn detect_since(
        &mut self,
        anchor: Option<&Anchor>,
        encoded: &[u8],
        masks: &[&Polygon],
        with_shadow: bool,
    ) -> Result<Detections, PictureError> {
        let mut cpu_timer = CpuTimer::start();
        let header = header::inspect(encoded, self.max_pixels)?;
        let decoded = self.decoder.decode_within(encoded, header, masks, self.max_side)?;
        let decode = cpu_timer.lap();
        let sizes = FaceSizes::new(self.min_face, decoded.scale.0.max(decoded.scale.1));
        let anchor = anchor.filter(|anchor| anchor.size == (decoded.width, decoded.height));
        let search = FrameSearch::new(&mut self.detector, sizes, self.overlap);
        let found = search.search(decoded.pixels, anchor, with_shadow)?;
        self.stats.decode += decode;
        describe(found, &decoded, decode, &mut cpu_timer, &mut self.stats)
    }

    /// Detects faces of all sizes in a picture for enrolment, and checks whether the picture is upright. Masked parts are painted over.
    ///
    /// # Errors
    ///
    /// See [`Worker::detect`].
    pub fn detect_for_enrolment(
        &mut self,
        encoded: &[u8],
        masks: &[&Polygon],
    ) -> Result<EnrolmentView, PictureError> {
        let mut cpu_timer = CpuTimer::start();
        let header = header::inspect(encoded, self.max_pixels)?;
        let decoded = self.decoder.decode_within(encoded, header, masks, self.max_side)?;
        let decode = cpu_timer.lap();
        let sizes = FaceSizes::new(self.min_face, decoded.scale.0.max(decoded.scale.1));
        let search = FrameSearch::new(&mut self.detector, sizes, self.overlap).of_all_sizes();
        let found = search.search(decoded.pixels, None, false)?;
        self.stats.decode += decode;
        let detections = describe(found, &decoded, decode, &mut cpu_timer, &mut self.stats)?;
        let best = best_score(&detections.detections);
        let mut better = None;
        for rotation in Rotation::ALL {
            let mut rotated = Mat::default();
            opencv::core::rotate(decoded.pixels, &mut rotated, rotation.opencv_code())
                .map_err(PictureError::unreadable)?;
            let (found, _) = self.detector.detect(&rotated, Search::AllSizes)?;
            let score = best_score(&found.faces);
            if score > best + MIN_SCORE_GAIN && better.is_none_or(|(_, other)| score > other) {
                better = Some((rotation, score));
            }
        }
        Ok(EnrolmentView { detections, rotation: better.map(|(rotation, _)| rotation) })
    }

    /// Embeds `faces` of a picture that was searched before, in the order of `faces`. The embedding is none for a face whose
    /// landmarks give no direction, or that is not found again where its landmarks are too rough. Faces are aligned from the
    /// full-size picture: it is decoded again unless `detections` holds the crops of all of them.
    ///
    /// # Errors
    ///
    /// As [`Worker::detect`].
    pub fn embed(
        &mut self,
        encoded: &[u8],
        masks: &[&Polygon],
        detections: &Detections,
        faces: &[Detection],
    ) -> Result<Vec<Option<Embedding>>, PictureError> {
        if faces.is_empty() {
            return Ok(Vec::new());
        }
        let mut cpu_timer = CpuTimer::start();
        let mut crops: Vec<Option<[u8; CROP_BYTES]>> =
            faces.iter().map(|face| detections.crop(face).copied()).collect();
        if crops.iter().any(Option::is_none) {
            let header = header::inspect(encoded, self.max_pixels)?;
            let picture = self.decoder.decode_full(encoded, header, masks)?;
            self.stats.decode += cpu_timer.lap();
            self.stats.decoded += 1;
            for (face, crop) in faces.iter().zip(&mut crops).filter(|(_, crop)| crop.is_none()) {
                let landmarks = match detections.is_rough(face) {
                    true => refine_landmarks(&mut self.detector, picture, face, &mut self.stats)?,
                    false => Some(face.landmarks),
                };
                // The search has counted its own time.
                cpu_timer.lap();
                if let Some(landmarks) = landmarks {
                    align::align(picture, &landmarks, crop.insert([0; CROP_BYTES]))?;
                }
            }
        }
        self.stats.align += cpu_timer.lap();
        let aligned: Vec<[u8; CROP_BYTES]> = crops.iter().flatten().copied().collect();
        let (embeddings, took) = self.embedder.embed(&aligned)?;
        self.stats.prepare += took.prepare;
        self.stats.embed += took.infer;
        self.stats.embedded += aligned.len() as u64;
        let mut embeddings = embeddings.into_iter();
        Ok(crops.iter().map(|crop| crop.and_then(|_| embeddings.next().flatten())).collect())
    }

    /// Processor time and counts since this worker was created.
    pub fn stats(&self) -> WorkerStats {
        self.stats
    }
}

/// Searches the full-size picture around a face for better landmarks; none if the face is not found again.
fn refine_landmarks(
    detector: &mut Detector,
    picture: &Mat,
    face: &Detection,
    stats: &mut WorkerStats,
) -> Result<Option<[Point; 5]>, PictureError> {
    let part = close_up(&face.bounds, (picture.cols() as f32, picture.rows() as f32));
    let (found, took) = detector.detect_part(picture, &part)?;
    stats.add_search(took);
    let overlap = |other: &Detection| other.bounds.iou(&face.bounds);
    let best = found.faces.iter().max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
    Ok(best.filter(|best| overlap(best) >= SAME_FACE).map(|best| best.landmarks))
}

/// Describes the faces that were found in a decoded picture. The timer runs since the picture was decoded.
fn describe(
    found: Found,
    decoded: &Decoded<'_>,
    decode: Duration,
    cpu_timer: &mut CpuTimer,
    stats: &mut WorkerStats,
) -> Result<Detections, PictureError> {
    let mut detect = cpu_timer.lap();
    let is_rough = found.boxes.faces.iter().map(|face| face.is_rough).collect();
    let detections_of = |found: Vec<FoundFace>| found.into_iter().map(|face| face.detection).collect();
    let mut detections: Vec<Detection> = detections_of(found.boxes.faces);
    let mut weak: Vec<Detection> = detections_of(found.boxes.weak);
    // Crops of a reduced picture are good enough for thumbnails, but not for embeddings.
    let mut crops = align_faces(decoded.pixels, &detections)?;
    let weak_crops = align_faces(decoded.pixels, &weak)?;
    let grey_crops: Vec<GreyCrop> = crops.iter().chain(&weak_crops).map(align::grey).collect();
    let thumbnails = grey_crops.iter().map(|crop| Thumbnail::new(crop, SIDE, SIDE)).collect();
    let crop_qualities = grey_crops.iter().map(CropQuality::of_crop).collect();
    let scene = found.grid.thumbnail();
    stats.align += cpu_timer.lap();
    let (width, height) = (decoded.width, decoded.height);
    let anchor = (found.kind == SearchKind::Full).then(|| {
        Arc::new(Anchor {
            size: (width, height),
            grid: found.grid,
            detections: detections.clone(),
            weak: weak.clone(),
        })
    });
    for detection in detections.iter_mut().chain(&mut weak) {
        yunet::rescale(detection, decoded.scale);
    }
    if decoded.full.is_none() {
        crops.clear();
    }
    detect += cpu_timer.lap();
    stats.decoded += 1;
    stats.add_search(found.took);
    let (search, shadow, times) = (found.kind, found.shadow, DetectionTimes { decode, detect });
    Ok(Detections {
        width,
        height,
        detections,
        weak,
        search,
        shadow,
        times,
        is_rough,
        anchor,
        crops,
        thumbnails,
        crop_qualities,
        scene,
    })
}

/// The best score; 0 without a face.
fn best_score(detections: &[Detection]) -> f32 {
    detections.iter().map(|face| face.score).fold(0.0, f32::max)
}

/// The faces in a picture for enrolment, and its orientation.
#[derive(Debug, Clone)]
pub struct EnrolmentView {
    /// The faces in the picture as it is.
    pub detections: Detections,
    /// The rotation that makes the face upright; none if it is upright. A rotated face would match nobody.
    pub rotation: Option<Rotation>,
}

/// A rotation of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// By 90 degrees.
    Clockwise,
    /// By 180 degrees.
    HalfTurn,
    /// By 90 degrees.
    Counterclockwise,
}

impl Rotation {
    const ALL: [Self; 3] = [Self::Clockwise, Self::HalfTurn, Self::Counterclockwise];

    fn opencv_code(self) -> i32 {
        match self {
            Self::Clockwise => opencv::core::ROTATE_90_CLOCKWISE,
            Self::HalfTurn => opencv::core::ROTATE_180,
            Self::Counterclockwise => opencv::core::ROTATE_90_COUNTERCLOCKWISE,
        }
    }
}

impl std::fmt::Display for Rotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clockwise => "by 90 degrees clockwise",
            Self::HalfTurn => "by 180 degrees",
            Self::Counterclockwise => "by 90 degrees counterclockwise",
        })
    }
}

/// Aligns faces, in the order of `faces`. The crop is black if the landmarks give no direction; such a crop has no embedding.
fn align_faces(picture: &Mat, faces: &[Detection]) -> Result<Vec<[u8; CROP_BYTES]>, PictureError> {
    let mut crops = vec![[0; CROP_BYTES]; faces.len()];
    for (face, crop) in faces.iter().zip(&mut crops) {
        align::align(picture, &face.landmarks, crop)?;
    }
    Ok(crops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::TEMPLATE;
    use crate::detections::ShadowCheck;
    use crate::manifest::{Channels, Kind, Manifest, Outputs};
    use crate::network::{Fake, Network, Tensor};
    use crate::preprocess::Planes;
    use crate::test_images;
    use everyframe_config::DetectorSettings;

    fn manifest(kind: Kind) -> Manifest {
        // The names that `brightest` gives its outputs.
        let names = ["cls", "obj", "bbox", "kps"];
        let tensors =
            names.iter().flat_map(|kind| [8, 16, 32].map(|stride| format!("{kind}_{stride}"))).collect();
        let (channels, outputs, dimension) = (Channels::Bgr, Some(Outputs::Yunet), Some(3));
        Manifest { channels, outputs, tensors, dimension, ..Manifest::new("fake", kind) }
    }

    /// A detector that finds one upright face of 32 pixels where the picture is brightest.
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

    /// An embedder that answers with the mean colour of each crop; zero for a black one.
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
            Detector::new(
                Fake::boxed(brightest),
                Fake::boxed(brightest),
                &manifest(Kind::Detector),
                &settings,
            ),
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
    fn a_shadow_check_counts_missed_faces() {
        let bytes = test_images::spot(".png", 640, 480, 320, 240);
        let mut worker = worker(640, Fake::boxed(mean_colour));
        let seen = worker.detect(&bytes, &[]).unwrap();
        let anchor = Anchor { detections: Vec::new(), ..(**seen.anchor().unwrap()).clone() };
        let again = worker.detect_since(Some(&anchor), &bytes, &[], true).unwrap();
        assert_eq!((again.search, again.detections.len()), (SearchKind::Reused, 0));
        assert_eq!(again.shadow, Some(ShadowCheck { faces: 1, missed: 1 }));
    }

    #[test]
    fn a_picture_is_decoded_again_only_if_it_was_reduced() {
        let bytes = test_images::spot(".jpg", 1600, 900, 1200, 420);
        let mut direct = worker(1600, Fake::boxed(mean_colour));
        let seen = direct.detect(&bytes, &[]).unwrap();
        let embedded = direct.embed(&bytes, &[], &seen, &seen.detections).unwrap();
        assert_eq!(direct.stats().decoded, 1);

        let mut again = worker(800, Fake::boxed(mean_colour));
        let reduced = again.detect(&bytes, &[]).unwrap();
        assert!(again.embed(&bytes, &[], &reduced, &[]).unwrap().is_empty());
        assert_eq!(again.stats().decoded, 1, "no face to embed");
        assert_eq!(
            again.embed(&bytes, &[], &reduced, &seen.detections).unwrap(),
            embedded,
            "aligned from the full size"
        );
        assert_eq!(again.stats().decoded, 2);
        assert_eq!(again.stats().embedded, 1);
    }

    #[test]
    fn a_face_without_direction_has_no_embedding() {
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
    fn an_answer_of_the_wrong_length_is_a_host_fault() {
        let bytes = test_images::spot(".png", 640, 480, 320, 240);
        let mut worker =
            worker(640, Fake::boxed(|_| vec![Tensor { name: "fc1".into(), values: vec![1.0; 2] }]));
        let seen = worker.detect(&bytes, &[]).unwrap();
        let error = worker.embed(&bytes, &[], &seen, &seen.detections).unwrap_err();
        assert!(error.is_hosts_fault() && error.to_string().contains("its manifest says 3 each"), "{error}");
    }

    #[test]
    fn invalid_pictures_are_refused_with_a_reason() {
        let mut worker = worker(640, Fake::boxed(mean_colour));
        let jpeg = test_images::encoded(".jpg", 64, 48);
        for (bytes, reason) in
            [(&b""[..], "empty"), (b"hello", "not-a-picture"), (&jpeg[..jpeg.len() / 2], "truncated")]
        {
            assert_eq!(worker.detect(bytes, &[]).unwrap_err().reason(), reason);
        }
    }
}
