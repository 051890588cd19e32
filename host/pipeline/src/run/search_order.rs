//! Decides for each frame of a lane whether it is searched as a whole, or compared with an earlier frame of its camera that
//! was: its anchor. Plain state, without threads: the decision depends only on the frames and their order, so it is the same
//! on any number of cores, and in a replay.

use crate::intake::forget_cameras;
use everyframe_types::frame::{Frame, SourceKind};
use everyframe_vision::Anchor;
use std::collections::HashMap;
use std::sync::Arc;

/// A camera is searched as a whole at least this often, milliseconds of frame time.
const MAX_ANCHOR_AGE_MS: u64 = 1000;
/// One of so many frames that were not searched as a whole is checked by a second, full search.
const SHADOW_SHARE: u64 = 100;

/// A frame that can be searched now.
pub(super) struct Searchable {
    pub frame: Arc<Frame>,
    /// The frame to compare it with; none to search it as a whole.
    pub anchor: Option<Arc<Anchor>>,
}

impl Searchable {
    /// True to check this frame's search by a full one.
    pub fn with_shadow(&self) -> bool {
        let position = &self.frame.position;
        let mixed = (position.offset.unsigned_abs()
            ^ u64::from(position.partition.unsigned_abs()).rotate_left(40))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.anchor.is_some() && (mixed >> 32).is_multiple_of(SHADOW_SHARE)
    }
}

/// The anchors of a lane's cameras, and the frames that wait for one.
pub(super) struct SearchOrder {
    /// Every so many frames of a camera one is searched as a whole.
    full_search_every: u64,
    cameras: HashMap<Arc<str>, CameraSearch>,
    /// By the offset of an anchor that is still being searched, the frames that will be compared with it.
    waiting: HashMap<i64, Vec<Arc<Frame>>>,
}

struct CameraSearch {
    session: Arc<str>,
    sequence: u64,
    anchor_offset: i64,
    anchor_captured_at: i64,
    /// None while it is being searched.
    anchor: Option<AnchorSearch>,
    last_offset: i64,
}

/// How the search of an anchor ended: none if the frame could not be searched.
type AnchorSearch = Option<Arc<Anchor>>;

impl SearchOrder {
    /// Searches every `full_search_every`th frame of a camera as a whole; 1: all of them.
    pub fn new(full_search_every: u32) -> Self {
        Self {
            full_search_every: u64::from(full_search_every.max(1)),
            cameras: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Takes the next frame of the lane. Returns it if it can be searched now; otherwise it waits for its anchor.
    pub fn push(&mut self, frame: Arc<Frame>) -> Option<Searchable> {
        let is_continuous = frame.is_numbered && frame.source != Some(SourceKind::Pictures);
        if !frame.is_frame() || frame.is_replayed() || !is_continuous || self.full_search_every == 1 {
            return Some(Searchable { frame, anchor: None });
        }
        let (offset, sequence, captured_at) = (frame.position.offset, frame.sequence, frame.captured_at);
        let follows = |camera: &&mut CameraSearch| {
            camera.session == frame.session
                && camera.sequence.checked_add(1) == Some(sequence)
                && !sequence.is_multiple_of(self.full_search_every)
                && (camera.anchor_captured_at..).contains(&captured_at)
                && captured_at.abs_diff(camera.anchor_captured_at) < MAX_ANCHOR_AGE_MS
        };
        let Some(camera) = self.cameras.get_mut(&frame.camera).filter(follows) else {
            let camera = CameraSearch {
                session: frame.session.clone(),
                sequence,
                anchor_offset: offset,
                anchor_captured_at: captured_at,
                anchor: None,
                last_offset: offset,
            };
            self.cameras.insert(frame.camera.clone(), camera);
            forget_cameras(&mut self.cameras, |camera| camera.last_offset);
            return Some(Searchable { frame, anchor: None });
        };
        (camera.sequence, camera.last_offset) = (sequence, offset);
        match &camera.anchor {
            Some(anchor) => Some(Searchable { frame, anchor: anchor.clone() }),
            None => {
                self.waiting.entry(camera.anchor_offset).or_default().push(frame);
                None
            }
        }
    }

    /// The search of the frame at this offset has ended. Returns the frames that waited for it.
    pub fn searched(&mut self, frame: &Frame, anchor: Option<&Arc<Anchor>>) -> Vec<Searchable> {
        let offset = frame.position.offset;
        if let Some(camera) =
            self.cameras.get_mut(&frame.camera).filter(|camera| camera.anchor_offset == offset)
        {
            camera.anchor = Some(anchor.cloned());
        }
        let waiting = self.waiting.remove(&offset).unwrap_or_default();
        waiting.into_iter().map(|frame| Searchable { frame, anchor: anchor.cloned() }).collect()
    }
}

#[cfg(test)]
#[path = "search_order_tests.rs"]
mod tests;
