//! The embedding that a track goes by, between the frames in which its face is embedded.

use crate::face::{Embedding, Track};
use std::collections::HashMap;

/// Two views below this cosine, both of fair quality, are of two people: the track jumped from one to another.
/// Views of one person in the footage stay above 0.3; views of two people are about 0.05 on average.
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
    view: Option<(Embedding, f32)>,
    seen_at: i64,
}

impl Appearances {
    /// The track and the embedding under which the rules see a face. `fresh` is the embedding of this frame, if
    /// there is one; `new_id` names a new track should the old one have jumped to another person.
    pub fn settle(
        &mut self,
        track: Track,
        fresh: Option<Embedding>,
        quality: f32,
        captured_at: i64,
        new_id: u64,
    ) -> (Track, Option<Embedding>) {
        self.last_seen = captured_at;
        let appearance =
            self.tracks.entry(track.id).or_insert(Appearance { track, view: None, seen_at: captured_at });
        appearance.seen_at = captured_at;
        if let Some(fresh) = fresh {
            match &appearance.view {
                Some((kept, kept_quality))
                    if quality.min(*kept_quality) >= FAIR_QUALITY && kept.similarity(&fresh) < JUMP =>
                {
                    appearance.track = Track { id: new_id, started_at: captured_at };
                    appearance.view = Some((fresh, quality));
                }
                Some((_, kept_quality)) if quality < kept_quality * POORER => {}
                _ => appearance.view = Some((fresh, quality)),
            }
        }
        (appearance.track, appearance.view.as_ref().map(|(embedding, _)| embedding.clone()))
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

    fn view(values: &[f32]) -> Option<Embedding> {
        Embedding::from_raw(values)
    }

    #[test]
    fn a_track_keeps_its_embedding_between_views() {
        let mut seen = Appearances::default();
        let (_, first) = seen.settle(TRACK, view(&[1.0, 0.0]), 0.8, 100, 99);
        assert_eq!(seen.settle(TRACK, None, 0.8, 200, 99), (TRACK, first));
    }

    #[test]
    fn a_much_poorer_view_does_not_replace_a_good_one() {
        let mut seen = Appearances::default();
        let (_, good) = seen.settle(TRACK, view(&[1.0, 0.0]), 0.8, 100, 99);
        assert_eq!(seen.settle(TRACK, view(&[0.8, 0.6]), 0.3, 200, 99), (TRACK, good));
        let (_, better) = seen.settle(TRACK, view(&[0.8, 0.6]), 0.7, 300, 99);
        assert_eq!(better, view(&[0.8, 0.6]));
    }

    #[test]
    fn a_track_that_jumps_to_another_person_becomes_a_new_track() {
        let mut seen = Appearances::default();
        seen.settle(TRACK, view(&[1.0, 0.0]), 0.8, 100, 99);
        let (track, other) = seen.settle(TRACK, view(&[0.0, 1.0]), 0.8, 200, 99);
        assert_eq!((track, other), (Track { id: 99, started_at: 200 }, view(&[0.0, 1.0])));
        assert_eq!(seen.settle(TRACK, None, 0.8, 300, 100).0.id, 99);
    }

    #[test]
    fn tracks_not_seen_are_forgotten() {
        let mut seen = Appearances::default();
        seen.settle(TRACK, None, 0.8, 100, 99);
        seen.forget(100);
        assert_eq!(seen.tracks.len(), 1);
        seen.forget(101);
        assert!(seen.tracks.is_empty());
    }
}
