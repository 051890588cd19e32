//! Turns a frame's outcome into the records that are sent.

use super::changelog::{self, EXPIRES_AT, FRAME_OFFSET, SEALED};
use super::outcome::{Outcome, shortened};
use everyframe_config::Topics;
use everyframe_gallery::{JudgedFrame, StrangerRecord, shared_strangers};
use everyframe_kafka::Record;
use everyframe_privacy::KeyRing;
use everyframe_types::dead_letter::{DELETED, MESSAGE, OFFSET, PARTITION, Parked, REASON, STAGE, TOPIC};
use everyframe_types::event::{self, JudgedBy};
use everyframe_types::frame::Frame;
use everyframe_types::judgement::{Judgement, StateChange};
use everyframe_types::record::{CALLBACK, CAPTURED_AT, SEQUENCE, SESSION, SOURCE};
use std::sync::Arc;

/// The longest message of a dead letter, bytes: a rule's own message may have any length.
const MESSAGE_BYTES: usize = 4 << 10;

/// The overhead of a record besides its key, value and headers, and of a header besides its name and value; bytes,
/// rounded up.
const FRAMING: usize = 100;

/// One record, ready to be sent as often as it takes.
pub(super) struct Outgoing {
    pub(super) to: Destination,
    pub(super) key: String,
    pub(super) value: Content,
    pub(super) headers: Vec<(&'static str, String)>,
    /// The frame that causes it; none for the report that frames were deleted.
    pub(super) frame: Option<Arc<Frame>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    Results,
    Alerts,
    DeadLetters,
    Strangers,
    /// The partition that has the number of the frame's.
    State(i32),
}

pub(super) enum Content {
    Nothing,
    Bytes(Vec<u8>),
    PictureOf(Arc<Frame>),
    /// The first bytes of a picture that is too large.
    StartOf(Arc<Frame>, usize),
}

impl Content {
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Nothing => None,
            Self::Bytes(bytes) => Some(bytes),
            Self::PictureOf(frame) => Some(&frame.picture),
            Self::StartOf(frame, count) => Some(&frame.picture[..frame.picture.len().min(*count)]),
        }
    }
}

impl Outgoing {
    /// Hands it to `send`, with the name of its topic.
    pub(super) fn send(&self, send: impl FnOnce(Record<'_>), topics: &Topics) {
        let (topic, partition) = match self.to {
            Destination::Results => (&topics.results, None),
            Destination::Alerts => (&topics.alerts, None),
            Destination::DeadLetters => (&topics.dead_letters, None),
            Destination::Strangers => (&topics.strangers, None),
            Destination::State(partition) => (&topics.state, Some(partition)),
        };
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let (key, value) = (Some(self.key.as_bytes()), self.value.bytes());
        send(Record { topic, partition, key, value, headers: &headers });
    }

    /// Bytes that it takes in a topic, at most.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| FRAMING + name.len() + value.len());
        FRAMING + self.key.len() + self.value.bytes().map_or(0, <[u8]>::len) + headers.sum::<usize>()
    }
}

/// All records of a frame, in the order in which they are sent: alerts first, because people wait for them. Views of strangers and
/// rule state are encrypted by `ring`.
pub(super) fn records(ring: &KeyRing, frame: &Arc<Frame>, outcome: &Outcome) -> Vec<Outgoing> {
    let event = |to, json: Vec<u8>| Outgoing {
        to,
        key: frame.camera.to_string(),
        value: Content::Bytes(json),
        headers: Vec::new(),
        frame: Some(frame.clone()),
    };
    // The host's own alert; it has number 0 among the host's alerts.
    let own = frame.host_alert().map(|alert| event::alert(frame, &alert, 0, &[]));
    match outcome {
        Outcome::Judged { size, search, judgement, timings, judged_by } => {
            let raised = judgement.alerts.iter().enumerate();
            let raised = raised.map(|(n, alert)| event::alert(frame, alert, n, &judgement.subjects));
            let alerts: Vec<_> = raised.chain(own).collect();
            let ids = alerts.iter().map(|alert| alert.id.clone()).collect();
            let result = event::result(frame, (*size, *search), judgement, ids, *timings, judged_by);
            let mut records: Vec<Outgoing> =
                alerts.iter().map(|alert| event(Destination::Alerts, json(alert))).collect();
            let mut result = event(Destination::Results, json(&result));
            result.headers.extend(callback(frame));
            records.push(result);
            records.extend(strangers(ring, frame, judgement, judged_by));
            records.extend(judgement.state.iter().filter_map(|change| state(ring, frame, change)));
            records
        }
        Outcome::Parked(parked) => {
            let alert = own.map(|alert| event(Destination::Alerts, json(&alert)));
            alert.into_iter().chain([dead_letter(frame, parked)]).collect()
        }
        Outcome::RefusalNotice => {
            own.map(|alert| event(Destination::Alerts, json(&alert))).into_iter().collect()
        }
    }
}

