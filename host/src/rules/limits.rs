//! What one call may use: the limits that TOML does not name, and the guard over a guest's memory.

use crate::config::Limits;
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// A component file may not be larger. A Python rule is 18 MB.
pub(super) const COMPONENT_BYTES: u64 = 64 << 20;

/// The epoch's step. A guest that computes is stopped at its limit, at most one step later.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Time for `describe` and `configure` when the configuration is loaded: the first run of code that was
/// compiled a moment ago pages all of it in, so this is generous.
pub(super) const LOAD_TIME: Duration = Duration::from_secs(2);

/// Elements of all tables of an instance. The Python guest has 10,000, a Rust guest a few hundred.
pub(super) const TABLE_ELEMENTS: usize = 100_000;

/// Core instances, memories and tables inside one component. The Python guest is made of 30 core instances.
pub(super) const CORE_INSTANCES: u32 = 100;
/// See [`CORE_INSTANCES`]. More than one only in composed components.
pub(super) const MEMORIES: u32 = 4;
/// See [`CORE_INSTANCES`].
pub(super) const TABLES: u32 = 16;

/// Host resources (streams, pollables) that a guest may hold at once.
pub(super) const RESOURCES: usize = 256;

/// Handles of all kinds, a component's own resources included; the host keeps their tables.
pub(super) const HANDLES: usize = 10_000;

/// Bytes of WASI random numbers in one request; the host allocates them.
pub(super) const RANDOM_BYTES: u64 = 64 << 10;

/// Bytes of a guest's standard error that are kept to explain a trap.
pub(super) const STDERR_BYTES: usize = 4 << 10;

/// Bytes of one log line; the rest is cut off.
pub(super) const LOG_LINE_BYTES: usize = 1 << 10;

/// Bytes of the guest's own words in a failure's message.
pub(super) const MESSAGE_BYTES: usize = 500;

/// The stack of guest code, bytes.
pub(super) const WASM_STACK: usize = 512 << 10;

/// The stack of a call, host functions included, bytes.
pub(super) const CALL_STACK: usize = 1 << 20;

impl Limits {
    /// Time of one call.
    pub(super) fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms)
    }

    /// Linear memory, bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_mb.saturating_mul(1 << 20)
    }

    /// Bytes that the guest may hand to the host in one go (the arguments of a host call, or its answer).
    /// Twice what is allowed, so that a value or answer somewhat too large gets its proper error.
    pub(super) fn transfer_bytes(&self) -> usize {
        self.state_bytes.max(self.output_bytes).saturating_mul(2).saturating_add(64 << 10)
    }

    /// The settings out of range: key and what is right.
    pub(super) fn out_of_range(&self) -> Vec<(&'static str, &'static str)> {
        let mut wrong = Vec::new();
        if !(1..=60_000).contains(&self.time_ms) {
            wrong.push(("limits.time_ms", "must be 1 to 60000 milliseconds"));
        }
        if !(1..=4095).contains(&self.memory_mb) {
            wrong.push(("limits.memory_mb", "must be 1 to 4095 MiB"));
        }
        if self.state_bytes > 1 << 30 {
            wrong.push(("limits.state_bytes", "must be at most 1073741824 (1 GiB)"));
        }
        if !(1..=64 << 20).contains(&self.output_bytes) {
            wrong.push(("limits.output_bytes", "must be 1 to 67108864 (64 MiB)"));
        }
        if self.log_lines > 10_000 {
            wrong.push(("limits.log_lines", "must be at most 10000"));
        }
        wrong
    }
}

/// What a guest asked for and was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Linear memory.
    Memory,
    /// Table elements.
    Table,
}

/// Guards the memory of one instance.
///
/// A refused growth reaches the guest as −1, and most guests then abort: a trap like any other. The note
/// in `denied` tells the two apart.
#[derive(Debug)]
pub(super) struct Guard {
    memory_limit: usize,
    memory: usize,
    elements: usize,
    /// The first refusal.
    pub(super) denied: Option<Denied>,
}

impl Guard {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { memory_limit: limits.memory_bytes(), memory: 0, elements: 0, denied: None }
    }

    /// Bytes of linear memory that the guest has: the most that it had, for memories don't shrink.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for Guard {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            self.denied.get_or_insert(Denied::Memory);
            return Ok(false);
        }
        // Beyond the memory's own maximum wasmtime refuses after this call: count nothing then.
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.memory = total;
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS {
            self.denied.get_or_insert(Denied::Table);
            return Ok(false);
        }
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.elements = total;
        }
        Ok(true)
    }
}

/// Makes a guest's words fit to be shown: at most `bytes` long, without control characters (which could
/// rewrite a terminal or forge a log line).
pub(super) fn presentable(text: &str, bytes: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(bytes));
    for c in text.trim_matches(|c: char| c.is_whitespace() || is_control(c)).chars() {
        if shown.len() + c.len_utf8() > bytes {
            shown.push('…');
            break;
        }
        shown.push(if is_control(c) { ' ' } else { c });
    }
    shown
}

/// Control characters, line and paragraph separators, and the marks that reverse the reading direction.
pub(super) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_of_an_instance_share_one_limit() {
        let mut guard = Guard::new(&Limits { memory_mb: 1, ..Limits::default() });
        assert!(guard.memory_growing(0, 600 << 10, None).unwrap());
        assert!(!guard.memory_growing(0, 600 << 10, None).unwrap());
        assert_eq!(guard.denied, Some(Denied::Memory));
        assert!(guard.memory_growing(600 << 10, 1 << 20, None).unwrap());
        assert!(!guard.table_growing(0, TABLE_ELEMENTS + 1, None).unwrap());
    }

    #[test]
    fn words_of_a_guest_cannot_rewrite_a_terminal() {
        assert_eq!(presentable("\x1b[2Jgone\nnext\u{202e}", 100), "[2Jgone next");
        assert_eq!(presentable("ääää", 5), "ää…");
    }
}
