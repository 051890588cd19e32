//! Identifies the faces of one picture, apart from any camera: nothing is published, no state is kept.

use everyframe_config::{Config, Purposes};
use everyframe_gallery::{Index, RecognitionContext};
use everyframe_rules::{FrameFacts, RuleFailure, RuleState, Rules};
use everyframe_types::face::{Detection, Face, People, Track};
use everyframe_types::judgement::Subject;
use everyframe_vision::{PictureError, Vision, VisionError, Worker};
use std::sync::Arc;

/// The camera that rules see for a picture that comes from none.
pub const CAMERA: &str = "identify";

/// Detects, embeds and judges the faces of single pictures.
pub struct Identifier {
    worker: Worker,
    candidates: usize,
    min_face: f32,
    min_quality: f32,
}

/// The faces of a picture.
#[derive(Debug)]
pub struct IdentifiedPicture {
    /// The picture's width, pixels.
    pub width: u32,
    /// The picture's height, pixels.
    pub height: u32,
    /// The faces with their decisions, in the detector's order.
    pub subjects: Vec<Subject>,
}

/// Why a picture cannot be identified.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// The picture cannot be decoded: show the message to whoever sent it.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A rule failed: its author must mend it.
    #[error(transparent)]
    Rule(#[from] RuleFailure),
}

impl Identifier {
    /// An identifier with a worker of its own.
    ///
    /// # Errors
    ///
    /// ONNX Runtime cannot create another session.
    pub fn new(vision: &Vision, config: &Config) -> Result<Self, VisionError> {
        Ok(Self {
            worker: vision.worker()?,
            candidates: config.gallery.candidates,
            min_face: config.vision.detector.min_face as f32,
            min_quality: config.vision.embedder.min_quality,
        })
    }

    /// Finds the faces of a picture, and lets the matching policies decide who they are. `now` is the frame's time for the
    /// rules, Unix milliseconds. Blocks the calling thread, which must not be one of the rules' runtime.
    ///
    /// # Errors
    ///
    /// See [`IdentifyError`].
    pub fn identify(
        &mut self,
        encoded: &[u8],
        index: &Arc<Index>,
        rules: &Rules,
        now: i64,
    ) -> Result<IdentifiedPicture, IdentifyError> {
        let detections = self.worker.detect(encoded, &[])?;
        let qualities = detections.qualities();
        let is_wanted = |face: &Detection, quality: f32| {
            face.bounds.width.max(face.bounds.height) >= self.min_face && quality >= self.min_quality
        };
        let wanted: Vec<bool> = detections
            .detections
            .iter()
            .zip(&qualities)
            .map(|(face, quality)| is_wanted(face, quality.value()))
            .collect();
        let chosen: Vec<Detection> = (detections.detections.iter().zip(&wanted))
            .filter(|(_, is_wanted)| **is_wanted)
            .map(|(face, _)| face.clone())
            .collect();
        let mut embeddings = self.worker.embed(encoded, &[], &detections, &chosen)?.into_iter();
        let faces = detections.detections.iter().zip(qualities).zip(wanted).zip(0u32..);
        let purposes = Purposes::default();
        let context = RecognitionContext { camera: None, at: now, purposes: &purposes };
        let faces: Vec<Face> = faces
            .map(|(((detection, quality), is_wanted), place)| {
                let embedding = is_wanted.then(|| embeddings.next().flatten()).flatten();
                let search = |embedding| index.search_for(embedding, self.candidates, &context);
                let candidates = embedding.as_ref().map(search);
                Face {
                    index: place,
                    detection: detection.clone(),
                    quality: quality.value(),
                    track: Track { id: u64::from(place), started_at: now },
                    embedding,
                    candidates: candidates.unwrap_or_default(),
                    zones: Vec::new(),
                }
            })
            .collect();
        let (width, height) = (detections.width, detections.height);
        let facts = FrameFacts {
            camera: CAMERA,
            session: CAMERA,
            sequence: 0,
            captured_at: now,
            width,
            height,
            schedules: &[],
        };
        let people: Arc<dyn People> = index.clone();
        let judgement = rules.judge(&facts, faces, &people, &mut RuleState::new())?;
        Ok(IdentifiedPicture { width, height, subjects: judgement.subjects })
    }
}
