//! The counters and histograms of a host.

use super::cameras::{Cameras, Column};
use super::heard_cameras::{ByCamera, HeardCameras};
use super::partitions::{ByPartition, Partitions};
use crate::intake::Correction;
use crate::live_ledger::SequenceCheck;
use everyframe_config::CameraSettings;
use everyframe_rules::{RuleMeter, RuleMeters};
use everyframe_telemetry::histogram::{DELAY, FRAMES, Histogram, STAGE, Scale};
use everyframe_telemetry::throttle::Throttle;
use everyframe_types::event::{Timings, rfc3339};
use everyframe_types::frame::Frame;
use everyframe_types::judgement::{Judgement, Severity, Skipped};
use everyframe_types::search::SearchKind;
use everyframe_types::sequence_gap::SequenceGap;
use everyframe_vision::ShadowCheck;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The counters and histograms of a host.
pub struct Metrics {
    registry: Mutex<Registry>,
    taken_in: Counter,
    bytes: Counter,
    judged: Counter,
    /// By stage and reason, names of ours.
    parked: Family<[(&'static str, String); 2], Counter>,
    skipped: Family<[(&'static str, String); 2], Counter>,
    searches: Family<[(&'static str, &'static str); 1], Counter>,
    shadow_faces: Family<[(&'static str, &'static str); 1], Counter>,
    parked_in_all: AtomicU64,
    acknowledged_in_all: AtomicU64,
    faces: Counter,
    /// By severity, in the order of [`SEVERITIES`].
    alerts: [Counter; 3],
    deleted: Counter,
    state_changes: Counter,
    /// In the order of [`STAGES`].
    stages: [Histogram; 4],
    publish_delay: Histogram,
    batches: BatchMetrics,
    restored_records: Counter,
    restoring: Histogram,
    rebalances: Family<[(&'static str, &'static str); 1], Counter>,
    reloads: Family<[(&'static str, &'static str); 1], Counter>,
    cameras: Cameras,
    heard: Arc<HeardCameras>,
    expected: Mutex<Vec<CameraSettings>>,
    rules: RuleMeters,
    partitions: Arc<Partitions>,
    gaps: Throttle,
    wrong_clocks: Throttle,
    parked_lines: Throttle,
}

/// Metrics of the delivery of batches.
struct BatchMetrics {
    frames: Histogram,
    delivery: Histogram,
    aborted: Counter,
    given_up: Counter,
}

impl BatchMetrics {
    fn new(registry: &mut Registry) -> Self {
        Self {
            aborted: add(registry, "batches_aborted", "Attempts to deliver a batch of which nothing counts"),
            given_up: add(
                registry,
                "batches_given_up",
                "Batches given up with their partitions, since nobody knows if they count",
            ),
            frames: add_histogram(registry, "batch_frames", "Frames of a delivered batch", FRAMES),
            delivery: add_histogram(
                registry,
                "batch_delivery_seconds",
                "From the first attempt until a batch is acknowledged",
                DELAY,
            ),
        }
    }
}

/// One histogram for each stage.
type Stages = Family<[(&'static str, &'static str); 1], Histogram, fn() -> Histogram>;

const SEVERITIES: [(Severity, &str); 3] =
    [(Severity::Info, "info"), (Severity::Warning, "warning"), (Severity::Critical, "critical")];
const STAGES: [&str; 4] = ["decode", "detect", "embed", "rules"];

/// The totals at one moment, for the closing line and for `everyframe bench`.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    /// Frames taken in.
    pub taken_in: u64,
    /// Frames judged.
    pub judged: u64,
    /// Frames parked.
    pub parked: u64,
    /// Faces in the frames judged.
    pub faces: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Milliseconds of all rules, added up over the frames judged.
    pub rules_ms: f64,
}

/// Adds a metric. Its name gets the prefix of the program.
fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(format!("everyframe_{name}"), help, metric.clone());
    metric
}

fn add_histogram(registry: &mut Registry, name: &str, help: &str, scale: Scale) -> Histogram {
    let histogram = Histogram::new(scale);
    registry.register(format!("everyframe_{name}"), help, histogram.clone());
    histogram
}

/// In the order of [`STAGES`].
fn add_stages(registry: &mut Registry) -> [Histogram; 4] {
    let stages = Stages::new_with_constructor(|| Histogram::new(STAGE));
    registry.register("everyframe_stage_cpu_seconds", "CPU time of a stage for one frame", stages.clone());
    STAGES.map(|name| stages.get_or_create_owned(&[("stage", name)]))
}

/// In the order of [`SEVERITIES`].
fn add_alerts(registry: &mut Registry) -> [Counter; 3] {
    let alerts: Family<[(&'static str, &'static str); 1], Counter> = add(registry, "alerts", "Alerts raised");
    SEVERITIES.map(|(_, name)| alerts.get_or_create_owned(&[("severity", name)]))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics of a host that has done nothing yet.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let (heard, partitions) = (Arc::new(HeardCameras::default()), Arc::new(Partitions::default()));
        registry.register_collector(Box::new(ByCamera(heard.clone())));
        registry.register_collector(Box::new(ByPartition(partitions.clone())));
        let cameras = Cameras::default();
        cameras.register(&mut registry);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("everyframe_build", "This program", build);
        let to = &mut registry;
        Self {
            taken_in: add(to, "frames_taken_in", "Frames taken in"),
            bytes: add(to, "taken_in_bytes", "Bytes of the frames taken in"),
            judged: add(to, "frames_processed", "Frames that were judged"),
            faces: add(to, "faces", "Faces in the frames processed"),
            deleted: add(
                to,
                "frames_deleted_unread",
                "Frames that retention deleted before the group came to them",
            ),
            state_changes: add(to, "state_changes", "Changes of rule state, published with frames"),
            restored_records: add(to, "state_restored_records", "Records read to restore rule state"),
            restoring: add_histogram(to, "state_restore_seconds", "Time to restore rule state", DELAY),
            publish_delay: add_histogram(
                to,
                "publish_delay_seconds",
                "From taking a frame in until everything that it causes is acknowledged",
                DELAY,
            ),
            batches: BatchMetrics::new(to),
            stages: add_stages(to),
            alerts: add_alerts(to),
            parked: add(to, "frames_parked", "Frames that could not be processed"),
            skipped: add(to, "rules_skipped", "Failures of rules that were passed over"),
            searches: add(
                to,
                "searches",
                "Frames by how they were searched for faces: full, partial, coarse or reused",
            ),
            shadow_faces: add(
                to,
                "shadow_faces",
                "Faces that a second, full search finds in 1 % of the other frames: found or missed by their own",
            ),
            rebalances: add(
                to,
                "rebalances",
                "Partitions that came and went: assigned, revoked in good order, or lost",
            ),
            reloads: add(
                to,
                "rules_reloads",
                "Times that rules were read again: in-force, refused, or fell-back to those before",
            ),
            rules: RuleMeters::new(to),
            cameras,
            heard,
            partitions,
            registry: Mutex::new(registry),
            parked_in_all: AtomicU64::new(0),
            acknowledged_in_all: AtomicU64::new(0),
            expected: Mutex::default(),
            gaps: Throttle::default(),
            wrong_clocks: Throttle::default(),
            parked_lines: Throttle::default(),
        }
    }

    /// Adds the metrics of another part of this process.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut locked(&self.registry));
    }

