//! What one frame goes through, as plain functions of the stages; where and in which order is the lanes' matter.

use super::active_rules::ActiveRules;
use super::lanes::Judging;
use crate::intake::forget_cameras;
use crate::observe::Metrics;
use crate::publish::{Outcome, Publisher};
use arc_swap::ArcSwap;
use everyframe_config::{Config, Polygon, Site};
use everyframe_gallery::{Gallery, Index};
use everyframe_rules::{FrameFacts, RuleFailure};
use everyframe_telemetry::cpu_timer::CpuTimer;
use everyframe_types::dead_letter::{Parked, Stage};
use everyframe_types::event::Timings;
use everyframe_types::face::{Detection, Embedding, Face, People};
use everyframe_types::frame::Frame;
use everyframe_types::sequence_gap;
use everyframe_vision::{
    Detections, EmbeddingCache, PictureError, TrackUpdate, TrackedFrame, Tracker, Worker,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The stages, shared by all lanes and workers.
pub(super) struct Stages {
    pub config: Config,
    pub gallery: Gallery,
    pub active_rules: ArcSwap<ActiveRules>,
    pub publisher: Publisher,
    pub metrics: Arc<Metrics>,
    /// Set when frames are no longer taken in.
    pub stop: Arc<AtomicBool>,
}

/// A frame after decoding and detection.
pub(super) struct DetectedFrame {
    pub frame: Arc<Frame>,
    pub seen: Result<Detections, Parked>,
}

/// A frame whose faces are followed, and embedded where that was wanted.
pub(super) struct Prepared {
    seen: Detections,
    faces: Vec<FollowedFace>,
    embed_time: Duration,
}

struct FollowedFace {
    detection: Detection,
    quality: f32,
    followed: TrackUpdate,
    embedding: Option<Embedding>,
}

/// A frame that the rules may see.
pub(super) struct Ready {
    pub frame: Arc<Frame>,
    pub prepared: Result<Prepared, Parked>,
}

impl Prepared {
    /// Follows the faces of a frame. `is_continuous` is false if a person may have left unseen since the camera's last frame.
    pub fn follow(frame: &Frame, seen: Detections, tracker: &mut Tracker, is_continuous: bool) -> Self {
        let tracked = seen.tracked_faces();
        let (captured_at, first_id) = (frame.captured_at, first_track_id(frame));
        let followed = tracker.update(&TrackedFrame { captured_at, first_id, is_continuous }, &tracked);
        let faces = tracked
            .iter()
            .zip(followed)
            .map(|(face, followed)| FollowedFace {
                detection: face.detection.clone(),
                quality: face.quality,
                followed,
                embedding: None,
            })
            .collect();
        Self { seen, faces, embed_time: Duration::ZERO }
    }

    /// True if a face is to be embedded.
    pub fn wants_embedding(&self) -> bool {
        self.faces.iter().any(|face| face.followed.embed)
    }

    fn embed(&mut self, worker: &mut Worker, frame: &Frame, masks: &[&Polygon]) -> Result<(), PictureError> {
        let mut cpu_timer = CpuTimer::start();
        let mut wanted: Vec<&mut FollowedFace> =
            self.faces.iter_mut().filter(|face| face.followed.embed).collect();
        let detections: Vec<Detection> = wanted.iter().map(|face| face.detection.clone()).collect();
        let embeddings = worker.embed(&frame.picture, masks, &self.seen, &detections)?;
        wanted.iter_mut().zip(embeddings).for_each(|(face, embedding)| face.embedding = embedding);
        self.embed_time = cpu_timer.lap();
        Ok(())
    }

    /// The picture's size, pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.seen.width, self.seen.height)
    }

    /// The faces as the rules see them, each with the `count` people of the gallery that are most like it.
    pub fn settle(
        &self,
        frame: &Frame,
        appearances: &mut EmbeddingCache,
        index: &Index,
        count: usize,
        site: &Site,
    ) -> Vec<Face> {
        let settled = self.faces.iter().zip(0u32..).map(|(face, index_in_frame)| {
            let new_id = first_track_id(frame) + JUMPED + u64::from(index_in_frame);
            let (track, embedding) = appearances.update(
                &face.followed,
                face.embedding.clone(),
                face.quality,
                frame.captured_at,
                new_id,
            );
            Face {
                index: index_in_frame,
                detection: face.detection.clone(),
                quality: face.quality,
                track,
                candidates: embedding
                    .as_ref()
                    .map(|embedding| index.search(embedding, count))
                    .unwrap_or_default(),
                zones: site.zones_of(&frame.camera, self.size(), &face.detection.bounds),
                embedding,
            }
        });
        settled.collect()
    }
}

/// Ids of a frame's new tracks begin here: a function of the offset, so that a replay gives the same ones.
fn first_track_id(frame: &Frame) -> u64 {
    frame.position.offset.unsigned_abs() << 16
}

