//! The engine under all rules of a process: one pool of memory, one clock that stops what runs too long.

use super::call::Call;
use super::contract::CONTRACTS;
use super::error::FailureKind;
use super::limits::{CALL_STACK, Denied, MESSAGE_BYTES, TICK, WASM_STACK, presentable};
use everyframe_config::{Limits, RuleSettings};
use everyframe_types::machine::cores;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, Trap, WasmBacktrace,
};
use wasmtime_wasi::I32Exit;

/// The engine, what guests may import, and the places in which instances live.
pub(super) struct Sandbox {
    pub(super) engine: Engine,
    pub(super) linker: Linker<Call>,
    places: Semaphore,
    _ticker: Ticker,
}

impl Sandbox {
    /// For these rules: the pool has room for the largest of each of their limits, and for the instances that stay.
    pub(super) fn new(rules: &[RuleSettings]) -> wasmtime::Result<Self> {
        // A worker has one instance at a time. Twice the cores leaves room for guests that wait; more
        // callers than places queue up in `place`.
        let places = cores().saturating_mul(2).clamp(16, 1024);
        let stay = cores().saturating_mul(rules.iter().filter(|rule| rule.reuse).count());
        let limits = Limits::largest(rules.iter().map(|rule| &rule.limits));
        let engine = Engine::new(&config(&limits, u32::try_from(places + stay).unwrap_or(1024)))?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        // Who is not granted it is refused when the rule is loaded.
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        for contract in CONTRACTS {
            (contract.link)(&mut linker)?;
        }
        let ticker = Ticker::start(&engine)?;
        Ok(Self { engine, linker, places: Semaphore::new(places), _ticker: ticker })
    }

    /// Waits for a place in the pool. Time spent here is not the rule's.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }

    /// A store for one call, which is stopped after `time`.
    pub(super) fn store(&self, call: Call, limits: &Limits, time: Duration) -> Store<Call> {
        let mut store = Store::new(&self.engine, call);
        store.limiter(|call| &mut call.guard);
        store.set_max_component_handles(limits.handles);
        self.allow(&mut store, limits, time);
        store
    }

    /// Lets a store make one more call, which is stopped after `time`.
    pub(super) fn allow(&self, store: &mut Store<Call>, limits: &Limits, time: Duration) {
        store.set_hostcall_fuel(limits.transfer());
        // Counted, not limited: time is. It cannot fail, for the engine counts fuel.
        let _ = store.set_fuel(u64::MAX);
        // The present tick is under way already: one more, so that no call gets less than its time.
        let ticks = time.as_nanos().div_ceil(TICK.as_nanos()) + 1;
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
    }

    /// Runs a call to its end, or until `time` is over.
    ///
    /// The epoch stops a guest that computes; a guest that waits in a host call (WASI's clocks can sleep)
    /// is abandoned by the timeout. It comes a little later, so that the epoch's exact message wins.
    pub(super) async fn within<T>(
        &self,
        time: Duration,
        call: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<T, Stopped> {
        match tokio::time::timeout(time + TICK, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Stopped::Failed(error)),
            Err(_) => Err(Stopped::Waiting),
        }
    }
}

