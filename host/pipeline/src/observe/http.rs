//! The endpoint. It has no authentication: it listens where only who may watch can reach it.

use super::{ObserveError, Observed};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::TcpListener;

/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Listens at `address` from now on, and answers on a thread of its own for as long as the process lives.
pub fn start(address: &str, observed: Observed) -> Result<(), ObserveError> {
    let failed = |reason| ObserveError::Listen { address: address.to_owned(), reason };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ObserveError::Thread)?;
    let guard = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    drop(guard);
    tracing::info!("watch this host at http://{address}/metrics, /health/live and /health/ready");
    let serve = move || {
        if let Err(error) = runtime.block_on(async { axum::serve(listener, routes(observed)).await }) {
            tracing::error!("this host cannot be watched any more: {error}");
        }
    };
    std::thread::Builder::new().name("observe".into()).spawn(serve).map_err(ObserveError::Thread)?;
    Ok(())
}

fn routes(observed: Observed) -> Router {
    let Observed { metrics, health } = observed;
    Router::new()
        .route("/metrics", get(async move || ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text())))
        .route("/health/live", get(async || "alive\n"))
        .route("/health/ready", get(async move || ready(health.trouble())))
}

fn ready(trouble: Option<String>) -> Response {
    match trouble {
        None => "ready\n".into_response(),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {trouble}\n")).into_response(),
    }
}