/// Added to a face's index: the id of a track that began because the old one jumped to another person.
const JUMPED: u64 = 1 << 15;

/// Decodes and detects; what is no frame only goes the way of one, to be published in its place.
pub(super) fn see(worker: &mut Worker, site: &Site, frame: Arc<Frame>) -> DetectedFrame {
    let masks = site.masks_of(&frame.camera);
    let seen = guarded(|| worker.detect(&frame.picture, &masks).map_err(|error| parked(&error)));
    DetectedFrame { frame, seen }
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

impl Stages {
    /// Searches the gallery and asks the rules; frames of one lane come in order.
    ///
    /// # Errors
    ///
    /// A rule failed for which frames wait: its words. The frame is to be judged again.
    pub fn judge(&self, ready: &Ready, judging: &mut Judging) -> Result<Outcome, RuleFailure> {
        if ready.frame.sequence_gap.is_some() {
            self.metrics.alert(sequence_gap::SEVERITY);
        }
        if !ready.frame.is_frame() {
            return Ok(Outcome::Noted);
        }
        let judged = match &ready.prepared {
            Ok(prepared) => guarded(|| Ok(self.judge_prepared(&ready.frame, prepared, judging))),
            Err(parked) => Err(parked.clone()),
        };
        let outcome = judged.unwrap_or_else(|parked| Ok(Outcome::Parked(parked)))?;
        match &outcome {
            Outcome::Judged { judgement, timings, .. } => self.metrics.judged(judgement, timings),
            Outcome::Parked(Parked { stage, reason, message }) => {
                self.metrics.parked(stage.as_str(), reason);
                if let Some(kept_back) = self.metrics.may_log_parked() {
                    let (Frame { camera, identity, .. }, stage) = (&*ready.frame, stage.as_str());
                    tracing::warn!(%camera, frame = %identity, reason, stage, kept_back, "frame parked: {message}");
                }
            }
            Outcome::Noted => {}
        }
        Ok(outcome)
    }

    fn judge_prepared(
        &self,
        frame: &Frame,
        prepared: &Prepared,
        judging: &mut Judging,
    ) -> Result<Outcome, RuleFailure> {
        let (index, active_rules) = (self.gallery.index(), self.active_rules.load());
        let ActiveRules { rules, site, judged_by } = &**active_rules;
        let appearances = judging.appearances.entry(frame.camera.clone()).or_default();
        let times = prepared.seen.times;
        let count = self.config.gallery.candidates;
        let faces = prepared.settle(frame, appearances, &index, count, site);
        appearances.remove_stale(
            frame.captured_at.saturating_sub_unsigned(self.config.vision.tracker.lost_after_ms),
        );
        let size = prepared.size();
        let facts = FrameFacts {
            camera: &frame.camera,
            session: &frame.session,
            sequence: frame.sequence,
            captured_at: frame.captured_at,
            width: size.0,
            height: size.1,
            schedules: &site.schedules_at(frame.captured_at),
        };
        let mut cpu_timer = CpuTimer::start();
        let people: Arc<dyn People> = index;
        let mut judgement = match rules.judge(&facts, faces, &people, &mut judging.state) {
            Ok(judgement) => judgement,
            Err(failure) if rules.stops_on_failure(&failure.rule) => return Err(failure),
            Err(failure) => {
                let (reason, message) = (failure.kind.reason().to_owned(), failure.to_string());
                return Ok(Outcome::Parked(Parked { stage: Stage::Rules, reason, message }));
            }
        };
        for camera in forget_cameras(&mut judging.appearances, EmbeddingCache::last_seen_at) {
            judgement.state.extend(judging.state.delete_camera(&camera));
        }
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let timings = Timings {
            decode_ms: milliseconds(times.decode),
            detect_ms: milliseconds(times.detect),
            embed_ms: milliseconds(prepared.embed_time),
            rules_ms: milliseconds(cpu_timer.lap()),
        };
        Ok(Outcome::Judged { size, judgement, timings, judged_by: judged_by.clone() })
    }
}

fn parked(error: &PictureError) -> Parked {
    Parked { stage: Stage::Vision, reason: error.reason().to_owned(), message: error.to_string() }
}

/// A defect of ours on one frame parks that frame, with the rest unharmed.
pub(super) fn guarded<T>(stage: impl FnOnce() -> Result<T, Parked>) -> Result<T, Parked> {
    catch_unwind(AssertUnwindSafe(stage)).unwrap_or_else(|panic| {
        let text =
            panic.downcast_ref::<&str>().map(ToString::to_string).or(panic.downcast_ref::<String>().cloned());
        let message = format!("a defect of Everyframe: {}", text.unwrap_or_default());
        Err(Parked { stage: Stage::Host, reason: "internal-error".into(), message })
    })
}
