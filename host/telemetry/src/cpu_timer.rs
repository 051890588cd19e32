//! Measures the CPU time of stages: other work of the machine does not count.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Measures stages that follow each other on one thread. Models and rules run on the thread that calls them.
#[derive(Debug)]
pub struct CpuTimer(Duration);

impl CpuTimer {
    /// Begins the first lap.
    pub fn start() -> Self {
        Self(cpu_time(ClockId::ThreadCPUTime))
    }

    /// CPU time of this thread since the last call, or the start.
    pub fn lap(&mut self) -> Duration {
        let now = cpu_time(ClockId::ThreadCPUTime);
        let lap = now.saturating_sub(self.0);
        self.0 = now;
        lap
    }
}

/// CPU time of all threads of this process since it began.
pub fn process_time() -> Duration {
    cpu_time(ClockId::ProcessCPUTime)
}

fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
