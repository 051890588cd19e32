//! The vision stage on real models and real footage. `make setup` fetches both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod changes;
#[path = "../../../../tests/support/dice.rs"]
#[allow(dead_code)]
mod dice;
mod fusion;
mod models;
mod pictures;
mod scrfd;
mod tracking;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use everyframe_config::{Polygon, Provider, VisionSettings};
use everyframe_types::face::Embedding;
use everyframe_vision::{Detections, Rotation, TrackedFrame, Tracker, Vision, Worker};
use opencv::core::{Mat, Size, Vector};
use opencv::prelude::*;
use opencv::videoio::{CAP_ANY, VideoCapture};
use opencv::{imgcodecs, imgproc};

/// Cosine from which two faces count as one person: a false accept rate of 1e-3 on ORL.
const SAME_PERSON: f32 = 0.42;

fn cache() -> PathBuf {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    home("EVERYFRAME_CACHE").unwrap_or_else(|| {
        let base = home("XDG_CACHE_HOME").or_else(|| Some(home("HOME")?.join(".cache")));
        base.expect("HOME is set").join("everyframe")
    })
}

fn vision(settings: &VisionSettings) -> Vision {
    Vision::load(settings, &cache()).unwrap_or_else(|error| panic!("{error}\nrun `make setup`, then again"))
}

fn worker() -> Worker {
    let mut settings = VisionSettings::default();
    // Set by `make test PROVIDER=cpu`: one machine can test the providers that others would choose.
    if let Some(name) = std::env::var("EVERYFRAME_TEST_PROVIDER").ok().filter(|name| !name.is_empty()) {
        let known = [Provider::Cpu, Provider::Openvino, Provider::OpenvinoBf16];
        let provider = known.into_iter().find(|provider| provider.to_string() == name).expect("a provider");
        (settings.detector.provider, settings.embedder.provider) = (provider, provider);
    }
    vision(&settings).worker().unwrap()
}

fn footage(name: &str) -> PathBuf {
    let path = cache().join("footage").join(name);
    assert!(path.is_file(), "no {}; run `make setup`, then again", path.display());
    path
}

/// The frames of a clip as the camera agent sends them: JPEG, quality 90. Most tests need some, so each clip is decoded once.
fn frames(name: &str) -> &'static [Vec<u8>] {
    static CLIPS: Mutex<BTreeMap<String, &[Vec<u8>]>> = Mutex::new(BTreeMap::new());
    let mut clips = CLIPS.lock().unwrap_or_else(PoisonError::into_inner);
    clips.entry(name.into()).or_insert_with(|| decode_clip(name).leak())
}

fn decode_clip(name: &str) -> Vec<Vec<u8>> {
    let mut video = VideoCapture::from_file(footage(name), CAP_ANY).unwrap();
    let mut frames = Vec::new();
    let mut picture = Mat::default();
    while video.read(&mut picture).unwrap() {
        frames.push(jpeg(&picture));
    }
    frames
}

fn jpeg(picture: &Mat) -> Vec<u8> {
    let mut bytes = Vector::new();
    let quality = Vector::from_slice(&[imgcodecs::IMWRITE_JPEG_QUALITY, 90]);
    assert!(imgcodecs::imencode(".jpg", picture, &mut bytes, &quality).unwrap());
    bytes.as_slice().to_vec()
}

fn embed_all(worker: &mut Worker, frame: &[u8], seen: &Detections) -> Vec<Embedding> {
    let embeddings = worker.embed(frame, &[], seen, &seen.detections).unwrap();
    embeddings.into_iter().map(|e| e.expect("a real face has a direction")).collect()
}

#[test]
fn faces_are_found_in_the_frames_that_have_one() {
    let mut worker = worker();
    for (clip, decoded, with_face) in [
        ("single_face.mp4", 72, 72),
        ("WolfgangLanger_Pexels.mp4", 472, 472),
        ("face_noface.mov", 169, 72),
        ("noface_face.mov", 169, 72),
        ("no_face.mp4", 95, 0),
    ] {
        let seen: Vec<_> = frames(clip).iter().map(|frame| worker.detect(frame, &[]).unwrap()).collect();
        assert_eq!(seen.len(), decoded, "frames of {clip}");
        let found = seen.iter().filter(|seen| !seen.detections.is_empty()).count();
        assert_eq!(found, with_face, "frames of {clip} with a face");
        assert!(seen.iter().all(|seen| seen.detections.len() <= 1), "{clip} never has two faces");
    }
}

