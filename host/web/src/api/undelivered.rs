//! Messages of channels that could not be delivered.

use crate::access::{Administrator, Viewer};
use crate::app::App;
use crate::input::{Body, Parameters};
use crate::problem::{Problem, Problems};
use crate::rule_source::problem_lines;
use axum::Json;
use axum::extract::State;
use everyframe_notify::{
    UndeliveredMessage, is_callback_channel, load_channels, read_undelivered, replay_undelivered,
};
use everyframe_privacy::{Action, NewTrailEntry};
use everyframe_types::id::printable;
use everyframe_types::raised_alert::RaisedAlert;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use utoipa::{IntoParams, ToSchema};

/// The most messages that are listed.
const MAX_LISTED: usize = 200;
/// After this time no further message is begun: the request must be answered.
const REPLAY_TIME_LIMIT: Duration = Duration::from_secs(30);

/// A message that could not be delivered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndeliveredView {
    channel: String,
    id: String,
    /// When it was given up.
    at: i64,
    /// Why.
    reason: String,
    /// How often it was tried.
    attempts: u32,
    /// Number of its alerts.
    alerts: usize,
    /// The text of the first alert.
    text: Option<String>,
    /// False for a callback: it has no copy of what was to be sent.
    can_replay: bool,
}

/// Messages that could not be delivered.
#[derive(Debug, Serialize, ToSchema)]
pub struct UndeliveredList {
    /// Newest first, at most 200.
    messages: Vec<UndeliveredView>,
    /// Number of all of them.
    count: usize,
}

/// Which messages are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UndeliveredQuery {
    /// Of this channel; of all if not given.
    channel: Option<String>,
}

/// The messages to send again.
#[derive(Deserialize, ToSchema)]
pub struct MessagesToReplay {
    /// The name of the channel.
    channel: String,
    /// Their ids; all of the channel if empty.
    #[serde(default)]
    ids: Vec<String>,
}

/// A message that is still not delivered.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedMessage {
    id: String,
    reason: String,
}

/// What became of the messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessagesReplayed {
    delivered: usize,
    failed: Vec<FailedMessage>,
    /// Messages that were not tried, because the others took half a minute: ask again.
    left: usize,
}

impl From<UndeliveredMessage> for UndeliveredView {
    fn from(message: UndeliveredMessage) -> Self {
        let UndeliveredMessage { channel, id, at, reason, attempts, alerts } = message;
        let first = alerts.first().and_then(|event| RaisedAlert::parse(event.to_string().as_bytes()));
        Self {
            can_replay: !is_callback_channel(&channel),
            text: first.map(|alert| alert.text),
            alerts: alerts.len(),
            channel,
            id,
            at,
            reason,
            attempts,
        }
    }
}

/// Lists messages that could not be delivered. They are kept for 30 days.
#[utoipa::path(get, operation_id = "undelivered_list", path = "/undelivered", tag = "system", params(UndeliveredQuery),
    responses((status = 200, body = UndeliveredList), Problems))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Viewer,
    Parameters(query): Parameters<UndeliveredQuery>,
) -> Result<Json<UndeliveredList>, Problem> {
    app.block(move |app| {
        let messages = read_undelivered(&app.config, query.channel.as_deref())?;
        let count = messages.len();
        let newest = messages.into_iter().rev().take(MAX_LISTED).map(UndeliveredView::from);
        Ok(Json(UndeliveredList { messages: newest.collect(), count }))
    })
    .await
}

/// Sends messages that could not be delivered again, at once, each with the id that it had. Those that are delivered are not listed any
/// more.
#[utoipa::path(post, operation_id = "undelivered_replay", path = "/undelivered/replay", tag = "system",
    request_body = MessagesToReplay, responses((status = 200, body = MessagesReplayed), Problems))]
pub async fn replay(
    State(app): State<Arc<App>>,
    Administrator(identity): Administrator,
    Body(MessagesToReplay { channel: name, ids }): Body<MessagesToReplay>,
) -> Result<Json<MessagesReplayed>, Problem> {
    if is_callback_channel(&name) {
        let detail =
            "a callback cannot be sent again, because there is no copy of it; read the result at its place";
        return Err(Problem::unprocessable(detail));
    }
    app.block(move |app| {
        let mut loaded = app.rule_source.read()?;
        let channels =
            load_channels(&mut loaded).map_err(|error| Problem::unavailable(problem_lines(&error)))?;
        let channel = channels.iter().find(|channel| channel.name == name);
        let channel = channel.ok_or_else(|| {
            Problem::not_found(format!("the configuration has no channel `{}`", printable(&name)))
        })?;
        let mut messages = read_undelivered(&app.config, Some(&name))?;
        messages.retain(|message| ids.is_empty() || ids.contains(&message.id));
        if messages.is_empty() {
            return Err(Problem::not_found(format!("the channel `{name}` has no such messages")));
        }
        app.trail.append(&NewTrailEntry {
            actor: identity.name,
            action: Action::Decided,
            subject: format!("dead letters of channel {name}: replay"),
            detail: format!("messages: {}", messages.len()),
        })?;
        let (since, mut replayed) =
            (Instant::now(), MessagesReplayed { delivered: 0, failed: Vec::new(), left: 0 });
        for message in &messages {
            if since.elapsed() >= REPLAY_TIME_LIMIT {
                replayed.left += 1;
                continue;
            }
            match replay_undelivered(&app.config, channel, message, &app.pictures, app.producer()?) {
                Ok(()) => replayed.delivered += 1,
                Err(error) => {
                    replayed.failed.push(FailedMessage { id: message.id.clone(), reason: error.to_string() })
                }
            }
        }
        // The next answer counts the dead letters anew.
        *app.channels.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(Json(replayed))
    })
    .await
}
