//! The embedding cache: keeps the embedding of each track between the frames in which its face is embedded.

use super::track::TrackUpdate;
use everyframe_types::face::{Embedding, Track};
use std::collections::HashMap;

/// Two views with at least this cosine, −1 to 1, show one person: the threshold of SFace's authors.
const SAME_PERSON: f32 = 0.363;
/// Two views below this cosine, both of fair quality, show two people, even if the tracker saw no change. Views of one person
/// in the footage stay above 0.3; views of two people are about 0.05 on average.
const DIFFERENT_PERSON: f32 = 0.15;
/// The embedding of a view of lower quality is not reliable, 0 to 1.
const FAIR_QUALITY: f32 = 0.4;
/// A new view replaces the cached one unless its quality is lower by more than this factor.
const MIN_QUALITY_RATIO: f32 = 0.7;

/// The cached embeddings of one camera's tracks.
#[derive(Debug, Default)]
pub struct EmbeddingCache {
    tracks: HashMap<u64, CachedTrack>,
    last_seen_at: i64,
}

#[derive(Debug)]
struct CachedTrack {
    track: Track,
    view: Option<View>,
    /// The tracker's id of the last embedded view; `view` is used in its place.
    last_view: Option<u64>,
    seen_at: i64,
}

#[derive(Debug)]
struct View {
    embedding: Embedding,
    quality: f32,
}

