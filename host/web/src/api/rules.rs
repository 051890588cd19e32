//! Rules: health, log, settings.

use crate::access::{Administrator, Viewer};
use crate::app::App;
use crate::input::PathParts;
use crate::problem::{Problem, Problems};
use crate::rule_source::problem_lines;
use axum::Json;
use axum::extract::State;
use everyframe_rules::{LogLine, RuleUsage, kind_name};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// The last failure of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureView {
    at: i64,
    camera: String,
    /// A stable name of the failure.
    reason: String,
    message: String,
}

/// How often a rule failed for one reason.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureCount {
    /// A stable name of the failure.
    reason: String,
    /// Frames.
    frames: u64,
}

/// What the calls of a rule used in this process since it started.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageView {
    /// Calls that succeeded.
    calls: u64,
    /// Time of a call, median, milliseconds.
    p50_ms: Option<f64>,
    /// The 99th percentile of the same.
    p99_ms: Option<f64>,
    /// Peak memory of one call, bytes.
    memory_peak: u64,
    /// Peak state for one camera, bytes.
    state_peak: u64,
    /// Log lines above the rule's limits, which were not logged.
    log_lines_dropped: u64,
    /// Cameras for which the rule is paused, because it failed too often on their frames.
    paused_cameras: u64,
}

impl From<RuleUsage> for UsageView {
    fn from(usage: RuleUsage) -> Self {
        let milliseconds = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1e3);
        Self {
            calls: usage.calls,
            p50_ms: milliseconds(usage.p50_seconds),
            p99_ms: milliseconds(usage.p99_seconds),
            memory_peak: usage.memory_peak,
            state_peak: usage.state_peak,
            log_lines_dropped: usage.log_lines_dropped,
            paused_cameras: usage.paused_cameras,
        }
    }
}

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    name: String,
    /// `matching-policy`, `unknown-person` or `alerting`; none if the configuration of this process has no such rule.
    kind: Option<String>,
    /// The version that the rule reports.
    version: Option<String>,
    /// SHA-256 of its component, hexadecimal.
    sha256: String,
    /// Frames that it judged since the history began.
    judged: u64,
    /// Frames on which it failed and was skipped.
    skipped: u64,
    /// Frames that were parked as dead letters because it failed.
    parked: u64,
    /// Its failures by reason.
    failures: Vec<FailureCount>,
    /// Alerts that it raised.
    alerts: u64,
    /// When it last judged a frame.
    last_judged_at: i64,
    last_failure: Option<FailureView>,
    /// Time and memory of its calls; none if this process runs no rules, because it is `everyframe serve`.
    usage: Option<UsageView>,
}

/// The rules.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleList {
    rules: Vec<RuleView>,
}

/// A line that a rule logged.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogLineView {
    at: i64,
    /// `error`, `warn`, `info` or `debug`.
    level: String,
    camera: String,
    /// The agent's session of the frame.
    session: String,
    /// The frame's number in its session.
    sequence: u64,
    message: String,
}

impl From<LogLine> for LogLineView {
    fn from(line: LogLine) -> Self {
        let LogLine { at, level, camera, session, sequence, message } = line;
        Self { at, level: level.to_owned(), camera, session, sequence, message }
    }
}

/// The log of a rule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleLogView {
    /// False if this process runs no rules, because it is `everyframe serve`: the log of each host has the lines.
    is_available: bool,
    /// At most 200, newest first.
    lines: Vec<LogLineView>,
}

/// A rule of the configuration file, with its settings.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleSettingsView {
    name: String,
    /// `matching-policy`, `unknown-person` or `alerting`.
    kind: String,
    /// The rule's own name.
    title: String,
    /// The version that the rule reports.
    version: String,
    /// What it does, in its own words.
    about: String,
    /// The version of the contract that it was built against.
    contract: String,
    /// The settings in the configuration file.
    #[schema(value_type = Object)]
    settings: serde_json::Value,
    /// JSON Schema of the settings, as the rule gives it; none if it gives none.
    #[schema(value_type = Option<Object>)]
    schema: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Lists the rules that judged frames since the history began.