#[test]
fn no_face_is_found_in_a_masked_part() {
    let mut worker = worker();
    let frame = &frames("single_face.mp4")[0];
    let open = worker.detect(frame, &[]).unwrap();
    let bounds = open.detections[0].bounds;
    let (left, right) = (bounds.x / open.width as f32, (bounds.x + bounds.width) / open.width as f32);
    let column = |from: f32, to: f32| Polygon::from(vec![(from, 0.0), (to, 0.0), (to, 1.0), (from, 1.0)]);
    let over = column(left.max(0.0), right.min(1.0));
    assert_eq!(worker.detect(frame, &[&over]).unwrap().detections, []);
    // A mask beside the face changes nothing.
    let beside = column(0.0, (left - 0.05).max(0.001));
    let found = worker.detect(frame, &[&beside]).unwrap().detections;
    assert_eq!(found.len(), 1);
    assert!(found[0].bounds.iou(&bounds) > 0.9);
}

#[test]
fn a_man_is_recognised_in_other_clips_and_a_woman_is_not() {
    let mut worker = worker();
    let mut embeddings = |clip: &str| -> Vec<Embedding> {
        let frames = frames(clip);
        frames
            .iter()
            .step_by(3)
            .flat_map(|frame| {
                let seen = worker.detect(frame, &[]).unwrap();
                embed_all(&mut worker, frame, &seen)
            })
            .collect()
    };
    let views: Vec<_> = embeddings("single_face.mp4").into_iter().step_by(8).collect();
    let best = |face: &Embedding| views.iter().map(|v| v.similarity(face)).fold(f32::MIN, f32::max);
    for clip in ["face_noface.mov", "noface_face.mov"] {
        let least = embeddings(clip).iter().map(best).fold(f32::MAX, f32::min);
        println!("{clip}: the man, at least {least:.3}");
        assert!(least >= SAME_PERSON, "{clip}: {least}");
    }
    let most = embeddings("WolfgangLanger_Pexels.mp4").iter().map(best).fold(f32::MIN, f32::max);
    println!("the woman, at most {most:.3}");
    assert!(most < SAME_PERSON, "{most}");
}

#[test]
fn a_face_has_one_track_and_is_embedded_sometimes() {
    let settings = VisionSettings::default();
    let mut worker = worker();
    for (clip, tracks) in [("WolfgangLanger_Pexels.mp4", 1), ("face_noface.mov", 1), ("no_face.mp4", 0)] {
        let mut tracker = Tracker::new(&settings);
        let (mut ids, mut faces, mut embedded) = (BTreeSet::new(), 0, 0);
        // Ten frames a second, as a camera sends them.
        for (i, frame) in frames(clip).iter().enumerate() {
            let seen = worker.detect(frame, &[]).unwrap();
            let frame =
                TrackedFrame { captured_at: 100 * i as i64, first_id: 1000 * i as u64, is_continuous: true };
            for followed in tracker.update(&frame, &seen.tracked_faces()).into_iter().flatten() {
                ids.insert(followed.track.id);
                faces += 1;
                embedded += usize::from(followed.embed);
            }
        }
        println!("{clip}: {faces} faces, {embedded} embedded, tracks {ids:?}");
        assert_eq!(ids.len(), tracks, "{clip}");
        assert!(embedded * 3 <= faces, "{clip}: {embedded} of {faces}");
    }
}

#[test]
fn every_provider_finds_the_same_faces_and_people() {
    let frames: Vec<_> = ["single_face.mp4", "WolfgangLanger_Pexels.mp4", "face_noface.mov"]
        .iter()
        .flat_map(|clip| frames(clip).iter().take(60).step_by(20))
        .collect();
    let multi = std::fs::read(footage("multi_face.jpg")).unwrap();
    let mut reference: Option<Vec<(Detections, Vec<Embedding>)>> = None;
    for provider in [Provider::Cpu, Provider::Openvino, Provider::OpenvinoBf16] {
        let mut settings = VisionSettings::default();
        settings.detector.provider = provider;
        settings.embedder.provider = provider;
        let Ok(vision) = Vision::load(&settings, &cache()) else {
            // Not every runtime has OpenVINO, but every one has the CPU provider.
            assert_ne!(provider, Provider::Cpu);
            continue;
        };
        let mut worker = vision.worker().unwrap();
        let answers: Vec<_> = frames
            .iter()
            .copied()
            .chain([&multi])
            .map(|frame| {
                let seen = worker.detect(frame, &[]).unwrap();
                let embeddings = embed_all(&mut worker, frame, &seen);
                (seen, embeddings)
            })
            .collect();
        let reference = reference.get_or_insert_with(|| answers.clone());
        for ((expected, people), (seen, embeddings)) in reference.iter().zip(&answers) {
            assert_eq!(seen.detections.len(), expected.detections.len(), "{provider:?}");
            for (face, person) in seen.detections.iter().zip(embeddings) {
                let place = expected.detections.iter().position(|e| e.bounds.iou(&face.bounds) > 0.9);
                let place = place.unwrap_or_else(|| panic!("{provider:?} finds {face:?} elsewhere"));
                let cosine = person.similarity(&people[place]);
                assert!(cosine > 0.98, "{provider:?}: {cosine}");
            }
        }
    }
}

