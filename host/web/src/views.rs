//! What the API answers, as plain data. Times are Unix milliseconds, boxes are pixels of the full-size frame, and similarities
//! are cosines from -1 to 1.

use crate::problem::Problem;
use everyframe_pipeline::erasure::Receipt;
use everyframe_types::dead_letter;
use everyframe_types::event::{EventPosition, FaceResult, Part, ResultData};
use everyframe_types::face::Rect;
use everyframe_types::judgement::Decision;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The place of a record in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl From<&EventPosition> for Place {
    fn from(position: &EventPosition) -> Self {
        Self { partition: position.partition, offset: position.offset }
    }
}

impl From<dead_letter::Place> for Place {
    fn from(place: dead_letter::Place) -> Self {
        Self { partition: place.partition, offset: i64::try_from(place.offset).unwrap_or(i64::MAX) }
    }
}

impl TryFrom<Place> for dead_letter::Place {
    type Error = Problem;

    fn try_from(place: Place) -> Result<Self, Problem> {
        let offset = u64::try_from(place.offset).ok();
        let place = offset.and_then(|offset| Self::new(place.partition, offset));
        place.ok_or_else(|| Problem::unprocessable("a place has a negative number"))
    }
}

/// Bytes, such as a picture.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "describes a body; it is never made")]
pub struct Binary(Vec<u8>);

/// What was erased of a person or a stranger, signed if a signing key is configured. `everyframe gallery verify` checks it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(value_type = Object)]
pub struct ReceiptView(pub Receipt);

/// A box in pixels of the full-size frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Bounds {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

impl From<Rect> for Bounds {
    fn from(rect: Rect) -> Self {
        let Rect { x, y, width, height } = rect;
        Self { x, y, width, height }
    }
}

impl From<Bounds> for Rect {
    fn from(bounds: Bounds) -> Self {
        let Bounds { x, y, width, height } = bounds;
        Self { x, y, width, height }
    }
}

impl Place {
    /// The address of the frame's picture.
    pub fn picture(self) -> String {
        format!("/api/v1/frames/{}/{}/picture", self.partition, self.offset)
    }

    /// The address of the picture of one face of the frame.
    pub fn crop(self, bounds: &Bounds) -> String {
        let Bounds { x, y, width, height } = bounds;
        format!(
            "/api/v1/frames/{}/{}/crop?x={x:.1}&y={y:.1}&width={width:.1}&height={height:.1}",
            self.partition, self.offset
        )
    }
}

/// The names of people, and the people as whom strangers were enrolled.
pub trait Names {
    /// The display name of a person; none if nobody has this id.
    fn name(&self, person: &str) -> Option<String>;
    /// The person as whom a stranger was enrolled.
    fn person_of(&self, stranger: &str) -> Option<String>;
}

/// What the matching policy decided about a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecisionKind {
    /// A person of the gallery.
    Known,
    /// Nobody of the gallery.
    Unknown,
    /// The policy cannot decide.
    Undecided,
}

/// A person whom a face resembles.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CandidateView {
    /// The person's id.
    pub person: String,
    /// The person's name.
    pub name: String,
    /// Cosine similarity of the person's best sample, -1 to 1.
    pub similarity: f32,
}

/// The stranger that a face is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrangerOfFace {
    /// The stranger's id.
    pub id: String,
    /// What is new in this frame: `first-seen`, `returned`, `loitering`, `merged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// When the stranger was first seen.
    pub first_seen_at: i64,
    /// Length of the current visit, milliseconds.
    pub dwell: u64,
    /// Number of visits, including the current one.
    pub visits: u32,
    /// The person as whom the stranger was enrolled since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// That person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One face of a frame.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaceView {
    /// The face's index in the frame.
    pub index: u32,
    /// Where it is.
    pub bounds: Bounds,
    /// How well it can be recognised, 0 to 1.
    pub quality: f32,
    /// The detector's score, 0 to 1.
    pub score: f32,
    /// The track that it belongs to; none for a picture that comes from no camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    /// What the matching policy decided.
    pub decision: DecisionKind,
    /// The person, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The person's name, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How sure the policy is, 0 to 1, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// Why the policy cannot decide, if undecided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The stranger, if an unknown-person rule identified the face as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stranger: Option<StrangerOfFace>,
    /// The people whom the face resembles most, best first.
    pub candidates: Vec<CandidateView>,
    /// The address of the face's picture; none for a picture that comes from no camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<String>,
}