pub(super) fn dead_letter(frame: &Arc<Frame>, parked: &Parked) -> Outgoing {
    let identity = &frame.identity;
    Outgoing {
        to: Destination::DeadLetters,
        key: frame.camera.to_string(),
        value: Content::PictureOf(frame.clone()),
        headers: vec![
            (REASON, parked.reason.clone()),
            (STAGE, parked.stage.as_str().to_owned()),
            (MESSAGE, shortened(&parked.message, MESSAGE_BYTES)),
            (TOPIC, identity.topic.to_string()),
            (PARTITION, identity.partition.to_string()),
            (OFFSET, identity.offset.to_string()),
            // With these it can be put through again as what it was.
            (SESSION, frame.session.to_string()),
            (SEQUENCE, frame.sequence.to_string()),
            (CAPTURED_AT, frame.captured_at.to_string()),
        ]
        .into_iter()
        .chain(frame.source.map(|source| (SOURCE, source.as_str().to_owned())))
        .chain(callback(frame))
        .collect(),
        frame: Some(frame.clone()),
    }
}

/// The header that takes the address to call back to the result or the dead letter.
fn callback(frame: &Frame) -> Option<(&'static str, String)> {
    frame.callback.as_ref().map(|address| (CALLBACK, address.to_string()))
}

/// The record that frames of a partition were deleted unread. It has a place among the dead letters, without a picture.
pub(super) fn deleted(partition: i32, frames: std::ops::Range<i64>) -> Outgoing {
    Outgoing {
        to: Destination::DeadLetters,
        key: format!("partition-{partition}"),
        value: Content::Nothing,
        headers: vec![
            (PARTITION, partition.to_string()),
            (DELETED, format!("{}-{}", frames.start, frames.end - 1)),
        ],
        frame: None,
    }
}

/// What the frame shares with all cameras.
fn strangers(
    ring: &KeyRing,
    frame: &Arc<Frame>,
    judgement: &Judgement,
    judged_by: &JudgedBy,
) -> Vec<Outgoing> {
    // The embedder is the last of the models.
    let model = judged_by.models.last().map(|model| model.sha256.as_str()).unwrap_or_default();
    let (camera, position) = (&*frame.camera, (&frame.position).into());
    let judged = JudgedFrame { camera, captured_at: frame.captured_at, position, model };
    let outgoing = |record: StrangerRecord| {
        let value = match record.to_value(ring) {
            Ok(value) => value,
            Err(error) => {
                tracing::error!("a view of a stranger is not shared: {error}");
                return None;
            }
        };
        Some(Outgoing {
            to: Destination::Strangers,
            key: record.key(),
            value: Content::Bytes(value),
            headers: Vec::new(),
            frame: Some(frame.clone()),
        })
    };
    shared_strangers(&judged, judgement).into_iter().filter_map(outgoing).collect()
}

/// A change of rule state; none if it cannot be encrypted.
fn state(ring: &KeyRing, frame: &Arc<Frame>, change: &StateChange) -> Option<Outgoing> {
    let key = changelog::key(change);
    let mut headers = vec![(FRAME_OFFSET, frame.position.offset.to_string())];
    let expires_at = change.value.as_ref().and_then(|value| value.expires_at);
    headers.extend(expires_at.map(|at| (EXPIRES_AT, at.to_string())));
    let value = match &change.value {
        None => Content::Nothing,
        Some(value) => {
            let (bytes, is_sealed) = changelog::write_value(ring, &key, &value.bytes)?;
            headers.extend(is_sealed.then(|| (SEALED, "1".to_owned())));
            Content::Bytes(bytes)
        }
    };
    let (to, frame) = (Destination::State(frame.position.partition), Some(frame.clone()));
    Some(Outgoing { to, key, value, headers, frame })
}

/// Events are plain structs with text keys and finite numbers (the rules' answers are checked for that), so serialising
/// cannot fail. If it did, the record would hold the error rather than be missing.
fn json<T: serde::Serialize>(event: &T) -> Vec<u8> {
    serde_json::to_vec(event).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}").into_bytes())
}
