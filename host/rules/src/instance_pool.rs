//! Instances that stay: for rules whose instances are dear to make.

use super::call::Call;
use super::contract::Instance;
use everyframe_types::machine::cores;
use std::sync::{Mutex, PoisonError};
use wasmtime::Store;

/// One rule's instances that have no question at the moment; none for a rule that gets a fresh one for each frame.
pub(super) struct InstancePool {
    /// How many stay.
    most: usize,
    idle: Mutex<Vec<Spare>>,
}

/// An instance, with all that it lives in.
pub(super) struct Spare {
    pub(super) store: Store<Call>,
    pub(super) instance: Box<dyn Instance>,
}

impl InstancePool {
    pub(super) fn new(reuse: bool) -> Self {
        Self { most: if reuse { cores() } else { 0 }, idle: Mutex::default() }
    }

    pub(super) fn take(&self) -> Option<Spare> {
        if self.most == 0 {
            return None;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps an instance that answered well; one too many goes.
    pub(super) fn keep(&self, mut spare: Spare) {
        if self.most == 0 {
            return;
        }
        spare.store.data_mut().rest();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push(spare);
        }
    }
}
