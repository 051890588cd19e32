//! Messages of channels that could not be delivered.

use crate::access::{Administrator, Viewer};
use crate::app::App;
use crate::input::{Body, Parameters};
use crate::problem::{Problem, Problems};
use crate::rule_source::problem_lines;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use everyframe_config::Config;
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
/// The most ids in an answer: they must fit into the next request.
const MAX_LEFT: usize = 500;
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
    /// False for a callback, which has no copy of what was to be sent, and if the channel is not configured any more.
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

/// The messages to send again: `ids` or `all`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessagesToReplay {
    /// The name of the channel.
    channel: String,
    /// Their ids.
    #[serde(default)]
    ids: Vec<String>,
    /// All of the channel.
    #[serde(default)]
    all: bool,
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
    /// The ids of messages that were not tried, because the others took half a minute: send these next. At most 500.
    left: Vec<String>,
}

impl UndeliveredView {
    fn new(message: UndeliveredMessage, config: &Config) -> Self {
        let UndeliveredMessage { channel, id, at, reason, attempts, alerts } = message;
        let first = alerts.first().and_then(|event| RaisedAlert::parse(event.to_string().as_bytes()));
        Self {
            can_replay: config.channels.iter().any(|configured| configured.name == channel),
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
        let view = |message| UndeliveredView::new(message, &app.config);
        let newest = messages.into_iter().rev().take(MAX_LISTED).map(view);
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
    Body(MessagesToReplay { channel: name, ids, all }): Body<MessagesToReplay>,
) -> Result<Json<MessagesReplayed>, Problem> {
    if all != ids.is_empty() {
        return Err(Problem::unprocessable("give `ids` (at least one), or `all`"));
    }
    if is_callback_channel(&name) {
        let detail =
            "a callback cannot be sent again, because there is no copy of it; read the result at its place";
        return Err(Problem::unprocessable(detail));
    }
    let running = app.message_replays.clone().try_acquire_owned();
    let running = running
        .map_err(|_| Problem::new(StatusCode::CONFLICT, "messages are being sent again already; wait"))?;
    app.block(move |app| {
        let _running = running;
        let mut loaded = app.rule_source.read()?;
        let channels = load_channels(&mut loaded, Some(&name)).map_err(|error| {
            let problems = problem_lines(&error);
            Problem::unprocessable(format!("the channel `{}` cannot be used: {problems}", printable(&name)))
        })?;
        let channel = channels.first().ok_or_else(|| {
            Problem::not_found(format!("the configuration has no channel `{}`", printable(&name)))
        })?;
        let mut messages = read_undelivered(&app.config, Some(&name))?;
        messages.retain(|message| all || ids.contains(&message.id));
        let is_known = |id: &&String| messages.iter().any(|message| message.id == **id);
        let unknown = ids.iter().filter(|id| !is_known(id)).map(|id| FailedMessage {
            id: id.clone(),
            reason: "there is no such message; it may have been delivered meanwhile".into(),
        });
        if !messages.is_empty() {
            app.trail.append(&NewTrailEntry {
                actor: identity.name,
                action: Action::Decided,
                subject: format!("dead letters of channel {name}: replay"),
                detail: format!("messages: {}", messages.len()),
            })?;
        }
        let (since, mut replayed) =
            (Instant::now(), MessagesReplayed { delivered: 0, failed: unknown.collect(), left: Vec::new() });
        for message in &messages {
            if since.elapsed() >= REPLAY_TIME_LIMIT {
                if replayed.left.len() < MAX_LEFT {
                    replayed.left.push(message.id.clone());
                }
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
