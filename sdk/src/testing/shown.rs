//! The faces of a test's frames.

use crate::{Candidate, Decision, Event, Face, Identity, Rect, Stranger, Subject, Timestamp};

/// A face that a test shows to a rule. By default it has a good quality, and its track's number is its position in the frame,
/// from 1.
#[derive(Debug, Clone)]
pub struct Shown {
    pub(super) track: Option<u64>,
    pub(super) track_started_at: Option<Timestamp>,
    pub(super) embedding: Option<Vec<f32>>,
    pub(super) candidates: Vec<Candidate>,
    bounds: Option<Rect>,
    quality: f32,
    zones: Vec<String>,
    decision: Decision,
    stranger: Option<Stranger>,
}

/// A person of the gallery.
pub fn known(person: &str) -> Shown {
    shown(Decision::Known(Identity { person: person.into(), confidence: 0.9 }))
}

/// A face of nobody in the gallery, which no unknown-person rule identified. Also, for a matching policy, a face that is not
/// decided yet.
pub fn unknown() -> Shown {
    shown(Decision::Unknown)
}

/// A face of nobody in the gallery, which an unknown-person rule identified.
pub fn stranger(id: &str) -> Shown {
    let (id, merged) = (id.into(), vec![]);
    let stranger = Stranger { face: 0, id, event: None, first_seen_at: 0, dwell: 0, visits: 1, merged };
    Shown { stranger: Some(stranger), ..unknown() }
}

/// A face that the matching policies could not decide.
pub fn undecided(why: &str) -> Shown {
    shown(Decision::Undecided(why.into()))
}

fn shown(decision: Decision) -> Shown {
    Shown {
        track: None,
        track_started_at: None,
        embedding: None,
        candidates: Vec::new(),
        bounds: None,
        quality: 0.8,
        zones: Vec::new(),
        decision,
        stranger: None,
    }
}

impl Shown {
    /// Sets the track. It began when the trial first showed it.
    pub fn track(self, track: u64) -> Self {
        Shown { track: Some(track), ..self }
    }

    /// Sets when the track began, Unix milliseconds.
    pub fn track_since(self, began: Timestamp) -> Self {
        Shown { track_started_at: Some(began), ..self }
    }

    /// Sets the bounds, pixels. By default the faces are 80 × 100 and stand in a row, 200 pixels apart.
    pub fn bounds(self, x: f32, y: f32, width: f32, height: f32) -> Self {
        Shown { bounds: Some(Rect { x, y, width, height }), ..self }
    }

    /// Sets the quality, 0 to 1.
    pub fn quality(self, quality: f32) -> Self {
        Shown { quality, ..self }
    }

    /// Adds a zone.
    pub fn in_zone(mut self, zone: &str) -> Self {
        self.zones.push(zone.into());
        self
    }

    /// Sets the embedding. By default the face could not be embedded.
    pub fn embedding(self, embedding: impl Into<Vec<f32>>) -> Self {
        Shown { embedding: Some(embedding.into()), ..self }
    }

    /// Adds a candidate with its similarity, cosine −1 to 1, for a matching policy.
    pub fn like(mut self, person: &str, similarity: f32) -> Self {
        self.candidates.push(Candidate { person: person.into(), similarity });
        self
    }

    /// Sets the stranger's event.
    pub fn event(self, event: Event) -> Self {
        self.stranger_with(|stranger| stranger.event = Some(event))
    }

    /// Sets how long the stranger has been here, ms.
    pub fn dwell(self, ms: u64) -> Self {
        self.stranger_with(|stranger| stranger.dwell = ms)
    }

    /// Sets how often the stranger has been here.
    pub fn visits(self, visits: u32) -> Self {
        self.stranger_with(|stranger| stranger.visits = visits)
    }

    fn stranger_with(mut self, change: impl FnOnce(&mut Stranger)) -> Self {
        match &mut self.stranger {
            Some(stranger) => change(stranger),
            None => panic!(
                "only a stranger has events, dwell and visits: make the face with stranger(\"some-id\")"
            ),
        }
        self
    }

    pub(super) fn face(&self, index: u32, track: u64, track_started_at: Timestamp) -> Face {
        let row = Rect { x: 100.0 + 200.0 * index as f32, y: 100.0, width: 80.0, height: 100.0 };
        let bounds = self.bounds.unwrap_or(row);
        let (quality, zones) = (self.quality, self.zones.clone());
        Face { index, track, track_started_at, bounds, score: 0.95, quality, zones }
    }

    pub(super) fn subject(&self, face: Face) -> Subject {
        let stranger = self.stranger.clone();
        let stranger = stranger.map(|stranger| Stranger {
            face: face.index,
            first_seen_at: face.track_started_at,
            ..stranger
        });
        Subject { face, decision: self.decision.clone(), stranger }
    }
}
