//! What is counted of each rule.

use everyframe_telemetry::histogram::{CALL, Histogram};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

type ByRule = [(&'static str, String); 1];

/// All rules' counters.
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
}

/// One rule's counters. The default counts where nobody looks.
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
}

/// What one call took.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallCost {
    /// From the beginning of its instance to its answer.
    pub time: Duration,
    /// Instructions of the guest, about.
    pub fuel: u64,
    /// Linear memory at its largest, bytes.
    pub memory: usize,
    /// What it keeps for the camera, bytes.
    pub state: usize,
    /// Log lines above its limits.
    pub log_lines_dropped: u64,
    /// Values for which `limits.state_bytes` had no room.
    pub state_refused: u64,
    /// Requests to hosts that it is not granted, and those above `limits.http_requests`.
    pub http_refused: u64,
}

impl RuleMeters {
    /// Registers them.
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
        };
        registry.register("everyframe_rule_calls", "Calls of a rule", meters.calls.clone());
        registry.register(
            "everyframe_rule_call_seconds",
            "From the beginning of an instance to its answer",
            meters.seconds.clone(),
        );
        registry.register("everyframe_rule_fuel", "Instructions of a rule, about", meters.fuel.clone());
        registry.register(
            "everyframe_rule_memory_peak_bytes",
            "The most linear memory that one call had",
            meters.memory.clone(),
        );
        registry.register(
            "everyframe_rule_state_peak_bytes",
            "The most that a rule kept for one camera",
            meters.state.clone(),
        );
        registry.register(
            "everyframe_rule_log_lines_dropped",
            "Log lines of a rule above its limits",
            meters.log_lines_dropped.clone(),
        );
        registry.register(
            "everyframe_rule_state_refused",
            "Values of a rule for which its state had no room",
            meters.state_refused.clone(),
        );
        registry.register(
            "everyframe_rule_http_refused",
            "Requests of a rule that are not granted, or above its limits",
            meters.http_refused.clone(),
        );
        registry.register(
            "everyframe_rule_failures",
            "Calls of a rule that failed: traps, timeouts and what else a dead letter's reason may be",
            meters.failures.clone(),
        );
        registry.register(
            "everyframe_rule_paused_cameras",
            "Cameras about which a rule is not asked for a while, because it failed too often on their frames",
            meters.paused.clone(),
        );
        meters
    }

    /// The counters of the rule of this name.
    pub fn of(&self, rule: &str) -> RuleMeter {
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
        }
    }
}

impl Default for RuleMeter {
    fn default() -> Self {
        RuleMeters::new(&mut Registry::default()).of("")
    }
}

impl RuleMeter {
    /// It was called.
    pub fn called(&self, cost: &CallCost) {
        self.calls.inc();
        self.seconds.observe_time(cost.time);
        self.fuel.inc_by(cost.fuel);
        raise(&self.memory, cost.memory);
        raise(&self.state, cost.state);
        // Mostly none: not to write what all lanes read.
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

    /// Sets the number of cameras whose breaker is open.
    pub fn set_paused(&self, cameras: usize) {
        // Mostly unchanged: then nothing is written to memory that all lanes read.
        if self.paused.get() != cameras as u64 {
            self.paused.set(cameras as u64);
        }
    }

    /// A call failed, or was not made, for this reason.
    pub fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&[("rule", self.name.clone()), ("reason", reason.to_owned())]).inc();
    }
}

fn raise(gauge: &Gauge<u64, AtomicU64>, value: usize) {
    let value = value as u64;
    if gauge.get() < value {
        gauge.inner().fetch_max(value, std::sync::atomic::Ordering::Relaxed);
    }
}
