//! One frame on its way through vision: detected, tracked, embedded. Plain functions, without lanes.

use super::search_order::Searchable;
use everyframe_config::{Polygon, Site};
use everyframe_gallery::{Index, RecognitionContext};
use everyframe_telemetry::cpu_timer::CpuTimer;
use everyframe_telemetry::panic::panic_text;
use everyframe_types::dead_letter::{Parked, Stage};
use everyframe_types::face::{Detection, Embedding, Face};
use everyframe_types::frame::Frame;
use everyframe_types::search::SearchKind;
use everyframe_vision::{
    DetectionTimes, Detections, EmbeddingCache, PictureError, ShadowCheck, TrackUpdate, TrackedFrame,
    Tracker, Worker,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A frame after decoding and detection.
pub(super) struct DetectedFrame {
    pub frame: Arc<Frame>,
    pub detections: Result<Detections, Parked>,
}

/// A frame whose faces are tracked, and embedded where the tracker asked for it.
pub(super) struct Prepared {
    detections: Detections,
    faces: Vec<FollowedFace>,
    embed_time: Duration,
}

struct FollowedFace {
    detection: Detection,
    quality: f32,
    followed: TrackUpdate,
    embedding: Option<Embedding>,
}

/// A frame that is ready to be judged.
pub(super) struct Ready {
    pub frame: Arc<Frame>,
    pub prepared: Result<Prepared, Parked>,
}

impl Prepared {
    /// Tracks the faces of a frame. `is_continuous` is false if a person may have left unseen since the camera's last frame.
    pub fn track(frame: &Frame, detections: Detections, tracker: &mut Tracker, is_continuous: bool) -> Self {
        let tracked = detections.tracked_faces();
        let (captured_at, first_id) = (frame.captured_at, first_track_id(frame));
        let followed = tracker.update(&TrackedFrame { captured_at, first_id, is_continuous }, &tracked);
        let faces = tracked
            .iter()
            .zip(followed)
            .filter_map(|(face, followed)| {
                Some(FollowedFace {
                    detection: face.detection.clone(),
                    quality: face.quality,
                    followed: followed?,
                    embedding: None,
                })
            })
            .collect();
        Self { detections, faces, embed_time: Duration::ZERO }
    }

    /// True if a face is to be embedded.
    pub fn wants_embedding(&self) -> bool {
        self.faces.iter().any(|face| face.followed.embed)
    }

    fn embed(&mut self, worker: &mut Worker, frame: &Frame, masks: &[&Polygon]) -> Result<(), PictureError> {
        let mut cpu_timer = CpuTimer::start();
        let mut wanted: Vec<&mut FollowedFace> =
            self.faces.iter_mut().filter(|face| face.followed.embed).collect();
        let wanted_detections: Vec<Detection> = wanted.iter().map(|face| face.detection.clone()).collect();
        let embeddings = worker.embed(&frame.picture, masks, &self.detections, &wanted_detections)?;
        wanted.iter_mut().zip(embeddings).for_each(|(face, embedding)| face.embedding = embedding);
        self.embed_time = cpu_timer.lap();
        Ok(())
    }

    /// The picture's size, pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.detections.width, self.detections.height)
    }

    /// How the picture was searched, and its shadow check.
    pub fn search(&self) -> (SearchKind, Option<ShadowCheck>) {
        (self.detections.search, self.detections.shadow)
    }

    /// CPU time of decoding, detecting and embedding.
    pub fn times(&self) -> (DetectionTimes, Duration) {
        (self.detections.times, self.embed_time)
    }

    /// The faces as the rules see them, each with the `count` people of the gallery that are most like it.
    pub fn faces(
        &self,
        frame: &Frame,
        cache: &mut EmbeddingCache,
        index: &Index,
        count: usize,
        site: &Site,
    ) -> Vec<Face> {
        let context = RecognitionContext {
            camera: Some(&frame.camera),
            at: frame.captured_at,
            purposes: site.purposes(),
        };
        let faces = self.faces.iter().zip(0u32..).map(|(face, index_in_frame)| {
            let new_id = first_track_id(frame) + JUMPED + u64::from(index_in_frame);
            let (track, embedding) =
                cache.update(&face.followed, face.embedding.clone(), face.quality, frame.captured_at, new_id);
            Face {
                index: index_in_frame,
                detection: face.detection.clone(),
                quality: face.quality,
                track,
                candidates: embedding
                    .as_ref()
                    .map(|embedding| index.search_for(embedding, count, &context))
                    .unwrap_or_default(),
                zones: site.zones_of(&frame.camera, self.size(), &face.detection.bounds),
                embedding,
            }
        });
        faces.collect()
    }
}

/// Ids of a frame's new tracks begin here: a function of the offset, so that a replay gives the same ones.
fn first_track_id(frame: &Frame) -> u64 {
    frame.position.offset.unsigned_abs() << 16
}

/// Added to a face's index: the id of a track that began because the old one jumped to another person.
const JUMPED: u64 = 1 << 15;

/// Decodes a frame and detects its faces. An agent's refusal notice carries no picture; it is parked here and passes
/// through every stage only to keep its place in the publishing order.
pub(super) fn detect(worker: &mut Worker, site: &Site, search: Searchable) -> DetectedFrame {
    let with_shadow = search.with_shadow();
    let Searchable { frame, anchor } = search;
    let masks = site.masks_of(&frame.camera);
    let detections = guarded(|| {
        let found = worker.detect_since(anchor.as_deref(), &frame.picture, &masks, with_shadow);
        found.map_err(|error| parked(&error))
    });
    DetectedFrame { frame, detections }
}

/// Embeds the faces that the tracker asked for.
pub(super) fn embed(worker: &mut Worker, site: &Site, frame: Arc<Frame>, mut prepared: Prepared) -> Ready {
    let masks = site.masks_of(&frame.camera);
    let prepared = guarded(|| match prepared.embed(worker, &frame, &masks) {
        Ok(()) => Ok(prepared),
        Err(error) => Err(parked(&error)),
    });
    Ready { frame, prepared }
}

fn parked(error: &PictureError) -> Parked {
    Parked { stage: Stage::Vision, reason: error.reason().to_owned(), message: error.to_string() }
}

/// Runs a stage. A panic parks the frame; other frames go on.
pub(super) fn guarded<T>(stage: impl FnOnce() -> Result<T, Parked>) -> Result<T, Parked> {
    catch_unwind(AssertUnwindSafe(stage)).unwrap_or_else(|panic| {
        let message = format!("a defect of Everyframe: {}", panic_text(&*panic));
        Err(Parked { stage: Stage::Host, reason: "internal-error".into(), message })
    })
}
