//! Takes stored frames through vision and the gallery once more, on one thread. Nothing is published.

use super::error::RunError;
use super::prepared::{Ready, detect, embed};
use super::search_order::{SearchOrder, Searchable};
use super::tracking::CameraTrackers;
use crate::intake::{FrameClock, forget_cameras};
use everyframe_config::{Config, Site};
use everyframe_gallery::Index;
use everyframe_types::dead_letter::Parked;
use everyframe_types::face::Face;
use everyframe_types::frame::Frame;
use everyframe_vision::{Detections, EmbeddingCache, Vision, Worker};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Does to stored frames what lanes do to live ones. Frames of one partition come in their order.
pub struct Reprocessor {
    worker: Worker,
    index: Index,
    site: Site,
    config: Config,
    lanes: HashMap<i32, ReprocessedLane>,
}

#[derive(Default)]
struct ReprocessedLane {
    trackers: CameraTrackers,
    embedding_caches: HashMap<Arc<str>, EmbeddingCache>,
    clock: FrameClock,
    /// None before the first frame.
    search_order: Option<SearchOrder>,
}

/// A frame as the rules see it.
pub struct ReprocessedFrame {
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// With their embeddings and candidates.
    pub faces: Vec<Face>,
}

impl Reprocessor {
    /// Loads the models, and the gallery as it is now.
    ///
    /// # Errors
    ///
    /// As [`super::Host::start`].
    pub fn start(config: &Config, cache: &Path) -> Result<Self, RunError> {
        let vision = Vision::load(&config.vision, cache)?;
        let samples = everyframe_gallery::read_samples(config)?;
        Ok(Self {
            worker: vision.worker()?,
            index: Index::new(samples.iter(), &vision.models().embedder.sha256),
            site: Site::new(config),
            config: config.clone(),
            lanes: HashMap::new(),
        })
    }

    /// Sets the time of the frame to the one that a host would believe. Call it for every record of a partition, in order, before
    /// [`Reprocessor::process`].
    pub fn set_time(&mut self, frame: &mut Frame) {
        self.lanes.entry(frame.position.partition).or_default().clock.set_time(frame);
    }

    /// Detects, tracks and embeds a frame's faces, and searches the gallery for them.
    ///
    /// # Errors
    ///
    /// A host would park this frame, for this reason.
    pub fn process(&mut self, frame: Arc<Frame>) -> Result<ReprocessedFrame, Parked> {
        let lane = self.lanes.entry(frame.position.partition).or_default();
        // Frames come one by one, so a frame's anchor was searched before.
        let every = self.config.vision.detector.full_search_every;
        let order = lane.search_order.get_or_insert_with(|| SearchOrder::new(every));
        let search = order.push(frame.clone()).unwrap_or(Searchable { frame: frame.clone(), anchor: None });
        let detections = detect(&mut self.worker, &self.site, search).detections;
        order.searched(&frame, detections.as_ref().ok().and_then(Detections::anchor));
        let detections = detections?;
        let prepared = lane.trackers.track(&frame, detections, &self.config.vision)?;
        let ready = match prepared.wants_embedding() {
            true => embed(&mut self.worker, &self.site, frame.clone(), prepared),
            false => Ready { frame: frame.clone(), prepared: Ok(prepared) },
        };
        let prepared = ready.prepared?;
        let cache = lane.embedding_caches.entry(frame.camera.clone()).or_default();
        let count = self.config.gallery.candidates;
        let faces = prepared.faces(&frame, cache, &self.index, count, &self.site);
        let lost_after = self.config.vision.tracker.lost_after_ms;
        cache.remove_stale(frame.captured_at.saturating_sub_unsigned(lost_after));
        forget_cameras(&mut lane.embedding_caches, EmbeddingCache::last_seen_at);
        Ok(ReprocessedFrame { size: prepared.size(), faces })
    }
}
