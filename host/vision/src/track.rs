//! Tracking: follows faces through the frames of one camera. It uses only the frames' own time, so a replay gives the same
//! tracks.

use super::thumbnail::Thumbnail;
use everyframe_config::VisionSettings;
use everyframe_types::face::{Detection, Rect, Track};

/// A fast face continues a track although their boxes hardly overlap, if the distance of their centres is at most this many
/// face sides. A walking head moves less than its own width in the tenth of a second between two frames of a usual camera.
const MAX_DISTANCE: f32 = 1.0;
/// A face's side changes by at most this factor from one frame to the next.
const MAX_GROWTH: f32 = 1.6;

/// Two aligned crops with at least this correlation show one person: of pairs of people photographed in the same light
/// (ORL, 40 people), 0.03 % reach it; of a face and itself half a second later (the footage), 95 % do.
const SAME_CROP: f32 = 0.9;

/// The tracker of one camera.
#[derive(Debug, Clone)]
pub struct Tracker {
    min_face: f32,
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
    embedded: Option<EmbeddedView>,
}

/// The last view of a track's face that was embedded.
#[derive(Debug, Clone)]
struct EmbeddedView {
    id: u64,
    captured_at: i64,
    quality: f32,
    thumbnail: Option<Thumbnail>,
}

/// A frame, as the tracker takes it.
#[derive(Debug, Clone, Copy)]
pub struct TrackedFrame {
    /// The frame's time, Unix milliseconds. It may stand still or go back: a track is followed as long as the step, either
    /// way, is no longer than `lost_after_ms`.
    pub captured_at: i64,
    /// New tracks get the ids `first_id`, `first_id` + 1 and so on.
    pub first_id: u64,
    /// False after a scene cut, after a gap in time, or in another session. A face then keeps its track only if a new embedding
    /// shows the same person.
    pub is_continuous: bool,
}

/// A detection, as the tracker takes it.
#[derive(Debug, Clone, Copy)]
pub struct TrackedFace<'a> {
    /// The detected face.
    pub detection: &'a Detection,
    /// How well the face can be recognised, 0 to 1 (see [`Quality`](crate::Quality)).
    pub quality: f32,
    /// The thumbnail of its aligned crop; none if the crop is of one brightness.
    pub thumbnail: Option<&'a Thumbnail>,
}

/// The track of a detected face, and whether to embed the face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackUpdate {
    /// The track of the face.
    pub track: Track,
    /// True to embed the face now: it is the first good view of the track, it differs from the last embedded view, its quality
    /// is clearly better, the last view is old, or the settings ask for every face.
    pub embed: bool,
    /// True if the face differs from the last embedded view, or if frames are not continuous. It is then another person unless
    /// its own embedding shows the same one.
    pub may_be_another: bool,
    /// The id of the embedded view whose embedding this face uses; its own if `embed` is true.
    pub view: Option<u64>,
}

impl Tracker {
    /// A tracker without tracks.
    pub fn new(settings: &VisionSettings) -> Self {
        let VisionSettings { detector, tracker, embedder, .. } = settings;
        Self {
            min_face: detector.min_face as f32,
            overlap: tracker.overlap,
            lost_after_ms: tracker.lost_after_ms,
            every_face: embedder.every_face,
            refresh_ms: embedder.refresh_ms,
            better_by: embedder.better_by,
            min_quality: embedder.min_quality,
            followed: Vec::new(),
        }
    }

