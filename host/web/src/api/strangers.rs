//! The strangers.

use crate::access::Viewer;
use crate::app::App;
use crate::input::{Page, Parameters, PathParts, cursor};
use crate::live::StrangerFilter;
use crate::problem::{Problem, Problems};
use crate::views::{Names as _, StrangerSummary};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which strangers are wanted; all if empty.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StrangersQuery {
    /// Seen at this camera.
    camera: Option<String>,
    /// Seen at this time or later.
    since: Option<i64>,
    /// Whether the stranger was enrolled as a person since.
    named: Option<bool>,
}

/// A page of strangers.
#[derive(Debug, Serialize, ToSchema)]
pub struct StrangerList {
    /// The last seen first.
    strangers: Vec<StrangerSummary>,
    /// For the next page; none if this was the last.
    next: Option<String>,
}

/// Lists the strangers since the history began.
#[utoipa::path(get, operation_id = "strangers_list", path = "/strangers", tag = "strangers", params(StrangersQuery, Page),
    responses((status = 200, body = StrangerList), Problems))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Viewer,
    Parameters(query): Parameters<StrangersQuery>,
    Parameters(page): Parameters<Page>,
) -> Result<Json<StrangerList>, Problem> {
    let limit = page.limit()?;
    let filter = StrangerFilter { camera: query.camera, since: query.since, before: page.before()? };
    let state = app.live.read();
    let is_wanted = |id: &str| query.named.is_none_or(|named| state.people.person_of(id).is_some() == named);
    let found = state.sightings.strangers(&filter);
    let mut found = found.into_iter().filter(|(id, _)| is_wanted(id));
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let next = page.last().filter(|_| found.next().is_some());
    let next = next.map(|(id, stranger)| cursor(stranger.last_seen_at, id));
    let strangers = page.iter().filter_map(|(id, stranger)| state.stranger_summary(id, stranger)).collect();
    Ok(Json(StrangerList { strangers, next }))
}

/// Shows a stranger.
#[utoipa::path(get, operation_id = "strangers_show", path = "/strangers/{id}", tag = "strangers",
    params(("id" = String, Path, description = "The stranger's id")),
    responses((status = 200, body = StrangerSummary), Problems))]
pub async fn show(
    State(app): State<Arc<App>>,
    _: Viewer,
    PathParts(id): PathParts<String>,
) -> Result<Json<StrangerSummary>, Problem> {
    let state = app.live.read();
    let stranger = state.sightings.stranger(&id).and_then(|stranger| state.stranger_summary(&id, stranger));
    stranger.map(Json).ok_or_else(|| Problem::not_found("no such stranger is known; it may have expired"))
}
