//! The wasmtime engine of all rules: one pool of instances and memory, and one clock that stops calls that run too long.

use super::compute_time::ComputeTime;
use super::contract_versions::CONTRACTS;
use super::error::{FailureKind, Fault};
use super::host_state::HostState;
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
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, Trap,
    UpdateDeadline, WasmBacktrace,
};
use wasmtime_wasi::I32Exit;

/// The engine, the functions that guests may import, and the slots of the instance pool.
pub(super) struct Sandbox {
    pub(super) engine: Engine,
    pub(super) linker: Linker<HostState>,
    slots: Semaphore,
    _ticker: Ticker,
}

impl Sandbox {
    /// The pool has room for the largest of each limit of these rules, and for the idle instances of reused rules.
    ///
    /// # Errors
    ///
    /// wasmtime rejects the limits, or the clock's thread cannot be started.
    pub(super) fn new(rules: &[RuleSettings]) -> wasmtime::Result<Self> {
        // A worker has one instance at a time. Twice the cores leaves room for guests that wait in a host call. If there are
        // more callers than slots, they queue in `acquire_slot`.
        let slots = cores().saturating_mul(2).clamp(16, 1024);
        let idle = cores().saturating_mul(rules.iter().filter(|rule| rule.reuse).count());
        let limits = Limits::largest(rules.iter().map(|rule| &rule.limits));
        let engine = Engine::new(&engine_config(&limits, u32::try_from(slots + idle).unwrap_or(1024)))?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        // A rule without the grant is refused when it is loaded.
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        for contract in CONTRACTS {
            (contract.link)(&mut linker)?;
        }
        let ticker = Ticker::start(&engine)?;
        Ok(Self { engine, linker, slots: Semaphore::new(slots), _ticker: ticker })
    }

    /// Waits for a slot in the pool. The wait does not count towards the rule's time limit. None if the host is stopping.
    pub(super) async fn acquire_slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }

    /// Creates a store for one call, which is stopped after `time`. While it computes, only processor time counts.
    pub(super) fn create_store(&self, state: HostState, limits: &Limits, time: Duration) -> Store<HostState> {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.guard);
        store.set_max_component_handles(limits.handles);
        self.reset_budget(&mut store, limits, time);
        store
    }

    /// Prepares a store for another call, which is stopped after `time`.
    pub(super) fn reset_budget(&self, store: &mut Store<HostState>, limits: &Limits, time: Duration) {
        store.set_hostcall_fuel(limits.transfer());
        // Fuel is counted, not limited: time is limited. This cannot fail, since the engine counts fuel.
        let _ = store.set_fuel(u64::MAX);
        store.set_epoch_deadline(ticks(time));
        // At the deadline, the call may have had a processor for only a part of the time.
        let mut compute_time = ComputeTime::start(time);
        store.epoch_deadline_callback(move |_| {
            Ok(match compute_time.left() {
                Duration::ZERO => UpdateDeadline::Interrupt,
                left => UpdateDeadline::Continue(ticks(left)),
            })
        });
    }

    /// Runs a call to its end, or until `time` is over.
    ///
    /// The epoch stops a guest that computes for so long. The timeout abandons a guest that waits in a host call (WASI's clocks can
    /// sleep). It comes one tick later, so that the epoch's more precise message wins.
    ///
    /// # Errors
    ///
    /// The call failed. [`CallError::into_fault`] says why.
    pub(super) async fn run_with_timeout<T>(
        &self,
        time: Duration,
        call: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<T, CallError> {
        match tokio::time::timeout(time + TICK, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(CallError::Failed(error)),
            Err(_) => Err(CallError::TimedOutWaiting),
        }
    }
}

/// The ticks in which this time has surely passed: the current one has already begun.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos()) + 1).unwrap_or(u64::MAX)
}

fn engine_config(limits: &Limits, slots: u32) -> Config {
    // Linux 6.7 and later can report which pages a guest wrote to. These are cleared by writing zeros, without asking the
    // kernel to unmap them, which would cost page faults and an interrupt on every other core.
    // Measured in turns with the three shipped rules, two faces and fresh instances: 45 instead of 88 µs a frame, and
    // 17,000 to 21,000 instead of 7,000 to 10,000 frames/s on two busy cores. Before 6.7 the lowest addresses are always
    // cleared: 64 KiB is fast, 1 MiB is slower.
    let resident = if PoolingAllocationConfig::is_pagemap_scan_available() { 1 << 20 } else { 64 << 10 };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(limits.instances))
        .total_memories(slots.saturating_mul(limits.memories))
        .total_tables(slots.saturating_mul(limits.tables))
        .total_stacks(slots)
        .max_core_instances_per_component(limits.instances)
        .max_memories_per_component(limits.memories)
        .max_tables_per_component(limits.tables)
        .max_memories_per_module(limits.memories)
        .max_tables_per_module(limits.tables)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(limits.table_elements)
        .max_memory_size(limits.memory_bytes())
        .linear_memory_keep_resident(resident)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(slots);
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

