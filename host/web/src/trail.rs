//! Enters into the trail what people do in the dashboard and through the API.
//!
//! A change or a search is entered before it is made: if it cannot be entered, it is not made. So an entry may be of a request that
//! failed afterwards. Looks at pictures are collected for some seconds, because a page of the dashboard shows many.

use crate::access::Identity;
use crate::problem::Problem;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use everyframe_config::{Config, Role};
use everyframe_privacy::{Action, Deed, Trail};
use everyframe_types::id::printable;
use percent_encoding::percent_decode_str;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long looks at pictures are collected.
const COLLECT: Duration = Duration::from_secs(10);
/// How often the thread checks whether the process ends.
const CHECK: Duration = Duration::from_millis(100);
/// The most pictures that one entry names.
const MAX_NAMED: usize = 50;
/// The most pictures that are remembered while Kafka is away.
const MAX_PICTURES: usize = 100_000;

/// The trail, and the looks that are not entered yet.
pub struct TrailBook {
    config: Config,
    trail: Mutex<Option<Trail>>,
    /// By actor, the pictures.
    looks: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl TrailBook {
    /// The trail of a configuration. It is opened at the first entry.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), trail: Mutex::default(), looks: Mutex::default() }
    }

    /// Enters what is going to be done. Blocks.
    ///
    /// # Errors
    ///
    /// It could not be entered: do not do it.
    pub fn enter(&self, deed: &Deed) -> Result<(), Problem> {
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error| {
            Problem::unavailable(format!("nothing was done, because the trail is not written: {error}"))
        };
        let open = match &mut *trail {
            Some(open) => open,
            none => none.insert(Trail::open(&self.config).map_err(failed)?),
        };
        open.enter(deed).map(drop).map_err(failed)
    }

    fn look(&self, actor: &str, picture: String) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.values().map(BTreeSet::len).sum::<usize>() < MAX_PICTURES {
            looks.entry(actor.to_owned()).or_default().insert(picture);
        }
    }

    /// Enters the looks that were collected. Those that cannot be entered are kept.
    fn enter_looks(&self) {
        let looks = std::mem::take(&mut *self.looks.lock().unwrap_or_else(PoisonError::into_inner));
        for (actor, pictures) in looks {
            let named: Vec<&str> = pictures.iter().take(MAX_NAMED).map(String::as_str).collect();
            let more = match pictures.len().saturating_sub(MAX_NAMED) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let deed = Deed {
                actor: actor.clone(),
                action: Action::Viewed,
                subject: named.join(", ") + &more,
                detail: format!("pictures: {}", pictures.len()),
            };
            if let Err(problem) = self.enter(&deed) {
                tracing::warn!("looks at pictures are entered later: {}", problem.detail);
                pictures.into_iter().for_each(|picture| self.look(&actor, picture));
            }
        }
    }

    /// Starts the thread that enters looks. It ends, with the last ones entered, when `stop` is set.
    ///
    /// # Errors
    ///
    /// The system has no threads left.
    pub fn start(self: &Arc<Self>, stop: &Arc<AtomicBool>) -> std::io::Result<JoinHandle<()>> {
        let (book, stop) = (self.clone(), stop.clone());
        let work = move || {
            let mut last = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(CHECK);
                if last.elapsed() >= COLLECT {
                    last = Instant::now();
                    book.enter_looks();
                }
            }
            book.enter_looks();
        };
        std::thread::Builder::new().name("web-trail".into()).spawn(work)
    }
}

/// What a request is, for the trail.
#[derive(Debug, PartialEq, Eq)]
enum Entered {
    Look(String),
    Deed(Action, String),
}

/// What a request is; none if it is not entered here. Changes of people and strangers are entered where they are made: only there it
/// is known whom they are about.
fn classify(method: &Method, path: &str) -> Option<(Role, Entered)> {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let look = |what: String| Some((Role::View, Entered::Look(printable(&what))));
    let deed = |action, subject: String| Some((Role::Enrol, Entered::Deed(action, printable(&subject))));
    match (method, parts.as_slice()) {
        (&Method::GET, ["frames", partition, offset, "picture" | "crop"]) => {
            look(format!("frame {partition}/{offset}"))
        }
        (&Method::GET, ["people", person, "samples", _]) => {
            let person = percent_decode_str(person).decode_utf8_lossy();
            look(format!("person {person}"))
        }
        (&Method::GET, ["dead-letters", partition, offset, "picture"]) => {
            look(format!("dead letter {partition}/{offset}"))
        }
        (&Method::POST, ["identify" | "search"]) => deed(Action::Searched, "a picture".into()),
        (&Method::POST, ["dead-letters", what @ ("replay" | "drop")]) => {
            Some((Role::Admin, Entered::Deed(Action::Decided, format!("dead letters: {what}"))))
        }
        _ => None,
    }
}

/// Enters requests into the trail.
pub async fn enter_request(book: Arc<TrailBook>, request: Request, next: Next) -> Response {
    let entered = classify(request.method(), request.uri().path());
    let identity = request.extensions().get::<Identity>().cloned();
    if let (Some((role, entered)), Some(Identity { name: actor, role: own, .. })) = (entered, identity)
        && own >= role
    {
        match entered {
            Entered::Look(picture) => book.look(&actor, picture),
            Entered::Deed(action, subject) => {
                let deed = Deed { actor, action, subject, detail: String::new() };
                let entered = tokio::task::spawn_blocking(move || book.enter(&deed)).await;
                if let Err(problem) = entered.map_err(Problem::internal).and_then(|entered| entered) {
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
        let look = |what: &str| Some((Role::View, Entered::Look(what.into())));
        assert_eq!(classify(&Method::GET, "/api/v1/frames/0/17/picture"), look("frame 0/17"));
        assert_eq!(classify(&Method::GET, "/frames/0/17/crop"), look("frame 0/17"));
        assert_eq!(classify(&Method::GET, "/people/ann%20lee/samples/1"), look("person ann lee"));
        let searched = Entered::Deed(Action::Searched, "a picture".into());
        assert_eq!(classify(&Method::POST, "/identify"), Some((Role::Enrol, searched)));
        let decided = Entered::Deed(Action::Decided, "dead letters: drop".into());
        assert_eq!(classify(&Method::POST, "/dead-letters/drop"), Some((Role::Admin, decided)));
        for (method, path) in [(Method::GET, "/people"), (Method::POST, "/people"), (Method::GET, "/system")]
        {
            assert_eq!(classify(&method, path), None, "{path}");
        }
    }
}
