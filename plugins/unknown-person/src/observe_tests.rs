//! Tests of the unknown-person rule.

use super::*;
use everyframe_rule::testing::FakeHost;
use everyframe_rule::{Event, Host, Rect, Stranger as ReportedStranger};

const SECOND: i64 = 1000;

/// A person's embedding: an axis of the space, so that two people have a similarity of 0.
#[derive(Clone, Copy)]
struct Person(usize);

impl Person {
    fn face(self) -> Vec<f32> {
        let mut embedding = vec![0.0; 128];
        embedding[self.0] = 1.0;
        embedding
    }

    /// The same person from a side whose cosine to `face` is `cosine`.
    fn turned(self, cosine: f32) -> Vec<f32> {
        let mut embedding = vec![0.0; 128];
        (embedding[self.0], embedding[self.0 + 64]) = (cosine, (1.0 - cosine * cosine).sqrt());
        embedding
    }
}

const ANNA: Person = Person(0);
const BEN: Person = Person(1);

/// The rule with a fake host.
struct Scene {
    settings: Settings,
    host: FakeHost,
    camera: &'static str,
    /// What was shared at the last frame.
    shared: Vec<Sighting>,
    /// Whether what a frame shares is known before the next frame.
    is_published: bool,
}

/// One face: its track, when that began, its quality, its embedding.
struct Shown(u64, i64, f32, Option<Vec<f32>>);

impl Scene {
    fn new(settings: &str) -> Self {
        let (settings, problems) = everyframe_rule::settings::read(settings);
        let settings = settings.unwrap_or_else(|| panic!("{problems:?}"));
        let (host, camera) = (FakeHost::default(), "gate-2");
        Scene { settings, host, camera, shared: vec![], is_published: true }
    }

    fn frame(&mut self, at: i64, shown: Vec<Shown>) -> Vec<ReportedStranger> {
        let bounds = Rect { x: 0.0, y: 0.0, width: 80.0, height: 80.0 };
        let faces: Vec<Face> = (0..)
            .zip(&shown)
            .map(|(index, &Shown(track, track_started_at, quality, _))| Face {
                index,
                track,
                track_started_at,
                bounds,
                score: 0.9,
                quality,
                zones: vec![],
            })
            .collect();
        let embeddings = shown.into_iter().map(|Shown(.., embedding)| embedding).collect();
        let frame = Frame {
            camera: self.camera.into(),
            session: "s".into(),
            sequence: 0,
            captured_at: at,
            width: 640,
            height: 480,
            schedules: vec![],
        };
        self.host.begin(&frame, embeddings);
        self.shared = self.settings.observe(&frame, &faces, &mut self.host);
        if self.is_published {
            self.host.publish(&self.shared);
        }
        self.shared.iter().map(|sighting| sighting.stranger.clone()).collect()
    }

    /// One good face on a track of another camera.
    fn sees_at(
        &mut self,
        camera: &'static str,
        at: i64,
        track: u64,
        person: Person,
    ) -> Option<ReportedStranger> {
        let before = std::mem::replace(&mut self.camera, camera);
        let seen = self.sees(at, track, at - 300, person.face());
        self.camera = before;
        seen
    }

    /// One good face on a track.
    fn sees(&mut self, at: i64, track: u64, started: i64, embedding: Vec<f32>) -> Option<ReportedStranger> {
        self.frame(at, vec![Shown(track, started, 0.9, Some(embedding))]).pop()
    }

    /// The events of a visit at ten frames a second, with the seconds since `from`.
    fn visit(&mut self, from: i64, seconds: i64, track: u64, person: Person) -> Vec<(Event, i64)> {
        let mut events = Vec::new();
        for at in (from..from + seconds * SECOND).step_by(100) {
            let seen = self.sees(at, track, from, person.face());
            events.extend(seen.and_then(|seen| seen.event).map(|event| (event, at - from)));
        }
        events
    }
}

#[path = "across_tests.rs"]
mod across_tests;

#[test]
fn a_stranger_is_reported_once_when_the_track_is_old_enough() {
    let mut scene = Scene::new("{}");
    assert_eq!(scene.visit(0, 10, 1, ANNA), [(Event::FirstSeen, 300)]);
}

