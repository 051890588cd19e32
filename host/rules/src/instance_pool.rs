//! Idle instances of a rule with `reuse = true`: for rules whose instances are slow to make.

use super::contract::Instance;
use super::host_state::HostState;
use everyframe_types::machine::cores;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use wasmtime::Store;

/// One rule's idle instances. Always empty if the rule gets a fresh instance for each frame.
pub(super) struct InstancePool {
    /// The most idle instances that are kept: one for each core.
    capacity: usize,
    idle: Mutex<Vec<PooledInstance>>,
    /// How often all instances were dropped.
    generation: AtomicU64,
}

/// An instance and its store.
pub(super) struct PooledInstance {
    pub(super) store: Store<HostState>,
    pub(super) instance: Box<dyn Instance>,
    /// The pool's generation when the instance was made.
    pub(super) generation: u64,
}

impl InstancePool {
    pub(super) fn new(reuse: bool) -> Self {
        let capacity = if reuse { cores() } else { 0 };
        Self { capacity, idle: Mutex::default(), generation: AtomicU64::new(0) }
    }

    /// The generation that an instance which is made now belongs to.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Drops all instances, also those that are judging a frame: as soon as they are given back.
    pub(super) fn drop_all(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::SeqCst);
        idle.clear();
    }

    pub(super) fn take(&self) -> Option<PooledInstance> {
        if self.capacity == 0 {
            return None;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps an instance whose answer was accepted. Drops it if the pool is full.
    pub(super) fn give_back(&self, mut pooled: PooledInstance) {
        if self.capacity == 0 {
            return;
        }
        pooled.store.data_mut().detach_frame();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.capacity && pooled.generation == self.generation() {
            idle.push(pooled);
        }
    }
}
