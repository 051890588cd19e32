//! One line when something begins to be wrong, and one when it is right again.

use std::sync::{Mutex, PoisonError};

/// What is wrong at the moment. Clients go on trying by themselves, many times a second: it is said once.
#[derive(Debug, Default)]
pub struct Complaint(Mutex<Option<String>>);

impl Complaint {
    /// Says it, unless it was the last thing said.
    pub fn say(&self, text: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_deref() != Some(text) {
            tracing::warn!("{text}");
            *said = Some(text.to_owned());
        }
    }

    /// All is well: says so if it was not before.
    pub fn settle(&self, text: &str) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("{text}");
        }
    }
}
