//! The endpoint for metrics and health. It has no authentication: listen where only operators can reach it.

use super::error::ObserveError;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::TcpListener;
use std::sync::Arc;

/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Makes the metrics as OpenMetrics text.
type Text = Arc<dyn Fn() -> String + Send + Sync>;
/// Says why the process is not ready; none if it is.
type Trouble = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Listens at `address`, and answers on a thread of its own for as long as the process lives.
///
/// # Errors
///
/// The address cannot be used, or the system has no threads left.
pub fn serve_metrics(address: &str, text: Text, trouble: Trouble) -> Result<(), ObserveError> {
    let failed = |reason| ObserveError::Listen { address: address.to_owned(), reason };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ObserveError::Thread)?;
    let guard = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    drop(guard);
    tracing::info!("watch this process at http://{address}/metrics, /health/live and /health/ready");
    let serve = move || {
        if let Err(error) = runtime.block_on(async { axum::serve(listener, routes(text, trouble)).await }) {
            tracing::error!("metrics and health are no longer served: {error}");
        }
    };
    std::thread::Builder::new().name("observe".into()).spawn(serve).map_err(ObserveError::Thread)?;
    Ok(())
}

fn routes(text: Text, trouble: Trouble) -> Router {
    Router::new()
        .route("/metrics", get(async move || ([(header::CONTENT_TYPE, OPEN_METRICS)], text())))
        .route("/health/live", get(async || "alive\n"))
        .route("/health/ready", get(async move || ready(trouble())))
}

fn ready(trouble: Option<String>) -> Response {
    match trouble {
        None => "ready\n".into_response(),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {trouble}\n")).into_response(),
    }
}
