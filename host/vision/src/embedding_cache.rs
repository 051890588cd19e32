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
/// A view of an unchanged face is ignored if its quality is lower than the track's by more than this factor.
const MIN_QUALITY_RATIO: f32 = 0.7;

/// A view of at least this quality, 0 to 1, is used alone: it recognises a person as well as several views, and an earlier
/// face cannot influence it. A frontal face has this quality from about 60 pixels of height.
const GOOD_QUALITY: f32 = 0.6;
/// After a change, an earlier view is fused with the new one only from this cosine on, −1 to 1: no two people of ORL reach it
/// (40 people, 78,000 pairs of pictures; the most alike have 0.46 at 112 pixels, and at 28).
const SAME_PERSON_AFTER_CHANGE: f32 = 0.5;
/// The most views that are fused. More views make the embedding follow the person more slowly, and gain little.
const MAX_VIEWS: usize = 8;
/// The most names that are kept of a track. Rules name a face once; more names come from faces that are taken for one another.
const MAX_NAMES: usize = 16;

/// The cached embeddings of one camera's tracks.
#[derive(Debug, Default)]
pub struct EmbeddingCache {
    tracks: HashMap<u64, CachedTrack>,
    last_seen_at: i64,
}

#[derive(Debug)]
struct CachedTrack {
    track: Track,
    face: Option<FusedFace>,
    /// The tracker's id of the last embedded view; `face` is used in its place.
    last_view: Option<u64>,
    seen_at: i64,
    /// Whom the face was taken for: people and strangers, the last one at the end.
    names: Vec<String>,
    /// True if the face begins a new track when it is seen next.
    has_ended: bool,
}

/// The face of a track: its last views, and the embedding that they give together.
#[derive(Debug)]
struct FusedFace {
    /// The newest view and those before it that agree with it, oldest first; at least one.
    views: Vec<View>,
    /// The newest view's embedding if its quality is good; otherwise the mean of the views, weighted by the square of their
    /// quality.
    embedding: Embedding,
    /// The quality of `embedding`, 0 to 1: the mean quality of its views, with the same weights.
    quality: f32,
}

#[derive(Debug)]
struct View {
    embedding: Embedding,
    quality: f32,
}

impl FusedFace {
    /// The face of one view.
    fn new(view: View) -> Self {
        let View { embedding, quality } = &view;
        Self { embedding: embedding.clone(), quality: *quality, views: vec![view] }
    }

    /// Adds the newest view. The earlier views whose cosine to it is below `agreement` are removed, so that they have no
    /// influence on the embedding.
    fn add(&mut self, view: View, agreement: f32) {
        self.views.retain(|earlier| earlier.embedding.similarity(&view.embedding) >= agreement);
        self.views.drain(..(self.views.len() + 1).saturating_sub(MAX_VIEWS));
        let is_alone = view.quality >= GOOD_QUALITY || self.views.is_empty();
        let fused = if is_alone { None } else { fuse(self.views.iter().chain([&view])) };
        (self.embedding, self.quality) = fused.unwrap_or_else(|| (view.embedding.clone(), view.quality));
        self.views.push(view);
    }
}

/// The mean of the embeddings and of the qualities, each weighted by the square of the quality. None if the embeddings have no
/// common direction.
fn fuse<'a>(views: impl Iterator<Item = &'a View>) -> Option<(Embedding, f32)> {
    /// Lets a view of quality 0 count, too.
    const MIN_WEIGHT: f32 = 1e-6;
    let (mut sum, mut quality, mut total) = (Vec::<f32>::new(), 0.0, 0.0);
    for view in views {
        let weight = (view.quality * view.quality).max(MIN_WEIGHT);
        let values = view.embedding.values();
        sum.resize(values.len(), 0.0);
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
        quality += weight * view.quality;
        total += weight;
    }
    Embedding::from_raw(&sum).map(|embedding| (embedding, quality / total))
}

