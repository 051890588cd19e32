//! The channels by which people are told of alerts.

use crate::access::Viewer;
use crate::app::App;
use crate::problem::{Problem, Problems};
use axum::Json;
use axum::extract::State;
use everyframe_notify::{ChannelStatus, read_status};
use serde::Serialize;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// How long an answer is good: to make one, topics are read.
const FRESH: Duration = Duration::from_secs(5);

/// A channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelView {
    name: String,
    /// `webhook`, `email`, `mqtt`, `ntfy`, `command`, `stdout`, or `callback` for a receiver of `[[web.callbacks]]`.
    kind: String,
    /// `working`, `failing`, or `unserved`: no process sends its messages.
    state: &'static str,
    /// Alerts that it has not dealt with; none if it was never started, and for a receiver of callbacks.
    backlog: Option<u64>,
    /// Messages that the processes that serve it have delivered.
    delivered: u64,
    /// Their attempts that failed and were retried.
    retried: u64,
    /// Messages that could not be delivered, and are kept.
    dead_letters: u64,
    /// When a message was delivered last.
    last_delivered_at: Option<i64>,
    last_error: Option<String>,
    /// When the last error happened.
    last_error_at: Option<i64>,
}

/// The channels.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelList {
    channels: Vec<ChannelView>,
}

impl From<&ChannelStatus> for ChannelView {
    fn from(status: &ChannelStatus) -> Self {
        let state = match (status.is_served, status.is_failing) {
            (false, _) => "unserved",
            (true, true) => "failing",
            (true, false) => "working",
        };
        Self {
            name: status.name.clone(),
            kind: status.kind.clone(),
            state,
            backlog: status.backlog,
            delivered: status.delivered,
            retried: status.retried,
            dead_letters: status.dead_letters,
            last_delivered_at: status.last_delivered_at,
            last_error: status.last_error.clone(),
            last_error_at: status.last_error_at,
        }
    }
}

/// Lists the channels that send notifications. The answer may be five seconds old.
#[utoipa::path(get, operation_id = "channels_list", path = "/channels", tag = "system",
    responses((status = 200, body = ChannelList), Problems))]
pub async fn list(State(app): State<Arc<App>>, _: Viewer) -> Result<Json<ChannelList>, Problem> {
    app.block(|app| {
        let mut known = app.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channels = match &*known {
            Some((at, channels)) if at.elapsed() < FRESH => channels,
            _ => &known.insert((Instant::now(), read_status(&app.config)?)).1,
        };
        Ok(Json(ChannelList { channels: channels.iter().map(ChannelView::from).collect() }))
    })
    .await
}
