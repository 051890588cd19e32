//! What one call may use: the limits that TOML does not name, and the guard over a guest's memory and tables.

use everyframe_config::Limits;
use everyframe_types::id::{is_forbidden, is_joiner};
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// The epoch's step. A guest that computes is stopped at its limit, at most one step later.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Time for `describe` and `configure` when the configuration is loaded: the first run of code that was
/// compiled a moment ago pages all of it in, so this is generous.
pub(super) const LOAD_TIME: Duration = Duration::from_secs(2);

/// Bytes of WASI random numbers in one request; the host allocates them.
pub(super) const RANDOM_BYTES: u64 = 64 << 10;

/// Bytes of a guest's standard error that are kept to explain a trap.
pub(super) const STDERR_BYTES: usize = 4 << 10;

/// Bytes of the guest's own words in a failure's message.
pub(super) const MESSAGE_BYTES: usize = 500;

/// Refusals, and remarks, about a rule's settings that are told.
pub(super) const DIAGNOSTICS: usize = 100;

/// The stack of guest code, bytes.
pub(super) const WASM_STACK: usize = 512 << 10;

/// The stack of a call, host functions included, bytes.
pub(super) const CALL_STACK: usize = 1 << 20;

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
    limits: Limits,
    memory: usize,
    elements: usize,
    /// The first refusal.
    pub(super) denied: Option<Denied>,
}

impl Guard {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), memory: 0, elements: 0, denied: None }
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
        if total > self.limits.memory_bytes() {
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
        if total > self.limits.table_elements {
            self.denied.get_or_insert(Denied::Table);
            return Ok(false);
        }
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.elements = total;
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances as usize
    }

    fn memories(&self) -> usize {
        self.limits.memories as usize
    }

    fn tables(&self) -> usize {
        self.limits.tables as usize
    }
}

/// Makes a guest's words fit to be shown: at most `bytes` long, without control characters (which could
/// rewrite a terminal or forge a log line).
pub(super) fn presentable(text: &str, bytes: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(bytes));
    for c in text.trim_matches(|c: char| c.is_whitespace() || is_forbidden(c)).chars() {
        if shown.len() + c.len_utf8() > bytes {
            shown.push('…');
            break;
        }
        shown.push(if is_forbidden(c) && !is_joiner(c) { ' ' } else { c });
    }
    shown
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
        assert!(!guard.table_growing(0, Limits::default().table_elements + 1, None).unwrap());
    }

    #[test]
    fn the_pool_has_room_for_the_largest_of_each_limit() {
        let tall = Limits { memory_mb: 500, tables: 1, ..Limits::default() };
        let wide = Limits { memory_mb: 1, tables: 40, instances: 300, ..Limits::default() };
        let largest = Limits::largest([&tall, &wide]);
        assert_eq!((largest.memory_mb, largest.tables, largest.instances), (500, 40, 300));
        assert_eq!(Limits::largest([]), Limits::default());
    }

    #[test]
    fn what_may_be_handed_over_follows_state_and_output_unless_it_is_set() {
        assert_eq!(Limits::default().transfer(), (2 << 20) + (64 << 10));
        assert_eq!(Limits { output_bytes: 4 << 20, ..Limits::default() }.transfer(), (8 << 20) + (64 << 10));
        assert_eq!(Limits { transfer_bytes: Some(5000), ..Limits::default() }.transfer(), 5000);
    }

    #[test]
    fn words_of_a_guest_cannot_rewrite_a_terminal() {
        assert_eq!(presentable("\x1b[2Jgone\nnext\u{202e}", 100), "[2Jgone next");
        assert_eq!(presentable("ääää", 5), "ää…");
    }
}