#[test]
fn five_people_in_one_picture_are_five_people() {
    let mut worker = worker();
    let picture = std::fs::read(footage("multi_face.jpg")).unwrap();
    let seen = worker.detect(&picture, &[]).unwrap();
    assert_eq!(seen.detections.len(), 5);
    assert!(seen.qualities().iter().all(|quality| quality.value() > 0.3));
    let people = embed_all(&mut worker, &picture, &seen);
    for (i, one) in people.iter().enumerate() {
        for other in &people[i + 1..] {
            // The two most similar of the five have 0.437: more than SAME_PERSON, which one in a thousand pairs exceeds.
            assert!(one.similarity(other) < 0.45, "two of five count as one person");
        }
    }
}

#[test]
fn a_reduced_picture_gives_the_same_face_as_the_full_one() {
    let frame = &frames("single_face.mp4")[0];
    let mut large = Mat::default();
    let small = imgcodecs::imdecode(&Mat::from_slice(frame).unwrap(), imgcodecs::IMREAD_COLOR).unwrap();
    imgproc::resize(&small, &mut large, Size::new(2560, 1440), 0.0, 0.0, imgproc::INTER_CUBIC).unwrap();
    let large = jpeg(&large);
    let mut worker = worker();
    let (one, other) = (worker.detect(frame, &[]).unwrap(), worker.detect(&large, &[]).unwrap());
    assert_eq!((other.width, other.height), (2560, 1440));
    let (face, bigger) = (&one.detections[0].bounds, &other.detections[0].bounds);
    assert!((bigger.width / face.width - 4.0).abs() < 0.2, "{face:?} {bigger:?}");
    let (one, other) = (embed_all(&mut worker, frame, &one), embed_all(&mut worker, &large, &other));
    assert!(one[0].similarity(&other[0]) > 0.9);
}

/// The first frame of a clip, scaled around a face so that the face is `height` pixels high in 960 × 960.
fn close_up(clip: &str, (x, y, width, face_height): (f32, f32, f32, f32), height: f32) -> Vec<u8> {
    let frame = &frames(clip)[0];
    let picture = imgcodecs::imdecode(&Mat::from_slice(frame).unwrap(), imgcodecs::IMREAD_COLOR).unwrap();
    let scale = height / face_height;
    let (left, top) = (480.0 - scale * (x + width / 2.0), 480.0 - scale * (y + face_height / 2.0));
    let map = Mat::from_slice_2d(&[[scale, 0.0, left], [0.0, scale, top]]).unwrap();
    let mut magnified = Mat::default();
    let (size, border) = (Size::new(960, 960), opencv::core::BORDER_REPLICATE);
    imgproc::warp_affine(
        &picture,
        &mut magnified,
        &map,
        size,
        imgproc::INTER_CUBIC,
        border,
        Default::default(),
    )
    .unwrap();
    jpeg(&magnified)
}

#[test]
fn a_face_is_found_once_whatever_its_size() {
    let mut worker = worker();
    let man = ("single_face.mp4", (222.6, 84.6, 144.8, 212.5));
    let woman = ("WolfgangLanger_Pexels.mp4", (326.2, 45.0, 212.3, 304.0));
    for (clip, face) in [man, woman] {
        let reference = &frames(clip)[0];
        let seen = worker.detect(reference, &[]).unwrap();
        let person = embed_all(&mut worker, reference, &seen).remove(0);
        for height in [200.0, 350.0, 500.0, 700.0, 900.0] {
            let picture = close_up(clip, face, height);
            for seen in [
                worker.detect(&picture, &[]).unwrap(),
                worker.detect_for_enrolment(&picture, &[]).unwrap().detections,
            ] {
                let [found] = &seen.detections[..] else { panic!("{clip}, {height}: {:?}", seen.detections) };
                let share = found.bounds.height / height;
                assert!((0.85..1.15).contains(&share), "{clip}, {height}: {:?}", found.bounds);
                let again = embed_all(&mut worker, &picture, &seen).remove(0);
                assert!(person.similarity(&again) > 0.8, "{clip}, {height}: {}", person.similarity(&again));
            }
        }
    }
}

