//! Tests of sightings and strangers.

use super::super::stranger_ids::tests::change;
use super::*;
use everyframe_types::event::{EventPosition, JudgedBy, Timings};
use everyframe_types::face::Candidate;
use everyframe_types::judgement::Stranger;
use everyframe_types::search::SearchKind;

fn face(decision: Decision, stranger: Option<&str>, quality: f32) -> FaceResult {
    FaceResult {
        index: 0,
        bounds: Rect { x: 1.0, y: 2.0, width: 30.0, height: 40.0 },
        score: 0.9,
        quality,
        track: "1".into(),
        track_started_at: 0,
        zones: vec![],
        candidates: vec![Candidate { person: "anna".into(), similarity: quality }],
        decision,
        stranger: stranger.map(|id| Stranger {
            id: id.into(),
            event: None,
            first_seen_at: 5,
            dwell: 0,
            visits: 2,
            merged: vec![],
            share: None,
        }),
    }
}

fn result(camera: &str, at: i64, faces: Vec<FaceResult>) -> ResultData {
    ResultData {
        camera: camera.into(),
        session: "s".into(),
        sequence: 0,
        captured_at: at,
        claimed_at: None,
        position: EventPosition { topic: "frames".into(), partition: 0, offset: at },
        width: 640,
        height: 480,
        search: SearchKind::Full,
        faces,
        alerts: vec![],
        skipped: vec![],
        timings: Timings::default(),
        judged_by: JudgedBy::default(),
    }
}

fn anna(quality: f32) -> FaceResult {
    face(Decision::Known { person: "anna".into(), confidence: 0.9 }, None, quality)
}

fn stranger(id: &str, quality: f32) -> FaceResult {
    face(Decision::Unknown, Some(id), quality)
}

fn list(sightings: &Sightings, filter: &SightingFilter) -> Vec<(i64, i64, u64)> {
    sightings.find(filter).map(|(_, it)| (it.from, it.to, it.frames)).collect()
}

#[test]
fn a_visit_is_one_sighting_with_its_best_picture() {
    let mut sightings = Sightings::default();
    for (at, quality) in [(1000, 0.4), (2000, 0.8), (3000, 0.6)] {
        sightings.add_result(&result("gate", at, vec![anna(quality)]));
    }
    let filter = SightingFilter::default();
    let (_, only) = sightings.find(&filter).next().unwrap();
    assert_eq!((only.from, only.to, only.frames), (1000, 3000, 3));
    assert_eq!((only.best.place.offset, only.similarity), (2000, Some(0.8)));
    assert_eq!(only.id, "0-1000-0");
}

#[test]
fn a_long_absence_begins_another_sighting() {
    let mut sightings = Sightings::default();
    for at in [0, 30_000, 60_001] {
        sightings.add_result(&result("gate", at, vec![anna(0.5)]));
    }
    assert_eq!(list(&sightings, &SightingFilter::default()), [(60_001, 60_001, 1), (0, 30_000, 2)]);
}

#[test]
fn a_filter_finds_person_camera_and_time() {
    let mut sightings = Sightings::default();
    sightings.add_result(&result("gate", 0, vec![anna(0.5), stranger("s-1", 0.5)]));
    sightings.add_result(&result("yard", 5000, vec![anna(0.5)]));
    let filter = |who: &[Who], camera: Option<&str>, since, until| {
        let camera = camera.map(str::to_owned);
        let filter = SightingFilter { who: who.to_vec(), camera, since, until, before: None };
        list(&sightings, &filter).len()
    };
    assert_eq!(filter(&[Who::Known("anna".into())], None, None, None), 2);
    assert_eq!(filter(&[Who::Stranger("s-1".into())], None, None, None), 1);
    assert_eq!(filter(&[], Some("yard"), None, None), 1);
    assert_eq!(filter(&[], None, Some(1), None), 1);
    assert_eq!(filter(&[], None, None, Some(5000)), 2);
}

#[test]
fn pages_are_disjoint() {
    let mut sightings = Sightings::default();
    (0..10).for_each(|at| drop(sightings.add_result(&result(&at.to_string(), at, vec![anna(0.5)]))));
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let filter = SightingFilter { before, ..SightingFilter::default() };
        let page: Vec<(Key, i64)> = sightings.find(&filter).take(3).map(|(key, it)| (key, it.from)).collect();
        let Some((last, _)) = page.last() else { break };
        before = Some(*last);
        seen.extend(page.iter().map(|(_, from)| *from));
    }
    assert_eq!(seen, (0..10).rev().collect::<Vec<_>>());
}

#[test]
fn an_undecided_face_is_nobody() {
    let mut sightings = Sightings::default();
    let undecided = face(Decision::Undecided { reason: "small".into() }, None, 0.1);
    assert!(sightings.add_result(&result("gate", 0, vec![undecided])).is_empty());
}

