//! Our tracker beside a public ByteTrack, on synthetic detections of known people (tests/fixtures/tracks/make_tracks.py).

use everyframe_config::VisionSettings;
use everyframe_types::face::{Detection, Rect};
use everyframe_vision::{TrackedFace, TrackedFrame, Tracker};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct Sequence {
    name: String,
    /// Time in milliseconds, and faces: x, y, width, height, score × 100, person (0: none), the oracle's track (0: none).
    frames: Vec<(i64, Vec<[i32; 7]>)>,
}

/// Two people with much jitter pass slowly through each other: one hides the other for longer than a track is kept. Which of them
/// goes on with the track is chance, and here the oracle is lucky.
const WORSE: [&str; 1] = ["much jitter, seed 0"];

/// One detection of a person or of something else, and its track. 0: none.
#[derive(Clone, Copy)]
struct Tracked {
    person: u64,
    track: u64,
}

/// How well tracks agree with people.
#[derive(Debug, Default, Clone, Copy)]
struct Agreement {
    /// A person's face got another track than in the frame before.
    switches: usize,
    /// Tracks beyond the first of each person.
    splits: usize,
    /// People beyond the first in each track.
    merges: usize,
    /// The F1 score of identities, 0 to 1 (Ristani et al., 2016).
    idf1: f64,
}

fn compare(faces: &[Tracked]) -> Agreement {
    let mut last = BTreeMap::new();
    let mut shared: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    let mut agreement = Agreement::default();
    for face in faces.iter().filter(|face| face.person > 0 && face.track > 0) {
        let before = last.insert(face.person, face.track);
        agreement.switches += usize::from(before.is_some_and(|track| track != face.track));
        *shared.entry((face.person, face.track)).or_default() += 1;
    }
    let people: BTreeSet<u64> = shared.keys().map(|(person, _)| *person).collect();
    let tracks: BTreeSet<u64> = shared.keys().map(|(_, track)| *track).collect();
    agreement.splits = shared.len() - people.len();
    agreement.merges = shared.len() - tracks.len();
    let people: Vec<u64> = people.into_iter().collect();
    let right = best_assignment(&people, &shared, &mut BTreeSet::new());
    let all = faces.iter().filter(|face| face.person > 0).count();
    let given = faces.iter().filter(|face| face.track > 0).count();
    agreement.idf1 = 2.0 * right as f64 / (all + given).max(1) as f64;
    agreement
}

/// The most faces that one track for each person can explain.
fn best_assignment(people: &[u64], shared: &BTreeMap<(u64, u64), usize>, taken: &mut BTreeSet<u64>) -> usize {
    let Some((person, others)) = people.split_first() else { return 0 };
    let mut best = best_assignment(others, shared, taken);
    for (&(_, track), count) in shared.range((*person, 0)..=(*person, u64::MAX)) {
        if taken.insert(track) {
            best = best.max(count + best_assignment(others, shared, taken));
            taken.remove(&track);
        }
    }
    best
}

/// The tracks of our tracker. No face is embedded, so only places and times decide.
fn track(sequence: &Sequence, settings: &VisionSettings) -> Vec<Tracked> {
    let mut tracker = Tracker::new(settings);
    let mut tracked = Vec::new();
    for ((captured_at, faces), first_id) in sequence.frames.iter().zip((1..).map(|n| 100 * n)) {
        let detections: Vec<Detection> = faces
            .iter()
            .map(|face| {
                let [x, y, width, height, score] = std::array::from_fn(|i| face[i] as f32);
                let bounds = Rect { x, y, width, height };
                Detection { bounds, landmarks: Default::default(), score: score / 100.0 }
            })
            .collect();
        let tracked_faces: Vec<_> = detections
            .iter()
            .map(|detection| TrackedFace {
                detection,
                is_weak: detection.score < settings.detector.score,
                quality: f32::NAN,
                thumbnail: None,
            })
            .collect();
        let frame = TrackedFrame { captured_at: *captured_at, first_id, is_continuous: true };
        let updates = tracker.update(&frame, &tracked_faces);
        tracked.extend(faces.iter().zip(updates).map(|(face, update)| Tracked {
            person: face[5].unsigned_abs().into(),
            track: update.map_or(0, |update| update.track.id),
        }));
    }
    tracked
}

#[test]
fn tracks_are_as_good_as_those_of_a_public_tracker() {
    let json = include_str!("../../../../tests/fixtures/tracks/tracks.json");
    let sequences: Vec<Sequence> = serde_json::from_str(json).unwrap();
    let mut total = [Agreement::default(); 2];
    let mut worse = Vec::new();
    for sequence in &sequences {
        let oracle = sequence.frames.iter().flat_map(|(_, faces)| faces).map(|face| Tracked {
            person: face[5].unsigned_abs().into(),
            track: face[6].unsigned_abs().into(),
        });
        let (ours, theirs) =
            (compare(&track(sequence, &VisionSettings::default())), compare(&oracle.collect::<Vec<_>>()));
        println!("{}: ours {ours:?}, the oracle's {theirs:?}", sequence.name);
        if ours.switches > theirs.switches
            || ours.splits > theirs.splits
            || ours.merges > theirs.merges
            || ours.idf1 < theirs.idf1
        {
            worse.push(sequence.name.as_str());
        }
        for (total, one) in total.iter_mut().zip([ours, theirs]) {
            total.switches += one.switches;
            total.splits += one.splits;
            total.merges += one.merges;
            total.idf1 += one.idf1 / sequences.len() as f64;
        }
    }
    let [ours, theirs] = total;
    println!("{} sequences: ours {ours:?}, the oracle's {theirs:?}", sequences.len());
    assert_eq!(worse, WORSE);
    assert!(ours.switches <= theirs.switches && ours.splits <= theirs.splits, "{ours:?}, {theirs:?}");
    assert!(ours.merges <= theirs.merges && ours.idf1 >= theirs.idf1, "{ours:?}, {theirs:?}");
}
