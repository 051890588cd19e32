//! Searching only what changed finds the faces that a full search finds.

use super::{frames, worker};
use everyframe_types::search::SearchKind;
use everyframe_vision::{Detections, ShadowCheck, Worker};
use opencv::core::{Mat, Rect, Size, Vector};
use opencv::imgcodecs::{IMREAD_COLOR, imdecode, imencode};
use opencv::imgproc::{INTER_AREA, resize};
use opencv::prelude::*;

/// As `[vision.detector] full_search_every` and `min_face` have by default.
const EVERY: usize = 10;
const MIN_FACE: f32 = 24.0;

/// What a sequence of frames has shown.
#[derive(Debug, Default)]
struct Comparison {
    /// Faces of at least `MIN_FACE` pixels that a full search finds.
    faces: usize,
    /// Those of them that the search of what changed did not find.
    missed: usize,
    /// Faces that only the search of what changed found.
    added: usize,
    /// Frames by how they were searched.
    kinds: [usize; 4],
}

/// Searches each frame as a host does, and as a whole.
fn compare(worker: &mut Worker, frames: &[Vec<u8>]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut anchor = None;
    for (number, frame) in frames.iter().enumerate() {
        let whole = worker.detect(frame, &[]).expect("a picture");
        let seen = match &anchor {
            Some(anchor) if number % EVERY != 0 => {
                worker.detect_since(Some(anchor), frame, &[], false).expect("a picture")
            }
            _ => whole.clone(),
        };
        if number % EVERY == 0 {
            anchor = whole.anchor().map(|anchor| (**anchor).clone());
        }
        let finds = |seen: &Detections, face: &everyframe_types::face::Rect| {
            seen.detections.iter().any(|other| other.bounds.iou(face) >= 0.4)
        };
        let large = |seen: &Detections| -> Vec<everyframe_types::face::Rect> {
            let bounds = seen.detections.iter().map(|face| face.bounds);
            bounds.filter(|bounds| bounds.width.max(bounds.height) >= MIN_FACE).collect()
        };
        comparison.faces += large(&whole).len();
        comparison.missed += large(&whole).iter().filter(|face| !finds(&seen, face)).count();
        comparison.added += large(&seen).iter().filter(|face| !finds(&whole, face)).count();
        let kinds = [SearchKind::Full, SearchKind::Partial, SearchKind::Coarse, SearchKind::Reused];
        let kind = kinds.iter().position(|kind| *kind == seen.search).expect("one of four");
        comparison.kinds[kind] += 1;
    }
    comparison
}

#[test]
fn large_faces_are_found_where_something_changed() {
    let mut worker = worker();
    let mut total = 0;
    for clip in ["single_face.mp4", "WolfgangLanger_Pexels.mp4", "face_noface.mov", "noface_face.mov"] {
        let frames = frames(clip);
        let frames = &frames[..frames.len().min(150)];
        let comparison = compare(&mut worker, frames);
        println!("{clip}: {comparison:?}");
        assert_eq!(comparison.missed, 0, "{clip}: {comparison:?}");
        assert!(comparison.kinds[0] * 3 <= frames.len(), "{clip}: {comparison:?}");
        total += comparison.faces;
    }
    assert!(total > 300, "{total}");
}

/// The head in a frame, scaled so that its face has this height, pixels.
fn head(worker: &mut Worker, frame: &[u8], height: f32) -> Mat {
    let face = worker.detect(frame, &[]).expect("a picture").detections[0].bounds;
    let picture = imdecode(&Vector::from_slice(frame), IMREAD_COLOR).expect("a picture");
    let left = (face.x - 0.6 * face.width).max(0.0) as i32;
    let top = (face.y - 0.4 * face.height).max(0.0) as i32;
    let right = ((face.x + 1.6 * face.width) as i32).min(picture.cols());
    let bottom = ((face.y + 1.5 * face.height) as i32).min(picture.rows());
    let part = Mat::roi(&picture, Rect::new(left, top, right - left, bottom - top)).expect("a part");
    let scale = height / face.height;
    let side = |full: i32| (full as f32 * scale).round() as i32;
    let mut small = Mat::default();
    resize(&part, &mut small, Size::new(side(right - left), side(bottom - top)), 0.0, 0.0, INTER_AREA)
        .expect("it can be scaled");
    small
}

#[test]
fn small_faces_that_come_and_go_are_found() {
    let mut worker = worker();
    let background =
        imdecode(&Vector::from_slice(&frames("no_face.mp4")[0]), IMREAD_COLOR).expect("a picture");
    let (man, woman) = (frames("single_face.mp4"), frames("WolfgangLanger_Pexels.mp4"));
    let mut total = Comparison::default();
    for (height, speed) in [(32.0, 3), (40.0, 6), (56.0, 0), (70.0, 9), (84.0, 4)] {
        let shown: Vec<Vec<u8>> = (0..45)
            .map(|n: i32| {
                let mut picture = background.clone();
                // He stands in a corner from the first frame on; she comes, walks by and leaves.
                let mut paste = |head: &Mat, x: i32, y: i32| {
                    let place = Rect::new(x, y, head.cols(), head.rows());
                    head.copy_to(&mut Mat::roi_mut(&mut picture, place).expect("a part")).expect("a copy");
                };
                let his = head(&mut worker, &man[n as usize], height);
                paste(&his, 40, 330);
                if (6..38).contains(&n) {
                    let hers = head(&mut worker, &woman[n as usize], height);
                    paste(&hers, 380 + speed * (n - 6), 60 + 2 * (n % 5));
                }
                let mut bytes = Vector::new();
                imencode(".jpg", &picture, &mut bytes, &Vector::new()).expect("a JPEG");
                bytes.to_vec()
            })
            .collect();
        let comparison = compare(&mut worker, &shown);
        println!("{height} pixels: {comparison:?}");
        total.faces += comparison.faces;
        total.missed += comparison.missed;
        assert!(comparison.kinds[0] <= 10, "{comparison:?}");
    }
    assert!(total.faces > 250, "{total:?}");
    // A face whose score is at the threshold may be found by one search and not by the other.
    assert!(1000 * total.missed <= 2 * total.faces, "{total:?}");
}

#[test]
fn a_shadow_check_is_made_when_asked_for() {
    let mut worker = worker();
    let frames = frames("single_face.mp4");
    let anchor = worker.detect(&frames[0], &[]).expect("a picture").anchor().cloned().expect("a full search");
    let mut check =
        |asked: bool| worker.detect_since(Some(&anchor), &frames[3], &[], asked).expect("a picture").shadow;
    assert_eq!(check(false), None);
    assert_eq!(check(true), Some(ShadowCheck { faces: 1, missed: 0 }));
}
