//! Prometheus metrics of each rule, and its last log lines.

use super::recent_log::{LogLine, RecentLog};
use everyframe_telemetry::histogram::{CALL, Histogram};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type ByRule = [(&'static str, String); 1];

/// The metrics of all rules, by name: they outlive a reload. Clones share them.
#[derive(Clone)]
pub struct RuleMeters {
    calls: Family<ByRule, Counter>,
    seconds: Family<ByRule, Histogram, fn() -> Histogram>,
    fuel: Family<ByRule, Counter>,
    memory: Family<ByRule, Gauge<u64, AtomicU64>>,
    state: Family<ByRule, Gauge<u64, AtomicU64>>,
    log_lines_dropped: Family<ByRule, Counter>,
    state_refused: Family<ByRule, Counter>,
    http_refused: Family<ByRule, Counter>,
    failures: Family<[(&'static str, String); 2], Counter>,
    paused: Family<ByRule, Gauge<u64, AtomicU64>>,
    recent_logs: Arc<Mutex<BTreeMap<String, RecentLog>>>,
}

/// The metrics of one rule. The default is not registered anywhere.
#[derive(Debug, Clone)]
pub struct RuleMeter {
    name: String,
    calls: Counter,
    seconds: Histogram,
    fuel: Counter,
    memory: Gauge<u64, AtomicU64>,
    state: Gauge<u64, AtomicU64>,
    log_lines_dropped: Counter,
    state_refused: Counter,
    http_refused: Counter,
    failures: Family<[(&'static str, String); 2], Counter>,
    paused: Gauge<u64, AtomicU64>,
    recent_log: RecentLog,
}

/// What the calls of a rule used since the process started.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleUsage {
    /// The number of calls that succeeded.
    pub calls: u64,
    /// Time from the start of an instance to its answer, median, seconds; none before the first call.
    pub p50_seconds: Option<f64>,
    /// The 99th percentile of the same.
    pub p99_seconds: Option<f64>,
    /// Peak linear memory of one call, bytes.
    pub memory_peak: u64,
    /// Peak state for one camera, bytes.
    pub state_peak: u64,
    /// The number of log lines above the limits, which were not logged.
    pub log_lines_dropped: u64,
    /// The number of cameras for which the rule is paused because it failed too often on their frames.
    pub paused_cameras: u64,
}

/// The resources that one call used.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallCost {
    /// From the start of its instance to its answer.
    pub time: Duration,
    /// Approximate number of the guest's instructions.
    pub fuel: u64,
    /// Peak linear memory, bytes.
    pub memory: usize,
    /// The rule's state for the camera, bytes.
    pub state: usize,
    /// Log lines above the limits, which were not logged.
    pub log_lines_dropped: u64,
    /// Values that `limits.state_bytes` had no room for.
    pub state_refused: u64,
    /// Requests to hosts that are not granted, and requests above `limits.http_requests`.
    pub http_refused: u64,
}

impl RuleMeters {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let meters = Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(CALL)),
            fuel: Family::default(),
            memory: Family::default(),
            state: Family::default(),
            log_lines_dropped: Family::default(),
            state_refused: Family::default(),
            http_refused: Family::default(),
            failures: Family::default(),
            paused: Family::default(),
            recent_logs: Arc::default(),
        };
        registry.register("everyframe_rule_calls", "Calls of a rule", meters.calls.clone());
        registry.register(
            "everyframe_rule_call_seconds",
            "Time from the start of an instance to its answer",
            meters.seconds.clone(),
        );
        registry.register("everyframe_rule_fuel", "Approximate instructions of a rule", meters.fuel.clone());
        registry.register(
            "everyframe_rule_memory_peak_bytes",
            "Peak linear memory of one call",
            meters.memory.clone(),
        );
        registry.register(
            "everyframe_rule_state_peak_bytes",
            "Peak state of a rule for one camera",
            meters.state.clone(),
        );
        registry.register(
            "everyframe_rule_log_lines_dropped",
            "Log lines of a rule above its limits",
            meters.log_lines_dropped.clone(),
        );
        registry.register(
            "everyframe_rule_state_refused",
            "Values of a rule that its state had no room for",
            meters.state_refused.clone(),
        );
        registry.register(
            "everyframe_rule_http_refused",
            "Requests of a rule that were not granted or above its limits",
            meters.http_refused.clone(),
        );
        registry.register(
            "everyframe_rule_failures",
            "Failed calls of a rule, by the reason that a dead letter has",
            meters.failures.clone(),
        );
        registry.register(
            "everyframe_rule_paused_cameras",
            "Cameras for which a rule is paused because it failed too often on their frames",
            meters.paused.clone(),
        );
        meters
    }

    /// The metrics of the rule of this name.
    pub fn for_rule(&self, rule: &str) -> RuleMeter {
        let label = [("rule", rule.to_owned())];
        RuleMeter {
            name: rule.to_owned(),
            calls: self.calls.get_or_create_owned(&label),
            seconds: self.seconds.get_or_create_owned(&label),
            fuel: self.fuel.get_or_create_owned(&label),
            memory: self.memory.get_or_create_owned(&label),
            state: self.state.get_or_create_owned(&label),
            log_lines_dropped: self.log_lines_dropped.get_or_create_owned(&label),
            state_refused: self.state_refused.get_or_create_owned(&label),
            http_refused: self.http_refused.get_or_create_owned(&label),
            failures: self.failures.clone(),
            paused: self.paused.get_or_create_owned(&label),
            recent_log: self.recent_logs().entry(rule.to_owned()).or_default().clone(),
        }
    }

    /// What the calls of a rule used; none if there was no rule of this name.
    pub fn usage(&self, rule: &str) -> Option<RuleUsage> {
        let is_known = self.recent_logs().contains_key(rule);
        let meter = is_known.then(|| self.for_rule(rule))?;
        Some(RuleUsage {
            calls: meter.calls.get(),
            p50_seconds: meter.seconds.quantile(0.5),
            p99_seconds: meter.seconds.quantile(0.99),
            memory_peak: meter.memory.get(),
            state_peak: meter.state.get(),
            log_lines_dropped: meter.log_lines_dropped.get(),
            paused_cameras: meter.paused.get(),
        })
    }

    /// The last lines that a rule logged, oldest first.
    pub fn log_lines(&self, rule: &str) -> Vec<LogLine> {
        let log = self.recent_logs().get(rule).cloned();
        log.map(|log| log.lines()).unwrap_or_default()
    }

    fn recent_logs(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, RecentLog>> {
        self.recent_logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for RuleMeter {
    fn default() -> Self {
        RuleMeters::new(&mut Registry::default()).for_rule("")
    }
}

impl RuleMeter {
    /// Records a call that succeeded.
    pub fn record_call(&self, cost: &CallCost) {
        self.calls.inc();
        self.seconds.observe_time(cost.time);
        self.fuel.inc_by(cost.fuel);
        raise_to(&self.memory, cost.memory);
        raise_to(&self.state, cost.state);
        // Mostly 0: then nothing is written to memory that all lanes read.
        for (counter, count) in [
            (&self.log_lines_dropped, cost.log_lines_dropped),
            (&self.state_refused, cost.state_refused),
            (&self.http_refused, cost.http_refused),
        ] {
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }

    /// Keeps the rule's last log lines.
    pub(super) fn recent_log(&self) -> &RecentLog {
        &self.recent_log
    }

    /// Sets the number of cameras whose breaker is open.
    pub fn set_paused(&self, cameras: usize) {
        // Mostly unchanged: then nothing is written to memory that all lanes read.
        if self.paused.get() != cameras as u64 {
            self.paused.set(cameras as u64);
        }
    }

    /// Records a call that failed or was not made, with its [`reason`](crate::FailureKind::reason).
    pub fn record_failure(&self, reason: &'static str) {
        self.failures.get_or_create(&[("rule", self.name.clone()), ("reason", reason.to_owned())]).inc();
    }
}

fn raise_to(gauge: &Gauge<u64, AtomicU64>, value: usize) {
    let value = value as u64;
    if gauge.get() < value {
        gauge.inner().fetch_max(value, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_counts_the_calls_of_a_rule_over_reloads() {
        let meters = RuleMeters::new(&mut Registry::default());
        assert_eq!(meters.usage("who"), None, "asking makes no metric");
        let cost = |ms| CallCost { time: Duration::from_millis(ms), memory: 1 << 20, ..CallCost::default() };
        (0..99).for_each(|_| meters.for_rule("who").record_call(&cost(1)));
        meters.for_rule("who").record_call(&cost(100));
        let usage = meters.clone().usage("who").unwrap();
        assert_eq!((usage.calls, usage.memory_peak, usage.paused_cameras), (100, 1 << 20, 0));
        assert!(usage.p50_seconds < Some(0.002) && usage.p99_seconds < Some(0.3), "{usage:?}");
        assert!(usage.p99_seconds >= usage.p50_seconds, "{usage:?}");
    }
}