fn config(limits: &Limits, places: u32) -> Config {
    // Linux 6.7 and later can say which pages a guest wrote to: they are cleared by writing, without asking
    // the kernel to unmap anything (which costs page faults, and an interrupt on every other core).
    // Measured in turns, three shipped rules, two faces, fresh instances: 45 instead of 88 µs a frame, and
    // 17,000 to 21,000 instead of 7,000 to 10,000 frames/s on two cores (busy ones). Before 6.7 the lowest
    // addresses are cleared blindly: 64 KiB is good, and 1 MiB makes it slower.
    let kept = if PoolingAllocationConfig::is_pagemap_scan_available() { 1 << 20 } else { 64 << 10 };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_core_instances(places.saturating_mul(limits.instances))
        .total_memories(places.saturating_mul(limits.memories))
        .total_tables(places.saturating_mul(limits.tables))
        .total_stacks(places)
        .max_core_instances_per_component(limits.instances)
        .max_memories_per_component(limits.memories)
        .max_tables_per_component(limits.tables)
        .max_memories_per_module(limits.memories)
        .max_tables_per_module(limits.tables)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(limits.table_elements)
        .max_memory_size(limits.memory_bytes())
        .linear_memory_keep_resident(kept)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(places);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .consume_fuel(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(CALL_STACK)
        // A replay on another machine gives the same answers, to the bit.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

/// Why a call has no answer.
pub(super) enum Stopped {
    /// It trapped, broke the component model's rules, or was stopped by the epoch.
    Failed(wasmtime::Error),
    /// It was waiting in a host call when its time was over.
    Waiting,
}

impl Stopped {
    /// What to call it, and what to say.
    pub(super) fn diagnose(self, call: &Call, limits: &Limits, time: Duration) -> (FailureKind, String) {
        let stopped = |doing: &str| {
            let ms = time.as_millis();
            (FailureKind::TimedOut, format!("stopped after {ms} ms ({doing}); its limit is `limits.time_ms`"))
        };
        let error = match self {
            Self::Waiting => return stopped("it was waiting"),
            Self::Failed(error) => error,
        };
        let trap = error.downcast_ref::<Trap>().copied();
        tracing::debug!(target: "everyframe::rule", "a call failed: {error:?}");
        let cause = error.root_cause().to_string();
        let cause = presentable(cause.trim_start_matches("wasm trap: "), MESSAGE_BYTES);
        let gave_up =
            |wanted: String| format!("asked for more than {wanted}, was refused, and gave up: {cause}");
        let (kind, mut message) = match (trap, call.guard.denied) {
            (Some(Trap::Interrupt), _) => return stopped("it was computing"),
            (_, Some(Denied::Memory)) => {
                let wanted = format!("{} MiB of memory (`limits.memory_mb`)", limits.memory_mb);
                (FailureKind::OutOfMemory, gave_up(wanted))
            }
            (_, Some(Denied::Table)) => {
                let wanted = format!("{} table elements (`limits.table_elements`)", limits.table_elements);
                (FailureKind::OutOfTable, gave_up(wanted))
            }
            _ => beyond(&error, &cause, limits).unwrap_or_else(|| match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(status)) => (FailureKind::Trapped, format!("ended itself with status {status}")),
                None => (FailureKind::Trapped, format!("trapped: {cause}")),
            }),
        };
        let said = call.stderr(MESSAGE_BYTES);
        if !said.is_empty() {
            message.push_str(&format!("; it said: {said}"));
        }
        (kind, message)
    }
}

/// Which limit a call ran into that wasmtime keeps. Its errors have no types for most of them; their words are pinned
/// with its version, and each is tested.
fn beyond(error: &wasmtime::Error, cause: &str, limits: &Limits) -> Option<(FailureKind, String)> {
    let says = |words: &str| cause.contains(words);
    let Limits { resources, handles, output_bytes, instances, memories, tables, .. } = limits;
    if says("fuel allocated for hostcalls has been exhausted") {
        let bytes = limits.transfer();
        // A guest that is inside a host call has a stack; one that has answered has none.
        return Some(if error.downcast_ref::<WasmBacktrace>().is_some() {
            let message =
                format!("handed more than {bytes} bytes to the host at once (`limits.transfer_bytes`)");
            (FailureKind::TransferTooLarge, message)
        } else {
            let message = format!(
                "answered with more than {bytes} bytes (`limits.transfer_bytes`); `limits.output_bytes` is \
                 {output_bytes}"
            );
            (FailureKind::OutputTooLarge, message)
        });
    }
    let many = |what: String| (FailureKind::TooManyResources, what);
    if says("resource table has no free keys") {
        return Some(many(format!(
            "held more than {resources} of the host's resources (`limits.resources`)"
        )));
    }
    if says("handle limit exceeded") {
        return Some(many(format!("held more than {handles} handles (`limits.handles`)")));
    }
    let made = |words: &str| says("resource limit exceeded") && says(words);
    [
        ("instance count", "instances", instances),
        ("memory count", "memories", memories),
        ("table count", "tables", tables),
    ]
    .into_iter()
    .find(|(words, ..)| made(words))
    .map(|(_, key, limit)| many(format!("is made of more than {limit} core {key} (`limits.{key}`)")))
}

/// Moves the engine's epoch on, from a thread of its own: the executor's may all be inside guests.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &Engine) -> wasmtime::Result<Self> {
        let (engine, stop) = (engine.weak(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let tick = move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("rules-clock".into()).spawn(tick)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot have panicked, and there would be nothing to do about it.
            let _ = thread.join();
        }
    }
}