#[test]
fn enrolment_detects_a_picture_that_is_not_upright() {
    let mut worker = worker();
    for clip in ["single_face.mp4", "WolfgangLanger_Pexels.mp4"] {
        let frame = &frames(clip)[0];
        let upright = imgcodecs::imdecode(&Mat::from_slice(frame).unwrap(), imgcodecs::IMREAD_COLOR).unwrap();
        assert_eq!(worker.detect_for_enrolment(frame, &[]).unwrap().rotation, None);
        for (code, back) in [
            (opencv::core::ROTATE_90_CLOCKWISE, Rotation::Counterclockwise),
            (opencv::core::ROTATE_180, Rotation::HalfTurn),
            (opencv::core::ROTATE_90_COUNTERCLOCKWISE, Rotation::Clockwise),
        ] {
            let mut turned = Mat::default();
            opencv::core::rotate(&upright, &mut turned, code).unwrap();
            let view = worker.detect_for_enrolment(&jpeg(&turned), &[]).unwrap();
            assert_eq!(view.rotation, Some(back), "{clip}");
        }
    }
}

#[test]
fn measured_providers_are_stored_and_measured_again() {
    let cache = tempfile::tempdir().unwrap();
    let ours = self::cache();
    let settings = VisionSettings {
        onnxruntime: Some(ours.join("onnxruntime/libonnxruntime.so")),
        models: Some(ours.join("models")),
        ..VisionSettings::default()
    };
    let load = || Vision::load(&settings, cache.path()).unwrap_or_else(|e| panic!("{e}\nrun `make setup`"));
    let file = cache.path().join("providers.json");
    let first = load();
    let remembered = std::fs::read_to_string(&file).unwrap();
    assert_eq!(load().models().embedder.measured, first.models().embedder.measured);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), remembered);
    std::fs::write(&file, &remembered[..remembered.len() / 2]).unwrap();
    load();
    let again: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(again.as_object().map(|models| models.len()), Some(2));
}

#[test]
fn invalid_bytes_do_not_affect_later_pictures() {
    let mut worker = worker();
    let frame = &frames("single_face.mp4")[0];
    let before = worker.detect(frame, &[]).unwrap().detections;
    let mut huge = frame.clone();
    let header = huge.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    huge[header + 5..header + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    for (bytes, reason) in [
        (&[][..], "empty"),
        (b"no picture at all", "not-a-picture"),
        (&frame[..frame.len() - 100], "truncated"),
        (&huge, "too-large"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\0\0\0\0IEND\0\0\0\0", "truncated"),
    ] {
        assert_eq!(worker.detect(bytes, &[]).unwrap_err().reason(), reason);
    }
    assert_eq!(worker.detect(frame, &[]).unwrap().detections, before);
}

/// The processors on which a thread may run: a line of its `status`.
fn processors_allowed(thread: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap_or_default();
    status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap_or_default().to_owned()
}

#[test]
fn a_running_model_does_not_pin_its_thread() {
    // By default, OpenVINO pins the threads that call it, all to the same processor.
    for provider in [Provider::Cpu, Provider::Openvino, Provider::OpenvinoBf16] {
        let mut settings = VisionSettings::default();
        settings.detector.provider = provider;
        let Ok(vision) = Vision::load(&settings, &cache()) else { continue };
        let mut worker = vision.worker().unwrap();
        let frame = &frames("single_face.mp4")[0];
        let (name, names) = std::sync::mpsc::channel();
        let running = std::thread::spawn(move || {
            let thread = std::fs::read_link("/proc/thread-self").unwrap();
            name.send(thread.file_name().unwrap().to_string_lossy().into_owned()).unwrap();
            for _ in 0..40 {
                worker.detect(frame, &[]).unwrap();
            }
        });
        let (thread, all) = (names.recv().unwrap(), processors_allowed(&std::process::id().to_string()));
        let mut seen = BTreeSet::new();
        while !running.is_finished() {
            seen.insert(processors_allowed(&thread));
        }
        running.join().unwrap();
        seen.remove("");
        assert_eq!(seen, BTreeSet::from([all]), "{provider}");
    }
}
