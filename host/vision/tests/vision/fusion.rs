//! Views of small faces are fused, and an earlier face has no influence on the next one.

use super::{SAME_PERSON, close_up, embed_all, frames, jpeg, worker};
use everyframe_config::VisionSettings;
use everyframe_types::face::Embedding;
use everyframe_vision::{EmbeddingCache, TrackedFrame, Tracker, Worker};
use opencv::core::{Mat, Rect, add_weighted_def};
use opencv::imgcodecs::{IMREAD_COLOR, imdecode};
use opencv::prelude::*;

/// The man's face in his clip and the woman's in hers: left, top, width, height, pixels.
const MAN: (&str, (f32, f32, f32, f32)) = ("single_face.mp4", (222.6, 84.6, 144.8, 212.5));
const WOMAN: (&str, (f32, f32, f32, f32)) = ("WolfgangLanger_Pexels.mp4", (326.2, 45.0, 212.3, 304.0));

/// A face of 40 pixels of height in the middle of 400 × 400 pixels.
fn small((clip, face): (&str, (f32, f32, f32, f32))) -> Mat {
    let picture = close_up(clip, face, 40.0);
    let picture = imdecode(&Mat::from_slice(&picture).unwrap(), IMREAD_COLOR).unwrap();
    Mat::roi(&picture, Rect::new(280, 280, 400, 400)).unwrap().try_clone().unwrap()
}

/// The embeddings that rules get for the only face of each picture, when every face is embedded as a frame of one camera.
fn embeddings_of(worker: &mut Worker, pictures: &[Vec<u8>]) -> Vec<Option<Embedding>> {
    let mut settings = VisionSettings::default();
    settings.embedder.every_face = true;
    let mut tracker = Tracker::new(&settings);
    let mut cache = EmbeddingCache::default();
    let mut answers = Vec::new();
    for (n, picture) in (0i64..).zip(pictures) {
        let detections = worker.detect(picture, &[]).unwrap();
        let faces = detections.tracked_faces();
        let frame =
            TrackedFrame { captured_at: 40 * n, first_id: n.unsigned_abs() << 16, is_continuous: n > 0 };
        let followed = tracker.update(&frame, &faces);
        let answer = faces.iter().zip(&followed).next().and_then(|(face, followed)| {
            let followed = followed.as_ref()?;
            assert!(face.quality < 0.6, "the face is small enough to be fused: {}", face.quality);
            let wanted: Vec<_> = followed.embed.then(|| face.detection.clone()).into_iter().collect();
            let fresh = worker.embed(picture, &[], &detections, &wanted).unwrap();
            let new_id = frame.first_id + (1 << 15);
            cache.update(followed, fresh.into_iter().next().flatten(), face.quality, 40 * n, new_id).1
        });
        answers.push(answer);
    }
    answers
}

#[test]
fn a_fade_to_another_small_face_carries_no_name() {
    const BEFORE: usize = 10;
    let mut worker = worker();
    let (his, hers) = (small(MAN), small(WOMAN));
    let first = &frames(MAN.0)[0];
    let detections = worker.detect(first, &[]).unwrap();
    let enrolled = embed_all(&mut worker, first, &detections).remove(0);
    for steps in [0, 1, 3, 6, 12, 25] {
        let mut pictures = vec![jpeg(&his); BEFORE];
        for step in 1..=steps {
            let share = step as f64 / (steps + 1) as f64;
            let mut blend = Mat::default();
            add_weighted_def(&his, 1.0 - share, &hers, share, 0.0, &mut blend).unwrap();
            pictures.push(jpeg(&blend));
        }
        pictures.extend(vec![jpeg(&hers); BEFORE]);
        let embeddings = embeddings_of(&mut worker, &pictures);
        for (n, embedding) in embeddings.iter().enumerate() {
            let similarity = embedding.as_ref().map_or(0.0, |embedding| embedding.similarity(&enrolled));
            if n < BEFORE {
                assert!(similarity > SAME_PERSON, "fade of {steps}, frame {n}: {similarity}");
            } else if n >= BEFORE + steps {
                assert!(similarity < SAME_PERSON, "fade of {steps}, frame {n} shows her: {similarity}");
            }
        }
    }
}
