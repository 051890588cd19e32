//! Who was where and when.

use crate::access::Viewer;
use crate::app::App;
use crate::input::{Page, Parameters, cursor};
use crate::live::{SightingFilter, State as LiveState, Who};
use crate::problem::{Problem, Problems};
use crate::views::SightingView;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which sightings are wanted; all if empty.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SightingsQuery {
    /// Of this person, also while the person was a stranger.
    person: Option<String>,
    /// Of this stranger.
    stranger: Option<String>,
    /// At this camera.
    camera: Option<String>,
    /// That ended at this time or later.
    since: Option<i64>,
    /// That began before this time.
    until: Option<i64>,
}

/// A page of sightings.
#[derive(Debug, Serialize, ToSchema)]
pub struct SightingList {
    /// Newest first.
    sightings: Vec<SightingView>,
    /// For the next page; none if this was the last.
    next: Option<String>,
}

/// The filter's people and strangers of a person: the person, and the strangers who were enrolled as this person.
pub(super) fn who_is(state: &LiveState, person: &str) -> Vec<Who> {
    let strangers = state.people.strangers_of(person).into_iter().map(Who::Stranger);
    std::iter::once(Who::Known(person.to_owned())).chain(strangers).collect()
}

/// Lists the visits of people and strangers since the history began.
#[utoipa::path(get, operation_id = "sightings_list", path = "/sightings", tag = "sightings", params(SightingsQuery, Page),
    responses((status = 200, body = SightingList), Problems))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Viewer,
    Parameters(query): Parameters<SightingsQuery>,
    Parameters(page): Parameters<Page>,
) -> Result<Json<SightingList>, Problem> {
    let limit = page.limit()?;
    let before = match page.before()? {
        None => None,
        Some((at, number)) => Some((
            at,
            number
                .parse()
                .map_err(|_| Problem::bad_request("`before` must be the `next` of another page"))?,
        )),
    };
    let state = app.live.read();
    let mut who: Vec<Who> = query.person.iter().flat_map(|person| who_is(&state, person)).collect();
    who.extend(query.stranger.clone().map(Who::Stranger));
    let SightingsQuery { camera, since, until, .. } = query;
    let filter = SightingFilter { who, camera, since, until, before };
    let mut found = state.sightings.find(&filter);
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let next = page.last().filter(|_| found.next().is_some());
    let next = next.map(|((at, number), _)| cursor(*at, number));
    let sightings = page.iter().map(|(_, sighting)| state.sighting_view(sighting)).collect();
    Ok(Json(SightingList { sightings, next }))
}
