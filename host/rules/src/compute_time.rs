//! The processor time of a call. On a busy machine a call may wait for a processor for longer than its limit, which is no fault of
//! the rule.

use everyframe_telemetry::cpu_timer::CpuTimer;
use std::thread::ThreadId;
use std::time::Duration;

/// How much processor time a call has left.
pub(super) struct ComputeTime {
    left: Duration,
    timer: CpuTimer,
    thread: ThreadId,
}

impl ComputeTime {
    /// A call that begins now, on this thread.
    pub(super) fn start(limit: Duration) -> Self {
        Self { left: limit, timer: CpuTimer::start(), thread: std::thread::current().id() }
    }

    /// What is left. Zero on another thread than at the start: the call has waited in between, so elapsed time counts.
    pub(super) fn left(&mut self) -> Duration {
        if std::thread::current().id() != self.thread {
            return Duration::ZERO;
        }
        self.left = self.left.saturating_sub(self.timer.lap());
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    #[test]
    fn a_call_pays_for_computing_and_not_for_waiting() {
        let mut time = ComputeTime::start(LIMIT);
        std::thread::sleep(2 * LIMIT);
        assert!(time.left() > LIMIT / 2);
        let mut computed = CpuTimer::start();
        let mut spent = Duration::ZERO;
        while spent < LIMIT {
            spent += computed.lap();
        }
        assert_eq!(time.left(), Duration::ZERO);
    }

    #[test]
    fn a_call_on_another_thread_has_nothing_left() {
        let mut time = ComputeTime::start(LIMIT);
        let left = std::thread::spawn(move || time.left()).join().unwrap();
        assert_eq!(left, Duration::ZERO);
    }
}
