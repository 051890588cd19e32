//! Following faces through the frames of one camera: pure, and by the frames' own time, so a replay agrees.

use crate::config::{EmbedderSettings, TrackerSettings};
use crate::face::{Detection, Rect, Track};

/// A second chance for what moves fast: a face continues a track although their boxes hardly overlap, if their
/// centres are no farther apart than this many face sides. A walking head moves less than its own width in the
/// tenth of a second between two frames of a usual camera.
const REACH: f32 = 1.0;
/// Nor does a face's side change by more than this factor from one frame to the next.
const GROWTH: f32 = 1.6;

/// Follows the faces of one camera.
#[derive(Debug, Clone)]
pub struct Tracker {
    overlap: f32,
    lost_after_ms: u64,
    every_face: bool,
    refresh_ms: u64,
    better_by: f32,
    min_quality: f32,
    followed: Vec<State>,
}

#[derive(Debug, Clone)]
struct State {
    track: Track,
    bounds: Rect,
    seen_at: i64,
    /// When it was last embedded, and how good the face was then.
    embedded: Option<(i64, f32)>,
}

/// A detection's track, and what is to be done with the face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// The track it belongs to.
    pub track: Track,
    /// Embed this face now: it is the first good enough view of the track, a clearly better one, the last one is
    /// old, or every face is to be embedded.
    pub embed: bool,
}

impl Tracker {
    /// A tracker which has seen nothing.
    pub fn new(tracker: &TrackerSettings, embedder: &EmbedderSettings) -> Self {
        Self {
            overlap: tracker.overlap,
            lost_after_ms: tracker.lost_after_ms,
            every_face: embedder.every_face,
            refresh_ms: embedder.refresh_ms,
            better_by: embedder.better_by,
            min_quality: embedder.min_quality,
            followed: Vec::new(),
        }
    }

    /// Takes the next frame, and answers for each of its detections, in their order.
    ///
    /// `captured_at` is the frame's time, Unix milliseconds. It may stand still or go back: a track is followed as
    /// long as the step, either way, is no longer than `lost_after_ms`. New tracks are called `first_id`,
    /// `first_id` + 1 and so on. `qualities` are those of the detections; a missing one counts as 0.
    pub fn follow(
        &mut self,
        captured_at: i64,
        first_id: u64,
        detections: &[Detection],
        qualities: &[f32],
    ) -> Vec<Followed> {
        self.followed.retain(|state| state.seen_at.abs_diff(captured_at) <= self.lost_after_ms);
        let continued = self.associate(detections);
        let mut id = first_id;
        let mut answers = Vec::with_capacity(detections.len());
        for (index, detection) in detections.iter().enumerate() {
            let at = continued[index].unwrap_or_else(|| {
                let track = Track { id, started_at: captured_at };
                id = id.wrapping_add(1);
                let bounds = detection.bounds;
                self.followed.push(State { track, bounds, seen_at: captured_at, embedded: None });
                self.followed.len() - 1
            });
            let quality = qualities.get(index).copied().unwrap_or(0.0);
            let embed = self.is_due(&self.followed[at], captured_at, quality);
            let state = &mut self.followed[at];
            state.bounds = detection.bounds;
            state.seen_at = captured_at;
            if embed {
                state.embedded = Some((captured_at, quality));
            }
            answers.push(Followed { track: state.track, embed });
        }
        answers
    }

    /// For each detection the place of the track which it continues. The nearest pairs are joined first; where
    /// two are as near, the older track and the better detection win, so that a replay agrees.
    fn associate(&self, detections: &[Detection]) -> Vec<Option<usize>> {
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (at, state) in self.followed.iter().enumerate() {
            for (index, detection) in detections.iter().enumerate() {
                if let Some(nearness) = nearness(&state.bounds, &detection.bounds, self.overlap) {
                    pairs.push((nearness, at, index));
                }
            }
        }
        // A stable sort: equal pairs stay in the order of tracks and detections.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut taken = vec![false; self.followed.len()];
        let mut continued = vec![None; detections.len()];
        for (_, at, index) in pairs {
            if !taken[at] && continued[index].is_none() {
                taken[at] = true;
                continued[index] = Some(at);
            }
        }
        continued
    }

