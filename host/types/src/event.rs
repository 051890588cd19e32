//! The published events: JSON CloudEvents (version 1.0). Their schemas are in `docs/schemas/`.

use crate::face::{Candidate, Rect};
use crate::frame::{Frame, Position};
use crate::judgement::{Alert, Decision, Judgement, Skipped, Stranger, Subject};
use crate::search::SearchKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A CloudEvent in structured JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent<T> {
    /// The version of CloudEvents.
    pub specversion: String,
    /// The event's id, a function of topic, partition and offset (for an alert, also of its rule and its index; for an alarm, of its
    /// start). An event that is delivered twice has the same id.
    pub id: String,
    /// `everyframe`
    pub source: String,
    /// `everyframe.result.v1`, `everyframe.alert.v1` or `everyframe.retention.v1`
    #[serde(rename = "type")]
    pub kind: String,
    /// The camera's id; for an alarm, `topic/partition`.
    pub subject: String,
    /// When the frame was taken, or the alarm was raised, RFC 3339.
    pub time: String,
    /// `application/json`
    pub datacontenttype: String,
    /// The content of the event.
    pub data: T,
}

/// The frame's position in Kafka.
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

/// The result of one processed frame.
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
    /// The frame's position in Kafka.
    pub position: EventPosition,
    /// The picture's width, pixels.
    pub width: u32,
    /// The picture's height, pixels.
    pub height: u32,
    /// How the picture was searched for faces. Missing in results of earlier versions, which searched all as a whole.
    #[serde(default)]
    pub search: SearchKind,
    /// The faces, in the detector's order; empty if there are none.
    pub faces: Vec<FaceResult>,
    /// The ids of the alerts that the frame raised.
    pub alerts: Vec<String>,
    /// The rules that failed on the frame and were skipped.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub skipped: Vec<Skipped>,
    /// Processor time by stage.
    pub timings: Timings,
    /// The models and rules that produced this result.
    pub judged_by: JudgedBy,
}

/// One face of a result.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaceResult {
    /// The face's index in the result.
    pub index: u32,
    /// The face's bounding box, pixels.
    pub bounds: Rect,
    /// The detector's score, 0 to 1.
    pub score: f32,
    /// How well the face can be recognised, 0 to 1.
    pub quality: f32,
    /// The id of the face's track. It is a string, because JSON numbers are not exact for it.
    pub track: String,
    /// When the track's first frame was taken, Unix milliseconds.
    pub track_started_at: i64,
    /// The camera's zones that the face is in.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub zones: Vec<String>,
    /// The matching policy's decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// The most similar people of the gallery, best first.
    pub candidates: Vec<Candidate>,
    /// The stranger, if an unknown-person rule identified the face as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stranger: Option<Stranger>,
}

/// Processor time of each stage, milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// Decoding the picture.
    pub decode_ms: f64,
    /// Detecting faces.
    pub detect_ms: f64,
    /// Aligning and embedding faces.
    pub embed_ms: f64,
    /// All rules.
    pub rules_ms: f64,
}

/// The models and rules that judged a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedBy {
    /// The detector and the embedder.
    pub models: Vec<Part>,
    /// The rules, in the order of their calls.
    pub rules: Vec<Part>,
}

/// A model or a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The version that a rule reports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
}

/// An alert, and its frame.
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
    /// The frame's position in Kafka, from which the id of its result is made.
    pub position: EventPosition,
    /// The box of the face that the alert is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub face_bounds: Option<Rect>,
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
}

/// Makes the event of a processed frame.
pub fn result(
    frame: &Frame,
    ((width, height), search): ((u32, u32), SearchKind),
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
        search,
        faces,
        alerts,
        skipped: judgement.skipped.clone(),
        timings,
        judged_by: judged_by.clone(),
    };
    envelope(frame.identity.to_string(), "everyframe.result.v1", frame, data)
}

/// Makes the event of an alert; `place` is its index among the frame's alerts, `subjects` the frame's faces.
pub fn alert(frame: &Frame, alert: &Alert, place: usize, subjects: &[Subject]) -> CloudEvent<AlertData> {
    let id = format!("{}/{}/{place}", frame.identity, alert.rule);
    let data = AlertData {
        camera: frame.camera.to_string(),
        captured_at: frame.captured_at,
        claimed_at: frame.claim_in_doubt(),
        position: (&frame.identity).into(),
        face_bounds: subjects
            .iter()
            .find(|subject| Some(subject.face.index) == alert.face)
            .map(|subject| subject.face.detection.bounds),
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

/// The times that RFC 3339 can express, Unix milliseconds: from 0001-01-01 to 9999-01-01.
pub const CALENDAR: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_370_764_800_000;

/// Formats Unix milliseconds as RFC 3339 in UTC. A time outside [`CALENDAR`] is clamped.
pub fn rfc3339(milliseconds: i64) -> String {
    let within = milliseconds.clamp(*CALENDAR.start(), *CALENDAR.end());
    jiff::Timestamp::from_millisecond(within).unwrap_or_default().to_string()
}

/// Parses RFC 3339; Unix milliseconds. None if the text is no time.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Parses the date of an HTTP header (RFC 9110); Unix milliseconds. None if the text is no date.
pub fn parse_http_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text.trim()).ok().map(|date| date.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatted_time_is_parsed() {
        assert_eq!(parse_rfc3339(&rfc3339(1_764_000_000_123)), Some(1_764_000_000_123));
        assert_eq!(parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn any_number_becomes_a_time() {
        assert_eq!(rfc3339(1_764_000_000_123), "2025-11-24T16:00:00.123Z");
        assert_eq!(rfc3339(i64::MAX), "9999-01-01T00:00:00Z");
        assert_eq!(rfc3339(i64::MIN), "0001-01-01T00:00:00Z");
    }
}
