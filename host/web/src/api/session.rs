//! Sessions of browsers.

use crate::access::{COOKIE, Identity, Viewer};
use crate::app::App;
use crate::input::Body;
use crate::problem::{Problem, Problems};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use utoipa::ToSchema;

/// Limits the failed attempts to sign in, of all clients together.
static FAILURES: LazyLock<DefaultDirectRateLimiter> =
    LazyLock::new(|| RateLimiter::direct(Quota::per_minute(NonZeroU32::new(30).unwrap_or(NonZeroU32::MIN))));

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// The token's name; `local` where no token is configured.
    name: String,
    /// What it allows: `view`, `enrol` or `admin`.
    role: String,
    /// To be sent with every change as the header `x-csrf-token`; empty if none is needed.
    csrf: String,
    /// False where no token is configured: there is nothing to sign in to.
    authentication: bool,
}

impl SessionView {
    fn new(identity: Identity, app: &App) -> Self {
        Self {
            name: identity.name,
            role: identity.role.to_string(),
            csrf: identity.csrf.unwrap_or_default(),
            authentication: app.access.has_tokens(),
        }
    }
}

/// A token to sign in with.
#[derive(Deserialize, ToSchema)]
pub struct SignIn {
    /// The token.
    token: String,
}

/// Tells who is signed in.
#[utoipa::path(get, operation_id = "session_show", path = "/session", tag = "session",
    responses((status = 200, body = SessionView), Problems))]
pub async fn show(State(app): State<Arc<App>>, Viewer(identity): Viewer) -> Json<SessionView> {
    Json(SessionView::new(identity, &app))
}

/// Signs a browser in.
#[utoipa::path(post, operation_id = "session_open", path = "/session", tag = "session", request_body = SignIn, security(()),
    responses((status = 200, body = SessionView), Problems))]
pub async fn open(State(app): State<Arc<App>>, Body(body): Body<SignIn>) -> Result<Response, Problem> {
    let Some((value, identity)) = app.access.open_session(&body.token) else {
        // Only wrong tokens count, so that nobody can lock others out.
        return Err(match FAILURES.check() {
            Ok(()) => Problem::new(StatusCode::UNAUTHORIZED, "the token is not known"),
            Err(_) => Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; wait a minute"),
        });
    };
    let secure = secure(&app);
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{secure}");
    Ok(([(header::SET_COOKIE, cookie)], Json(SessionView::new(identity, &app))).into_response())
}

/// With TLS, the cookie is never sent without.
fn secure(app: &App) -> &'static str {
    if app.config.web.tls.is_some() { "; Secure" } else { "" }
}

/// Signs the browser out.
#[utoipa::path(delete, operation_id = "session_end", path = "/session", tag = "session",
    responses((status = 204), Problems))]
pub async fn end(State(app): State<Arc<App>>, _: Viewer, headers: HeaderMap) -> Response {
    app.access.end_session(&headers);
    let secure = secure(&app);
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict{secure}; Max-Age=0");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}