impl EmbeddingCache {
    /// Returns the track and the embedding that rules get for a face, and stores its embedding.
    ///
    /// `fresh` is the embedding made from this frame, if the face was embedded. `captured_at` is the frame's time, Unix
    /// milliseconds. If the face is another person than the track's, a new track with the id `new_id` begins.
    ///
    /// The embedding is that of the newest view, or, if its quality is below `GOOD_QUALITY`, fused with those of the earlier
    /// views that agree with it. A view that shows another person is never fused with the earlier ones.
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
        let new = |track| CachedTrack {
            track,
            face: None,
            last_view: None,
            seen_at: captured_at,
            names: Vec::new(),
            has_ended: false,
        };
        let cached = self.tracks.entry(track.id).or_insert_with(|| new(track));
        cached.seen_at = captured_at;
        if std::mem::take(&mut cached.has_ended) {
            cached.track = Track { id: new_id, started_at: captured_at };
        }
        if followed.may_be_another && !followed.embed {
            // A weak view, which may show another person: it gets no embedding, and the track keeps its own.
            return (cached.track, None);
        }
        let Some(embedding) = fresh else {
            // The view for this face is missing: its frame was parked, or this frame gave no embedding. The face may be another
            // person, so the track must not keep the earlier embedding.
            if followed.embed || followed.view != cached.last_view {
                if cached.face.is_some() {
                    *cached = new(Track { id: new_id, started_at: captured_at });
                }
                cached.last_view = followed.view;
            }
            return (cached.track, cached.face.as_ref().map(|face| face.embedding.clone()));
        };
        cached.last_view = followed.view;
        let view = View { embedding, quality };
        let Some(face) = &mut cached.face else {
            return (cached.track, Some(cached.face.insert(FusedFace::new(view)).embedding.clone()));
        };
        let similarity = face.embedding.similarity(&view.embedding);
        let is_another = match followed.may_be_another {
            true => similarity < SAME_PERSON,
            false => similarity < DIFFERENT_PERSON && quality.min(face.quality) >= FAIR_QUALITY,
        };
        // A poor view of an unchanged face is less reliable than the good ones before.
        let is_ignored = !followed.may_be_another
            && similarity >= SAME_PERSON
            && quality < face.quality * MIN_QUALITY_RATIO;
        if is_another {
            cached.track = Track { id: new_id, started_at: captured_at };
            cached.names.clear();
            *face = FusedFace::new(view);
        } else if !is_ignored {
            let agreement = if followed.may_be_another { SAME_PERSON_AFTER_CHANGE } else { SAME_PERSON };
            face.add(view, agreement);
        }
        (cached.track, Some(face.embedding.clone()))
    }

    /// Keeps whom the face of a track was taken for. `track` is the id that [`EmbeddingCache::update`] returned.
    pub fn add_name(&mut self, track: u64, name: &str) {
        let cached = self.tracks.values_mut().find(|cached| cached.track.id == track);
        if let Some(names) = cached.map(|cached| &mut cached.names)
            && !names.iter().any(|known| known == name)
        {
            names.drain(..(names.len() + 1).saturating_sub(MAX_NAMES));
            names.push(name.to_owned());
        }
    }

    /// Ends the tracks for which `is_wanted` says so; it gets the track's id and whom the face was taken for. The embeddings are
    /// dropped, and a face that stays begins a new track, which has nothing of the old one. Returns the tracker's ids of these
    /// tracks: embed their faces again.
    pub fn end_tracks(&mut self, is_wanted: impl Fn(u64, &[String]) -> bool) -> Vec<u64> {
        let wanted = self.tracks.iter_mut().filter(|(_, cached)| is_wanted(cached.track.id, &cached.names));
        let ended = wanted.map(|(id, cached)| {
            cached.names.clear();
            (cached.face, cached.has_ended) = (None, true);
            *id
        });
        ended.collect()
    }

    /// Removes the tracks that were last seen before `before`, Unix milliseconds.
    pub fn remove_stale(&mut self, before: i64) {
        self.tracks.retain(|_, cached| cached.seen_at >= before);
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

    #[test]
    fn an_ended_track_begins_anew_without_its_embedding() {
        let mut cache = EmbeddingCache::default();
        let other = TrackUpdate { track: Track { id: 8, started_at: 100 }, ..embedded(2) };
        cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.9, 100, 1);
        cache.update(&other, embedding(&[0.0, 1.0]), 0.9, 100, 2);
        cache.add_name(7, "ann");
        cache.add_name(8, "bob");
        assert_eq!(cache.end_tracks(|_, names| names.contains(&"ann".into())), [7]);
        // A frame that was tracked before still reuses the old view.
        let (track, face) = cache.update(&reused(1), None, 0.9, 200, 31);
        assert_eq!((track, face), (Track { id: 31, started_at: 200 }, None));
        let (track, face) = cache.update(&embedded(3), embedding(&[0.6, 0.8]), 0.9, 300, 32);
        assert_eq!((track, face), (Track { id: 31, started_at: 200 }, embedding(&[0.6, 0.8])));
        let bob = TrackUpdate { track: other.track, ..reused(2) };
        assert_eq!(cache.update(&bob, None, 0.9, 300, 33), (other.track, embedding(&[0.0, 1.0])));
        assert_eq!(
            cache.end_tracks(|_, names| names.contains(&"ann".into())),
            [0; 0],
            "she is no name of the new track"
        );
        assert_eq!(cache.end_tracks(|id, _| id == 31), [7], "found by the new id");
    }

    #[test]
    fn a_track_keeps_its_last_names_only() {
        let mut cache = EmbeddingCache::default();
        cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.9, 100, 1);
        (0..1000).for_each(|number| cache.add_name(7, &number.to_string()));
        cache.add_name(7, "999");
        assert_eq!(
            cache.end_tracks(|_, names| names.len() == MAX_NAMES && names.ends_with(&["999".into()])),
            [7]
        );
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
    fn small_views_that_agree_are_fused_by_quality() {
        let mut cache = EmbeddingCache::default();
        cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.2, 100, 99);
        let (track, fused) = cache.update(&embedded(2), embedding(&[0.6, 0.8]), 0.4, 200, 99);
        // Weights 0.04 and 0.16.
        let expected = embedding(&[0.04 + 0.16 * 0.6, 0.16 * 0.8]).unwrap();
        assert_eq!(track, TRACK);
        assert!(fused.unwrap().similarity(&expected) > 0.9999);
    }

    #[test]
    fn a_good_view_is_used_alone() {
        let mut cache = EmbeddingCache::default();
        cache.update(&embedded(1), embedding(&[1.0, 0.0]), 0.6, 100, 99);
        let (_, alone) = cache.update(&embedded(2), embedding(&[0.6, 0.8]), 0.6, 200, 99);
        assert_eq!(alone, embedding(&[0.6, 0.8]));
    }

    #[test]
    fn a_view_that_disagrees_removes_the_ones_before() {
        for (changes, cosine) in [(false, 0.3f32), (true, 0.45)] {
            let mut cache = EmbeddingCache::default();
            for view in 1..4 {
                cache.update(&embedded(view), embedding(&[1.0, 0.0]), 0.3, 100, 99);
            }
            let other = embedding(&[cosine, (1.0 - cosine * cosine).sqrt()]);
            let update = if changes { changed(4) } else { embedded(4) };
            let (track, alone) = cache.update(&update, other.clone(), 0.3, 200, 99);
            assert_eq!((track, alone), (TRACK, other.clone()));
            assert_eq!(cache.update(&embedded(5), other.clone(), 0.3, 300, 99).1, other);
        }
    }

    #[test]
    fn a_fused_embedding_follows_the_person() {
        let mut cache = EmbeddingCache::default();
        let mut fused = None;
        for (n, angle) in (0..400u16).map(|n| (u64::from(n), 0.01 * f32::from(n))) {
            let view = embedding(&[angle.cos(), angle.sin()]);
            let (track, embedding) = cache.update(&embedded(n), view.clone(), 0.3, 100, 99);
            assert_eq!(track, TRACK);
            fused = embedding.zip(view).map(|(fused, view)| fused.similarity(&view));
            assert!(fused > Some(0.99), "{fused:?} after {n} views");
        }
        assert!(fused < Some(1.0), "the last view is fused with those before");
        assert_eq!(cache.tracks[&TRACK.id].face.as_ref().map(|face| face.views.len()), Some(MAX_VIEWS));
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
