//! The HTTP API and the dashboard: what happened lately, who is who, what became of every frame.
//!
//! - [`WebServer`] serves both. It follows the topics by itself, so it needs no host in the same process.
//! - `api`: one file for each kind of thing under `/api/v1`, described by OpenAPI.
//! - `live`: what is kept of the topics, bounded, and the events for browsers.
//! - `access`: tokens, roles, sessions. [`make_token`] makes a token.
//! - `pictures` reads and renders frames; `recogniser` runs models and rules for requests.
//! - `replays`: jobs that judge past results with other settings; `rule_source` loads the rules for them.
//! - `dashboard`: the files of the browser's side, which are part of the binary.
//!
//! Requests never touch the pipeline: a slow or hostile client costs it nothing but processor time.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod access;
mod api;
mod app;
mod connections;
mod dashboard;
mod input;
mod live;
mod pictures;
mod problem;
mod recogniser;
mod replays;
mod rule_source;
mod server;
mod tls;
mod trail;
mod views;

pub use pictures::{NoPicture, Pictures};
pub use server::{DEFAULT_ADDRESS, WebError, WebOptions, WebServer};
pub use views::Place;

/// A new token, and its SHA-256 for the configuration.
///
/// None if the system has no random numbers.
pub fn make_token() -> Option<(String, String)> {
    let token = access::random_text()?;
    let sha256 = access::hash(&token);
    Some((token, sha256))
}
