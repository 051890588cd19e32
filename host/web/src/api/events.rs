//! What happens, as server-sent events.

use crate::access::Viewer;
use crate::app::App;
use crate::input::Parameters;
use crate::live::{Event, EventKind, Subscription};
use crate::problem::{Problem, Problems};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

/// So often a line is sent that keeps the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Which events are wanted; all if empty.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Ids of cameras, separated by commas. Events that are about no camera come all the same.
    cameras: Option<String>,
    /// Kinds, separated by commas: `frame`, `alert`, `acknowledgement`, `sighting`, `camera`, `people`, `dead-letter`, `ledger`.
    kinds: Option<String>,
}

/// One connection.
struct Connection {
    receiver: Subscription,
    app: Arc<App>,
    cameras: Option<HashSet<String>>,
    kinds: HashSet<EventKind>,
    /// To be sent next.
    due: VecDeque<sse::Event>,
    _permit: OwnedSemaphorePermit,
}

/// Streams what happens. With `Last-Event-ID`, the stream goes on after that event; an event `reset` says that too much was missed, and
/// everything is to be loaded again. A slow connection misses events; it never slows the pipeline.
#[utoipa::path(get, operation_id = "events_stream", path = "/events", tag = "events", params(EventsQuery),
    responses((status = 200, content_type = "text/event-stream", body = String), Problems))]
pub async fn stream(
    State(app): State<Arc<App>>,
    _: Viewer,
    Parameters(query): Parameters<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let kinds = match query.kinds.as_deref().filter(|kinds| !kinds.is_empty()) {
        None => EventKind::ALL.into(),
        Some(names) => names.split(',').map(kind).collect::<Result<HashSet<_>, _>>()?,
    };
    let permit = app.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::unavailable("too many event streams are open; close one"))?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let (receiver, missed) = app.live.events.subscribe(last);
    let mut connection = Connection {
        receiver,
        cameras: query
            .cameras
            .filter(|cameras| !cameras.is_empty())
            .map(|cameras| cameras.split(',').map(str::to_owned).collect()),
        kinds,
        // A proxy, or a browser, may hold the answer back until something comes.
        due: VecDeque::from([sse::Event::default().comment("connected").retry(Duration::from_secs(1))]),
        app,
        _permit: permit,
    };
    match missed {
        Ok(missed) => missed.into_iter().for_each(|event| connection.take(event)),
        Err(_) => connection.due.push_back(reset()),
    }
    let events = stream::unfold(connection, |mut connection| async {
        let event = connection.next().await?;
        Some((Ok(event), connection))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn kind(name: &str) -> Result<EventKind, Problem> {
    let found = EventKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| {
        let names = EventKind::ALL.map(EventKind::name).join(", ");
        Problem::bad_request(format!("there is no kind `{name}` of events; there are: {names}"))
    })
}

fn reset() -> sse::Event {
    sse::Event::default().event("reset").data("{}")
}

impl Connection {
    /// The next event; none when the process ends.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Some(event);
            }
            match self.receiver.recv().await {
                Ok(event) => self.take(event),
                Err(RecvError::Lagged(_)) => self.due.push_back(reset()),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn take(&mut self, event: Arc<Event>) {
        if !self.kinds.contains(&event.kind) {
            return;
        }
        let camera = event.camera.as_ref().zip(self.cameras.as_ref());
        if camera.is_some_and(|(camera, wanted)| !wanted.contains(camera)) {
            return;
        }
        self.due.push_back(self.render(&event));
    }

    fn render(&self, event: &Event) -> sse::Event {
        let rendered = sse::Event::default().event(event.kind.name()).data(&event.data);
        match event.number {
            0 => rendered,
            number => rendered.id(self.app.live.events.id_of(number)),
        }
    }
}
