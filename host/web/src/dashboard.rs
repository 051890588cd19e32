//! The files of the dashboard, which are part of the binary, and the headers that keep a browser from running anything else.

use crate::problem::Problem;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};
use rust_embed::RustEmbed;

/// What `make build` made of `host/web/dashboard`.
#[derive(RustEmbed)]
#[folder = "dashboard/dist"]
#[allow_missing = true]
struct Files;

/// The first page.
const INDEX: &str = "index.html";
/// Files with a hash in their name never change.
const HASHED: &str = "assets/";

/// What a page may do: load everything from here, and nothing from elsewhere.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; object-src 'none'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// A file of the dashboard. Any other path is a page of the dashboard, which its script shows.
pub async fn file(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let name = if path.is_empty() { INDEX } else { path };
    if let Some(file) = Files::get(name) {
        let kind = file.metadata.mimetype().to_owned();
        let kept = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
        let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept.to_owned())];
        return (headers, file.data).into_response();
    }
    if path.starts_with(HASHED) || path.starts_with("api/") {
        return Problem::not_found("there is no such file").into_response();
    }
    match Files::get(INDEX) {
        Some(index) => {
            let headers =
                [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
            (headers, index.data).into_response()
        }
        None => {
            let text = "<!doctype html><title>Everyframe</title><p>This binary was built without its dashboard; \
                        <code>make build</code> includes it. The API is at <a href=\"/api/openapi.json\">/api/openapi.json</a>.";
            (StatusCode::OK, Html(text)).into_response()
        }
    }
}

/// Adds the headers that all answers have.
pub async fn add_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Answers about people are for nobody else's cache, unless the handler says otherwise.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