#[test]
fn a_short_track_creates_no_stranger_and_no_state() {
    let mut scene = Scene::new("{}");
    assert!(scene.sees(0, 1, 0, ANNA.face()).is_none());
    assert!(scene.sees(200, 1, 0, ANNA.face()).is_none());
    assert!(scene.host.keys("").is_empty());
}

#[test]
fn the_answer_about_a_stranger_is_correct() {
    let mut scene = Scene::new("{}");
    let first = scene.sees(10_300, 1, 10_000, ANNA.face()).unwrap();
    assert_eq!((first.face, first.first_seen_at, first.dwell, first.visits), (0, 10_000, 300, 1));
    let later = scene.sees(12_000, 1, 10_000, ANNA.face()).unwrap();
    assert_eq!((&later.id, later.event, later.dwell), (&first.id, None, 2000));
}

#[test]
fn a_new_track_with_a_similar_face_is_the_same_stranger() {
    let mut scene = Scene::new("{}");
    let first = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    let again = scene.sees(1000, 2, 1000, ANNA.turned(0.5)).unwrap();
    assert_eq!((again.id, again.event, again.visits), (first.id, None, 1));
}

#[test]
fn a_track_carries_a_stranger_through_a_turn_of_the_head() {
    let mut scene = Scene::new("{}");
    let first = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    assert_eq!(scene.sees(400, 1, 0, ANNA.turned(0.3)).unwrap().id, first.id);
    // The side view was remembered, so a new track that begins with it is no new stranger.
    assert_eq!(scene.sees(900, 2, 500, ANNA.turned(0.3)).unwrap().id, first.id);
}

#[test]
fn two_people_are_two_strangers() {
    let mut scene = Scene::new("{}");
    let both = vec![Shown(1, 0, 0.9, Some(ANNA.face())), Shown(2, 0, 0.9, Some(BEN.face()))];
    let seen = scene.frame(300, both);
    assert_eq!(seen.len(), 2);
    assert_ne!(seen[0].id, seen[1].id);
    assert_eq!((seen[0].face, seen[1].face), (0, 1));
}

#[test]
fn two_faces_in_one_frame_are_never_one_stranger() {
    let mut scene = Scene::new("{}");
    let anna = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    let twins = vec![Shown(3, 1000, 0.9, Some(ANNA.turned(0.8))), Shown(2, 1000, 0.9, Some(ANNA.face()))];
    let seen = scene.frame(1300, twins);
    assert_eq!(seen[1].id, anna.id, "the one more alike is she");
    assert_ne!(seen[0].id, anna.id);
}

#[test]
fn only_one_of_two_faces_on_a_track_is_its_stranger() {
    let mut scene = Scene::new("{}");
    for at in [300, 400] {
        let same = vec![Shown(1, 0, 0.9, Some(ANNA.face())), Shown(1, 0, 0.9, Some(ANNA.face()))];
        assert_eq!(scene.frame(at, same).len(), 1);
    }
}

#[test]
fn a_track_that_jumps_does_not_mix_two_people() {
    let mut scene = Scene::new("{}");
    let anna = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    scene.sees(400, 1, 0, BEN.face());
    let ben = scene.sees(2000, 2, 1500, BEN.face()).unwrap();
    assert_ne!(ben.id, anna.id);
}

#[test]
fn loitering_is_reported_once_a_visit() {
    let mut scene = Scene::new("{}");
    assert_eq!(scene.visit(0, 90, 1, ANNA), [(Event::FirstSeen, 300), (Event::Loitering, 20_000)]);
    let next = scene.visit(200 * SECOND, 60, 2, ANNA);
    assert_eq!(next, [(Event::Returned, 0), (Event::Loitering, 20_000)]);
}

#[test]
fn a_visit_may_span_several_tracks() {
    let mut scene = Scene::new("{}");
    scene.visit(0, 12, 1, ANNA);
    assert_eq!(scene.visit(15 * SECOND, 10, 2, ANNA), [(Event::Loitering, 5000)]);
}

#[test]
fn a_return_is_a_new_visit_of_the_same_stranger() {
    let mut scene = Scene::new("{}");
    let first = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    let back = scene.sees(100 * SECOND, 2, 100 * SECOND, ANNA.face()).unwrap();
    assert_eq!((&back.id, back.event), (&first.id, Some(Event::Returned)));
    assert_eq!((back.visits, back.dwell, back.first_seen_at), (2, 0, 0));
}

