//! The pictures of `tests/fixtures/pictures`, valid and broken.

use crate::dice::Dice;
use crate::{SAME_PERSON, embed_all, frames, worker};
use everyframe_config::{Polygon, VisionSettings};
use everyframe_types::face::{Embedding, Rect};
use everyframe_vision::{HiddenParts, PictureRenderer, Worker};
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    pictures: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    file: String,
    /// The only face: left, top, width, height in pixels.
    face: Option<[f32; 4]>,
    /// The reason with which its frame is parked.
    refused: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pictures")
}

fn pictures() -> Vec<(Expected, Vec<u8>)> {
    let text = std::fs::read_to_string(folder().join("expected.toml")).unwrap();
    let expectations: Expectations = toml::from_str(&text).unwrap();
    let read = |picture: Expected| {
        let bytes = std::fs::read(folder().join(&picture.file)).unwrap();
        (picture, bytes)
    };
    expectations.pictures.into_iter().map(read).collect()
}

/// The result of a picture: its faces with their embeddings, or the error.
#[derive(Debug, Clone, PartialEq)]
struct Answer(Result<Vec<(Rect, Option<Embedding>)>, String>);

fn answer(worker: &mut Worker, bytes: &[u8]) -> Answer {
    let faces = worker.detect(bytes, &[]).and_then(|seen| {
        let embeddings = worker.embed(bytes, &[], &seen, &seen.detections)?;
        Ok(seen.detections.iter().map(|face| face.bounds).zip(embeddings).collect())
    });
    Answer(faces.map_err(|error| error.to_string()))
}

#[test]
fn each_picture_has_its_face_or_its_error() {
    let mut worker = worker();
    let mut wrong = Vec::new();
    for (expected, bytes) in pictures() {
        match (worker.detect(&bytes, &[]), expected.face, &expected.refused) {
            (Ok(seen), Some([x, y, width, height]), None) => {
                let place = Rect { x, y, width, height };
                let found: Vec<Rect> = seen.detections.iter().map(|face| face.bounds).collect();
                if !matches!(&found[..], [face] if face.iou(&place) > 0.75) {
                    wrong.push(format!("{}: {found:?} instead of {place:?}", expected.file));
                }
            }
            (Err(error), None, Some(reason)) if error.reason() == reason => {}
            (Err(error), ..) => wrong.push(format!("{}: {}: {error}", expected.file, error.reason())),
            (Ok(seen), ..) => {
                wrong.push(format!("{}: {} faces instead of a reason", expected.file, seen.detections.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn earlier_pictures_do_not_affect_later_ones() {
    let dice = Dice::new();
    let pictures = pictures();
    let pick = || dice.below(pictures.len() as u64) as usize;
    let mut used = worker();
    // The first results follow only refused pictures, so their faces cannot come from another picture.
    let refused = pictures.iter().filter(|(expected, _)| expected.refused.is_some());
    for (expected, bytes) in refused {
        assert!(answer(&mut used, bytes).0.is_err(), "{}", expected.file);
    }
    let alone: Vec<Answer> = pictures.iter().map(|(_, bytes)| answer(&mut used, bytes)).collect();
    for _ in 0..400 {
        let (first, second) = (pick(), pick());
        assert_eq!(answer(&mut used, &pictures[first].1), alone[first], "{}", pictures[first].0.file);
        let after = answer(&mut used, &pictures[second].1);
        let files = (&pictures[first].0.file, &pictures[second].0.file);
        assert_eq!(after, alone[second], "{files:?}; EVERYFRAME_SEED={} does it again", dice.seed());
    }
}

#[test]
fn a_blurred_face_cannot_be_recognised() {
    let mut worker = worker();
    let mut renderer = PictureRenderer::new(&VisionSettings::default());
    let mut blurred = 0;
    for clip in ["single_face.mp4", "WolfgangLanger_Pexels.mp4"] {
        for frame in frames(clip).iter().step_by(10).take(8) {
            let seen = worker.detect(frame, &[]).unwrap();
            let faces = embed_all(&mut worker, frame, &seen);
            let size = (seen.width, seen.height);
            let parts: Vec<Polygon> =
                seen.detections.iter().map(|face| Polygon::of_box(&face.bounds, size)).collect();
            let hidden = HiddenParts { painted: &[], blurred: &parts.iter().collect::<Vec<_>>() };
            let shown = renderer.render(frame, hidden, None, &[]).unwrap().expect("another picture");
            let left = worker.detect(&shown, &[]).unwrap();
            for found in embed_all(&mut worker, &shown, &left) {
                let similarity = faces.iter().map(|face| face.similarity(&found)).fold(-1.0, f32::max);
                assert!(similarity < SAME_PERSON, "{clip}: {similarity}");
            }
            blurred += faces.len();
        }
    }
    assert!(blurred >= 16, "{blurred}");
}
