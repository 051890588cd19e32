//! What channels and callbacks do alike: they wait for what is due, try again after a failure, and keep what is given up.

use crate::assignments::{Assignments, Done, SendQueue};
use crate::backoff::pause;
use crate::monitor::Monitor;
use crate::record::UndeliveredMessage;
use everyframe_kafka::{Producer, Record};
use everyframe_types::machine::unix_ms;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::sync::{Condvar, MutexGuard};
use std::time::{Duration, Instant};

/// How long messages that are being sent may take when a partition is given to another process.
const DRAIN: Duration = Duration::from_secs(5);
/// How often it is checked whether they are sent.
const DRAIN_CHECK: Duration = Duration::from_millis(100);
/// The longest wait for what is due next; what changes meanwhile wakes the thread.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long the brokers may take to acknowledge an undelivered message.
const UNDELIVERED_ACK_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause before the next attempt when Kafka does not answer, milliseconds.
pub(crate) const NOT_AVAILABLE_MS: i64 = 2000;

/// The attempts at a message that failed.
pub(crate) struct FailedAttempts {
    /// How many there were.
    pub count: u32,
    /// When the first was made, Unix milliseconds; none if it was the last one, too.
    pub first_tried_at: Option<i64>,
}

impl FailedAttempts {
    /// When to try again, Unix milliseconds. None if the message has been tried for `give_up_after`. `retry_after` is the pause that
    /// the receiver asks for.
    pub fn next_attempt_at(
        &self,
        now: i64,
        give_up_after: Option<Duration>,
        retry_after: Option<Duration>,
    ) -> Option<i64> {
        let tried_for = now.saturating_sub(self.first_tried_at.unwrap_or(now)).max(0).unsigned_abs();
        if give_up_after.is_some_and(|limit| u128::from(tried_for) >= limit.as_millis()) {
            return None;
        }
        let pause = pause(self.count, random_fraction(), retry_after);
        Some(now + i64::try_from(pause.as_millis()).unwrap_or(0))
    }
}

/// Writes a message that is given up to the topic of notifications.
pub(crate) fn keep_undelivered(
    producer: &Producer,
    topic: &str,
    monitor: &Monitor,
    message: &UndeliveredMessage,
) -> Done {
    let (key, value) = (message.key(), serde_json::to_vec(message).unwrap_or_default());
    let record = Record { topic, key: Some(key.as_bytes()), value: Some(&value), ..Record::default() };
    match producer.send_and_wait(record, UNDELIVERED_ACK_TIMEOUT) {
        Ok(()) => {
            monitor.record_undelivered(&message.id, &message.reason);
            Done::Finished
        }
        Err(error) => {
            monitor.failed(&format!(
                "{}; and the undelivered message cannot be written: {error}",
                message.reason
            ));
            Done::Again(unix_ms() + NOT_AVAILABLE_MS)
        }
    }
}

/// Waits until the attempts of these partitions end, at most for [`DRAIN`], and removes the partitions. Returns the offsets to
/// commit.
pub(crate) fn close_partitions<S, Q: SendQueue>(
    changed: &Condvar,
    mut state: MutexGuard<'_, S>,
    assignments: fn(&mut S) -> &mut Assignments<Q>,
    partitions: &[i32],
) -> Vec<(i32, i64)> {
    let deadline = Instant::now() + DRAIN;
    assignments(&mut state).begin_closing(partitions);
    while assignments(&mut state).is_busy(partitions) && Instant::now() < deadline {
        state = wait_for_change(changed, state, DRAIN_CHECK);
    }
    assignments(&mut state).remove(partitions)
}

/// Waits until something changes, at most for `timeout`.
pub(crate) fn wait_for_change<'a, S>(
    changed: &Condvar,
    state: MutexGuard<'a, S>,
    timeout: Duration,
) -> MutexGuard<'a, S> {
    let waited = changed.wait_timeout(state, timeout);
    waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state)
}

/// How long to wait until `at`, Unix milliseconds.
pub(crate) fn wait_until(at: i64, now: i64) -> Duration {
    Duration::from_millis(at.saturating_sub(now).max(1).unsigned_abs()).min(LONGEST_WAIT)
}

/// A random number from 0 to 1. Without random numbers, pauses are not spread.
pub(crate) fn random_fraction() -> f64 {
    let mut bytes = [0; 2];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_or(0.5, |()| f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_given_up_after_its_time() {
        let next = |first_tried_at, now| {
            let attempts = FailedAttempts { count: 1, first_tried_at };
            attempts.next_attempt_at(now, Some(Duration::from_secs(60)), None)
        };
        let at = next(None, 5000).unwrap();
        assert!((5500..=6000).contains(&at), "{at}");
        assert!(next(Some(5000), 64_999).is_some());
        assert_eq!(next(Some(5000), 65_000), None);
    }
}
