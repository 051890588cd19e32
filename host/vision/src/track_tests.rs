//! Tests of `track.rs`.

use super::*;
use everyframe_config::{EmbedderSettings, TrackerSettings};
use proptest::prelude::*;

fn face(x: f32, y: f32, side: f32) -> Detection {
    Detection { bounds: Rect { x, y, width: side, height: side }, landmarks: Default::default(), score: 0.9 }
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
    let tracker = TrackerSettings { overlap: 0.3, lost_after_ms: 1000, ..TrackerSettings::default() };
    Tracker::new(&VisionSettings { tracker, embedder, ..VisionSettings::default() })
}

/// A thumbnail; those of different seeds are not similar.
fn thumbnail(seed: u8) -> Thumbnail {
    let grey: Vec<u8> = (0..16 * 16).map(|i: usize| (i * (7 + 13 * usize::from(seed)) % 251) as u8).collect();
    Thumbnail::new(&grey, 16, 16).unwrap()
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
            is_weak: detection.score < 0.6,
            quality: qualities.get(index).copied().unwrap_or(0.0),
            thumbnail: Some(&thumbnail),
        })
        .collect();
    tracker.update(&frame(captured_at, first_id), &faces).into_iter().flatten().collect()
}

/// Updates the tracker with one face in the same place, with the thumbnail `looks`.
fn update_one(tracker: &mut Tracker, frame: TrackedFrame, looks: u8, quality: f32) -> TrackUpdate {
    let (detection, thumbnail) = (face(0.0, 0.0, 100.0), thumbnail(looks));
    let face = TrackedFace { detection: &detection, is_weak: false, quality, thumbnail: Some(&thumbnail) };
    tracker.update(&frame, &[face])[0].unwrap()
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
    let flat = TrackedFace { detection: &detection, is_weak: false, quality: 0.5, thumbnail: None };
    for n in 1..3 {
        assert!(tracker.update(&frame(100 * n, 9), &[flat])[0].unwrap().may_be_another);
    }
}

fn ids(followed: &[TrackUpdate]) -> Vec<u64> {
    followed.iter().map(|f| f.track.id).collect()
}

#[test]
fn faces_are_followed_while_they_move() {
    let mut tracker = tracker(|_| ());
    let first = update(&mut tracker, 1000, 70, &[face(0.0, 0.0, 100.0), face(300.0, 0.0, 100.0)], &[0.5; 2]);
    assert_eq!(ids(&first), [70, 71]);
    // The detector's order is by score, and changes.
    let next = update(&mut tracker, 1100, 80, &[face(320.0, 5.0, 100.0), face(20.0, 5.0, 100.0)], &[0.5; 2]);
    assert_eq!(ids(&next), [71, 70]);
    assert_eq!(next[0].track.started_at, 1000);
    let third = update(&mut tracker, 1200, 90, &[face(600.0, 5.0, 100.0), face(40.0, 5.0, 100.0)], &[0.5; 2]);
    assert_eq!(ids(&third), [90, 70]);
}

