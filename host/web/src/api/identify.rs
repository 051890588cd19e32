//! Who is on a picture.

use super::sightings::who_is;
use crate::access::Enroller;
use crate::app::App;
use crate::input::Picture;
use crate::live::{SightingFilter, State as LiveState, Who};
use crate::problem::{Problem, Problems};
use crate::views::{Binary, FaceView, SightingView, StrangerSummary};
use axum::Json;
use axum::extract::State;
use everyframe_gallery::StrangerIndex;
use everyframe_pipeline::identify::IdentifiedPicture;
use everyframe_types::event::FaceResult;
use everyframe_types::face::{Candidate, RecentStranger};
use everyframe_types::judgement::{Decision, Subject};
use everyframe_types::machine::unix_ms;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The most sightings of a face that a search lists.
const MAX_SIGHTINGS: usize = 50;
/// The most people, and the most strangers, that a search lists for a face.
const MAX_SIMILAR: usize = 5;
/// The least similarity of a person or stranger that is listed. The shipped unknown-person rule wants 0.50 across cameras; a person who
/// looks at the list may want to see more.
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
    /// The enrolled people whom the face resembles, by their samples, most similar first. The person whom the matching policy decides
    /// for is among them.
    people: Vec<SimilarPerson>,
    /// The strangers whom the face resembles, by their views at all cameras, most similar first.
    strangers: Vec<SimilarStranger>,
    /// Where these people and strangers were seen since the history began, newest first, at most 50.
    sightings: Vec<SightingView>,
}

/// A person whom a face resembles.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SimilarPerson {
    /// The person's id.
    person: String,
    name: String,
    /// Cosine similarity of the most similar sample, -1 to 1.
    similarity: f32,
    /// When the person was last seen; none if not since the history began.
    last_seen_at: Option<i64>,
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

/// Finds the faces of a picture, and tells who they are, which people and strangers they resemble, and where these were seen. The picture
/// is compared with the samples of people and the views of strangers: no other templates are kept.
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
        let similar: Vec<(Vec<Candidate>, Vec<RecentStranger>)> = identified
            .subjects
            .iter()
            .map(|subject| (similar_people(subject), similar_strangers(subject, &index)))
            .collect();
        let faces = views(app, identified);
        let state = app.live.read();
        let faces = faces.into_iter().zip(similar).map(|(face, (people, strangers))| {
            let of_people = people.iter().flat_map(|it| who_is(&state, &it.person));
            let of_strangers = strangers.iter().map(|it| Who::Stranger(it.id.clone()));
            FoundFace {
                sightings: sightings_of(&state, of_people.chain(of_strangers).collect()),
                people: people.into_iter().map(|candidate| similar_person(&state, candidate)).collect(),
                strangers: strangers
                    .into_iter()
                    .filter_map(|RecentStranger { id, similarity, .. }| {
                        let entry = state.sightings.stranger(&id)?;
                        Some(SimilarStranger { stranger: state.stranger_summary(&id, entry)?, similarity })
                    })
                    .collect(),
                face,
            }
        });
        Ok(Json(Found { width, height, faces: faces.collect() }))
    })
    .await
}

/// The people whom a face resembles, and the one whom the matching policy decides for.
fn similar_people(subject: &Subject) -> Vec<Candidate> {
    let is_known = |candidate: &Candidate| matches!(&subject.decision, Decision::Known { person, .. } if *person == candidate.person);
    let candidates = subject.face.candidates.iter();
    let similar = candidates.filter(|candidate| candidate.similarity >= SIMILAR || is_known(candidate));
    similar.take(MAX_SIMILAR).cloned().collect()
}

/// The strangers whom a face resembles.
fn similar_strangers(subject: &Subject, index: &StrangerIndex) -> Vec<RecentStranger> {
    let Some(embedding) = &subject.face.embedding else { return Vec::new() };
    let mut similar = index.find(embedding, MAX_SIMILAR, unix_ms());
    similar.retain(|stranger| stranger.similarity >= SIMILAR);
    similar
}

fn similar_person(state: &LiveState, candidate: Candidate) -> SimilarPerson {
    let Candidate { person, similarity } = candidate;
    let filter = SightingFilter { who: who_is(state, &person), ..SightingFilter::default() };
    let last_seen_at = state.sightings.find(&filter).next().map(|(_, sighting)| sighting.to);
    SimilarPerson { name: state.name_of(&person), person, similarity, last_seen_at }
}

/// The sightings of these people and strangers, newest first.
fn sightings_of(state: &LiveState, who: Vec<Who>) -> Vec<SightingView> {
    // An empty filter would let all pass.
    if who.is_empty() {
        return Vec::new();
    }
    let filter = SightingFilter { who, ..SightingFilter::default() };
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
