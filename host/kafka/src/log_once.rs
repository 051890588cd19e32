//! Logs once that something is wrong, and once that it is right again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One fault gives many different messages: within this time a second one is left out.
const REMINDER: Duration = Duration::from_secs(60);

/// The fault that was logged last. Clients try again by themselves, many times a second; the log has one line.
#[derive(Debug, Default)]
pub struct LogOnce(Mutex<Option<Logged>>);

#[derive(Debug)]
struct Logged {
    text: String,
    /// None for a first line that a better one may follow at once.
    at: Option<Instant>,
}

impl LogOnce {
    /// Logs a warning, unless it is the last one again, or another one was logged a moment ago.
    pub fn warn(&self, text: &str) {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = logged
            .as_ref()
            .is_none_or(|last| last.text != text && last.at.is_none_or(|at| at.elapsed() > REMINDER));
        if is_new {
            tracing::warn!("{text}");
            *logged = Some(Logged { text: text.to_owned(), at: Some(Instant::now()) });
        }
    }

    /// Logs a warning if nothing was wrong before. [`LogOnce::warn`] may follow with a better reason at once.
    pub fn warn_first(&self, text: &str) {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none() {
            tracing::warn!("{text}");
            *logged = Some(Logged { text: text.to_owned(), at: None });
        }
    }

    /// Everything works: logs `text` if something was wrong before.
    pub fn recovered(&self, text: &str) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("{text}");
        }
    }
}