impl EmbeddingCache {
    /// Returns the track and the embedding that rules get for a face, and stores its embedding.
    ///
    /// `fresh` is the embedding made from this frame, if the face was embedded. `captured_at` is the frame's time, Unix
    /// milliseconds. If the face is another person than the track's, a new track with the id `new_id` begins.
    pub fn update(
        &mut self,
        followed: &TrackUpdate,
        fresh: Option<Embedding>,
        quality: f32,
        captured_at: i64,
        new_id: u64,
    ) -> (Track, Option<Embedding>) {
        self.last_seen_at = captured_at;
        let track = followed.track;
        let new = |track| CachedTrack { track, view: None, last_view: None, seen_at: captured_at };
        let appearance = self.tracks.entry(track.id).or_insert_with(|| new(track));
        appearance.seen_at = captured_at;
        if followed.may_be_another && !followed.embed {
            // A weak view, which may show another person: it gets no embedding, and the track keeps its own.
            return (appearance.track, None);
        }
        let Some(fresh) = fresh else {
            // The view for this face is missing: its frame was parked, or this frame gave no embedding. The face may be another
            // person, so the track must not keep the earlier embedding.
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
                false => similarity < DIFFERENT_PERSON && quality.min(kept.quality) >= FAIR_QUALITY,
            };
            if is_another {
                appearance.track = Track { id: new_id, started_at: captured_at };
            }
            // A poor view of an unchanged face is less reliable than the good one before.
            is_kept = !followed.may_be_another
                && similarity >= SAME_PERSON
                && quality < kept.quality * MIN_QUALITY_RATIO;
        }
        if !is_kept {
            appearance.view = Some(View { embedding: fresh, quality });
        }
        appearance.last_view = followed.view;
        (appearance.track, appearance.view.as_ref().map(|view| view.embedding.clone()))
    }

    /// Removes the tracks that were last seen before `before`, Unix milliseconds.
    pub fn remove_stale(&mut self, before: i64) {
        self.tracks.retain(|_, appearance| appearance.seen_at >= before);
    }

    /// When the camera last showed a face, Unix milliseconds.
    pub fn last_seen_at(&self) -> i64 {
        self.last_seen_at
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
    fn embedded(view: u64) -> TrackUpdate {
        TrackUpdate { track: TRACK, embed: true, may_be_another: false, view: Some(view) }
    }

    /// A face that reuses the embedding of an earlier view.
    fn reused(view: u64) -> TrackUpdate {
        TrackUpdate { embed: false, ..embedded(view) }
    }

    fn changed(view: u64) -> TrackUpdate {
        TrackUpdate { may_be_another: true, ..embedded(view) }
    }

    #[test]
    fn a_track_keeps_its_embedding_between_views() {
        let mut cache = EmbeddingCache::default();
        let (_, first) = cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 99);
        assert_eq!(cache.update(&reused(1), None, 0.8, 200, 99), (TRACK, first));
    }

    #[test]
    fn a_much_poorer_view_does_not_replace_a_good_one() {
        let mut cache = EmbeddingCache::default();
        let (_, good) = cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 99);
        assert_eq!(cache.update(&embedded(2), embedding(&[0.8, 0.6]), 0.3, 200, 99), (TRACK, good));
        let (_, better) = cache.update(&embedded(3), embedding(&[0.8, 0.6]), 0.7, 300, 99);
        assert_eq!(better, embedding(&[0.8, 0.6]));
    }

    #[test]
    fn a_poor_but_different_view_uses_its_own_embedding() {
        let mut cache = EmbeddingCache::default();
        cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 99);
        let (_, answer) = cache.update(&embedded(2), embedding(&[0.2, 1.0]), 0.3, 200, 99);
        assert_eq!(answer, embedding(&[0.2, 1.0]));
    }

    #[test]
    fn a_track_that_jumps_to_another_person_becomes_a_new_track() {
        let mut cache = EmbeddingCache::default();
        cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 99);
        let (track, other) = cache.update(&embedded(2), embedding(&[0.0, 1.0]), 0.8, 200, 99);
        assert_eq!((track, other), (Track { id: 99, started_at: 200 }, embedding(&[0.0, 1.0])));
        assert_eq!(cache.update(&reused(2), None, 0.8, 300, 100).0.id, 99);
    }

    #[test]
    fn a_changed_face_is_the_same_person_only_if_it_is_alike() {
        for (similarity, id) in [(0.30, 99), (0.45, 7)] {
            let mut cache = EmbeddingCache::default();
            cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 98);
            let fresh = embedding(&[similarity, (1.0f32 - similarity * similarity).sqrt()]);
            // Its own embedding is used, whatever its quality.
            let (track, answer) = cache.update(&changed(2), fresh.clone(), 0.2, 200, 99);
            assert_eq!((track.id, answer), (id, fresh));
        }
    }

    #[test]
    fn a_view_of_a_parked_frame_has_no_embedding() {
        let mut cache = EmbeddingCache::default();
        cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 98);
        // View 2 was to be embedded, and its frame was parked.
        let (track, answer) = cache.update(&reused(2), None, 0.8, 300, 99);
        assert_eq!((track.id, answer), (99, None));
        assert_eq!(cache.update(&reused(2), None, 0.8, 400, 100), (track, None));
        let (_, again) = cache.update(&embedded(3), embedding(&[0.0, 1.0]), 0.8, 500, 101);
        assert_eq!(again, embedding(&[0.0, 1.0]));
    }

    #[test]
    fn without_an_embedding_the_one_before_is_not_reused() {
        let mut cache = EmbeddingCache::default();
        cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 98);
        assert_eq!(cache.update(&embedded(2), None, 0.8, 200, 99).1, None);
    }

    #[test]
    fn a_weak_view_of_another_leaves_the_track_its_embedding() {
        let mut cache = EmbeddingCache::default();
        let (track, first) = cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.8, 100, 98);
        let hidden = TrackUpdate { may_be_another: true, view: None, ..reused(1) };
        assert_eq!(cache.update(&hidden, None, 0.2, 200, 99), (track, None));
        assert_eq!(cache.update(&reused(1), None, 0.8, 300, 100), (track, first));
    }

    #[test]
    fn stale_tracks_are_removed() {
        let mut cache = EmbeddingCache::default();
        cache.update(&reused(1), None, 0.8, 100, 99);
        cache.remove_stale(100);
        assert_eq!(cache.tracks.len(), 1);
        cache.remove_stale(101);
        assert!(cache.tracks.is_empty());
    }
}
