//! Writes to the trail what people do in the dashboard and through the API.
//!
//! The entry of a change or a search is written before the change is made: if it cannot be written, the change is not made. So an
//! entry may be of a request that failed afterwards. Views of pictures are collected for some seconds, because a page of the
//! dashboard shows many.

use crate::access::Identity;
use crate::problem::Problem;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use everyframe_config::{Config, Role};
use everyframe_privacy::{Action, NewTrailEntry, Trail};
use everyframe_types::id::printable;
use percent_encoding::percent_decode_str;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long views of pictures are collected.
const COLLECT: Duration = Duration::from_secs(10);
/// How often the thread checks whether the process ends.
const CHECK: Duration = Duration::from_millis(100);
/// The most pictures that one entry names.
const MAX_NAMED: usize = 50;
/// The most pictures that are remembered while Kafka is away.
const MAX_PICTURES: usize = 100_000;

/// The trail, and the views of pictures that are not written yet.
pub struct TrailWriter {
    config: Config,
    trail: Mutex<Option<Trail>>,
    /// By actor, the pictures.
    views: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl TrailWriter {
    /// The trail of a configuration. It is opened at the first entry.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), trail: Mutex::default(), views: Mutex::default() }
    }

    /// Appends what is going to be done. Blocks.
    ///
    /// # Errors
    ///
    /// The entry could not be written: do not do what it says.
    pub fn append(&self, entry: &NewTrailEntry) -> Result<(), Problem> {
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error| {
            Problem::unavailable(format!("nothing was done, because the trail is not written: {error}"))
        };
        let open = match &mut *trail {
            Some(open) => open,
            none => none.insert(Trail::open(&self.config).map_err(failed)?),
        };
        open.append(entry).map(drop).map_err(failed)
    }

    fn record_view(&self, actor: &str, picture: String) {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if views.values().map(BTreeSet::len).sum::<usize>() < MAX_PICTURES {
            views.entry(actor.to_owned()).or_default().insert(picture);
        }
    }

    /// Appends the views that were collected. Those that cannot be appended are kept.
    fn append_views(&self) {
        let views = std::mem::take(&mut *self.views.lock().unwrap_or_else(PoisonError::into_inner));
        for (actor, pictures) in views {
            let named: Vec<&str> = pictures.iter().take(MAX_NAMED).map(String::as_str).collect();
            let more = match pictures.len().saturating_sub(MAX_NAMED) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let entry = NewTrailEntry {
                actor: actor.clone(),
                action: Action::Viewed,
                subject: named.join(", ") + &more,
                detail: format!("pictures: {}", pictures.len()),
            };
            if let Err(problem) = self.append(&entry) {
                tracing::warn!("views of pictures are written to the trail later: {}", problem.detail);
                pictures.into_iter().for_each(|picture| self.record_view(&actor, picture));
            }
        }
    }

    /// Starts the thread that appends views. It ends, with the last ones appended, when `stop` is set.
    ///
    /// # Errors
    ///
    /// The system has no threads left.
    pub fn start(self: &Arc<Self>, stop: &Arc<AtomicBool>) -> std::io::Result<JoinHandle<()>> {
        let (writer, stop) = (self.clone(), stop.clone());
        let work = move || {
            let mut last = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(CHECK);
                if last.elapsed() >= COLLECT {
                    last = Instant::now();
                    writer.append_views();
                }
            }
            writer.append_views();
        };
        std::thread::Builder::new().name("web-trail".into()).spawn(work)
    }
}

/// A request that the trail shows.
#[derive(Debug, PartialEq, Eq)]
enum TrailedRequest {
    /// Somebody sees a picture of this subject.
    PictureView(String),
    /// Somebody does something with this subject.
    Action(Action, String),
}

/// What the trail shows of a request; none if nothing is written here. Entries of changed people and strangers are written where the
/// change is made: only there it is known whom it is about.
fn classify(method: &Method, path: &str) -> Option<(Role, TrailedRequest)> {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let view = |what: String| Some((Role::View, TrailedRequest::PictureView(printable(&what))));
    match (method, parts.as_slice()) {
        (&Method::GET, ["frames", partition, offset, "picture" | "crop"]) => {
            view(format!("frame {partition}/{offset}"))
        }
        (&Method::GET, ["people", person, "samples", _]) => {
            let person = percent_decode_str(person).decode_utf8_lossy();
            view(format!("person {person}"))
        }
        (&Method::GET, ["dead-letters", partition, offset, "picture"]) => {
            view(format!("dead letter {partition}/{offset}"))
        }
        (&Method::POST, ["identify" | "search"]) => {
            Some((Role::Enrol, TrailedRequest::Action(Action::Searched, "a picture".into())))
        }
        (&Method::POST, ["dead-letters", what @ ("replay" | "drop")]) => {
            Some((Role::Admin, TrailedRequest::Action(Action::Decided, format!("dead letters: {what}"))))
        }
        _ => None,
    }
}

/// Writes requests to the trail.
pub async fn record_request(writer: Arc<TrailWriter>, request: Request, next: Next) -> Response {
    let trailed = classify(request.method(), request.uri().path());
    let identity = request.extensions().get::<Identity>().cloned();
    if let (Some((role, trailed)), Some(Identity { name: actor, role: own, .. })) = (trailed, identity)
        && own >= role
    {
        match trailed {
            TrailedRequest::PictureView(picture) => writer.record_view(&actor, picture),
            TrailedRequest::Action(action, subject) => {
                let entry = NewTrailEntry { actor, action, subject, detail: String::new() };
                let appended = tokio::task::spawn_blocking(move || writer.append(&entry)).await;
                if let Err(problem) = appended.map_err(Problem::internal).and_then(|appended| appended) {
                    return problem.into_response();
                }
            }
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_searches_and_decisions_are_entered() {
        let view = |what: &str| Some((Role::View, TrailedRequest::PictureView(what.into())));
        assert_eq!(classify(&Method::GET, "/api/v1/frames/0/17/picture"), view("frame 0/17"));
        assert_eq!(classify(&Method::GET, "/frames/0/17/crop"), view("frame 0/17"));
        assert_eq!(classify(&Method::GET, "/people/ann%20lee/samples/1"), view("person ann lee"));
        let searched = TrailedRequest::Action(Action::Searched, "a picture".into());
        assert_eq!(classify(&Method::POST, "/identify"), Some((Role::Enrol, searched)));
        let decided = TrailedRequest::Action(Action::Decided, "dead letters: drop".into());
        assert_eq!(classify(&Method::POST, "/dead-letters/drop"), Some((Role::Admin, decided)));
        for (method, path) in [(Method::GET, "/people"), (Method::POST, "/people"), (Method::GET, "/system")]
        {
            assert_eq!(classify(&method, path), None, "{path}");
        }
    }
}