    fn is_due(&self, state: &State, captured_at: i64, quality: f32) -> bool {
        if quality.is_nan() || quality < self.min_quality {
            return false;
        }
        match state.embedded {
            _ if self.every_face => true,
            None => true,
            Some((at, best)) => {
                quality > best * self.better_by || at.abs_diff(captured_at) >= self.refresh_ms
            }
        }
    }
}

/// How likely `now` is the face that was at `before`: above 0 for boxes that overlap enough, below 0 for those that
/// are only near each other; none if it is another face.
fn nearness(before: &Rect, now: &Rect, overlap: f32) -> Option<f32> {
    let shared = before.iou(now);
    if shared >= overlap && shared > 0.0 {
        return Some(shared);
    }
    let side = |r: &Rect| (r.width * r.height).sqrt();
    let (before_side, now_side) = (side(before), side(now));
    let centre = |r: &Rect| (r.x + r.width / 2.0, r.y + r.height / 2.0);
    let (a, b) = (centre(before), centre(now));
    let distance = (a.0 - b.0).hypot(a.1 - b.1) / ((before_side + now_side) / 2.0);
    let alike = before_side <= now_side * GROWTH && now_side <= before_side * GROWTH;
    (alike && distance <= REACH).then_some(-distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn face(x: f32, y: f32, side: f32) -> Detection {
        Detection {
            bounds: Rect { x, y, width: side, height: side },
            landmarks: Default::default(),
            score: 0.9,
        }
    }

    fn tracker(change: impl FnOnce(&mut EmbedderSettings)) -> Tracker {
        let mut embedder = EmbedderSettings {
            every_face: false,
            refresh_ms: 500,
            better_by: 1.2,
            min_quality: 0.1,
            ..EmbedderSettings::default()
        };
        change(&mut embedder);
        Tracker::new(&TrackerSettings { overlap: 0.3, lost_after_ms: 1000 }, &embedder)
    }

    fn ids(followed: &[Followed]) -> Vec<u64> {
        followed.iter().map(|f| f.track.id).collect()
    }

    #[test]
    fn faces_are_followed_while_they_move() {
        let mut tracker = tracker(|_| ());
        let first = tracker.follow(1000, 70, &[face(0.0, 0.0, 100.0), face(300.0, 0.0, 100.0)], &[0.5; 2]);
        assert_eq!(ids(&first), [70, 71]);
        // The detector's order is by score, and changes.
        let next = tracker.follow(1100, 80, &[face(320.0, 5.0, 100.0), face(20.0, 5.0, 100.0)], &[0.5; 2]);
        assert_eq!(ids(&next), [71, 70]);
        assert_eq!(next[0].track.started_at, 1000);
        let third = tracker.follow(1200, 90, &[face(600.0, 5.0, 100.0), face(40.0, 5.0, 100.0)], &[0.5; 2]);
        assert_eq!(ids(&third), [90, 70]);
    }

    #[test]
    fn a_fast_face_is_followed_by_its_centre_and_never_takes_the_place_of_another() {
        let mut tracker = tracker(|_| ());
        tracker.follow(0, 1, &[face(0.0, 0.0, 100.0)], &[0.5]);
        assert_eq!(ids(&tracker.follow(100, 2, &[face(80.0, 0.0, 100.0)], &[0.5])), [1]);
        // One at the old place, one moved: the overlap decides.
        let both = tracker.follow(200, 3, &[face(170.0, 0.0, 100.0), face(85.0, 0.0, 100.0)], &[0.5; 2]);
        assert_eq!(ids(&both), [3, 1]);
        // As near, but four times as large: another face.
        let large = tracker.follow(300, 9, &[face(-120.0, -120.0, 400.0)], &[0.5]);
        assert_eq!(ids(&large), [9]);
    }

    #[test]
    fn a_track_outlives_a_gap_but_not_a_long_one() {
        let mut tracker = tracker(|_| ());
        let there = [face(0.0, 0.0, 100.0)];
        tracker.follow(0, 1, &there, &[0.5]);
        assert!(tracker.follow(500, 2, &[], &[]).is_empty());
        assert_eq!(ids(&tracker.follow(1000, 3, &there, &[0.5])), [1]);
        assert_eq!(ids(&tracker.follow(2001, 4, &there, &[0.5])), [4]);
    }

    #[test]
    fn a_face_is_embedded_at_first_when_clearly_better_and_after_a_while() {
        let mut tracker = tracker(|_| ());
        let there = [face(0.0, 0.0, 100.0)];
        let mut due = |at, quality| tracker.follow(at, 1, &there, &[quality])[0].embed;
        assert!(!due(0, 0.05), "too poor");
        assert!(due(100, 0.5), "the first good enough view");
        assert!(!due(200, 0.55), "hardly better");
        assert!(due(300, 0.7), "clearly better");
        assert!(!due(700, 0.4), "worse, and the last one is fresh");
        assert!(due(800, 0.4), "the last one is old");
        assert!(!due(2000, f32::NAN), "no number is no quality");
    }

    #[test]
    fn every_face_is_embedded_if_so_wanted_but_no_poor_one() {
        let mut tracker = tracker(|e| e.every_face = true);
        let there = [face(0.0, 0.0, 100.0)];
        let due: Vec<_> = [0.5, 0.5, 0.05, 0.4]
            .into_iter()
            .enumerate()
            .map(|(i, quality)| tracker.follow(i as i64, 1, &there, &[quality])[0].embed)
            .collect();
        assert_eq!(due, [true, true, false, true]);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_loses_nothing_near() {
        let mut tracker = tracker(|_| ());
        let there = [face(0.0, 0.0, 100.0)];
        for at in [5000, 5000, 4800, 5100, 4200] {
            assert_eq!(ids(&tracker.follow(at, 1, &there, &[0.5])), [1], "at {at}");
        }
        // Set back by an hour: a new track, and it is followed from there.
        assert_eq!(ids(&tracker.follow(4200 - 3_600_000, 2, &there, &[0.5])), [2]);
        assert_eq!(ids(&tracker.follow(4300 - 3_600_000, 3, &there, &[0.5])), [2]);
        for at in [i64::MIN, i64::MAX, 0] {
            assert_eq!(tracker.follow(at, u64::MAX, &there, &[0.5]).len(), 1);
        }
    }

    proptest! {
        #[test]
        fn any_frames_at_all_give_each_face_one_track_of_its_own(
            frames in prop::collection::vec(
                (any::<i64>(), prop::collection::vec((any::<f32>(), -50f32..50.0, any::<f32>()), 0..6)),
                0..12,
            ),
        ) {
            let (mut one, mut again) = (tracker(|_| ()), tracker(|_| ()));
            for (at, faces) in frames {
                let detections: Vec<_> = faces.iter().map(|(x, y, side)| face(*x, *y, *side)).collect();
                let qualities: Vec<_> = faces.iter().map(|(x, ..)| *x).collect();
                let followed = one.follow(at, 1 << 40, &detections, &qualities);
                prop_assert_eq!(followed.len(), detections.len());
                let replayed = again.follow(at, 1 << 40, &detections, &qualities);
                prop_assert_eq!(&replayed, &followed, "a replay agrees");
            }
        }

        #[test]
        fn no_track_is_given_to_two_faces_of_a_frame(
            frames in prop::collection::vec(prop::collection::vec((0f32..300.0, 0f32..300.0), 0..8), 1..10),
        ) {
            let mut tracker = tracker(|_| ());
            for (i, faces) in frames.iter().enumerate() {
                let detections: Vec<_> = faces.iter().map(|(x, y)| face(*x, *y, 80.0)).collect();
                let mut ids = ids(&tracker.follow(100 * i as i64, 100 * i as u64, &detections, &[]));
                ids.sort_unstable();
                ids.dedup();
                prop_assert_eq!(ids.len(), detections.len());
            }
        }
    }
}