    /// Everything as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        // Writing into a string does not fail.
        let _ = encode(&mut text, &locked(&self.registry));
        text
    }

    /// The totals at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let [.., rules] = &self.stages;
        Snapshot {
            taken_in: self.taken_in.get(),
            judged: self.judged.get(),
            parked: self.parked_in_all.load(Ordering::Relaxed),
            faces: self.faces.get(),
            alerts: self.alerts.iter().map(Counter::get).sum(),
            rules_ms: rules.sum() * 1e3,
        }
    }

    /// The state of the lanes and of the frames topic.
    pub fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// Sets how results are delivered. Call it once.
    pub fn set_delivery(&self, exactly_once: bool) {
        let mode = if exactly_once { "exactly-once" } else { "at-least-once" };
        let info = Info::new([("mode", mode)]);
        locked(&self.registry).register("everyframe_delivery", "How results are delivered", info);
    }

    /// When each camera was heard of last.
    pub fn heard_cameras(&self) -> &HeardCameras {
        &self.heard
    }

    /// Sets the cameras that are expected: an alert tells when nothing is heard of one.
    pub fn expect_cameras(&self, cameras: Vec<CameraSettings>) {
        *locked(&self.expected) = cameras;
    }

    /// The cameras that are expected.
    pub fn expected_cameras(&self) -> Vec<CameraSettings> {
        locked(&self.expected).clone()
    }

    /// Counts a frame that was taken in, and its bytes.
    pub fn frame_taken_in(&self, bytes: usize) {
        self.taken_in.inc();
        self.bytes.inc_by(bytes as u64);
    }

    /// Counts a frame by what its sequence number says.
    pub fn sequence_checked(&self, camera: &str, check: &SequenceCheck) {
        match check {
            SequenceCheck::Late => self.cameras.count(Column::Late, camera, 1),
            SequenceCheck::Repeated => self.cameras.count(Column::Repeated, camera, 1),
            // A gap is counted by `sequence_gap`.
            SequenceCheck::InOrder | SequenceCheck::Gap(_) => {}
        }
    }

    /// Counts the frames of a sequence gap; `count` of them were not counted before.
    pub fn sequence_gap(&self, frame: &Frame, count: u64) {
        let Some(sequence_gap) = &frame.sequence_gap else { return };
        let (column, what) = match sequence_gap {
            SequenceGap::Missing(_) => (Column::Missing, "frames are missing"),
            SequenceGap::Refused(_) => {
                (Column::Refused, "frames were refused by their agent, which had no room")
            }
        };
        self.cameras.count(column, &frame.camera, count);
        if let Some(kept_back) = self.gaps.may(Instant::now()) {
            tracing::warn!(
                camera = &*frame.camera,
                session = &*frame.session,
                numbers = sequence_gap.numbers(),
                count = sequence_gap.count(),
                kept_back,
                "{what}"
            );
        }
    }

    /// Counts a frame whose claimed time is not believed. A clock that stays wrong is logged once.
    pub fn time_corrected(&self, frame: &Frame, correction: Correction) {
        let kind = correction.fault.as_str();
        self.cameras.count_corrected(&frame.camera, kind);
        if let Some(kept_back) = correction.is_new.then(|| self.wrong_clocks.may(Instant::now())).flatten() {
            tracing::warn!(
                camera = &*frame.camera,
                session = &*frame.session,
                claimed = rfc3339(frame.claimed_at),
                believed = rfc3339(frame.captured_at),
                kept_back,
                "a frame claims a time that cannot be right ({kind}): set the clock of the camera or its agent by NTP, \
                 and send milliseconds since 1970 as everyframe-captured-at"
            );
        }
    }

    /// Counts a frame that was judged.
    pub fn frame_judged(&self, judgement: &Judgement, timings: &Timings) {
        self.judged.inc();
        self.faces.inc_by(judgement.subjects.len() as u64);
        judgement.alerts.iter().for_each(|alert| self.alert_raised(alert.severity));
        for Skipped { rule, reason, .. } in &judgement.skipped {
            self.skipped.get_or_create(&[("rule", rule.clone()), ("reason", reason.clone())]).inc();
        }
        self.state_changes.inc_by(judgement.state.len() as u64);
        let times = [timings.decode_ms, timings.detect_ms, timings.embed_ms, timings.rules_ms];
        for (stage, milliseconds) in self.stages.iter().zip(times) {
            stage.observe_time(Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or_default());
        }
    }

    /// Counts how a frame that was judged had been searched, and what its shadow check found.
    pub fn frame_searched(&self, search: SearchKind, shadow: Option<ShadowCheck>) {
        self.searches.get_or_create(&[("kind", search.as_str())]).inc();
        if let Some(ShadowCheck { faces, missed }) = shadow {
            let found = faces.saturating_sub(missed);
            self.shadow_faces.get_or_create(&[("outcome", "found")]).inc_by(found.into());
            self.shadow_faces.get_or_create(&[("outcome", "missed")]).inc_by(missed.into());
        }
    }

    /// Counts a frame that was parked.
    pub fn frame_parked(&self, stage: &'static str, reason: &str) {
        self.parked_in_all.fetch_add(1, Ordering::Relaxed);
        self.parked.get_or_create(&[("stage", stage.to_owned()), ("reason", reason.to_owned())]).inc();
    }

    /// How many parked frames were left out of the log before this one; none if this one must be left out, too.
    pub fn may_log_parked(&self) -> Option<u64> {
        self.parked_lines.may(Instant::now())
    }

    /// Counts an alert.
    pub fn alert_raised(&self, severity: Severity) {
        for ((of, _), counter) in SEVERITIES.iter().zip(&self.alerts) {
            if *of == severity {
                counter.inc();
            }
        }
    }

    /// Counts a frame whose records are all acknowledged, so long after it was taken in.
    pub fn frame_acknowledged(&self, delay: Duration) {
        self.publish_delay.observe_time(delay);
        self.acknowledged_in_all.fetch_add(1, Ordering::Relaxed);
    }

    /// Frames whose records are all acknowledged.
    pub fn acknowledged_in_all(&self) -> u64 {
        self.acknowledged_in_all.load(Ordering::Relaxed)
    }

    /// Counts a batch that was delivered.
    pub fn batch_delivered(&self, frames: usize, took: Duration) {
        self.batches.frames.observe(frames as u64);
        self.batches.delivery.observe_time(took);
    }

    /// Counts a failed attempt to deliver a batch.
    pub fn batch_aborted(&self) {
        self.batches.aborted.inc();
    }

    /// Counts a batch that was given up with its partitions.
    pub fn batch_given_up(&self) {
        self.batches.given_up.inc();
    }

    /// Counts frames that retention deleted unread.
    pub fn frames_deleted(&self, frames: u64) {
        self.deleted.inc_by(frames);
    }

    /// Counts the records read to restore rule state.
    pub fn state_restored(&self, records: u64, took: Duration) {
        self.restored_records.inc_by(records);
        self.restoring.observe_time(took);
    }

    /// The counters of a rule.
    pub fn rule_meter(&self, name: &str) -> RuleMeter {
        self.rules.for_rule(name)
    }

    /// The counters and the last log lines of all rules.
    pub fn rule_meters(&self) -> &RuleMeters {
        &self.rules
    }

    /// Counts a reload of the rules: `in-force`, `refused`, `fell-back`.
    pub fn rules_reloaded(&self, outcome: &'static str) {
        self.reloads.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts a rebalance: `assigned`, `revoked`, `lost`.
    pub fn rebalanced(&self, change: &'static str) {
        self.rebalances.get_or_create(&[("change", change)]).inc();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_every_counter() {
        let metrics = Metrics::new();
        metrics.frame_taken_in(1000);
        metrics.frame_parked("vision", "truncated");
        metrics.set_delivery(true);
        metrics.frame_acknowledged(Duration::from_millis(7));
        metrics.sequence_checked("a\"b", &SequenceCheck::Late);
        let timings = Timings { rules_ms: 3.0, ..Timings::default() };
        metrics.frame_judged(&Judgement::default(), &timings);
        let text = metrics.text();
        for line in [
            "everyframe_frames_taken_in_total 1",
            "everyframe_taken_in_bytes_total 1000",
            "everyframe_frames_parked_total{stage=\"vision\",reason=\"truncated\"} 1",
            "everyframe_delivery_info{mode=\"exactly-once\"} 1",
            "everyframe_publish_delay_seconds_sum 0.007",
            "everyframe_publish_delay_seconds_bucket{le=\"0.005\"} 0",
            "everyframe_publish_delay_seconds_bucket{le=\"0.01\"} 1",
            "everyframe_publish_delay_seconds_bucket{le=\"+Inf\"} 1",
            "everyframe_stage_cpu_seconds_bucket{le=\"0.004\",stage=\"rules\"} 1",
            "everyframe_ledger_late_frames_total{camera=\"a\\\"b\"} 1",
            "everyframe_partitions_owned 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        let now = metrics.snapshot();
        assert_eq!((now.taken_in, now.judged, now.parked, now.rules_ms), (1, 1, 1, 3.0));
    }
}
