//! Limits that the configuration cannot change, and the guard of a guest's memory and tables.

use everyframe_config::Limits;
use everyframe_types::id::{is_forbidden, is_joiner};
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// The interval of the engine's epoch. A guest that computes is stopped at its limit, at most one interval later.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// The time limit of `describe` and `configure` when the configuration is loaded. Generous, since the first run of freshly
/// compiled code pages all of it in.
pub(super) const LOAD_TIME: Duration = Duration::from_secs(2);

/// The most bytes of WASI random numbers in one request; the host allocates them.
pub(super) const RANDOM_BYTES: u64 = 64 << 10;

/// The most bytes of a guest's standard error that are kept to explain a trap.
pub(super) const STDERR_BYTES: usize = 4 << 10;

/// The most bytes of the guest's own text in a failure's message.
pub(super) const MESSAGE_BYTES: usize = 500;

/// The most errors, and the most warnings, of a rule about its settings that are reported.
pub(super) const MAX_DIAGNOSTICS: usize = 100;

/// The stack of guest code, bytes.
pub(super) const WASM_STACK: usize = 512 << 10;

/// The stack of a call, host functions included, bytes.
pub(super) const CALL_STACK: usize = 1 << 20;

/// What the host refused a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Linear memory.
    Memory,
    /// Table elements.
    Table,
}

/// Limits the memory and tables of one instance.
///
/// A guest gets −1 for a refused growth, and most guests then abort. `denied` distinguishes that from any other trap.
#[derive(Debug)]
pub(super) struct MemoryGuard {
    limits: Limits,
    memory: usize,
    elements: usize,
    /// The first refusal.
    pub(super) denied: Option<Denied>,
}

impl MemoryGuard {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), memory: 0, elements: 0, denied: None }
    }

    /// The guest's linear memory, bytes. Also its peak, since memories do not shrink.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for MemoryGuard {
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
        // wasmtime refuses a growth beyond the memory's own maximum after this call, so it must not be counted.
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

/// Makes a guest's text safe to show: at most `bytes` bytes, without control characters, which could rewrite a terminal or
/// forge a log line.
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
        let mut guard = MemoryGuard::new(&Limits { memory_mb: 1, ..Limits::default() });
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
    fn the_default_transfer_limit_follows_state_and_output() {
        assert_eq!(Limits::default().transfer(), (2 << 20) + (64 << 10));
        assert_eq!(Limits { output_bytes: 4 << 20, ..Limits::default() }.transfer(), (8 << 20) + (64 << 10));
        assert_eq!(Limits { transfer_bytes: Some(5000), ..Limits::default() }.transfer(), 5000);
    }

    #[test]
    fn text_of_a_guest_cannot_rewrite_a_terminal() {
        assert_eq!(presentable("\x1b[2Jgone\nnext\u{202e}", 100), "[2Jgone next");
        assert_eq!(presentable("ääää", 5), "ää…");
    }
}
