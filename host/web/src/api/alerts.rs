//! Alerts, and who acknowledged them.

use crate::access::{Enroller, Viewer};
use crate::app::App;
use crate::input::{Body, Page, Parameters, PathParts, cursor};
use crate::live::AlertFilter;
use crate::problem::{Problem, Problems};
use crate::views::{Acknowledgement, AlertView};
use axum::Json;
use axum::extract::State;
use everyframe_privacy::{Action, NewTrailEntry};
use everyframe_types::machine::unix_ms;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The longest comment, bytes.
const MAX_COMMENT: usize = 2000;

/// Which alerts are wanted; all if empty.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AlertsQuery {
    /// Of this camera.
    camera: Option<String>,
    /// Of this rule; `everyframe` is the host itself.
    rule: Option<String>,
    /// Of this kind.
    kind: Option<String>,
    /// Of this severity: `info`, `warning`, `critical`.
    severity: Option<String>,
    /// Only those that nobody has acknowledged or muted.
    #[serde(default)]
    open: bool,
}

/// A page of alerts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertList {
    /// Newest first.
    alerts: Vec<AlertView>,
    /// For the next page; none if this was the last.
    next: Option<String>,
    /// Number of all alerts that nobody has acknowledged or muted.
    open_count: usize,
}

/// What is to be said about an alert.
#[derive(Default, Deserialize, ToSchema)]
pub struct Comment {
    /// At most 2000 bytes.
    #[serde(default)]
    comment: String,
}

/// Lists the alerts since the history began.
#[utoipa::path(get, operation_id = "alerts_list", path = "/alerts", tag = "alerts", params(AlertsQuery, Page),
    responses((status = 200, body = AlertList), Problems))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Viewer,
    Parameters(query): Parameters<AlertsQuery>,
    Parameters(page): Parameters<Page>,
) -> Result<Json<AlertList>, Problem> {
    let limit = page.limit()?;
    let AlertsQuery { camera, rule, kind, severity, open } = query;
    let filter = AlertFilter { camera, rule, kind, severity, open, before: page.before()? };
    let state = app.live.read();
    let mut found = state.alerts.find(&filter);
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let next = page.last().filter(|_| found.next().is_some()).map(|((at, id), _)| cursor(*at, id));
    let alerts = page.iter().map(|(_, alert)| state.alert_view(alert)).collect();
    Ok(Json(AlertList { alerts, next, open_count: state.alerts.open_count() }))
}

/// Acknowledges an alert.
#[utoipa::path(put, operation_id = "alerts_acknowledge", path = "/alerts/{id}/acknowledgement", tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")), request_body = Comment,
    responses((status = 200, body = AlertView), Problems))]
pub async fn acknowledge(
    State(app): State<Arc<App>>,
    Enroller(identity): Enroller,
    PathParts(id): PathParts<String>,
    Body(Comment { comment }): Body<Comment>,
) -> Result<Json<AlertView>, Problem> {
    if comment.len() > MAX_COMMENT {
        return Err(Problem::unprocessable(format!("the comment has more than {MAX_COMMENT} bytes")));
    }
    let acknowledgement = Acknowledgement { by: identity.name.clone(), at: unix_ms(), comment };
    set(&app, identity.name, id, Some(acknowledgement)).await
}

/// Opens an alert again.
#[utoipa::path(delete, operation_id = "alerts_reopen", path = "/alerts/{id}/acknowledgement", tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")),
    responses((status = 200, body = AlertView), Problems))]
pub async fn reopen(
    State(app): State<Arc<App>>,
    Enroller(identity): Enroller,
    PathParts(id): PathParts<String>,
) -> Result<Json<AlertView>, Problem> {
    set(&app, identity.name, id, None).await
}

async fn set(
    app: &Arc<App>,
    actor: String,
    id: String,
    acknowledgement: Option<Acknowledgement>,
) -> Result<Json<AlertView>, Problem> {
    let missing = || Problem::not_found("no such alert is known; it may be older than the history");
    if app.live.read().alerts.get(&id).is_none() {
        return Err(missing());
    }
    app.block(move |app| {
        let value =
            acknowledgement.as_ref().map(serde_json::to_vec).transpose().map_err(Problem::internal)?;
        let action = if acknowledgement.is_some() { Action::Acknowledged } else { Action::Reopened };
        app.trail.append(&NewTrailEntry {
            actor,
            action,
            subject: format!("alert {id}"),
            detail: String::new(),
        })?;
        app.write(&app.config.topics.acknowledgements, &id, value.as_deref())?;
        let mut state = app.live.write();
        state.alerts.acknowledge(&id, acknowledgement);
        let alert = state.alerts.get(&id).ok_or_else(missing)?;
        Ok(Json(state.alert_view(alert)))
    })
    .await
}
