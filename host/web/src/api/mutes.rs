//! Mutes: alerts that nobody wants to be told of for a while.

use crate::access::{Enroller, Viewer};
use crate::app::App;
use crate::input::{Body, PathParts};
use crate::problem::{Problem, Problems};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use everyframe_privacy::{Action, NewTrailEntry};
use everyframe_types::hexadecimal::hexadecimal;
use everyframe_types::machine::unix_ms;
use everyframe_types::mute::Mute;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use utoipa::ToSchema;

/// The longest mute: a week.
const MAX_MINUTES: u32 = 7 * 24 * 60;

/// Which alerts are to be muted. An alert is muted if it fits every part that is given; give at least one.
#[derive(Deserialize, ToSchema)]
pub struct NewMute {
    /// The camera.
    camera: Option<String>,
    /// The rule; `everyframe` is the host itself.
    rule: Option<String>,
    /// The kind.
    kind: Option<String>,
    /// Who or what the alert is about.
    subject: Option<String>,
    /// For how long, 1 to 10,080 (a week).
    minutes: u32,
}

/// A mute in force.
#[derive(Serialize, ToSchema)]
pub struct MuteView {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// From when on.
    from: i64,
    /// Until when.
    until: i64,
    /// The name of the token, or `local`.
    by: String,
}

/// The mutes in force.
#[derive(Serialize, ToSchema)]
pub struct MuteList {
    mutes: Vec<MuteView>,
}

impl MuteView {
    fn new(id: &str, mute: Mute) -> Self {
        let Mute { camera, rule, kind, subject, from, until, by } = mute;
        Self { id: id.to_owned(), camera, rule, kind, subject, from, until, by }
    }
}

/// Lists the mutes in force.
#[utoipa::path(get, operation_id = "mutes_list", path = "/mutes", tag = "alerts",
    responses((status = 200, body = MuteList), Problems))]
pub async fn list(State(app): State<Arc<App>>, _: Viewer) -> Json<MuteList> {
    let state = app.live.read();
    let mutes = state.alerts.mutes(unix_ms()).map(|(id, mute)| MuteView::new(id, mute.clone())).collect();
    Json(MuteList { mutes })
}

/// Mutes alerts from now on: they are listed, but not open, and nobody is told of them.
#[utoipa::path(post, operation_id = "mutes_create", path = "/mutes", tag = "alerts", request_body = NewMute,
    responses((status = 201, body = MuteView), Problems))]
pub async fn create(
    State(app): State<Arc<App>>,
    Enroller(identity): Enroller,
    Body(new): Body<NewMute>,
) -> Result<(StatusCode, Json<MuteView>), Problem> {
    let NewMute { camera, rule, kind, subject, minutes } = new;
    if [&camera, &rule, &kind, &subject].iter().all(|part| part.is_none()) {
        return Err(Problem::unprocessable("say which alerts: give `camera`, `rule`, `kind` or `subject`"));
    }
    if !(1..=MAX_MINUTES).contains(&minutes) {
        return Err(Problem::unprocessable(format!("`minutes` must be 1 to {MAX_MINUTES}")));
    }
    let from = unix_ms();
    let until = from + i64::from(minutes) * 60_000;
    let mute = Mute { camera, rule, kind, subject, from, until, by: identity.name };
    let id = hexadecimal(&Sha256::digest(format!("{mute:?}"))[..8]);
    app.block(move |app| {
        append_to_trail(app, &mute.by, Action::Muted, &mute, format!("minutes: {minutes}"))?;
        set(app, &id, &mute)?;
        Ok((StatusCode::CREATED, Json(MuteView::new(&id, mute))))
    })
    .await
}

/// Ends a mute. What it muted until now stays muted.
#[utoipa::path(delete, operation_id = "mutes_end", path = "/mutes/{id}", tag = "alerts",
    params(("id" = String, Path, description = "The mute's id")),
    responses((status = 204), Problems))]
pub async fn end(
    State(app): State<Arc<App>>,
    Enroller(identity): Enroller,
    PathParts(id): PathParts<String>,
) -> Result<StatusCode, Problem> {
    let now = unix_ms();
    let mute = app.live.read().alerts.mutes(now).find(|(key, _)| *key == id).map(|(_, mute)| mute.clone());
    let mute = mute.ok_or_else(|| Problem::not_found("no such mute is in force"))?;
    app.block(move |app| {
        append_to_trail(app, &identity.name, Action::Unmuted, &mute, String::new())?;
        set(app, &id, &Mute { until: now, ..mute })?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Appends a mute, or its end, to the trail, before it is made.
fn append_to_trail(
    app: &App,
    actor: &str,
    action: Action,
    mute: &Mute,
    detail: String,
) -> Result<(), Problem> {
    let Mute { camera, rule, kind, subject, .. } = mute;
    let parts = [("camera", camera), ("rule", rule), ("kind", kind), ("subject", subject)];
    let given = parts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    let subject = format!("alerts of {}", given.collect::<Vec<_>>().join(", "));
    app.trail.append(&NewTrailEntry { actor: actor.to_owned(), action, subject, detail })
}

/// Writes a mute, and applies it at once: the topic brings the same again.
fn set(app: &App, id: &str, mute: &Mute) -> Result<(), Problem> {
    let (key, value) = (Mute::key(id), serde_json::to_vec(mute).map_err(Problem::internal)?);
    app.write(&app.config.topics.acknowledgements, &key, Some(&value))?;
    app.live.write().alerts.mute(id, Some(mute.clone()));
    Ok(())
}
