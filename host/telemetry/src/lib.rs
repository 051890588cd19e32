//! What every stage measures, waits and logs with: clocks, CPU timers, histograms, log throttles, texts of panics.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod clock;
pub mod cpu_timer;
pub mod histogram;
pub mod panic;
pub mod throttle;
