//! One line when something begins to be wrong, and one when it is right again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One trouble has many words: what differs only within this time is not said.
const REMINDER: Duration = Duration::from_secs(60);

/// What is wrong at the moment. Clients go on trying by themselves, many times a second: it is said once.
#[derive(Debug, Default)]
pub struct LogOnce(Mutex<Option<Said>>);

#[derive(Debug)]
struct Said {
    text: String,
    /// None if it was only a beginning.
    at: Option<Instant>,
}

impl LogOnce {
    /// Says it, unless it was the last thing said, or something else was said a moment ago.
    pub fn say(&self, text: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = said
            .as_ref()
            .is_none_or(|said| said.text != text && said.at.is_none_or(|at| at.elapsed() > REMINDER));
        if is_news {
            tracing::warn!("{text}");
            *said = Some(Said { text: text.to_owned(), at: Some(Instant::now()) });
        }
    }

    /// Says it, if nothing was wrong before: whoever knows more will say more.
    pub fn begin(&self, text: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none() {
            tracing::warn!("{text}");
            *said = Some(Said { text: text.to_owned(), at: None });
        }
    }

    /// All is well: says so if it was not before.
    pub fn settle(&self, text: &str) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("{text}");
        }
    }
}