#[utoipa::path(get, operation_id = "rules_list", path = "/rules", tag = "rules",
    responses((status = 200, body = RuleList), Problems))]
pub async fn list(State(app): State<Arc<App>>, _: Viewer) -> Json<RuleList> {
    let state = app.live.read();
    let kind = |name: &str| {
        let rule = app.config.rules.iter().find(|rule| rule.name == name)?;
        Some(kind_name(rule.kind).to_owned())
    };
    let usage = |name: &str| app.rule_meters.as_ref()?.usage(name).map(UsageView::from);
    let failures = |counts: &BTreeMap<String, u64>| {
        let count =
            |(reason, frames): (&String, &u64)| FailureCount { reason: reason.clone(), frames: *frames };
        counts.iter().map(count).collect()
    };
    let rules = state.rules.rules.iter().map(|(name, rule)| RuleView {
        name: name.clone(),
        kind: kind(name),
        version: rule.part.version.clone(),
        sha256: rule.part.sha256.clone(),
        judged: rule.judged,
        skipped: rule.skipped,
        parked: rule.parked,
        failures: failures(&rule.failures),
        alerts: rule.alerts,
        last_judged_at: rule.last_judged_at,
        last_failure: rule.last_failure.as_ref().map(|failure| FailureView {
            at: failure.at,
            camera: failure.camera.clone(),
            reason: failure.reason.clone(),
            message: failure.message.clone(),
        }),
        usage: usage(name),
    });
    Json(RuleList { rules: rules.collect() })
}

/// Shows the last lines that a rule logged in this process.
#[utoipa::path(get, operation_id = "rules_log", path = "/rules/{name}/log", tag = "rules",
    params(("name" = String, Path, description = "The rule's name")),
    responses((status = 200, body = RuleLogView), Problems))]
pub async fn log(
    State(app): State<Arc<App>>,
    _: Viewer,
    PathParts(name): PathParts<String>,
) -> Json<RuleLogView> {
    let lines = app.rule_meters.as_ref().map(|meters| meters.log_lines(&name));
    Json(RuleLogView {
        is_available: lines.is_some(),
        lines: lines.into_iter().flatten().rev().map(LogLineView::from).collect(),
    })
}

/// Shows the settings of a rule in the configuration file as it is now, and their schema.
#[utoipa::path(get, operation_id = "rules_settings", path = "/rules/{name}/settings", tag = "rules",
    params(("name" = String, Path, description = "The rule's name")),
    responses((status = 200, body = RuleSettingsView), Problems))]
pub async fn settings(
    State(app): State<Arc<App>>,
    _: Administrator,
    PathParts(name): PathParts<String>,
) -> Result<Json<RuleSettingsView>, Problem> {
    app.block(move |app| {
        let mut loaded = app.rule_source.read()?;
        let rules = app.rule_source.load(&mut loaded);
        let rules = rules.map_err(|error| Problem::unavailable(problem_lines(&error)))?;
        let found = rules.description(&name).zip(rules.component_and_settings(&name));
        let (rule, (_, settings)) = found.ok_or_else(|| {
            Problem::not_found("the configuration has no rule of this name; `GET /api/v1/rules` lists them")
        })?;
        Ok(Json(RuleSettingsView {
            name: rule.name.clone(),
            kind: kind_name(rule.kind).to_owned(),
            title: rule.title.clone(),
            version: rule.version.clone(),
            about: rule.about.clone(),
            contract: rule.contract.to_owned(),
            settings: serde_json::from_str(settings).map_err(Problem::internal)?,
            // The rule's own words, which need not be a schema.
            schema: serde_json::from_str(&rule.settings_schema).ok(),
        }))
    })
    .await
}
