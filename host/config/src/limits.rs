//! Limits: what a rule may use.

use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::time::Duration;

/// `[rules.limits]`: what the rule may use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest time of one call, including the start of the instance, milliseconds. While the rule computes, processor time counts;
    /// while it waits, elapsed time.
    pub time_ms: u64,
    /// The largest linear memory, MiB.
    pub memory_mb: usize,
    /// The most bytes of state that the rule may keep for one camera.
    pub state_bytes: usize,
    /// The largest result of one call, bytes.
    pub output_bytes: usize,
    /// The most bytes that the rule may pass to the host at once, as arguments of a host call or as its result. By default, twice
    /// the larger of `state_bytes` and `output_bytes`, plus 64 KiB.
    pub transfer_bytes: Option<usize>,
    /// The most log lines of one call.
    pub log_lines: usize,
    /// The most log lines a second, over all calls of the rule.
    pub log_rate: u32,
    /// The longest log line, bytes; longer lines are cut.
    pub log_line_bytes: usize,
    /// The most elements of all tables together. A Python rule has 10,000, one in Rust a few hundred.
    pub table_elements: usize,
    /// The most core instances inside the component. A Python rule has 30.
    pub instances: u32,
    /// The most linear memories inside the component. Only composed components have more than one.
    pub memories: u32,
    /// The most tables inside the component.
    pub tables: u32,
    /// The most resources of the host (streams, pollables, open files, requests) that the rule may hold at once.
    pub resources: usize,
    /// The most handles of all kinds that the rule may hold at once, including those of its own resources.
    pub handles: usize,
    /// The most HTTP requests of one call, if `grants.http` allows any.
    pub http_requests: usize,
    /// The largest component file, MiB. A Python rule has 18.
    pub component_mb: u64,
}

impl Limits {
    /// The longest time of one call.
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms)
    }

    /// The largest linear memory, bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_mb.saturating_mul(1 << 20)
    }

    /// The most bytes that the guest may pass to the host at once (arguments of a host call, or its result). By default, twice the
    /// limit of values and results, so that one that is somewhat too large gets its own error.
    pub fn transfer(&self) -> usize {
        let twice = || self.state_bytes.max(self.output_bytes).saturating_mul(2).saturating_add(64 << 10);
        self.transfer_bytes.unwrap_or_else(twice)
    }

    /// The largest of each limit that sizes the instance pool, which all rules share.
    pub fn largest<'a>(rules: impl IntoIterator<Item = &'a Limits>) -> Self {
        let mut rules = rules.into_iter();
        let first = rules.next().cloned().unwrap_or_default();
        rules.fold(first, |largest, limits| Self {
            memory_mb: largest.memory_mb.max(limits.memory_mb),
            table_elements: largest.table_elements.max(limits.table_elements),
            instances: largest.instances.max(limits.instances),
            memories: largest.memories.max(limits.memories),
            tables: largest.tables.max(limits.tables),
            ..largest
        })
    }

    /// The largest component file, bytes.
    pub fn component_bytes(&self) -> u64 {
        self.component_mb.saturating_mul(1 << 20)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_ms: 200,
            memory_mb: 64,
            state_bytes: 1 << 20,
            output_bytes: 256 << 10,
            transfer_bytes: None,
            log_lines: 20,
            log_rate: 100,
            log_line_bytes: 1 << 10,
            table_elements: 100_000,
            instances: 100,
            memories: 4,
            tables: 16,
            resources: 256,
            handles: 10_000,
            http_requests: 10,
            component_mb: 64,
        }
    }
}

impl Limits {
    /// Finds the settings that are out of range. Returns keys and messages.
    pub fn out_of_range(&self) -> Vec<(&'static str, String)> {
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let transfer = self.transfer_bytes.map_or(1 << 20, number);
        let checks: [(&'static str, u64, RangeInclusive<u64>, &str); 16] = [
            ("limits.time_ms", self.time_ms, 1..=60_000, "milliseconds"),
            ("limits.memory_mb", number(self.memory_mb), 1..=4095, "MiB"),
            ("limits.state_bytes", number(self.state_bytes), 0..=1 << 30, "bytes"),
            ("limits.output_bytes", number(self.output_bytes), 1..=64 << 20, "bytes"),
            ("limits.transfer_bytes", transfer, 4 << 10..=1 << 30, "bytes"),
            ("limits.log_lines", number(self.log_lines), 0..=10_000, "lines"),
            ("limits.log_rate", u64::from(self.log_rate), 0..=100_000, "lines a second"),
            ("limits.log_line_bytes", number(self.log_line_bytes), 16..=64 << 10, "bytes"),
            ("limits.table_elements", number(self.table_elements), 1..=1_000_000, "elements"),
            ("limits.instances", self.instances.into(), 1..=1000, "instances"),
            ("limits.memories", self.memories.into(), 1..=8, "memories"),
            ("limits.tables", self.tables.into(), 1..=64, "tables"),
            ("limits.resources", number(self.resources), 1..=10_000, "resources"),
            ("limits.handles", number(self.handles), 1..=1_000_000, "handles"),
            ("limits.http_requests", number(self.http_requests), 0..=1000, "requests"),
            ("limits.component_mb", self.component_mb, 1..=1024, "MiB"),
        ];
        let wrong = checks.into_iter().filter(|(_, value, range, _)| !range.contains(value));
        wrong
            .map(|(key, value, range, unit)| {
                (key, format!("must be {} to {} {unit}, is {value}", range.start(), range.end()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Limits::default().out_of_range(), []);
    }

    #[test]
    fn each_limit_has_its_range() {
        for (text, message) in [
            ("time_ms = 0", "must be 1 to 60000 milliseconds, is 0"),
            ("time_ms = 60001", "is 60001"),
            ("memory_mb = 4096", "must be 1 to 4095 MiB"),
            ("state_bytes = 1073741825", "must be 0 to 1073741824 bytes"),
            ("output_bytes = 0", "must be 1 to"),
            ("transfer_bytes = 100", "must be 4096 to"),
            ("log_lines = 10001", "must be 0 to 10000 lines"),
            ("log_line_bytes = 8", "must be 16 to"),
            ("table_elements = 1000001", "must be 1 to"),
            ("instances = 0", "must be 1 to 1000 instances"),
            ("memories = 9", "must be 1 to 8"),
            ("tables = 65", "must be 1 to 64"),
            ("resources = 0", "must be 1 to"),
            ("handles = 0", "must be 1 to"),
            ("http_requests = 1001", "must be 0 to"),
            ("component_mb = 0", "must be 1 to 1024 MiB"),
        ] {
            let limits: Limits = toml::from_str(text).unwrap();
            let wrong = limits.out_of_range();
            assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
            let key = text.split(' ').next().unwrap();
            assert_eq!(wrong[0].0, format!("limits.{key}"));
            assert!(wrong[0].1.contains(message), "{text}: {wrong:?}");
        }
    }
}
