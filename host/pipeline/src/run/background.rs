//! The seam for work beside the lanes: restoring rule state, waiting out a pause, asking what retention deleted.

use everyframe_telemetry::clock::Clock;
use std::sync::Arc;
use std::time::Duration;

/// Work in attempts. Each call returns how long to wait before the next one; none: the work is done.
pub(super) type Attempts = Box<dyn FnMut() -> Option<Duration> + Send>;

/// Runs work beside the caller.
pub(super) trait Background: Send + Sync {
    /// Calls `attempts` again and again until its work is done. `name` is the thread's.
    ///
    /// # Errors
    ///
    /// The machine has no threads left; no attempt was made.
    fn start(&self, name: &str, attempts: Attempts) -> std::io::Result<()>;
}

/// Runs each work on a thread of its own.
pub(super) struct Threads(pub Arc<dyn Clock>);

impl Background for Threads {
    fn start(&self, name: &str, mut attempts: Attempts) -> std::io::Result<()> {
        let clock = self.0.clone();
        let work = move || {
            while let Some(pause) = attempts() {
                clock.sleep(pause);
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
    }
}
