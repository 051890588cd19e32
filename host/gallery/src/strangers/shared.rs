//! What a judged frame shares: the views and merges of its unknown-person rules.

use super::record::{StrangerMerge, StrangerRecord, StrangerView};
use everyframe_types::event::EventPosition;
use everyframe_types::judgement::{Judgement, Subject};

/// The frame of a judgement.
pub struct JudgedFrame<'a> {
    /// The camera's id.
    pub camera: &'a str,
    /// When it was taken, Unix milliseconds.
    pub captured_at: i64,
    /// Its position in Kafka.
    pub position: EventPosition,
    /// SHA-256 of the embedding model, hexadecimal.
    pub model: &'a str,
}

/// The views and merges that a judgement shares with all cameras. A face without embedding has no view.
pub fn shared_strangers(frame: &JudgedFrame<'_>, judgement: &Judgement) -> Vec<StrangerRecord> {
    judgement.subjects.iter().flat_map(|subject| records_of_face(frame, subject)).collect()
}

fn records_of_face(frame: &JudgedFrame<'_>, subject: &Subject) -> Vec<StrangerRecord> {
    let Some((stranger, share)) = subject.stranger.as_ref().and_then(|it| Some((it, it.share?))) else {
        return Vec::new();
    };
    let JudgedFrame { camera, captured_at: seen_at, position, model } = frame;
    let expires_at = seen_at.saturating_add_unsigned(share.expires_in);
    let view = subject.face.embedding.as_ref().map(|embedding| {
        StrangerRecord::View(StrangerView {
            stranger: stranger.id.clone(),
            camera: (*camera).to_owned(),
            view: share.view,
            model: (*model).to_owned(),
            embedding: embedding.clone(),
            quality: subject.face.quality,
            bounds: subject.face.detection.bounds,
            position: position.clone(),
            first_seen_at: stranger.first_seen_at,
            seen_at: *seen_at,
            visits: stranger.visits,
            expires_at,
        })
    });
    let merges = stranger.merged.iter().map(|merged| {
        StrangerRecord::Merge(StrangerMerge {
            stranger: merged.clone(),
            merged_into: stranger.id.clone(),
            camera: (*camera).to_owned(),
            position: position.clone(),
            seen_at: *seen_at,
            expires_at,
        })
    });
    view.into_iter().chain(merges).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::position;
    use super::*;
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
        let frame = JudgedFrame { camera: "gate", captured_at: 50, position: position(), model: "embedder" };
        shared_strangers(&frame, &Judgement { subjects: vec![subject], ..Judgement::default() })
    }

    #[test]
    fn a_shared_face_and_its_merges_become_records() {
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
        assert_eq!(view.key(), "ann/gate/3");
        assert_eq!((view.model.as_str(), view.quality), ("embedder", 0.8));
        assert_eq!((view.first_seen_at, view.seen_at, view.visits), (7, 50, 2));
        assert_eq!(view.expires_at, 1050);
        assert_eq!((merge.stranger.as_str(), merge.merged_into.as_str()), ("anna", "ann"));
        assert_eq!(merge.position, position());

        assert_eq!(records(subject(None, Some(stranger.clone()))).len(), 1, "there is no view to share");
        let unshared = Stranger { share: None, ..stranger };
        assert_eq!(records(subject(embedding.clone(), Some(unshared))), []);
        assert_eq!(records(subject(embedding, None)), []);
    }
}
