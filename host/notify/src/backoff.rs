//! When to try again. Pure.

use std::time::Duration;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause, unless the receiver asks for more.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest pause that a receiver may ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The pause after the failure of this number, from 1: twice as long each time, and a random part shorter, so that many messages do
/// not come back at the same moment. `random_fraction` is a random number from 0 to 1. `retry_after` is what the receiver asks for.
pub fn pause(failures: u32, random_fraction: f64, retry_after: Option<Duration>) -> Duration {
    let longest = FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(LONGEST);
    let jittered = longest.mul_f64(0.5 + random_fraction.clamp(0.0, 1.0) / 2.0);
    jittered.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds = |failures| pause(failures, 1.0, None).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 100].map(seconds), [1, 2, 4, 32, 60, 60]);
        assert_eq!(pause(3, 0.0, None), Duration::from_secs(2), "at least half of it");
    }

    #[test]
    fn a_receiver_can_ask_for_a_longer_pause() {
        let asked = |seconds| pause(1, 0.5, Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!((asked(30), asked(1_000_000)), (30, 3600));
    }
}
