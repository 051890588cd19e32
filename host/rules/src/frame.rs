//! One frame as the rules see it.

use everyframe_types::face::{Embedding, Face, People, Person};
use std::sync::Arc;

/// A frame's metadata, without its picture.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameFacts<'a> {
    /// The camera's id.
    pub camera: &'a str,
    /// The id of one run of the camera's agent.
    pub session: &'a str,
    /// The frame's number in its session.
    pub sequence: u64,
    /// When the frame was captured, Unix milliseconds. The rules' current time.
    pub captured_at: i64,
    /// Width of the full-size frame, pixels.
    pub width: u32,
    /// Height of the full-size frame, pixels.
    pub height: u32,
    /// Names of the schedules that are active at that time.
    pub schedules: &'a [String],
}

/// What a rule may look up during a call: embeddings and people. Made once for a frame, shared by all its calls.
#[derive(Clone)]
pub(super) struct FrameContext {
    /// By `face.index`.
    embeddings: Arc<[(u32, Option<Embedding>)]>,
    people: Arc<dyn People>,
}

impl FrameContext {
    pub(super) fn new(faces: &[Face], people: &Arc<dyn People>) -> Self {
        let embeddings = faces.iter().map(|face| (face.index, face.embedding.clone())).collect();
        Self { embeddings, people: Arc::clone(people) }
    }

    /// No faces and nobody enrolled: for the calls that are made while rules are loaded.
    pub(super) fn empty() -> Self {
        struct Nobody;
        impl People for Nobody {
            fn find(&self, _: &str) -> Option<Person> {
                None
            }
        }
        Self { embeddings: Arc::new([]), people: Arc::new(Nobody) }
    }

    /// The embedding of a face of the frame; none if the face was not embedded or does not exist.
    pub(super) fn embedding(&self, face: u32) -> Option<&Embedding> {
        self.embeddings.iter().find(|(index, _)| *index == face)?.1.as_ref()
    }

    pub(super) fn has_face(&self, face: u32) -> bool {
        self.embeddings.iter().any(|(index, _)| *index == face)
    }

    pub(super) fn people(&self) -> &dyn People {
        &*self.people
    }
}