#[test]
fn a_short_absence_does_not_start_a_new_visit() {
    let mut scene = Scene::new("{}");
    scene.sees(300, 1, 0, ANNA.face());
    assert_eq!(scene.sees(25 * SECOND, 2, 25 * SECOND, BEN.face()), None);
    assert_eq!(scene.sees(29 * SECOND, 3, 29 * SECOND, ANNA.face()).unwrap().visits, 1);
}

#[test]
fn an_undecided_face_on_the_same_track_was_not_absent() {
    let mut scene = Scene::new(r#"{"loiter_after_ms": 1000000}"#);
    scene.sees(300, 1, 0, ANNA.face());
    let seen = scene.sees(60 * SECOND, 1, 0, ANNA.face()).unwrap();
    assert_eq!((seen.event, seen.visits, seen.dwell), (None, 1, 60_000));
}

#[test]
fn a_poor_face_is_neither_stored_nor_compared() {
    let mut scene = Scene::new("{}");
    let poor = |track, quality| vec![Shown(track, 0, quality, Some(ANNA.face()))];
    assert_eq!(scene.frame(SECOND, poor(1, 0.2)), []);
    assert_eq!(scene.frame(SECOND, poor(1, f32::NAN)), []);
    assert_eq!(scene.frame(SECOND, poor(1, 0.9)).len(), 1);
    assert_eq!(scene.frame(2 * SECOND, poor(2, 0.2)), [], "another track, and too poor to compare");
    assert_eq!(scene.frame(2 * SECOND, poor(1, 0.2)).len(), 1, "its track says who it is");
}

#[test]
fn a_face_without_embedding_is_matched_by_its_track() {
    let mut scene = Scene::new("{}");
    assert_eq!(scene.frame(SECOND, vec![Shown(1, 0, 0.9, None)]), []);
    scene.sees(SECOND, 1, 0, ANNA.face());
    assert_eq!(scene.frame(2 * SECOND, vec![Shown(1, 0, 0.9, None)]).len(), 1);
}

#[test]
fn an_invalid_embedding_is_ignored() {
    let mut scene = Scene::new("{}");
    for odd in [vec![], vec![0.0; 128], vec![f32::NAN; 128]] {
        assert!(scene.sees(SECOND, 1, 0, odd).is_none());
    }
}

#[test]
fn a_replay_gives_the_same_answers() {
    let play = || {
        let mut scene = Scene::new("{}");
        (0..60)
            .map(|n| {
                let (track, person) = if n % 7 < 3 { (1, ANNA) } else { (2, BEN) };
                scene.sees(n * SECOND, track, 0, person.face())
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(play(), play());
}

#[test]
fn a_reused_track_number_is_another_track() {
    let mut scene = Scene::new("{}");
    let anna = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    let ben = scene.sees(5300, 1, 5000, BEN.face()).unwrap();
    assert_eq!(ben.event, Some(Event::FirstSeen));
    assert_ne!(anna.id, ben.id);
}

#[test]
fn a_forgotten_stranger_is_new_again() {
    let mut scene = Scene::new(r#"{"forget_after_ms": 60000}"#);
    let first = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    let later = scene.sees(70 * SECOND, 2, 69 * SECOND, ANNA.face()).unwrap();
    assert_eq!(later.event, Some(Event::FirstSeen));
    assert_ne!(later.id, first.id);
}

#[test]
fn a_shorter_memory_applies_to_stored_strangers() {
    let mut scene = Scene::new("{}");
    scene.sees(300, 1, 0, ANNA.face());
    scene.settings.forget_after_ms = 60_000;
    assert_eq!(scene.sees(70 * SECOND, 2, 69 * SECOND, ANNA.face()).unwrap().event, Some(Event::FirstSeen));
}

#[test]
fn above_the_limit_the_longest_absent_is_forgotten() {
    let mut scene = Scene::new(r#"{"max_strangers": 3, "across_cameras": false}"#);
    for person in 0..5 {
        let at = person as i64 * 10 * SECOND;
        scene.sees(at + 300, person as u64, at, Person(person).face());
    }
    assert_eq!(scene.host.keys("stranger/").len(), 3);
    let back = |scene: &mut Scene, person, track| {
        scene.sees(60 * SECOND, track, 60 * SECOND, Person(person).face()).is_some()
    };
    assert!(!back(&mut scene, 0, 10), "forgotten");
    assert!(!back(&mut scene, 1, 11), "forgotten");
    assert!(back(&mut scene, 2, 12));
}

#[test]
fn strangers_in_the_frame_are_not_forgotten() {
    let mut scene = Scene::new(r#"{"max_strangers": 2}"#);
    let crowd = |at| (0..4).map(|n| Shown(n, 0, 0.9, Some(Person(n as usize).face()))).take(at).collect();
    let first = scene.frame(SECOND, crowd(4));
    assert_eq!(first.len(), 4, "all are named");
    let second = scene.frame(1100, crowd(4));
    assert_eq!(
        second.iter().map(|seen| &seen.id).collect::<Vec<_>>(),
        first.iter().map(|seen| &seen.id).collect::<Vec<_>>()
    );
}

#[test]
fn a_full_state_forgets_the_oldest_stranger() {
    let mut scene = Scene::new("{}");
    scene.host.capacity = 600;
    let ids: Vec<String> = (0..8)
        .map(|n| {
            let at = n as i64 * SECOND;
            scene.sees(at + 300, n as u64, at, Person(n).face()).unwrap().id
        })
        .collect();
    assert_eq!(scene.sees(8 * SECOND, 7, 7 * SECOND, Person(7).face()).unwrap().id, ids[7]);
    scene.host.capacity = 0;
    scene.host.forget();
    assert!(scene.sees(20 * SECOND, 9, 19 * SECOND, ANNA.face()).is_some(), "named, though not remembered");
}

#[test]
fn a_track_with_an_expired_key_keeps_its_stranger() {
    let mut scene = Scene::new("{}");
    let first = scene.sees(300, 1, 0, ANNA.face()).unwrap();
    // After so long, and from a side never seen, only the track's id matches.
    let later = scene.sees(700 * SECOND, 1, 0, ANNA.turned(0.1)).unwrap();
    assert_eq!(later.id, first.id);
    assert_ne!(later.event, Some(Event::FirstSeen));
}

#[test]
fn a_staying_stranger_is_written_once_a_second() {
    let mut scene = Scene::new("{}");
    scene.visit(0, 10, 1, ANNA);
    assert!(scene.host.writes <= 2 * 11, "{}", scene.host.writes);
}

#[test]
fn a_face_on_a_known_track_costs_two_reads() {
    let mut scene = Scene::new("{}");
    for n in 0..50 {
        scene.sees(300, n as u64, 0, Person(n).face());
    }
    scene.host.reads.set(0);
    scene.sees(400, 49, 0, Person(49).face());
    assert_eq!(scene.host.reads.get(), 2);
    scene.host.reads.set(0);
    assert_eq!(scene.frame(500, vec![]), []);
    assert_eq!(scene.host.reads.get(), 0);
}

#[test]
fn invalid_times_do_no_harm() {
    let mut scene = Scene::new("{}");
    scene.sees(SECOND, 1, 0, ANNA.face());
    for (at, started) in [(-5, 10), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, i64::MAX)] {
        scene.sees(at, 2, started, BEN.face());
    }
    let seen = scene.sees(500, 1, 0, ANNA.face());
    assert_eq!(
        seen.map(|seen| (seen.dwell, seen.event)),
        Some((1000, None)),
        "as long as she was seen to be here"
    );
}

#[test]
fn broken_state_is_ignored() {
    for (settings, event) in [(r#"{"across_cameras": false}"#, Some(Event::FirstSeen)), ("{}", None)] {
        let mut scene = Scene::new(settings);
        scene.sees(300, 1, 0, ANNA.face());
        scene.host.overwrite_all(&[0xff, 0xfe]);
        // What was shared is not in the state.
        assert_eq!(scene.sees(400, 1, 0, ANNA.face()).unwrap().event, event);
    }
}

/// Times that a wrong clock may give instead of `at`, so near that the host still has the rule's state.
fn wrong_times(at: i64) -> [i64; 9] {
    const HOUR: i64 = 3600 * SECOND;
    [
        at - 20 * HOUR,
        at - HOUR,
        at - 61 * SECOND,
        at + 61 * SECOND,
        at + HOUR,
        at + 20 * HOUR,
        0,
        i64::MIN,
        at / 1000,
    ]
}

/// Shows a stranger for a minute at ten frames a second, with some wrong times. Returns the events with their seconds.
fn minute_with(wrong: &dyn Fn(i64) -> i64) -> Vec<(Event, i64)> {
    let mut scene = Scene::new("{}");
    let begins = 30 * 24 * 3600 * SECOND;
    let mut events = Vec::new();
    for at in (begins..begins + 60 * SECOND).step_by(100) {
        let seen = scene.sees(wrong(at), 1, begins, ANNA.face());
        events.extend(seen.and_then(|seen| seen.event).map(|event| (event, (at - begins) / SECOND)));
    }
    let again = scene.sees(begins + 100 * SECOND, 2, begins + 100 * SECOND, ANNA.face());
    events.extend(again.and_then(|seen| seen.event).map(|event| (event, 100)));
    events
}

#[test]
fn one_wrong_time_does_not_affect_a_stranger() {
    let right = [(Event::FirstSeen, 0), (Event::Loitering, 20), (Event::Returned, 100)];
    assert_eq!(minute_with(&|at| at), right);
    let begins = 30 * 24 * 3600 * SECOND;
    for place in 0..9 {
        for wrong_at in [5, 19, 40] {
            let wrong_at = begins + wrong_at * SECOND;
            let one = |at| if at == wrong_at { wrong_times(at)[place] } else { at };
            assert_eq!(minute_with(&one), right, "{} at {wrong_at}", wrong_times(wrong_at)[place]);
            let five =
                |at| if (wrong_at..wrong_at + 500).contains(&at) { wrong_times(at)[place] } else { at };
            assert_eq!(
                minute_with(&five),
                right,
                "five times {} at {wrong_at}",
                wrong_times(wrong_at)[place]
            );
        }
    }
}

#[test]
fn a_corrected_clock_is_accepted() {
    let begins = 30 * 24 * 3600 * SECOND;
    for by in [-3600 * SECOND, -120 * SECOND, 120 * SECOND, 3600 * SECOND] {
        let mut scene = Scene::new(r#"{"loiter_after_ms": 5000000}"#);
        let id = scene.sees(begins + 300, 1, begins, ANNA.face()).unwrap().id;
        for at in (begins + by..begins + by + 10 * SECOND).step_by(100) {
            assert_eq!(scene.sees(at, 1, begins, ANNA.face()).unwrap().id, id);
        }
        let now = begins + by + 10 * SECOND;
        assert_eq!(
            scene.sees(now + 5 * SECOND, 2, now + 5 * SECOND, ANNA.face()).unwrap().event,
            None,
            "{by}"
        );
        let away = now + 50 * SECOND;
        assert_eq!(scene.sees(away, 3, away, ANNA.face()).unwrap().event, Some(Event::Returned), "{by}");
    }
}

#[test]
fn a_crowd_gets_ids_and_is_recognised_again() {
    for count in [0, 1, 99, 100, 101, 500, 1000] {
        let mut scene = Scene::new("{}");
        // All embeddings are different.
        let looks = |n: usize| -> Vec<f32> {
            let mut seed = n as u32 + 1;
            (0..128)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 16) as f32 / 32_768.0 - 1.0
                })
                .collect()
        };
        let crowd = |track: u64, at| -> Vec<Shown> {
            (0..count).map(|n| Shown(track + n as u64, at, 0.9, Some(looks(n)))).collect()
        };
        let first = scene.frame(SECOND, crowd(0, 0));
        assert_eq!(first.len(), count);
        assert_eq!(scene.frame(1100, crowd(0, 0)).len(), count);
        // All are hidden for a moment. Those who are not compared at once are compared soon.
        let mut known = BTreeMap::new();
        for frame in 0..60 {
            let seen = scene.frame(3000 + 100 * frame, crowd(5000, 3000));
            known.extend(seen.into_iter().map(|seen| (seen.face, seen.id)));
            if known.len() == count {
                break;
            }
        }
        let again = first.iter().filter(|seen| known.get(&seen.face) == Some(&seen.id)).count();
        assert!(again == count, "{again} of {count} are known again");
        assert!(scene.host.logged.borrow().len() <= 300, "{}", scene.host.logged.borrow().len());
    }
}
