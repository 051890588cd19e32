//! The machine that this process runs on.

use std::time::{SystemTime, UNIX_EPOCH};

/// The number of cores that this process can use; 1 if it is unknown.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The time now, Unix milliseconds; 0 if the clock is before 1970.
pub fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}