impl FaceView {
    /// The view of a face of a result.
    pub fn new(face: &FaceResult, place: Option<Place>, names: &impl Names) -> Self {
        let name = |person: &str| names.name(person).unwrap_or_else(|| person.to_owned());
        let bounds = Bounds::from(face.bounds);
        let (decision, person, confidence, reason) = match &face.decision {
            Decision::Known { person, confidence } => {
                (DecisionKind::Known, Some(person.clone()), Some(*confidence), None)
            }
            Decision::Unknown => (DecisionKind::Unknown, None, None, None),
            Decision::Undecided { reason } => (DecisionKind::Undecided, None, None, Some(reason.clone())),
        };
        Self {
            index: face.index,
            bounds,
            quality: face.quality,
            score: face.score,
            track: place.map(|_| face.track.clone()),
            decision,
            name: person.as_deref().map(name),
            person,
            confidence,
            reason,
            stranger: face.stranger.as_ref().map(|stranger| {
                let person = names.person_of(&stranger.id);
                StrangerOfFace {
                    id: stranger.id.clone(),
                    event: stranger.event.map(|event| event.as_str().to_owned()),
                    first_seen_at: stranger.first_seen_at,
                    dwell: stranger.dwell,
                    visits: stranger.visits,
                    name: person.as_deref().map(name),
                    person,
                }
            }),
            candidates: face
                .candidates
                .iter()
                .map(|candidate| CandidateView {
                    person: candidate.person.clone(),
                    name: name(&candidate.person),
                    similarity: candidate.similarity,
                })
                .collect(),
            crop: place.map(|place| place.crop(&bounds)),
        }
    }
}

/// A processed frame and its faces.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrameView {
    /// The camera's id.
    pub camera: String,
    /// The frame's place in the frames topic.
    pub position: Place,
    /// When the frame was taken.
    pub captured_at: i64,
    /// The picture's width, pixels.
    pub width: u32,
    /// The picture's height, pixels.
    pub height: u32,
    /// The faces.
    pub faces: Vec<FaceView>,
    /// The address of the picture.
    pub picture: String,
}

impl FrameView {
    /// The view of a result.
    pub fn new(result: &ResultData, names: &impl Names) -> Self {
        let position = Place::from(&result.position);
        Self {
            camera: result.camera.clone(),
            position,
            captured_at: result.captured_at,
            width: result.width,
            height: result.height,
            faces: result.faces.iter().map(|face| FaceView::new(face, Some(position), names)).collect(),
            picture: position.picture(),
        }
    }
}

/// All that is known of a processed frame.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResultView {
    /// The frame and its faces.
    #[serde(flatten)]
    pub frame: FrameView,
    /// The agent's session.
    pub session: String,
    /// The frame's number in its session.
    pub sequence: u64,
    /// How the picture was searched: `full`, `partial`, `coarse`, `reused`.
    pub search: String,
    /// The ids of the alerts that the frame raised.
    pub alerts: Vec<String>,
    /// The rules that failed on the frame and were skipped.
    pub skipped: Vec<SkippedView>,
    /// Processor time by stage.
    pub timings: TimingsView,
    /// The models that saw the frame.
    pub models: Vec<PartView>,
    /// The rules that judged it.
    pub rules: Vec<PartView>,
}

impl ResultView {
    /// The view of a result.
    pub fn new(result: &ResultData, names: &impl Names) -> Self {
        let parts = |parts: &[Part]| parts.iter().map(PartView::from).collect();
        Self {
            frame: FrameView::new(result, names),
            session: result.session.clone(),
            sequence: result.sequence,
            search: result.search.as_str().to_owned(),
            alerts: result.alerts.clone(),
            skipped: result
                .skipped
                .iter()
                .map(|skipped| SkippedView {
                    rule: skipped.rule.clone(),
                    reason: skipped.reason.clone(),
                    message: skipped.message.clone(),
                })
                .collect(),
            timings: TimingsView {
                decode_ms: result.timings.decode_ms,
                detect_ms: result.timings.detect_ms,
                embed_ms: result.timings.embed_ms,
                rules_ms: result.timings.rules_ms,
            },
            models: parts(&result.judged_by.models),
            rules: parts(&result.judged_by.rules),
        }
    }
}

/// A rule that failed on a frame and was skipped.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SkippedView {
    /// The rule's name.
    pub rule: String,
    /// A stable name of the failure.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// Processor time of each stage, milliseconds.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimingsView {
    /// Decoding the picture.
    pub decode_ms: f64,
    /// Detecting faces.
    pub detect_ms: f64,
    /// Aligning and embedding faces.
    pub embed_ms: f64,
    /// All rules.
    pub rules_ms: f64,
}

/// A model or a rule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PartView {
    /// Its name.
    pub name: String,
    /// The version that a rule reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
}

impl From<&Part> for PartView {
    fn from(part: &Part) -> Self {
        Self { name: part.name.clone(), version: part.version.clone(), sha256: part.sha256.clone() }
    }
}

