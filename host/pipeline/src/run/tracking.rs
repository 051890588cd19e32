//! The trackers of a lane's cameras, and the check that a camera's frames are one continuous view.

use super::prepared::{Prepared, guarded};
use crate::intake::forget_cameras;
use everyframe_config::VisionSettings;
use everyframe_types::dead_letter::Parked;
use everyframe_types::frame::{Frame, SourceKind};
use everyframe_vision::{Detections, Thumbnail, Tracker};
use std::collections::HashMap;
use std::sync::Arc;

/// If the correlation of two successive pictures, −1 to 1, is below this, there is a cut between them.
const SAME_SCENE: f32 = 0.85;

/// The trackers of a lane's cameras.
#[derive(Default)]
pub(super) struct CameraTrackers(HashMap<Arc<str>, CameraTracker>);

struct CameraTracker {
    tracker: Tracker,
    last: LastFrame,
}

/// The camera's last frame, as far as the next one is compared with it.
struct LastFrame {
    session: Arc<str>,
    sequence: u64,
    captured_at: i64,
    scene: Option<Thumbnail>,
}

impl LastFrame {
    fn new(frame: &Frame, detections: &Detections) -> Self {
        Self {
            session: frame.session.clone(),
            sequence: frame.sequence,
            captured_at: frame.captured_at,
            scene: detections.scene().cloned(),
        }
    }

    /// True if no person can have taken another's place unseen between this frame and `next`: the next number of the same
    /// session of a continuous source, within `max_gap_ms`, without a cut. Frames without numbers may have gaps.
    fn is_continued_by(&self, next: &Self, frame: &Frame, max_gap_ms: u64) -> bool {
        let gap = next.captured_at.checked_sub(self.captured_at).and_then(|gap| u64::try_from(gap).ok());
        let is_same_scene = || {
            self.scene.as_ref().zip(next.scene.as_ref()).is_some_and(|(a, b)| a.similarity(b) >= SAME_SCENE)
        };
        frame.is_numbered
            && !frame.is_replayed()
            && frame.source != Some(SourceKind::Pictures)
            && self.session == next.session
            && self.sequence.checked_add(1) == Some(next.sequence)
            && gap.is_some_and(|gap| gap <= max_gap_ms)
            && is_same_scene()
    }
}

impl CameraTrackers {
    /// Has the faces of tracks, by camera, embedded again when they are seen next.
    pub fn embed_again(&mut self, tracks: &HashMap<Arc<str>, Vec<u64>>) {
        for (camera, tracks) in tracks {
            if let Some(CameraTracker { tracker, .. }) = self.0.get_mut(camera) {
                tracks.iter().for_each(|track| tracker.embed_again(*track));
            }
        }
    }

    /// Tracks the faces of a frame; frames of one camera come in order.
    ///
    /// # Errors
    ///
    /// A defect of the tracker: park the frame.
    pub fn track(
        &mut self,
        frame: &Frame,
        detections: Detections,
        vision: &VisionSettings,
    ) -> Result<Prepared, Parked> {
        guarded(|| {
            let next = LastFrame::new(frame, &detections);
            let (tracker, is_continuous) = match self.0.get_mut(&frame.camera) {
                Some(CameraTracker { tracker, last }) => {
                    let is_continuous = last.is_continued_by(&next, frame, vision.tracker.lost_after_ms);
                    *last = next;
                    (tracker, is_continuous)
                }
                None => {
                    let tracker = Tracker::new(vision);
                    let camera =
                        self.0.entry(frame.camera.clone()).or_insert(CameraTracker { tracker, last: next });
                    (&mut camera.tracker, false)
                }
            };
            let prepared = Prepared::track(frame, detections, tracker, is_continuous);
            forget_cameras(&mut self.0, |camera| camera.last.captured_at);
            Ok(prepared)
        })
    }
}
