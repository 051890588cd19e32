//! What leaves the host, as JSON CloudEvents (version 1.0). The schemas are in `docs/schemas/`.

use crate::face::{Candidate, Rect};
use crate::frame::{Frame, Position};
use crate::judgement::{Alert, Decision, Judgement, Skipped, Stranger};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A CloudEvent in structured JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent<T> {
    /// The version of CloudEvents.
    pub specversion: String,
    /// A function of topic, partition and offset (and, of an alert, its rule and place; of an alarm, when it began): an
    /// event that is delivered twice has the same id twice.
    pub id: String,
    /// `everyframe`
    pub source: String,
    /// `everyframe.result.v1`, `everyframe.alert.v1` or `everyframe.retention.v1`
    #[serde(rename = "type")]
    pub kind: String,
    /// The camera's id; of an alarm, `topic/partition`.
    pub subject: String,
    /// When the frame was taken, or the alarm raised, RFC 3339.
    pub time: String,
    /// `application/json`
    pub datacontenttype: String,
    /// What happened.
    pub data: T,
}

/// Where the frame stands in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventPosition {
    /// The frames topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl From<&Position> for EventPosition {
    fn from(position: &Position) -> Self {
        Self { topic: position.topic.to_string(), partition: position.partition, offset: position.offset }
    }
}

/// The record of one processed frame.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResultData {
    /// The camera's id.
    pub camera: String,
    /// The agent's session.
    pub session: String,
    /// The frame's number in its session.
    pub sequence: u64,
    /// When the frame was taken, Unix milliseconds.
    pub captured_at: i64,
    /// The time that the frame claims, Unix milliseconds; present only if the host does not believe it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub claimed_at: Option<i64>,
    /// Where the frame stands.
    pub position: EventPosition,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The faces, in the detector's order; empty if there are none.
    pub faces: Vec<FaceResult>,
    /// The ids of the alerts that the frame raised.
    pub alerts: Vec<String>,
    /// Rules that failed on it and were passed over.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub skipped: Vec<Skipped>,
    /// Where the time went.
    pub timings: Timings,
    /// Which models and rules made this.
    pub judged_by: JudgedBy,
}

/// One face of a result.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaceResult {
    /// Its place in the frame's list.
    pub index: u32,
    /// Where it is.
    pub bounds: Rect,
    /// The detector's score, 0 to 1.
    pub score: f32,
    /// How well it can be recognised, 0 to 1.
    pub quality: f32,
    /// The track it belongs to; text, since JSON's numbers are too short for it.
    pub track: String,
    /// When the track's first frame was taken, Unix milliseconds.
    pub track_started_at: i64,
    /// The camera's zones that it is in.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub zones: Vec<String>,
    /// The matching policy's decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// The gallery's people most like it, best first.
    pub candidates: Vec<Candidate>,
    /// Who this stranger is, if an unknown-person rule said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stranger: Option<Stranger>,
}

/// CPU milliseconds of each stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// From encoded bytes to pixels.
    pub decode_ms: f64,
    /// Face detection.
    pub detect_ms: f64,
    /// Alignment and embedding of all faces embedded.
    pub embed_ms: f64,
    /// All rules.
    pub rules_ms: f64,
}

/// Which models and rules judged a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedBy {
    /// Detector and embedder.
    pub models: Vec<Part>,
    /// In the order in which they are called.
    pub rules: Vec<Part>,
}

/// A model or a rule, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The version a rule says it has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// Checksum of its file.
    pub sha256: String,
}

/// An alert, and the frame it is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertData {
    /// The camera's id.
    pub camera: String,
    /// When the frame was taken, Unix milliseconds.
    pub captured_at: i64,
    /// The time that the frame claims, Unix milliseconds; present only if the host does not believe it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub claimed_at: Option<i64>,
    /// Where the frame stands; the id of its result is made of it.
    pub position: EventPosition,
    /// What the rule raised.
    #[serde(flatten)]
    pub alert: Alert,
}

/// The event of a processed frame.
pub fn result(
    frame: &Frame,
    (width, height): (u32, u32),
    judgement: &Judgement,
    alerts: Vec<String>,
    timings: Timings,
    judged_by: &JudgedBy,
) -> CloudEvent<ResultData> {
    let faces = judgement
        .subjects
        .iter()
        .map(|subject| FaceResult {
            index: subject.face.index,
            bounds: subject.face.detection.bounds,
            score: subject.face.detection.score,
            quality: subject.face.quality,
            track: subject.face.track.id.to_string(),
            track_started_at: subject.face.track.started_at,
            zones: subject.face.zones.clone(),
            decision: subject.decision.clone(),
            candidates: subject.face.candidates.clone(),
            stranger: subject.stranger.clone(),
        })
        .collect();
    let data = ResultData {
        camera: frame.camera.to_string(),
        session: frame.session.to_string(),
        sequence: frame.sequence,
        captured_at: frame.captured_at,
        claimed_at: frame.claim_in_doubt(),
        position: (&frame.identity).into(),
        width,
        height,
        faces,
        alerts,
        skipped: judgement.skipped.clone(),
        timings,
        judged_by: judged_by.clone(),
    };
    envelope(frame.identity.to_string(), "everyframe.result.v1", frame, data)
}

/// The event of the frame's alert number `place`.
pub fn alert(frame: &Frame, alert: &Alert, place: usize) -> CloudEvent<AlertData> {
    let id = format!("{}/{}/{place}", frame.identity, alert.rule);
    let data = AlertData {
        camera: frame.camera.to_string(),
        captured_at: frame.captured_at,
        claimed_at: frame.claim_in_doubt(),
        position: (&frame.identity).into(),
        alert: alert.clone(),
    };
    envelope(id, "everyframe.alert.v1", frame, data)
}

fn envelope<T>(id: String, kind: &str, frame: &Frame, data: T) -> CloudEvent<T> {
    CloudEvent {
        specversion: "1.0".into(),
        id,
        source: "everyframe".into(),
        kind: kind.into(),
        subject: frame.camera.to_string(),
        time: rfc3339(frame.captured_at),
        datacontenttype: "application/json".into(),
        data,
    }
}

/// The years that RFC 3339 can write, Unix milliseconds: from 0001-01-01 to 9999-01-01.
pub const CALENDAR: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_370_764_800_000;

/// Unix milliseconds as RFC 3339 in UTC; a time outside the calendar is moved to its end.
pub fn rfc3339(milliseconds: i64) -> String {
    let within = milliseconds.clamp(*CALENDAR.start(), *CALENDAR.end());
    jiff::Timestamp::from_millisecond(within).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_a_time() {
        assert_eq!(rfc3339(1_764_000_000_123), "2025-11-24T16:00:00.123Z");
        assert_eq!(rfc3339(i64::MAX), "9999-01-01T00:00:00Z");
        assert_eq!(rfc3339(i64::MIN), "0001-01-01T00:00:00Z");
    }
}
