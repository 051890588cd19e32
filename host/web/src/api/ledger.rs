//! What happened to every frame.

use crate::access::{Administrator, Viewer};
use crate::app::App;
use crate::problem::{Problem, Problems};
use crate::views::LedgerSummary;
use axum::Json;
use axum::extract::State;
use everyframe_account::audit;
use everyframe_types::machine::unix_ms;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The frames of a camera.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CameraLedger {
    camera: String,
    /// Frames with a result.
    processed: u64,
    /// Frames with a dead letter.
    parked: u64,
    /// Frames that never arrived.
    gaps: u64,
    /// When its last processed frame was taken.
    last_seen_at: i64,
    /// The last alerts about missing frames, newest first.
    gap_alerts: Vec<GapAlert>,
}

/// An alert about missing frames.
#[derive(Debug, Serialize, ToSchema)]
pub struct GapAlert {
    at: i64,
    text: String,
}

/// The frames of a partition.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartitionLedger {
    partition: i32,
    /// Offset of the oldest frame that is kept.
    oldest: u64,
    /// Offset of the next frame.
    next: u64,
    /// The group's committed offset.
    committed: Option<u64>,
    /// Frames since the history began.
    frames: u64,
    /// Frames that are not processed yet.
    waiting: u64,
    /// Committed frames without a result or a dead letter: first and last offset.
    missing: Vec<Range>,
}

/// Offsets of a partition.
#[derive(Debug, Serialize, ToSchema)]
pub struct Range {
    first: u64,
    last: u64,
}

/// The ledger.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerView {
    #[serde(flatten)]
    summary: LedgerSummary,
    cameras: Vec<CameraLedger>,
    partitions: Vec<PartitionLedger>,
}

/// The most alerts about missing frames that are listed for a camera.
const MAX_GAPS: usize = 20;

/// Shows what happened to the frames since the history began.
#[utoipa::path(get, operation_id = "ledger_show", path = "/ledger", tag = "ledger",
    responses((status = 200, body = LedgerView), Problems))]
pub async fn show(State(app): State<Arc<App>>, _: Viewer) -> Json<LedgerView> {
    let state = app.live.read();
    let gaps = |camera: &str| {
        let filter = crate::live::AlertFilter { camera: Some(camera.to_owned()), ..Default::default() };
        let gaps = state.alerts.find(&filter).filter(|(_, alert)| alert.missing_frames().is_some());
        gaps.take(MAX_GAPS).map(|(_, alert)| GapAlert { at: alert.at, text: alert.text.clone() }).collect()
    };
    let cameras = state.cameras.iter().map(|(id, camera)| CameraLedger {
        camera: id.to_owned(),
        processed: camera.frames,
        parked: camera.parked,
        gaps: camera.gaps,
        last_seen_at: camera.last_seen_at,
        // Few cameras have any.
        gap_alerts: if camera.gaps > 0 { gaps(id) } else { Vec::new() },
    });
    let cameras = cameras.collect();
    let partitions = state.ledger.counts().partitions.into_iter().map(|it| PartitionLedger {
        partition: it.partition,
        oldest: it.oldest,
        next: it.next,
        committed: it.committed,
        frames: it.frames,
        waiting: it.waiting,
        missing: it.missing.into_iter().map(|(first, last)| Range { first, last }).collect(),
    });
    Json(LedgerView { summary: state.ledger_summary(unix_ms()), cameras, partitions: partitions.collect() })
}

/// Accounts for every frame in the frames topic, from the topics alone, as `everyframe audit` does. It reads them whole.
#[utoipa::path(post, operation_id = "ledger_audit", path = "/ledger/audit", tag = "ledger",
    responses((status = 200, body = Object), Problems))]
pub async fn audit(
    State(app): State<Arc<App>>,
    _: Administrator,
) -> Result<Json<serde_json::Value>, Problem> {
    let Ok(one) = app.audits.clone().try_acquire_owned() else {
        let detail = "an audit is running; wait for it";
        return Err(Problem::new(axum::http::StatusCode::CONFLICT, detail));
    };
    app.block(move |app| {
        let _one = one;
        let report = audit::audit(&app.config, None)?;
        serde_json::to_value(report).map(Json).map_err(Problem::internal)
    })
    .await
}