/// Why a call failed.
pub(super) enum CallError {
    /// The guest trapped, violated the component model, or was stopped by the epoch.
    Failed(wasmtime::Error),
    /// The guest was waiting in a host call when its time was over.
    TimedOutWaiting,
}

impl CallError {
    /// The kind of the failure, and a message that names the limit.
    pub(super) fn into_fault(self, state: &HostState, limits: &Limits, time: Duration) -> Fault {
        let timed_out = |activity: &str| {
            let ms = time.as_millis();
            let message = format!("stopped after {ms} ms ({activity}); its limit is `limits.time_ms`");
            Fault::new(FailureKind::TimedOut, message)
        };
        let error = match self {
            Self::TimedOutWaiting => return timed_out("it was waiting"),
            Self::Failed(error) => error,
        };
        let trap = error.downcast_ref::<Trap>().copied();
        tracing::debug!(target: "everyframe::rule", "a call failed: {error:?}");
        let cause = error.root_cause().to_string();
        let cause = presentable(cause.trim_start_matches("wasm trap: "), MESSAGE_BYTES);
        let refused =
            |resource: String| format!("requested more than {resource}, was refused, and trapped: {cause}");
        let mut fault = match (trap, state.guard.denied) {
            (Some(Trap::Interrupt), _) => return timed_out("it was computing"),
            (_, Some(Denied::Memory)) => {
                let memory = format!("{} MiB of memory (`limits.memory_mb`)", limits.memory_mb);
                Fault::new(FailureKind::OutOfMemory, refused(memory))
            }
            (_, Some(Denied::Table)) => {
                let elements = format!("{} table elements (`limits.table_elements`)", limits.table_elements);
                Fault::new(FailureKind::OutOfTable, refused(elements))
            }
            _ => find_exceeded_limit(&error, &cause, limits).unwrap_or_else(|| {
                let message = match error.downcast_ref::<I32Exit>() {
                    Some(I32Exit(status)) => format!("exited with status {status}"),
                    None => format!("trapped: {cause}"),
                };
                Fault::new(FailureKind::Trapped, message)
            }),
        };
        let stderr = state.stderr(MESSAGE_BYTES);
        if !stderr.is_empty() {
            fault.message.push_str(&format!("; its standard error: {stderr}"));
        }
        fault
    }
}

/// The limit that wasmtime enforced when it stopped the call; none if it was another error. wasmtime has no error types for
/// most of these limits, so this matches the messages of the pinned version. Each is tested.
fn find_exceeded_limit(error: &wasmtime::Error, cause: &str, limits: &Limits) -> Option<Fault> {
    let Limits { resources, handles, output_bytes, instances, memories, tables, .. } = limits;
    if cause.contains("fuel allocated for hostcalls has been exhausted") {
        let bytes = limits.transfer();
        // A guest inside a host call has a stack; one that has returned its answer has none.
        return Some(if error.downcast_ref::<WasmBacktrace>().is_some() {
            let message =
                format!("passed more than {bytes} bytes to the host at once (`limits.transfer_bytes`)");
            Fault::new(FailureKind::TransferTooLarge, message)
        } else {
            let message = format!(
                "answered with more than {bytes} bytes (`limits.transfer_bytes`); `limits.output_bytes` is \
                 {output_bytes}"
            );
            Fault::new(FailureKind::OutputTooLarge, message)
        });
    }
    let too_many = |message: String| Some(Fault::new(FailureKind::TooManyResources, message));
    if cause.contains("resource table has no free keys") {
        return too_many(format!("held more than {resources} of the host's resources (`limits.resources`)"));
    }
    if cause.contains("handle limit exceeded") {
        return too_many(format!("held more than {handles} handles (`limits.handles`)"));
    }
    if !cause.contains("resource limit exceeded") {
        return None;
    }
    let counts = [
        ("instance count", "instances", instances),
        ("memory count", "memories", memories),
        ("table count", "tables", tables),
    ];
    let (_, key, limit) = counts.into_iter().find(|(text, ..)| cause.contains(text))?;
    too_many(format!("has more than {limit} core {key} (`limits.{key}`)"))
}

/// Increments the engine's epoch from its own thread: the executor's threads may all be inside guests.
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
            // The thread cannot have panicked, and nothing could be done if it had.
            let _ = thread.join();
        }
    }
}