    /// Assigns each face of the next frame to a track, in the order of the faces.
    pub fn update(&mut self, frame: &TrackedFrame, faces: &[TrackedFace<'_>]) -> Vec<TrackUpdate> {
        let TrackedFrame { captured_at, first_id, .. } = *frame;
        self.followed.retain(|state| state.seen_at.abs_diff(captured_at) <= self.lost_after_ms);
        let continued = self.associate(faces);
        let mut answers = Vec::with_capacity(faces.len());
        for ((face, continued), id) in
            faces.iter().zip(continued).zip((0..).map(|n| first_id.wrapping_add(n)))
        {
            let new = State {
                track: Track { id, started_at: captured_at },
                bounds: face.detection.bounds,
                seen_at: captured_at,
                embedded: None,
            };
            let at = continued.unwrap_or_else(|| {
                self.followed.push(new.clone());
                self.followed.len() - 1
            });
            let may_be_another = !self.is_same_view(&self.followed[at], face, frame.is_continuous);
            let embed = self.is_due(&self.followed[at], captured_at, face, may_be_another);
            let state = &mut self.followed[at];
            if may_be_another && !embed {
                // The face may be another person and is too poor to check, so it must not keep the track.
                *state = new;
            }
            state.bounds = face.detection.bounds;
            state.seen_at = captured_at;
            if embed {
                let (quality, thumbnail) = (face.quality, face.thumbnail.cloned());
                state.embedded = Some(EmbeddedView { id, captured_at, quality, thumbnail });
            }
            let view = state.embedded.as_ref().map(|view| view.id);
            answers.push(TrackUpdate { track: state.track, embed, may_be_another, view });
        }
        answers
    }

    /// For each detection, the index of the track that it continues. The nearest pairs are matched first. Of equally near ones,
    /// the older track and the better detection win, so that a replay gives the same tracks.
    fn associate(&self, faces: &[TrackedFace<'_>]) -> Vec<Option<usize>> {
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (at, state) in self.followed.iter().enumerate() {
            for (index, face) in faces.iter().enumerate() {
                if let Some(nearness) = nearness(&state.bounds, &face.detection.bounds, self.overlap) {
                    pairs.push((nearness, at, index));
                }
            }
        }
        // The sort is stable: equal pairs stay in the order of tracks and detections.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut taken = vec![false; self.followed.len()];
        let mut continued = vec![None; faces.len()];
        for (_, at, index) in pairs {
            if !taken[at] && continued[index].is_none() {
                taken[at] = true;
                continued[index] = Some(at);
            }
        }
        continued
    }

    /// True if the face resembles the last embedded view and frames are continuous, or if there is no such view.
    fn is_same_view(&self, state: &State, face: &TrackedFace<'_>, is_continuous: bool) -> bool {
        let Some(view) = &state.embedded else { return true };
        let similarity =
            view.thumbnail.as_ref().zip(face.thumbnail).map(|(before, now)| before.similarity(now));
        is_continuous && similarity.is_some_and(|similarity| similarity >= SAME_CROP)
    }

    fn is_due(&self, state: &State, captured_at: i64, face: &TrackedFace<'_>, may_be_another: bool) -> bool {
        let (bounds, quality) = (&face.detection.bounds, face.quality);
        if quality.is_nan() || quality < self.min_quality || bounds.width.max(bounds.height) < self.min_face {
            return false;
        }
        match &state.embedded {
            _ if self.every_face || may_be_another => true,
            None => true,
            Some(view) => {
                quality > view.quality * self.better_by
                    || view.captured_at.abs_diff(captured_at) >= self.refresh_ms
            }
        }
    }
}

/// How near two boxes are: the intersection over union (above 0) if they overlap enough, else the negative distance of their
/// centres in face sides; none if they are too far apart, or too different in size, for one face.
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
    let alike = before_side <= now_side * MAX_GROWTH && now_side <= before_side * MAX_GROWTH;
    (alike && distance <= MAX_DISTANCE).then_some(-distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_config::{EmbedderSettings, TrackerSettings};
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
        let tracker = TrackerSettings { overlap: 0.3, lost_after_ms: 1000 };
        Tracker::new(&VisionSettings { tracker, embedder, ..VisionSettings::default() })
    }

    /// A thumbnail; those of different seeds are not similar.
    fn thumbnail(seed: u8) -> Thumbnail {
        let bytes: Vec<u8> =
            (0..16 * 16).flat_map(|i: usize| [(i * (7 + 13 * usize::from(seed)) % 251) as u8; 3]).collect();
        Thumbnail::from_pixels(&bytes, 16, 16, 1).unwrap()
    }

    fn frame(captured_at: i64, first_id: u64) -> TrackedFrame {
        TrackedFrame { captured_at, first_id, is_continuous: true }
    }

    /// Updates the tracker with faces of one thumbnail, in continuous frames. A missing quality is 0.
    fn update(
        tracker: &mut Tracker,
        captured_at: i64,
        first_id: u64,
        detections: &[Detection],
        qualities: &[f32],
    ) -> Vec<TrackUpdate> {
        let thumbnail = thumbnail(1);
        let faces: Vec<_> = detections
            .iter()
            .enumerate()
            .map(|(index, detection)| TrackedFace {
                detection,
                quality: qualities.get(index).copied().unwrap_or(0.0),
                thumbnail: Some(&thumbnail),
            })
            .collect();
        tracker.update(&frame(captured_at, first_id), &faces)
    }

    /// Updates the tracker with one face in the same place, with the thumbnail `looks`.
    fn update_one(tracker: &mut Tracker, frame: TrackedFrame, looks: u8, quality: f32) -> TrackUpdate {
        let (detection, thumbnail) = (face(0.0, 0.0, 100.0), thumbnail(looks));
        let face = TrackedFace { detection: &detection, quality, thumbnail: Some(&thumbnail) };
        tracker.update(&frame, &[face])[0]
    }

    #[test]
    fn a_face_that_looks_different_is_embedded_again() {
        let mut tracker = tracker(|_| ());
        let first = update_one(&mut tracker, frame(0, 1), 1, 0.5);
        assert_eq!((first.embed, first.may_be_another, first.view), (true, false, Some(1)));
        let same = update_one(&mut tracker, frame(100, 2), 1, 0.5);
        assert_eq!((same.embed, same.may_be_another, same.view), (false, false, Some(1)));
        let other = update_one(&mut tracker, frame(200, 3), 2, 0.5);
        assert_eq!((other.embed, other.may_be_another, other.view), (true, true, Some(3)));
        let back = update_one(&mut tracker, frame(300, 4), 1, 0.5);
        assert_eq!((back.embed, back.may_be_another, back.view), (true, true, Some(4)));
    }

    #[test]
    fn after_a_break_every_face_is_embedded_again() {
        let mut tracker = tracker(|_| ());
        update_one(&mut tracker, frame(0, 1), 1, 0.5);
        let broken = TrackedFrame { is_continuous: false, ..frame(100, 2) };
        let after = update_one(&mut tracker, broken, 1, 0.5);
        assert_eq!((after.track.id, after.embed, after.may_be_another), (1, true, true));
        let next = update_one(&mut tracker, frame(200, 3), 1, 0.5);
        assert_eq!((next.embed, next.may_be_another, next.view), (false, false, Some(2)));
    }

    #[test]
    fn a_changed_face_too_poor_to_embed_is_a_new_track() {
        for (looks, is_continuous) in [(2, true), (1, false)] {
            let mut tracker = tracker(|_| ());
            update_one(&mut tracker, frame(0, 1), 1, 0.5);
            let poor = update_one(&mut tracker, TrackedFrame { is_continuous, ..frame(100, 2) }, looks, 0.05);
            assert_eq!((poor.track.id, poor.embed, poor.view), (2, false, None));
            let next = update_one(&mut tracker, frame(200, 3), looks, 0.5);
            assert_eq!((next.track.id, next.embed, next.view), (2, true, Some(3)));
        }
    }

    #[test]
    fn a_face_too_small_to_recognise_is_not_embedded() {
        let mut tracker = tracker(|_| ());
        let mut embeds = |side| {
            let detection = [face(200.0 * side, 0.0, side)];
            update(&mut tracker, 0, 1, &detection, &[0.9])[0].embed
        };
        assert_eq!([embeds(10.0), embeds(23.0), embeds(24.0)], [false, false, true]);
    }

    #[test]
    fn a_face_without_a_thumbnail_may_be_another() {
        let mut tracker = tracker(|_| ());
        update_one(&mut tracker, frame(0, 1), 1, 0.5);
        let detection = face(0.0, 0.0, 100.0);
        let flat = TrackedFace { detection: &detection, quality: 0.5, thumbnail: None };
        for n in 1..3 {
            assert!(tracker.update(&frame(100 * n, 9), &[flat])[0].may_be_another);
        }
    }

    fn ids(followed: &[TrackUpdate]) -> Vec<u64> {
        followed.iter().map(|f| f.track.id).collect()
    }

    #[test]
    fn faces_are_followed_while_they_move() {
        let mut tracker = tracker(|_| ());
        let first =
            update(&mut tracker, 1000, 70, &[face(0.0, 0.0, 100.0), face(300.0, 0.0, 100.0)], &[0.5; 2]);
        assert_eq!(ids(&first), [70, 71]);
        // The detector's order is by score, and changes.
        let next =
            update(&mut tracker, 1100, 80, &[face(320.0, 5.0, 100.0), face(20.0, 5.0, 100.0)], &[0.5; 2]);
        assert_eq!(ids(&next), [71, 70]);
        assert_eq!(next[0].track.started_at, 1000);
        let third =
            update(&mut tracker, 1200, 90, &[face(600.0, 5.0, 100.0), face(40.0, 5.0, 100.0)], &[0.5; 2]);
        assert_eq!(ids(&third), [90, 70]);
    }

    #[test]
    fn a_fast_face_is_matched_by_its_centre() {
        let mut tracker = tracker(|_| ());
        update(&mut tracker, 0, 1, &[face(0.0, 0.0, 100.0)], &[0.5]);
        assert_eq!(ids(&update(&mut tracker, 100, 2, &[face(80.0, 0.0, 100.0)], &[0.5])), [1]);
        // One at the old place, one moved: the overlap decides.
        let both =
            update(&mut tracker, 200, 3, &[face(170.0, 0.0, 100.0), face(85.0, 0.0, 100.0)], &[0.5; 2]);
        assert_eq!(ids(&both), [3, 1]);
        // As near, but four times as large: another face.
        let large = update(&mut tracker, 300, 9, &[face(-120.0, -120.0, 400.0)], &[0.5]);
        assert_eq!(ids(&large), [9]);
    }

    #[test]
    fn a_track_outlives_a_gap_but_not_a_long_one() {
        let mut tracker = tracker(|_| ());
        let there = [face(0.0, 0.0, 100.0)];
        update(&mut tracker, 0, 1, &there, &[0.5]);
        assert!(update(&mut tracker, 500, 2, &[], &[]).is_empty());
        assert_eq!(ids(&update(&mut tracker, 1000, 3, &there, &[0.5])), [1]);
        assert_eq!(ids(&update(&mut tracker, 2001, 4, &there, &[0.5])), [4]);
    }

    #[test]
    fn a_face_is_embedded_first_when_better_and_when_old() {
        let mut tracker = tracker(|_| ());
        let there = [face(0.0, 0.0, 100.0)];
        let mut due = |at, quality| update(&mut tracker, at, 1, &there, &[quality])[0].embed;
        assert!(!due(0, 0.05), "too poor");
        assert!(due(100, 0.5), "the first good enough view");
        assert!(!due(200, 0.55), "hardly better");
        assert!(due(300, 0.7), "clearly better");
        assert!(!due(700, 0.4), "worse, and the last one is fresh");
        assert!(due(800, 0.4), "the last one is old");
        assert!(!due(2000, f32::NAN), "NaN is no quality");
    }

    #[test]
    fn every_face_is_embedded_on_request_except_poor_ones() {
        let mut tracker = tracker(|e| e.every_face = true);
        let there = [face(0.0, 0.0, 100.0)];
        let due: Vec<_> = [0.5, 0.5, 0.05, 0.4]
            .into_iter()
            .enumerate()
            .map(|(i, quality)| update(&mut tracker, i as i64, 1, &there, &[quality])[0].embed)
            .collect();
        assert_eq!(due, [true, true, false, true]);
    }

    #[test]
    fn a_clock_that_stops_or_goes_back_keeps_tracks() {
        let mut tracker = tracker(|_| ());
        let there = [face(0.0, 0.0, 100.0)];
        for at in [5000, 5000, 4800, 5100, 4200] {
            assert_eq!(ids(&update(&mut tracker, at, 1, &there, &[0.5])), [1], "at {at}");
        }
        // Set back by an hour: a new track.
        assert_eq!(ids(&update(&mut tracker, 4200 - 3_600_000, 2, &there, &[0.5])), [2]);
        assert_eq!(ids(&update(&mut tracker, 4300 - 3_600_000, 3, &there, &[0.5])), [2]);
        for at in [i64::MIN, i64::MAX, 0] {
            assert_eq!(update(&mut tracker, at, u64::MAX, &there, &[0.5]).len(), 1);
        }
    }

    proptest! {
        #[test]
        fn any_frames_give_each_face_one_track(
            frames in prop::collection::vec(
                (any::<i64>(), prop::collection::vec((any::<f32>(), -50f32..50.0, any::<f32>()), 0..6)),
                0..12,
            ),
        ) {
            let (mut one, mut again) = (tracker(|_| ()), tracker(|_| ()));
            for (at, faces) in frames {
                let detections: Vec<_> = faces.iter().map(|(x, y, side)| face(*x, *y, *side)).collect();
                let qualities: Vec<_> = faces.iter().map(|(x, ..)| *x).collect();
                let followed = update(&mut one, at, 1 << 40, &detections, &qualities);
                prop_assert_eq!(followed.len(), detections.len());
                let replayed = update(&mut again, at, 1 << 40, &detections, &qualities);
                prop_assert_eq!(&replayed, &followed, "a replay gives the same");
            }
        }

        #[test]
        fn no_track_is_given_to_two_faces_of_a_frame(
            frames in prop::collection::vec(prop::collection::vec((0f32..300.0, 0f32..300.0), 0..8), 1..10),
        ) {
            let mut tracker = tracker(|_| ());
            for (i, faces) in frames.iter().enumerate() {
                let detections: Vec<_> = faces.iter().map(|(x, y)| face(*x, *y, 80.0)).collect();
                let mut ids = ids(&update(&mut tracker, 100 * i as i64, 100 * i as u64, &detections, &[]));
                ids.sort_unstable();
                ids.dedup();
                prop_assert_eq!(ids.len(), detections.len());
            }
        }
    }
}