/// Whether frames come from a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CameraStatus {
    /// Frames come.
    Live,
    /// No frame has come for much longer than usual.
    Silent,
}

/// A camera.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CameraView {
    /// The camera's id.
    pub id: String,
    /// Whether frames come.
    pub status: CameraStatus,
    /// When its last frame was taken.
    pub last_seen_at: i64,
    /// Frames per second, over the last minute.
    pub frames_per_second: f64,
    /// Frames that were processed.
    pub frames: u64,
    /// Faces on them.
    pub faces: u64,
    /// Frames that never arrived.
    pub gaps: u64,
    /// Frames that were parked.
    pub parked: u64,
    /// The last processed frame.
    pub last: Option<FrameView>,
}

/// The best picture of a person or a stranger in a visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BestPicture {
    /// The frame's place in the frames topic.
    pub position: Place,
    /// Where the face is.
    pub bounds: Bounds,
    /// How well it can be recognised, 0 to 1.
    pub quality: f32,
    /// The address of the face's picture.
    pub crop: String,
    /// The address of the frame's picture.
    pub picture: String,
}

/// Whether a sighting is of a person or a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SightingKind {
    /// A person of the gallery.
    Known,
    /// A stranger.
    Stranger,
}

/// One visit of one person or stranger at one camera.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SightingView {
    /// Made of the place of its first frame and the face's index.
    pub id: String,
    /// The camera's id.
    pub camera: String,
    /// Of whom.
    pub kind: SightingKind,
    /// The person; for a stranger, the person as whom the stranger was enrolled since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// That person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The stranger's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stranger: Option<String>,
    /// When the first frame was taken.
    pub from: i64,
    /// When the last frame was taken.
    pub to: i64,
    /// Number of frames.
    pub frames: u64,
    /// The greatest similarity to the person, of a known person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f32>,
    /// The best picture.
    pub best: BestPicture,
}

/// A stranger.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrangerSummary {
    /// The stranger's id.
    pub id: String,
    /// When the stranger was first seen.
    pub first_seen_at: i64,
    /// When the stranger was last seen.
    pub last_seen_at: i64,
    /// The cameras.
    pub cameras: Vec<String>,
    /// Number of visits that the unknown-person rule counts.
    pub visits: u32,
    /// Number of frames.
    pub frames: u64,
    /// The best picture.
    pub best: BestPicture,
    /// The person as whom the stranger was enrolled since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// That person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Who acknowledged an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Acknowledgement {
    /// The name of the token, or `local`.
    pub by: String,
    /// When.
    pub at: i64,
    /// What was said about it; may be empty.
    pub comment: String,
}

/// An alert.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertView {
    /// The alert's id.
    pub id: String,
    /// The camera's id; for an alert about a partition, `topic/partition`.
    pub camera: String,
    /// When the frame was taken.
    pub at: i64,
    /// The rule that raised it; `everyframe` is the host itself.
    pub rule: String,
    /// The version of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_version: Option<String>,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// A stable name of what happened.
    pub kind: String,
    /// Who or what it is about.
    pub subject: String,
    /// The name of the person it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_name: Option<String>,
    /// One sentence.
    pub text: String,
    /// The frame's place; none for an alert that is not about a frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Place>,
    /// Where the face is, if the alert is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// The address of the frame's picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// The address of the face's picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<String>,
    /// Who acknowledged it; none while it is open.
    pub acknowledged: Option<Acknowledgement>,
    /// Whether it was muted when it was raised.
    pub muted: bool,
}

/// Whether retention will delete unread frames.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RetentionView {
    /// `ok`, `danger`, or `unknown` if the brokers do not say how long they keep frames.
    pub state: String,
    /// One sentence, in danger.
    pub text: String,
}

/// The frames since the history began, and what happened to them.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerSummary {
    /// Frames that came.
    pub frames: u64,
    /// Of these: processed, parked, or deleted unread.
    pub accounted: u64,
    /// Frames with a result.
    pub processed: u64,
    /// Frames with a dead letter.
    pub parked: u64,
    /// Frames that retention deleted unread.
    pub deleted: u64,
    /// Frames that are not processed yet.
    pub waiting: u64,
    /// Frames that the group has committed, without a result or a dead letter.
    pub lost: u64,
    /// Results and dead letters beyond the first of a frame.
    pub repeated: u64,
    /// Frames that never arrived, by the sequence numbers of their agents.
    pub gaps: u64,
    /// How far the slowest partition is behind, milliseconds.
    pub behind_ms: i64,
    /// Since when.
    pub since: i64,
    /// False while the history is still being read.
    pub is_complete: bool,
    /// Whether unread frames will be deleted.
    pub retention: RetentionView,
}
