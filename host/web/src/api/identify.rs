//! Who is on a picture.

use super::sightings::who_is;
use crate::access::Enroller;
use crate::app::App;
use crate::input::Picture;
use crate::live::SightingFilter;
use crate::problem::{Problem, Problems};
use crate::views::{Binary, FaceView, SightingView};
use axum::Json;
use axum::extract::State;
use everyframe_pipeline::identify::IdentifiedPicture;
use everyframe_types::event::FaceResult;
use everyframe_types::judgement::Subject;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The most sightings of a face that a search lists.
const MAX_SIGHTINGS: usize = 50;

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
    app.block(move |app| {
        let identified = app.recogniser.identify(&picture)?;
        let (width, height) = (identified.width, identified.height);
        Ok(Json(Identified { width, height, faces: views(app, identified) }))
    })
    .await
}

/// Finds the faces of a picture, and tells who they are and where they were seen.
#[utoipa::path(post, operation_id = "identify_search", path = "/search", tag = "identify",
    request_body(content((Binary = "image/jpeg"), (Binary = "image/png"), (Binary = "image/webp"))),
    responses((status = 200, body = Found), Problems))]
pub async fn search(
    State(app): State<Arc<App>>,
    _: Enroller,
    Picture(picture): Picture,
) -> Result<Json<Found>, Problem> {
    app.block(move |app| {
        let identified = app.recogniser.identify(&picture)?;
        let (width, height) = (identified.width, identified.height);
        let faces = views(app, identified);
        let state = app.live.read();
        let found = |face: FaceView| {
            let who = face.person.as_deref().map(|person| who_is(&state, person)).unwrap_or_default();
            let filter = SightingFilter { who, ..SightingFilter::default() };
            let sightings = match filter.who.is_empty() {
                true => Vec::new(),
                false => state
                    .sightings
                    .find(&filter)
                    .take(MAX_SIGHTINGS)
                    .map(|(_, sighting)| state.sighting_view(sighting))
                    .collect(),
            };
            FoundFace { face, sightings }
        };
        Ok(Json(Found { width, height, faces: faces.into_iter().map(found).collect() }))
    })
    .await
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
