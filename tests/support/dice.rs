//! Reproducible random numbers.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A random number generator with a seed (SplitMix64).
#[derive(Debug)]
pub struct Dice {
    seed: u64,
    state: Cell<u64>,
}

impl Dice {
    /// Uses the seed of `EVERYFRAME_SEED`, or else the time.
    pub fn new() -> Self {
        let fixed = std::env::var("EVERYFRAME_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64);
        let seed = fixed.unwrap_or_else(now);
        Self { seed, state: Cell::new(seed) }
    }

    /// The seed, which gives the same numbers again.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A random number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// True once in `times` calls on average.
    pub fn one_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Sleeps for `least` milliseconds and a random part of `more`.
    pub fn sleep(&self, least: u64, more: u64) {
        std::thread::sleep(Duration::from_millis(least + self.below(more)));
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}
