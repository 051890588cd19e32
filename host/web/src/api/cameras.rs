//! The cameras.

use crate::access::Viewer;
use crate::app::App;
use crate::problem::Problems;
use crate::views::CameraView;
use axum::Json;
use axum::extract::State;
use everyframe_types::machine::unix_ms;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The cameras.
#[derive(Debug, Serialize, ToSchema)]
pub struct CameraList {
    /// By id.
    cameras: Vec<CameraView>,
    /// The time of the answer.
    now: i64,
}

/// Lists the cameras, each with its last processed frame.
#[utoipa::path(get, operation_id = "cameras_list", path = "/cameras", tag = "cameras",
    responses((status = 200, body = CameraList), Problems))]
pub async fn list(State(app): State<Arc<App>>, _: Viewer) -> Json<CameraList> {
    let (state, now) = (app.live.read(), unix_ms());
    let cameras = state.cameras.iter().map(|(id, camera)| state.camera_view(id, camera, now)).collect();
    Json(CameraList { cameras, now })
}