#[test]
fn a_fast_face_is_matched_by_its_centre() {
    let mut tracker = tracker(|_| ());
    update(&mut tracker, 0, 1, &[face(0.0, 0.0, 100.0)], &[0.5]);
    assert_eq!(ids(&update(&mut tracker, 100, 2, &[face(80.0, 0.0, 100.0)], &[0.5])), [1]);
    // Two faces near the predicted place: the overlap decides.
    let both = update(&mut tracker, 200, 3, &[face(85.0, 0.0, 100.0), face(160.0, 0.0, 100.0)], &[0.5; 2]);
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

fn weak(x: f32) -> Detection {
    Detection { score: 0.4, ..face(x, 0.0, 100.0) }
}

#[test]
fn a_face_keeps_its_track_behind_a_pillar() {
    let mut tracker = tracker(|_| ());
    let mut track_at = |n: i64| {
        let there = [face(30.0 * n as f32, 0.0, 100.0)];
        ids(&update(&mut tracker, 100 * n, n as u64, &there, &[0.0]))
    };
    for n in 1..6 {
        assert_eq!(track_at(n), [1]);
    }
    // 800 ms and 2.4 face sides later.
    assert_eq!(track_at(13), [1]);
}

#[test]
fn weak_detections_continue_tracks_but_begin_none() {
    let mut tracker = tracker(|_| ());
    assert!(update(&mut tracker, 0, 1, &[weak(0.0)], &[0.2]).is_empty());
    update(&mut tracker, 100, 2, &[face(0.0, 0.0, 100.0)], &[0.5]);
    let continued = update(&mut tracker, 200, 3, &[weak(5.0), weak(300.0)], &[0.2; 2]);
    assert_eq!(ids(&continued), [2]);
    assert_eq!((continued[0].embed, continued[0].view), (false, Some(2)));
    assert!(update(&mut tracker, 300, 4, &[weak(90.0)], &[0.2]).is_empty(), "not by the distance of centres");
    // A good detection of the face comes first, wherever the weak one is.
    let both = update(&mut tracker, 400, 5, &[face(20.0, 0.0, 100.0), weak(5.0)], &[0.5, 0.2]);
    assert_eq!(ids(&both), [2]);
}

#[test]
fn weak_detections_keep_a_track_for_a_limited_time() {
    let mut tracker = tracker(|_| ());
    update(&mut tracker, 0, 1, &[face(0.0, 0.0, 100.0)], &[0.5]);
    let kept: Vec<_> =
        (1..=12).map(|n| update(&mut tracker, 100 * n, 9, &[weak(0.0)], &[0.2]).len()).collect();
    assert_eq!(kept, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
}

#[test]
fn a_weak_face_that_looks_different_has_no_embedding() {
    let mut tracker = tracker(|_| ());
    update_one(&mut tracker, frame(0, 1), 1, 0.5);
    let (detection, other) = (weak(0.0), thumbnail(2));
    let face = TrackedFace { detection: &detection, is_weak: true, quality: 0.5, thumbnail: Some(&other) };
    let hidden = tracker.update(&frame(100, 2), &[face])[0].unwrap();
    assert_eq!((hidden.track.id, hidden.embed, hidden.may_be_another, hidden.view), (1, false, true, None));
    // Then only a new embedding shows who it is, although it looks as before.
    let back = update_one(&mut tracker, frame(200, 3), 1, 0.5);
    assert_eq!((back.track.id, back.embed, back.may_be_another), (1, true, true));
    let broken = TrackedFrame { is_continuous: false, ..frame(300, 4) };
    assert_eq!(tracker.update(&broken, &[face]), [None]);
}

#[test]
fn a_face_that_was_missed_is_embedded_again() {
    let mut tracker = tracker(|_| ());
    update_one(&mut tracker, frame(0, 1), 1, 0.5);
    assert!(update(&mut tracker, 100, 2, &[], &[]).is_empty());
    let back = update_one(&mut tracker, frame(200, 3), 1, 0.5);
    assert_eq!((back.track.id, back.embed, back.may_be_another), (1, true, true));
    assert!(!update_one(&mut tracker, frame(300, 4), 1, 0.5).embed);
}

#[test]
fn faces_that_may_be_confused_are_embedded_again() {
    let mut tracker = tracker(|_| ());
    let mut embeds = |at, first: f32, second: f32| -> Vec<bool> {
        let faces = [face(first, 0.0, 100.0), face(second, 0.0, 100.0)];
        update(&mut tracker, at, at as u64, &faces, &[0.5; 2])
            .iter()
            .map(|face| face.may_be_another)
            .collect()
    };
    assert_eq!(embeds(0, 0.0, 300.0), [false; 2]);
    assert_eq!(embeds(100, 70.0, 230.0), [false; 2]);
    // Both were predicted at about 150: either may be either.
    assert_eq!(embeds(200, 110.0, 190.0), [true; 2]);
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
