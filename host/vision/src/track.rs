//! Tracking: follows faces through the frames of one camera. It uses only the frames' own time, so a replay gives the same
//! tracks.
//!
//! As in ByteTrack (Zhang et al., 2022), detections are matched with the places where the tracks' faces are predicted, in two
//! passes: first those with a good score, then weak ones, which can continue a track but never begin one.

use super::association::{Match, associate, by_overlap, by_place};
use super::face_motion::FaceMotion;
use super::search_plan::longer;
use super::thumbnail::Thumbnail;
use everyframe_config::VisionSettings;
use everyframe_types::face::{Detection, Rect, Track};

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
    motion: FaceMotion,
    /// When the face was last detected with a good score, Unix milliseconds.
    seen_at: i64,
    /// True if the camera's last frame did not certainly show the face: another person may have hidden it.
    was_missed: bool,
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
    /// True if its score is below `[vision.detector] score`: it continues a track or is no face.
    pub is_weak: bool,
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
    /// True if the face differs from the last embedded view, if it was hidden since, if another face is so near that the two may
    /// be confused, or if frames are not continuous. It is then another person unless its own embedding shows the same one.
    pub may_be_another: bool,
    /// The id of the embedded view whose embedding this face uses; its own if `embed` is true. None if it has no embedding.
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

    /// Forgets the view of a track that was embedded last, so that its face is embedded again when it is seen next.
    pub fn embed_again(&mut self, track: u64) {
        self.followed
            .iter_mut()
            .filter(|state| state.track.id == track)
            .for_each(|state| state.embedded = None);
    }

    /// Assigns each face of the next frame to a track, in the order of the faces. None for a weak detection that continues no
    /// track: it is no face.
    pub fn update(&mut self, frame: &TrackedFrame, faces: &[TrackedFace<'_>]) -> Vec<Option<TrackUpdate>> {
        let captured_at = frame.captured_at;
        // A weak detection may be something else in a face's place, so it keeps a track for this time at most.
        self.followed.retain(|state| state.seen_at.abs_diff(captured_at) <= self.lost_after_ms);
        let continued = self.associate(frame, faces);
        let (before, mut is_seen) = (self.followed.len(), vec![false; self.followed.len()]);
        let ids = (0..).map(|n| frame.first_id.wrapping_add(n));
        let mut answers = Vec::with_capacity(faces.len());
        for ((face, continued), id) in faces.iter().zip(continued).zip(ids) {
            answers.push(match continued {
                Some(found) if face.is_weak => {
                    let update = self.continue_weakly(found, face, captured_at);
                    is_seen[found.track] = !update.may_be_another;
                    Some(update)
                }
                None if face.is_weak => None,
                _ => {
                    continued.iter().for_each(|found| is_seen[found.track] = true);
                    Some(self.follow(continued, face, id, frame))
                }
            });
        }
        for (state, is_seen) in self.followed[..before].iter_mut().zip(is_seen) {
            state.was_missed = !is_seen;
        }
        answers
    }

    /// Continues a track with a face, or begins a track with the id `id`.
    fn follow(
        &mut self,
        continued: Option<Match>,
        face: &TrackedFace<'_>,
        id: u64,
        frame: &TrackedFrame,
    ) -> TrackUpdate {
        let (bounds, captured_at) = (face.detection.bounds, frame.captured_at);
        let new = State {
            track: Track { id, started_at: captured_at },
            motion: FaceMotion::new(bounds, captured_at),
            seen_at: captured_at,
            was_missed: false,
            embedded: None,
        };
        let at = continued.map_or(self.followed.len(), |found| found.track);
        if continued.is_none() {
            self.followed.push(new.clone());
        }
        let state = &self.followed[at];
        let is_certain =
            frame.is_continuous && !state.was_missed && !continued.is_some_and(|found| found.is_ambiguous);
        let may_be_another = !is_same_view(state, face, is_certain);
        let embed = self.is_due(state, captured_at, face, may_be_another);
        let state = &mut self.followed[at];
        if may_be_another && !embed {
            // The face may be another person and is too poor to check, so it must not keep the track.
            *state = new;
        }
        state.motion.update(bounds, captured_at);
        state.seen_at = captured_at;
        if embed {
            let (quality, thumbnail) = (face.quality, face.thumbnail.cloned());
            state.embedded = Some(EmbeddedView { id, captured_at, quality, thumbnail });
        }
        let view = state.embedded.as_ref().map(|view| view.id);
        TrackUpdate { track: state.track, embed, may_be_another, view }
    }

    /// Continues a track with a weak detection. It is too poor to be embedded, and uses the track's embedding only if it is
    /// certainly the same face.
    fn continue_weakly(&mut self, found: Match, face: &TrackedFace<'_>, captured_at: i64) -> TrackUpdate {
        let state = &mut self.followed[found.track];
        let is_certain = !state.was_missed && !found.is_ambiguous && !self.every_face;
        let may_be_another = !is_same_view(state, face, is_certain);
        state.motion.update(face.detection.bounds, captured_at);
        let view = state.embedded.as_ref().filter(|_| !may_be_another).map(|view| view.id);
        TrackUpdate { track: state.track, embed: false, may_be_another, view }
    }

    /// For each detection, the track that it continues. Of equally near ones, the older track and the better detection win.
    fn associate(&self, frame: &TrackedFrame, faces: &[TrackedFace<'_>]) -> Vec<Option<Match>> {
        let predicted: Vec<Rect> =
            self.followed.iter().map(|state| state.motion.predict(frame.captured_at)).collect();
        let bounds =
            |indices: &[usize]| indices.iter().map(|i| faces[*i].detection.bounds).collect::<Vec<_>>();
        let (weak, strong): (Vec<usize>, Vec<usize>) = (0..faces.len()).partition(|i| faces[*i].is_weak);
        let mut continued = vec![None; faces.len()];
        let mut is_free = vec![true; predicted.len()];
        for (index, found) in
            strong.iter().zip(associate(&predicted, &bounds(&strong), self.overlap, by_place))
        {
            continued[*index] = found;
            found.iter().for_each(|found| is_free[found.track] = false);
        }
        // Where frames are not continuous, a weak detection in the place of a face is no sign of it.
        if !frame.is_continuous || weak.is_empty() {
            return continued;
        }
        let left: Vec<usize> = (0..predicted.len()).filter(|track| is_free[*track]).collect();
        let left_boxes: Vec<Rect> = left.iter().map(|track| predicted[*track]).collect();
        for (index, found) in
            weak.iter().zip(associate(&left_boxes, &bounds(&weak), self.overlap, by_overlap))
        {
            continued[*index] = found.map(|found| Match { track: left[found.track], ..found });
        }
        continued
    }

    fn is_due(&self, state: &State, captured_at: i64, face: &TrackedFace<'_>, may_be_another: bool) -> bool {
        let (bounds, quality) = (&face.detection.bounds, face.quality);
        if quality.is_nan() || quality < self.min_quality || longer(bounds) < self.min_face {
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

/// True if the face resembles the last embedded view and certainly continues the track, or if there is no such view.
fn is_same_view(state: &State, face: &TrackedFace<'_>, is_certain: bool) -> bool {
    let Some(view) = &state.embedded else { return true };
    let similarity = view.thumbnail.as_ref().zip(face.thumbnail).map(|(before, now)| before.similarity(now));
    is_certain && similarity.is_some_and(|similarity| similarity >= SAME_CROP)
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
