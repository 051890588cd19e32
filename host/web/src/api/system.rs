//! Hosts, topics, throughput.

use crate::access::Viewer;
use crate::app::App;
use crate::problem::{Problem, Problems};
use crate::views::PartView;
use axum::Json;
use axum::extract::State;
use everyframe_kafka::{GroupMember, list_group_members};
use everyframe_types::machine::unix_ms;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A host of the group.
#[derive(Debug, Serialize, ToSchema)]
pub struct HostView {
    /// The member's id in the group.
    id: String,
    /// The client's id.
    client: String,
    /// The address from which it is connected.
    address: String,
}

/// Throughput and processor time of five seconds.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// When they began.
    at: i64,
    /// Frames that were processed.
    frames: u64,
    /// Faces on them.
    faces: u64,
    /// Mean processor time of a frame, milliseconds: decoding.
    decode_ms: f64,
    /// Detection.
    detect_ms: f64,
    /// Alignment and embedding.
    embed_ms: f64,
    /// All rules.
    rules_ms: f64,
}

/// A partition's lag.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionLagView {
    partition: i32,
    waiting: u64,
    /// When its last processed frame was taken.
    last_frame_at: i64,
}

/// The system.
#[derive(Debug, Serialize, ToSchema)]
pub struct SystemView {
    /// The version of this process.
    version: String,
    /// The brokers' addresses.
    brokers: String,
    /// The consumer group.
    group: String,
    hosts: Vec<HostView>,
    /// The models of the last result.
    models: Vec<PartView>,
    /// The last ten minutes, oldest first.
    throughput: Vec<StepView>,
    partitions: Vec<PartitionLagView>,
}

/// Shows hosts, models, throughput and lag.
#[utoipa::path(get, operation_id = "system_show", path = "/system", tag = "system",
    responses((status = 200, body = SystemView), Problems))]
pub async fn show(State(app): State<Arc<App>>, _: Viewer) -> Result<Json<SystemView>, Problem> {
    let members = app.block(|app| Ok(list_group_members(&app.config.kafka)?)).await?;
    let state = app.live.read();
    let mean = |sum: f64, frames: u64| sum / frames.max(1) as f64;
    let throughput = state.throughput.steps(unix_ms()).map(|step| StepView {
        at: step.at,
        frames: step.frames,
        faces: step.faces,
        decode_ms: mean(step.decode_ms, step.frames),
        detect_ms: mean(step.detect_ms, step.frames),
        embed_ms: mean(step.embed_ms, step.frames),
        rules_ms: mean(step.rules_ms, step.frames),
    });
    let partitions = state.ledger.counts().partitions.into_iter().map(|it| PartitionLagView {
        partition: it.partition,
        waiting: it.waiting,
        last_frame_at: it.last_frame_at,
    });
    Ok(Json(SystemView {
        version: env!("CARGO_PKG_VERSION").into(),
        brokers: app.config.kafka.brokers.clone(),
        group: app.config.kafka.group.clone(),
        hosts: members
            .into_iter()
            .map(|GroupMember { id, client, address }| HostView { id, client, address })
            .collect(),
        models: state.rules.models.iter().map(PartView::from).collect(),
        throughput: throughput.collect(),
        partitions: partitions.collect(),
    }))
}
