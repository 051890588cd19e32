//! Frames that are long done go through vision and the gallery once more, on one thread, and nothing is published.

use super::RunError;
use super::stages::{Ready, embed, see};
use super::tracking::Trackers;
use crate::intake::{FrameClock, forget_cameras};
use everyframe_config::{Config, Site};
use everyframe_gallery;
use everyframe_gallery::Index;
use everyframe_types::dead_letter::Parked;
use everyframe_types::face::Face;
use everyframe_types::frame::Frame;
use everyframe_vision::{EmbeddingCache, Vision, Worker};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What a lane is to frames that come live. Frames of one partition come in their order.
pub struct Reprocessor {
    worker: Worker,
    index: Index,
    site: Site,
    config: Config,
    lanes: HashMap<i32, Followed>,
}

#[derive(Default)]
struct Followed {
    trackers: Trackers,
    appearances: HashMap<Arc<str>, EmbeddingCache>,
    clock: FrameClock,
}

/// A frame as rules see it.
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
    /// As a host that cannot start.
    pub fn start(config: &Config, cache: &Path) -> Result<Self, RunError> {
        let vision = Vision::load(&config.vision, cache)?;
        let samples = everyframe_gallery::read_samples(config)?;
        Ok(Self {
            worker: vision.worker()?,
            index: Index::new(samples.values(), &vision.models().embedder.sha256),
            site: Site::new(config),
            config: config.clone(),
            lanes: HashMap::new(),
        })
    }

    /// Puts the time that a host would believe into the frame. Call it for every record of a partition, in order, before
    /// [`Reprocessor::look`].
    pub fn set_time(&mut self, frame: &mut Frame) {
        self.lanes.entry(frame.position.partition).or_default().clock.set_time(frame);
    }

    /// Finds, follows and embeds a frame's faces, and searches the gallery for them.
    ///
    /// # Errors
    ///
    /// The frame is one that a host parks.
    pub fn look(&mut self, frame: Arc<Frame>) -> Result<ReprocessedFrame, Parked> {
        let lane = self.lanes.entry(frame.position.partition).or_default();
        let seen = see(&mut self.worker, &self.site, frame.clone()).seen?;
        let prepared = lane.trackers.follow(&frame, seen, &self.config.vision)?;
        let ready = match prepared.wants_embedding() {
            true => embed(&mut self.worker, &self.site, frame.clone(), prepared),
            false => Ready { frame: frame.clone(), prepared: Ok(prepared) },
        };
        let prepared = ready.prepared?;
        let appearances = lane.appearances.entry(frame.camera.clone()).or_default();
        let count = self.config.gallery.candidates;
        let faces = prepared.settle(&frame, appearances, &self.index, count, &self.site);
        let lost_after = self.config.vision.tracker.lost_after_ms;
        appearances.remove_stale(frame.captured_at.saturating_sub_unsigned(lost_after));
        forget_cameras(&mut lane.appearances, EmbeddingCache::last_seen_at);
        Ok(ReprocessedFrame { size: prepared.size(), faces })
    }
}
