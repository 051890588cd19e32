//! Strangers on several cameras.

use super::*;
use everyframe_rule::Share;

#[test]
fn a_stranger_has_one_id_at_two_cameras() {
    let mut scene = Scene::new("{}");
    let first = scene.sees_at("gate-1", 300, 1, ANNA).unwrap();
    assert_eq!(first.event, Some(Event::FirstSeen));
    let next = scene.sees_at("gate-2", 5 * SECOND, 1, ANNA).unwrap();
    assert_eq!((&next.id, next.event), (&first.id, None), "one person, one first sight");
    assert_eq!((next.first_seen_at, next.visits, next.dwell), (first.first_seen_at, 1, 300));
    let other = scene.sees_at("gate-2", 6 * SECOND, 2, BEN).unwrap();
    assert_ne!(other.id, first.id);
}

#[test]
fn without_sharing_each_camera_has_its_own_strangers() {
    let mut scene = Scene::new(r#"{"across_cameras": false}"#);
    let first = scene.sees_at("gate-1", 300, 1, ANNA).unwrap();
    assert_eq!(scene.shared[0].share, None);
    let next = scene.sees_at("gate-2", 5 * SECOND, 1, ANNA).unwrap();
    assert_eq!((next.id == first.id, next.event), (false, Some(Event::FirstSeen)));
}

#[test]
fn a_face_less_similar_than_elsewhere_demands_is_new() {
    let mut scene = Scene::new("{}");
    let first = scene.sees_at("gate-1", 300, 1, ANNA).unwrap();
    let turned = scene.sees(5 * SECOND, 1, 4 * SECOND, ANNA.turned(0.45)).unwrap();
    assert_ne!(turned.id, first.id, "0.45 is enough at the same camera only");
}

#[test]
fn a_stranger_who_was_nowhere_has_returned() {
    let mut scene = Scene::new("{}");
    let first = scene.sees_at("gate-1", 300, 1, ANNA).unwrap();
    let back = scene.sees_at("gate-2", 100 * SECOND, 1, ANNA).unwrap();
    assert_eq!((&back.id, back.event, back.visits), (&first.id, Some(Event::Returned), 2));
    // At the first camera again: the visit goes on, and what is counted there begins anew.
    let again = scene.sees_at("gate-1", 110 * SECOND, 2, ANNA).unwrap();
    assert_eq!((again.event, again.visits), (None, 2));
    assert!(again.dwell < SECOND as u64, "{again:?}");
}

#[test]
fn an_expired_stranger_is_new_to_other_cameras() {
    let mut scene = Scene::new(r#"{"expire_after_ms": 60000}"#);
    let first = scene.sees_at("gate-1", 300, 1, ANNA).unwrap();
    let later = scene.sees_at("gate-2", 61 * SECOND, 1, ANNA).unwrap();
    assert_eq!((later.id == first.id, later.event), (false, Some(Event::FirstSeen)));
}

#[test]
fn views_are_shared_often_at_first_and_then_seldom() {
    let mut scene = Scene::new("{}");
    let mut shared = Vec::new();
    for at in (300..120_000).step_by(100) {
        scene.sees(at, 1, 0, ANNA.face());
        shared.extend(scene.shared[0].share.as_ref().map(|share: &Share| (at, share.view, share.expires_in)));
    }
    let hours = 8 * 3600 * SECOND as u64;
    assert!(shared.iter().all(|(_, view, expires_in)| (*view, *expires_in) == (0, hours)), "{shared:?}");
    assert!(shared[1].0 <= 1500, "{shared:?}");
    assert!((12..25).contains(&shared.len()), "{shared:?}");
}

#[test]
fn each_new_view_is_shared_under_its_number() {
    let mut scene = Scene::new("{}");
    scene.sees(300, 1, 0, ANNA.face());
    scene.sees(400, 1, 0, ANNA.turned(0.5));
    assert_eq!(scene.shared[0].share.map(|share| share.view), Some(1));
    // The other camera sees her from that side.
    scene.camera = "gate-1";
    assert_eq!(scene.sees(3 * SECOND, 1, 2 * SECOND, ANNA.turned(0.5)).unwrap().event, None);
}

#[test]
fn a_face_unlike_its_track_is_not_shared() {
    let mut scene = Scene::new("{}");
    let anna = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    // The tracker jumped to another person.
    let jumped = scene.sees(5 * SECOND, 1, 0, BEN.face()).unwrap();
    assert_eq!((jumped.id == anna.id, scene.shared[0].share.is_none()), (true, true));
}

#[test]
fn the_earlier_camera_merges_an_id_that_is_left_behind() {
    let mut scene = Scene::new("{}");
    scene.is_published = false;
    let first = scene.sees_at("gate-1", 1000, 1, ANNA).unwrap().id;
    scene.is_published = true;
    let second = scene.sees_at("gate-2", 1100, 1, ANNA).unwrap();
    assert_eq!((second.id == first, second.event), (false, Some(Event::FirstSeen)));
    scene.camera = "gate-1";
    let mut merges = Vec::new();
    for at in (1200..60_000).step_by(100) {
        let seen = scene.sees(at, 1, 700, ANNA.face()).unwrap();
        assert_eq!(seen.id, first);
        if seen.event == Some(Event::Merged) {
            merges.push((at, seen.merged));
        }
    }
    let [(at, merged)] = &merges[..] else { panic!("told once: {merges:?}") };
    assert!((21_000..35_000).contains(at), "the other camera had its time: {at}");
    assert_eq!(merged, &[second.id]);
    // The second camera follows, without an event.
    scene.camera = "gate-2";
    let seen = scene.sees(60_000, 1, 800, ANNA.face()).unwrap();
    assert_eq!((&seen.id, seen.event, seen.first_seen_at), (&first, Some(Event::Loitering), 700));
    assert_eq!(scene.host.keys("stranger/").len(), 1, "the old id is forgotten");
    assert_eq!(scene.sees(60_100, 1, 800, ANNA.face()).unwrap().id, first);
}

#[test]
fn the_later_camera_gives_up_its_own_id() {
    let mut scene = Scene::new("{}");
    scene.is_published = false;
    let second = scene.sees_at("gate-2", 1100, 1, ANNA).unwrap();
    scene.is_published = true;
    let first = scene.sees_at("gate-1", 1000, 1, ANNA).unwrap();
    assert_ne!(first.id, second.id);
    let seen: Vec<ReportedStranger> =
        (1200..3000).step_by(100).filter_map(|at| scene.sees(at, 1, 800, ANNA.face())).collect();
    let merge = seen.iter().find(|seen| seen.event == Some(Event::Merged)).unwrap();
    assert_eq!((&merge.id, &merge.merged), (&first.id, &vec![second.id]));
    assert_eq!(seen.last().map(|seen| &seen.id), Some(&first.id));
    assert_eq!(scene.host.keys("stranger/").len(), 1);
}

#[test]
fn two_faces_of_one_frame_are_not_merged() {
    let mut scene = Scene::new(r#"{"same_person": 0.9, "same_person_elsewhere": 0.9}"#);
    let twins = || vec![Shown(1, 0, 0.9, Some(ANNA.face())), Shown(2, 0, 0.9, Some(ANNA.turned(0.95)))];
    let mut ids = BTreeSet::new();
    for at in (300..20_000).step_by(100) {
        let seen = scene.frame(at, twins());
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|seen| seen.merged.is_empty()));
        ids.extend(seen.into_iter().map(|seen| seen.id));
    }
    assert_eq!(ids.len(), 2);
}

#[test]
fn a_stranger_who_was_forgotten_by_hand_is_new() {
    let mut scene = Scene::new("{}");
    let first = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    let ben = scene.sees(500, 2, 200, BEN.face()).unwrap();
    scene.host.forget_stranger(&first.id);
    let again = scene.sees(5 * SECOND, 3, 4 * SECOND, ANNA.face()).unwrap();
    assert_eq!((again.id == first.id, again.event, again.visits), (false, Some(Event::FirstSeen), 1));
    // Somebody who stays is new, too, on the same track. Nothing from before counts.
    let mut ids = BTreeSet::from([first.id, again.id.clone()]);
    let mut last = again.id;
    for second in 6..10 {
        scene.host.forget_stranger(&last);
        let stays = scene.sees(second * SECOND, 3, 4 * SECOND, ANNA.face()).unwrap();
        assert_eq!((stays.event, stays.visits), (Some(Event::FirstSeen), 1));
        assert!(ids.insert(stays.id.clone()), "{} was used before", stays.id);
        let next = scene.sees(second * SECOND + 500, 3, 4 * SECOND, ANNA.face()).unwrap();
        assert_eq!((&next.id, next.event), (&stays.id, None), "remembered from now on");
        last = stays.id;
    }
    assert_eq!(
        scene.sees(11 * SECOND, 4, 10 * SECOND, BEN.face()).unwrap().id,
        ben.id,
        "others are not affected"
    );
}

#[test]
fn a_camera_that_lost_its_state_keeps_the_stranger() {
    let mut scene = Scene::new("{}");
    let first = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    scene.host.forget();
    let again = scene.sees(2 * SECOND, 9, SECOND, ANNA.face()).unwrap();
    assert_eq!((again.id, again.event), (first.id, None));
}
