//! `/api/v1`: one file for each kind of thing.

mod alerts;
mod cameras;
mod channels;
mod dead_letters;
mod events;
mod frames;
mod identify;
mod ledger;
mod mutes;
mod people;
mod replays;
mod rules;
mod samples;
mod session;
mod sightings;
mod stranger_changes;
mod strangers;
mod system;
mod undelivered;

use crate::app::App;
use crate::input::MAX_PICTURE_BYTES;
use crate::problem::Problem;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::{Router, middleware};
use std::sync::Arc;
use std::time::Duration;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A request with a body of JSON has at most so many bytes.
const MAX_JSON_BYTES: usize = 64 << 10;
/// A request is answered within this time.
const TIMEOUT: Duration = Duration::from_secs(60);
/// An audit reads the topics whole.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(3600);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Everyframe",
        description = "Who was seen, when and where; and what happened to every frame. Times are Unix milliseconds, boxes are \
                       pixels of the full-size frame, similarities are cosines from -1 to 1. Errors are problem details (RFC 9457)."
    ),
    security(("token" = [])),
    components(schemas(Problem)),
    modifiers(&TokenScheme)
)]
struct ApiDoc;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", scheme);
    }
}

/// The routes of the API, and their description.
pub fn routes(app: &Arc<App>) -> (Router, utoipa::openapi::OpenApi) {
    let access = app.access.clone();
    let identified = middleware::from_fn(move |request, next| {
        crate::access::require_identity(access.clone(), request, next)
    });
    let writer = app.trail.clone();
    let trailed =
        middleware::from_fn(move |request, next| crate::trail::record_request(writer.clone(), request, next));
    let quick = OpenApiRouter::new()
        .routes(routes!(session::show, session::end))
        .routes(routes!(cameras::list))
        .routes(routes!(frames::result))
        .routes(routes!(frames::picture))
        .routes(routes!(frames::crop))
        .routes(routes!(people::list, samples::create))
        .routes(routes!(people::show, people::rename, people::remove))
        .routes(routes!(people::merge))
        .routes(routes!(samples::add_negative_sample))
        .routes(routes!(samples::sample_picture, samples::remove_sample))
        .routes(routes!(strangers::list))
        .routes(routes!(strangers::show, stranger_changes::forget))
        .routes(routes!(stranger_changes::merge))
        .routes(routes!(stranger_changes::split))
        .routes(routes!(sightings::list))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::acknowledge, alerts::reopen))
        .routes(routes!(mutes::list, mutes::create))
        .routes(routes!(mutes::end))
        .routes(routes!(ledger::show))
        .routes(routes!(rules::list))
        .routes(routes!(rules::log))
        .routes(routes!(rules::settings))
        .routes(routes!(replays::list, replays::create))
        .routes(routes!(replays::show, replays::remove))
        .routes(routes!(system::show))
        .routes(routes!(channels::list))
        .routes(routes!(undelivered::list))
        .routes(routes!(undelivered::replay))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::picture))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(dead_letters::drop_letters))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES));
    let pictures = OpenApiRouter::new()
        .routes(routes!(samples::add_sample))
        .routes(routes!(identify::identify))
        .routes(routes!(identify::search))
        .routes(routes!(frames::send))
        .layer(DefaultBodyLimit::max(MAX_PICTURE_BYTES));
    let timed = |limit| TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit);
    let audit = OpenApiRouter::new().routes(routes!(ledger::audit)).layer(timed(AUDIT_TIMEOUT));
    // A stream of events has no end.
    let streams = OpenApiRouter::new().routes(routes!(events::stream));
    let protected = quick.merge(pictures).layer(timed(TIMEOUT)).merge(audit).merge(streams);
    let protected = protected.layer(trailed).layer(identified);
    let open = OpenApiRouter::new()
        .routes(routes!(session::open))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .layer(timed(TIMEOUT));
    let all = OpenApiRouter::with_openapi(ApiDoc::openapi()).nest("/api/v1", protected.merge(open));
    let (router, description) = all.with_state(app.clone()).split_for_parts();
    (router, description)
}

/// The answer to a path of the API that does not exist.
pub async fn no_such_path() -> Problem {
    Problem::not_found("the API has no such path; `/api/openapi.json` lists them")
}
