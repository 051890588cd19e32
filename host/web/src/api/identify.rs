//! Who is on a picture.

use super::sightings::who_is;
use crate::access::Enroller;
use crate::app::App;
use crate::input::Picture;
use crate::live::{SightingFilter, State as LiveState};
use crate::problem::{Problem, Problems};
use crate::views::{Binary, FaceView, SightingView, StrangerSummary};
use axum::Json;
use axum::extract::State;
use everyframe_gallery::StrangerIndex;
use everyframe_pipeline::identify::IdentifiedPicture;
use everyframe_types::event::FaceResult;
use everyframe_types::face::RecentStranger;
use everyframe_types::judgement::{Decision, Subject};
use everyframe_types::machine::unix_ms;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The most sightings of a face that a search lists.
const MAX_SIGHTINGS: usize = 50;
/// The most strangers that a search lists for a face.
const MAX_STRANGERS: usize = 5;
/// The least similarity of a stranger that is listed. The shipped unknown-person rule wants 0.50 across cameras; a person who looks
/// at the list may want to see more.
const SIMILAR: f32 = 0.4;

/// The faces of a picture.
#[derive(Debug, Serialize, ToSchema)]
pub struct Identified {
    /// The picture's width, pixels.
    width: u32,
    /// The picture's height, pixels.
    height: u32,
    /// The faces, in the detector's order.
    faces: Vec<FaceView>,
}

/// A face, and where it was seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundFace {
    #[serde(flatten)]
    face: FaceView,
    /// Where the person was seen since the history began, newest first; empty for a face that is not known.
    sightings: Vec<SightingView>,
    /// The strangers whom a face resembles that is not known, most similar first.
    strangers: Vec<SimilarStranger>,
}

/// A stranger whom a face resembles.
#[derive(Debug, Serialize, ToSchema)]
pub struct SimilarStranger {
    stranger: StrangerSummary,
    /// Cosine similarity of the most similar view, -1 to 1.
    similarity: f32,
}

/// The faces of a picture, and where they were seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct Found {
    /// The picture's width, pixels.
    width: u32,
    /// The picture's height, pixels.
    height: u32,
    /// The faces, in the detector's order.
    faces: Vec<FoundFace>,
}

/// Finds the faces of a picture, and tells who they are by the matching policy in force. Nothing is stored.
#[utoipa::path(post, operation_id = "identify_identify", path = "/identify", tag = "identify",
    request_body(content((Binary = "image/jpeg"), (Binary = "image/png"), (Binary = "image/webp"))),
    responses((status = 200, body = Identified), Problems))]
pub async fn identify(
    State(app): State<Arc<App>>,
    _: Enroller,
    Picture(picture): Picture,
) -> Result<Json<Identified>, Problem> {
    app.recognise(move |app| {
        let identified = app.recogniser.identify(&picture)?;
        let (width, height) = (identified.width, identified.height);
        Ok(Json(Identified { width, height, faces: views(app, identified) }))
    })
    .await
}

/// Finds the faces of a picture, and tells who they are and where they were seen, or which strangers they resemble.
#[utoipa::path(post, operation_id = "identify_search", path = "/search", tag = "identify",
    request_body(content((Binary = "image/jpeg"), (Binary = "image/png"), (Binary = "image/webp"))),
    responses((status = 200, body = Found), Problems))]
pub async fn search(
    State(app): State<Arc<App>>,
    _: Enroller,
    Picture(picture): Picture,
) -> Result<Json<Found>, Problem> {
    app.recognise(move |app| {
        let identified = app.recogniser.identify(&picture)?;
        let (width, height) = (identified.width, identified.height);
        let index = app.recogniser.strangers()?;
        let similar: Vec<Vec<RecentStranger>> =
            identified.subjects.iter().map(|subject| similar_strangers(subject, &index)).collect();
        let faces = views(app, identified);
        let state = app.live.read();
        let faces = faces.into_iter().zip(similar).map(|(face, similar)| FoundFace {
            sightings: sightings_of(&state, face.person.as_deref()),
            strangers: similar
                .into_iter()
                .filter_map(|RecentStranger { id, similarity, .. }| {
                    let entry = state.sightings.stranger(&id)?;
                    Some(SimilarStranger { stranger: state.stranger_summary(&id, entry)?, similarity })
                })
                .collect(),
            face,
        });
        Ok(Json(Found { width, height, faces: faces.collect() }))
    })
    .await
}

/// The strangers whom a face resembles; none for a known person.
fn similar_strangers(subject: &Subject, index: &StrangerIndex) -> Vec<RecentStranger> {
    match (&subject.decision, &subject.face.embedding) {
        (Decision::Known { .. }, _) | (_, None) => Vec::new(),
        (_, Some(embedding)) => {
            let mut similar = index.find(embedding, MAX_STRANGERS, unix_ms());
            similar.retain(|stranger| stranger.similarity >= SIMILAR);
            similar
        }
    }
}

fn sightings_of(state: &LiveState, person: Option<&str>) -> Vec<SightingView> {
    let Some(person) = person else { return Vec::new() };
    let filter = SightingFilter { who: who_is(state, person), ..SightingFilter::default() };
    let found = state.sightings.find(&filter).take(MAX_SIGHTINGS);
    found.map(|(_, sighting)| state.sighting_view(sighting)).collect()
}

fn views(app: &App, identified: IdentifiedPicture) -> Vec<FaceView> {
    let state = app.live.read();
    let view = |Subject { face, decision, .. }| {
        let face = FaceResult {
            index: face.index,
            bounds: face.detection.bounds,
            score: face.detection.score,
            quality: face.quality,
            track: String::new(),
            track_started_at: 0,
            zones: Vec::new(),
            decision,
            candidates: face.candidates,
            // A rule that knows no camera's past would call everybody a new stranger.
            stranger: None,
        };
        FaceView::new(&face, None, &state.people)
    };
    identified.subjects.into_iter().map(view).collect()
}
