//! Keeps the embedding of each track for the frames in which its face is not embedded again.

use everyframe_types::face::{Embedding, Track};
use everyframe_vision::Followed;
use std::collections::HashMap;

/// Two views with at least this cosine, −1 to 1, show one person: the threshold of SFace's authors.
const SAME_PERSON: f32 = 0.363;
/// Two views below this cosine, both of fair quality, show two people, even if the tracker saw no change. Views of one person
/// in the footage stay above 0.3; views of two people are about 0.05 on average.
const JUMP: f32 = 0.15;
/// A poorer view says little about who it is.
const FAIR_QUALITY: f32 = 0.4;
/// A fresh view replaces the kept one unless it is poorer by more than this factor.
const POORER: f32 = 0.7;

/// The tracks of one camera.
#[derive(Debug, Default)]
pub struct Appearances {
    tracks: HashMap<u64, Appearance>,
    last_seen: i64,
}

#[derive(Debug)]
struct Appearance {
    track: Track,
    view: Option<View>,
    /// The tracker's number of the last embedded view, for which the kept one is used.
    last_view: Option<u64>,
    seen_at: i64,
}

#[derive(Debug)]
struct View {
    embedding: Embedding,
    quality: f32,
}

impl Appearances {
    /// The track and the embedding under which the rules see a face. `fresh` is the embedding of this frame, if
    /// there is one; `new_id` names a new track should this be another person than the track's.
    pub fn update(
        &mut self,
        followed: &Followed,
        fresh: Option<Embedding>,
        quality: f32,
        captured_at: i64,
        new_id: u64,
    ) -> (Track, Option<Embedding>) {
        self.last_seen = captured_at;
        let track = followed.track;
        let new = |track| Appearance { track, view: None, last_view: None, seen_at: captured_at };
        let appearance = self.tracks.entry(track.id).or_insert_with(|| new(track));
        appearance.seen_at = captured_at;
        let Some(fresh) = fresh else {
            // The view for this face is missing: its frame was parked, or this frame gave no embedding. Nobody can tell whose face
            // this is, so the track does not keep the person from before.
            if followed.embed || followed.view != appearance.last_view {
                if appearance.view.is_some() {
                    *appearance = new(Track { id: new_id, started_at: captured_at });
                }
                appearance.last_view = followed.view;
            }
            return (appearance.track, appearance.view.as_ref().map(|view| view.embedding.clone()));
        };
        let mut is_kept = false;
        if let Some(kept) = &appearance.view {
            let similarity = kept.embedding.similarity(&fresh);
            let is_another = match followed.may_be_another {
                true => similarity < SAME_PERSON,
                false => similarity < JUMP && quality.min(kept.quality) >= FAIR_QUALITY,
            };
            if is_another {
                appearance.track = Track { id: new_id, started_at: captured_at };
            }
            // A poor view of an unchanged face says less than the good one before.
            is_kept =
                !followed.may_be_another && similarity >= SAME_PERSON && quality < kept.quality * POORER;
        }
        if !is_kept {
            appearance.view = Some(View { embedding: fresh, quality });
        }
        appearance.last_view = followed.view;
        (appearance.track, appearance.view.as_ref().map(|view| view.embedding.clone()))
    }

    /// Forgets the tracks not seen since `before`, Unix milliseconds.
    pub fn forget(&mut self, before: i64) {
        self.tracks.retain(|_, appearance| appearance.seen_at >= before);
    }

    /// When the camera last showed a face, Unix milliseconds.
    pub fn last_seen(&self) -> i64 {
        self.last_seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACK: Track = Track { id: 7, started_at: 100 };

    fn embedding(values: &[f32]) -> Option<Embedding> {
        Embedding::from_raw(values)
    }

    /// A face whose view `view` is embedded now.
    fn embedded(view: u64) -> Followed {
        Followed { track: TRACK, embed: true, may_be_another: false, view: Some(view) }
    }

    /// A face that reuses the embedding of an earlier view.
    fn reused(view: u64) -> Followed {
        Followed { embed: false, ..embedded(view) }
    }

    fn changed(view: u64) -> Followed {
        Followed { may_be_another: true, ..embedded(view) }
    }

    #[test]
    fn a_track_keeps_its_embedding_between_views() {
        let mut seen = Appearances::default();
        let (_, first) = seen.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 99);
        assert_eq!(seen.update(&reused(1), None, 0.8, 200, 99), (TRACK, first));
    }

    #[test]
    fn a_much_poorer_view_does_not_replace_a_good_one() {
        let mut seen = Appearances::default();
        let (_, good) = seen.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 99);
        assert_eq!(seen.update(&embedded(2), embedding(&[0.8, 0.6]), 0.3, 200, 99), (TRACK, good));
        let (_, better) = seen.update(&embedded(3), embedding(&[0.8, 0.6]), 0.7, 300, 99);
        assert_eq!(better, embedding(&[0.8, 0.6]));
    }

    #[test]
    fn a_poor_view_unlike_the_kept_one_is_used_itself() {
        let mut seen = Appearances::default();
        seen.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 99);
        let (_, answer) = seen.update(&embedded(2), embedding(&[0.2, 1.0]), 0.3, 200, 99);
        assert_eq!(answer, embedding(&[0.2, 1.0]));
    }

    #[test]
    fn a_jump_to_another_person_begins_a_new_track() {
        let mut seen = Appearances::default();
        seen.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 99);
        let (track, other) = seen.update(&embedded(2), embedding(&[0.0, 1.0]), 0.8, 200, 99);
        assert_eq!((track, other), (Track { id: 99, started_at: 200 }, embedding(&[0.0, 1.0])));
        assert_eq!(seen.update(&reused(2), None, 0.8, 300, 100).0.id, 99);
    }

    #[test]
    fn a_changed_face_keeps_its_track_only_if_similar() {
        for (similarity, id) in [(0.30, 99), (0.45, 7)] {
            let mut seen = Appearances::default();
            seen.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 98);
            let fresh = embedding(&[similarity, (1.0f32 - similarity * similarity).sqrt()]);
            // Whatever its quality, it is answered by its own embedding.
            let (track, answer) = seen.update(&changed(2), fresh.clone(), 0.2, 200, 99);
            assert_eq!((track.id, answer), (id, fresh));
        }
    }

    #[test]
    fn a_view_whose_frame_was_parked_has_no_person() {
        let mut seen = Appearances::default();
        seen.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 98);
        // View 2 was to be embedded, and its frame was parked.
        let (track, answer) = seen.update(&reused(2), None, 0.8, 300, 99);
        assert_eq!((track.id, answer), (99, None));
        assert_eq!(seen.update(&reused(2), None, 0.8, 400, 100), (track, None));
        let (_, again) = seen.update(&embedded(3), embedding(&[0.0, 1.0]), 0.8, 500, 101);
        assert_eq!(again, embedding(&[0.0, 1.0]));
    }

    #[test]
    fn without_an_embedding_the_one_before_is_not_reused() {
        let mut seen = Appearances::default();
        seen.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 98);
        assert_eq!(seen.update(&embedded(2), None, 0.8, 200, 99).1, None);
    }

    #[test]
    fn tracks_not_seen_are_forgotten() {
        let mut seen = Appearances::default();
        seen.update(&reused(1), None, 0.8, 100, 99);
        seen.forget(100);
        assert_eq!(seen.tracks.len(), 1);
        seen.forget(101);
        assert!(seen.tracks.is_empty());
    }
}
