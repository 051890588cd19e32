//! One worker: its own sessions and buffers. Workers are the parallelism; each keeps to one core.

use std::time::Duration;

use super::align::{self, CROP_BYTES};
use super::decode::Decoder;
use super::detector::Detector;
use super::embedder::Embedder;
use super::header;
use super::network::Laps;
use super::{PictureError, yunet};
use crate::config::VisionSettings;
use crate::face::{Detection, Embedding};

/// What the detector saw in one picture.
#[derive(Debug, Clone, Default)]
pub struct Seen {
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
    pub locate: Duration,
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
            locate: self.locate + other.locate,
            align: self.align + other.align,
            embed: self.embed + other.embed,
            decoded: self.decoded + other.decoded,
            embedded: self.embedded + other.embedded,
        }
    }
}

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
            decoder: Decoder::default(),
            detector,
            embedder,
            max_pixels: settings.max_pixels,
            max_side: settings.detector.max_side,
            spent: Spent::default(),
        }
    }

    /// Decodes a JPEG, PNG or WebP picture and finds its faces.
    ///
    /// # Errors
    /// See [`PictureError`]: all but one say that the picture is to be parked.
    pub fn detect(&mut self, encoded: &[u8]) -> Result<Seen, PictureError> {
        let mut laps = Laps::start();
        let header = header::inspect(encoded, self.max_pixels)?;
        let decoded = self.decoder.decode_within(encoded, header, self.max_side)?;
        let decode = laps.lap();
        let (mut detections, took) = self.detector.detect(decoded.pixels)?;
        for detection in &mut detections {
            yunet::rescale(detection, decoded.scale);
        }
        let detect = laps.lap();
        let mut crops = Vec::new();
        if let Some(full) = decoded.full {
            crops.resize(detections.len(), [0; CROP_BYTES]);
            for (detection, crop) in detections.iter().zip(&mut crops) {
                align::align(full, &detection.landmarks, crop)?;
            }
        }
        self.spent.decode += decode;
        self.spent.decoded += 1;
        self.spent.prepare += took.prepare;
        self.spent.detect += took.infer;
        self.spent.locate += took.read;
        self.spent.align += laps.lap();
        let (width, height) = (decoded.width, decoded.height);
        Ok(Seen { width, height, detections, times: Times { decode, detect }, crops })
    }

    /// Aligns and embeds `faces` of a picture that was seen. In the order of `faces`; none for a face that gives no
    /// direction. The faces are cut out of the full-size picture, which is decoded (again) only if need be.
    ///
    /// # Errors
    /// As [`Worker::detect`].
    pub fn embed(
        &mut self,
        encoded: &[u8],
        seen: &Seen,
        faces: &[Detection],
    ) -> Result<Vec<Option<Embedding>>, PictureError> {
        if faces.is_empty() {
            return Ok(Vec::new());
        }
        let mut laps = Laps::start();
        let at_hand: Option<Vec<_>> = faces.iter().map(|face| seen.crop(face).copied()).collect();
        let crops = match at_hand {
            Some(crops) => crops,
            None => {
                let header = header::inspect(encoded, self.max_pixels)?;
                let picture = self.decoder.decode_full(encoded, header)?;
                self.spent.decode += laps.lap();
                self.spent.decoded += 1;
                let mut crops = vec![[0; CROP_BYTES]; faces.len()];
                for (face, crop) in faces.iter().zip(&mut crops) {
                    align::align(picture, &face.landmarks, crop)?;
                }
                crops
            }
        };
        self.spent.align += laps.lap();
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

impl Seen {
    fn crop(&self, face: &Detection) -> Option<&[u8; CROP_BYTES]> {
        let index = self.detections.iter().position(|detection| detection == face)?;
        self.crops.get(index)
    }
}
