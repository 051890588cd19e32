//! The records of the strangers topic that a frame causes: views that unknown-person rules share, and merged strangers.

use everyframe_gallery::{StrangerMerge, StrangerRecord, StrangerView};
use everyframe_types::event::JudgedBy;
use everyframe_types::frame::Frame;
use everyframe_types::judgement::{Judgement, Subject};

/// The views and merges of a frame. A face without embedding has no view.
pub(super) fn shared_strangers(
    frame: &Frame,
    judgement: &Judgement,
    judged_by: &JudgedBy,
) -> Vec<StrangerRecord> {
    // The embedder comes last.
    let model = judged_by.models.last().map(|model| model.sha256.as_str()).unwrap_or_default();
    judgement.subjects.iter().flat_map(|subject| records_of_face(frame, subject, model)).collect()
}

fn records_of_face(frame: &Frame, subject: &Subject, model: &str) -> Vec<StrangerRecord> {
    let Some((stranger, share)) = subject.stranger.as_ref().and_then(|it| Some((it, it.share?))) else {
        return Vec::new();
    };
    let (camera, seen_at) = (frame.camera.to_string(), frame.captured_at);
    let expires_at = seen_at.saturating_add_unsigned(share.expires_in);
    let view = subject.face.embedding.as_ref().map(|embedding| {
        StrangerRecord::View(StrangerView {
            stranger: stranger.id.clone(),
            camera: camera.clone(),
            view: share.view,
            model: model.to_owned(),
            embedding: embedding.clone(),
            quality: subject.face.quality,
            bounds: subject.face.detection.bounds,
            position: (&frame.position).into(),
            first_seen_at: stranger.first_seen_at,
            seen_at,
            visits: stranger.visits,
            expires_at,
        })
    });
    let merges = stranger.merged.iter().map(|merged| {
        StrangerRecord::Merge(StrangerMerge {
            stranger: merged.clone(),
            merged_into: stranger.id.clone(),
            camera: camera.clone(),
            position: (&frame.position).into(),
            seen_at,
            expires_at,
        })
    });
    view.into_iter().chain(merges).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::frame;
    use everyframe_types::event::Part;
    use everyframe_types::face::{Detection, Embedding, Face, Point, Rect, Track};
    use everyframe_types::judgement::{Decision, Share, Stranger, StrangerEvent};

    fn subject(embedding: Option<Embedding>, stranger: Option<Stranger>) -> Subject {
        let bounds = Rect { x: 1.0, y: 2.0, width: 3.0, height: 4.0 };
        let detection = Detection { bounds, landmarks: [Point::default(); 5], score: 0.9 };
        let (track, quality) = (Track { id: 1, started_at: 0 }, 0.8);
        let (candidates, zones) = (vec![], vec![]);
        let face = Face { index: 0, detection, quality, track, embedding, candidates, zones };
        Subject { face, decision: Decision::Unknown, stranger }
    }

    fn records(subject: Subject) -> Vec<StrangerRecord> {
        let models = ["detector", "embedder"].map(|sha256| Part {
            name: String::new(),
            version: None,
            sha256: sha256.into(),
        });
        let judgement = Judgement { subjects: vec![subject], ..Judgement::default() };
        shared_strangers(&frame(0, 7), &judgement, &JudgedBy { models: models.into(), rules: vec![] })
    }

    #[test]
    fn a_shared_face_and_its_merges_become_records() {
        let taken = frame(0, 7);
        let stranger = Stranger {
            id: "ann".into(),
            event: Some(StrangerEvent::Merged),
            first_seen_at: 7,
            dwell: 5,
            visits: 2,
            merged: vec!["anna".into()],
            share: Some(Share { view: 3, expires_in: 1000 }),
        };
        let embedding = Embedding::from_raw(&[0.6, 0.8]);
        let found = records(subject(embedding.clone(), Some(stranger.clone())));
        let [StrangerRecord::View(view), StrangerRecord::Merge(merge)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(view.key(), format!("ann/{}/3", taken.camera));
        assert_eq!((view.model.as_str(), view.quality), ("embedder", 0.8));
        assert_eq!((view.first_seen_at, view.seen_at, view.visits), (7, taken.captured_at, 2));
        assert_eq!(view.expires_at, taken.captured_at + 1000);
        assert_eq!((merge.stranger.as_str(), merge.merged_into.as_str()), ("anna", "ann"));
        assert_eq!(merge.position.offset, 7);

        assert_eq!(records(subject(None, Some(stranger.clone()))).len(), 1, "there is no view to share");
        let unshared = Stranger { share: None, ..stranger };
        assert_eq!(records(subject(embedding.clone(), Some(unshared))), []);
        assert_eq!(records(subject(embedding, None)), []);
    }
}