#[test]
fn a_stranger_is_listed_with_cameras_and_pictures() {
    let mut sightings = Sightings::default();
    for (camera, at, quality) in
        [("gate", 1000, 0.4), ("gate", 1100, 0.9), ("gate", 1200, 0.5), ("yard", 9000, 0.6)]
    {
        sightings.add_result(&result(camera, at, vec![stranger("s-1", quality)]));
    }
    let strangers = sightings.strangers(&StrangerFilter::default());
    let (id, entry) = strangers[0];
    assert_eq!((id, entry.frames, entry.visits, entry.first_seen_at), ("s-1", 4, 2, 5));
    assert_eq!(entry.cameras.iter().collect::<Vec<_>>(), ["gate", "yard"]);
    let best: Vec<i64> = entry.best.iter().map(|best| best.place.offset).collect();
    assert_eq!(best, [1100, 9000], "pictures of one moment are the same view");
}

#[test]
fn a_forgotten_stranger_leaves_nothing() {
    let mut sightings = Sightings::default();
    sightings.add_result(&result("gate", 0, vec![stranger("s-1", 0.5), anna(0.5)]));
    assert!(sightings.forget("s-1").is_some());
    assert!(sightings.forget("s-1").is_none());
    assert_eq!(sightings.find(&SightingFilter::default()).count(), 1);
    assert!(sightings.strangers(&StrangerFilter::default()).is_empty());
}

#[test]
fn strangers_that_are_merged_are_one() {
    let mut sightings = Sightings::default();
    sightings.add_result(&result("gate", 1000, vec![stranger("s-1", 0.5)]));
    sightings.add_result(&result("yard", 2000, vec![stranger("s-2", 0.9)]));
    let mut face = stranger("s-1", 0.6);
    face.stranger.as_mut().unwrap().merged = vec!["s-2".into(), "s-1".into(), "s-3".into()];
    sightings.add_result(&result("yard", 3000, vec![face]));
    let strangers = sightings.strangers(&StrangerFilter::default());
    assert_eq!(strangers.len(), 1);
    let (id, entry) = strangers[0];
    assert_eq!((id, entry.frames, entry.best[0].place.offset), ("s-1", 3, 2000));
    assert_eq!(entry.cameras.iter().collect::<Vec<_>>(), ["gate", "yard"]);
    let filter = SightingFilter { who: vec![Who::Stranger("s-1".into())], ..SightingFilter::default() };
    assert_eq!(list(&sightings, &filter), [(2000, 3000, 2), (1000, 1000, 1)]);
}

#[test]
fn strangers_come_in_pages() {
    let mut sightings = Sightings::default();
    for number in 0..5 {
        sightings.add_result(&result("gate", number / 2, vec![stranger(&format!("s-{number}"), 0.5)]));
    }
    let (mut filter, mut seen) = (StrangerFilter::default(), Vec::new());
    loop {
        let page = sightings.strangers(&filter);
        let Some((id, entry)) = page.first() else { break };
        seen.push((*id).to_owned());
        filter.before = Some((entry.last_seen_at, (*id).to_owned()));
    }
    assert_eq!(seen, ["s-4", "s-3", "s-2", "s-1", "s-0"]);
}

#[test]
fn a_split_stranger_is_two_before_and_after_the_history() {
    let split = || change("s-1", None, &[("yard", 50_000, 60_000, "s-2")]);
    let results = || {
        let at = [("gate", 1000), ("gate", 2000), ("yard", 50_000), ("yard", 60_000), ("yard", 61_000)];
        at.map(|(camera, at)| result(camera, at, vec![stranger("s-1", 0.5)]))
    };
    for place in [0, 3, 5] {
        let mut sightings = Sightings::default();
        for (number, result) in results().iter().enumerate() {
            if number == place {
                sightings.apply(split());
            }
            // The camera uses the new id from then on.
            let result =
                if number == 4 { &self::result("yard", 61_000, vec![stranger("s-2", 0.5)]) } else { result };
            sightings.add_result(result);
        }
        if place == 5 {
            sightings.apply(split());
        }
        let of = |id: &str| {
            let filter = SightingFilter { who: vec![Who::Stranger(id.into())], ..SightingFilter::default() };
            list(&sightings, &filter)
        };
        assert_eq!(of("s-1"), [(1000, 2000, 2)], "{place}");
        let frames: u64 = of("s-2").iter().map(|(.., frames)| frames).sum();
        assert_eq!(frames, 3, "{place}: {:?}", of("s-2"));
        let (first, second) = (sightings.stranger("s-1").unwrap(), sightings.stranger("s-2").unwrap());
        assert_eq!((first.frames, first.last_seen_at, first.cameras.len()), (2, 2000, 1), "{place}");
        assert_eq!((second.frames, second.last_seen_at), (3, 61_000), "{place}");
    }
}

#[test]
fn a_forgotten_stranger_is_nowhere_until_seen_again() {
    let mut sightings = Sightings::default();
    sightings.add_result(&result("gate", 1000, vec![stranger("s-1", 0.5), stranger("s-2", 0.5)]));
    sightings.apply(change("s-1", Some(1000), &[]));
    sightings.add_result(&result("yard", 900, vec![stranger("s-1", 0.5)]));
    assert!(sightings.stranger("s-1").is_none() && sightings.stranger("s-2").is_some());
    assert_eq!(list(&sightings, &SightingFilter::default()).len(), 1);
    sightings.add_result(&result("gate", 2000, vec![stranger("s-1", 0.5)]));
    assert_eq!(sightings.stranger("s-1").map(|stranger| stranger.frames), Some(1));
}
