//! When a receiver fails for one message after the other, only one of them is tried at a time. Pure.

use crate::backoff::pause;

/// So many failures in a row, of any messages, are an outage.
const FAILURES: u32 = 5;

/// Whether a channel's receiver is away.
#[derive(Debug, Default)]
pub struct Outage {
    failures: u32,
    until: i64,
    is_probing: bool,
}

impl Outage {
    /// When a message may be tried, Unix milliseconds; none while another one is being tried. It is in the past if one may be tried
    /// now.
    pub fn may_send_at(&self) -> Option<i64> {
        if self.failures < FAILURES {
            return Some(0);
        }
        (!self.is_probing).then_some(self.until)
    }

    /// A message is being sent.
    pub fn sending(&mut self) {
        self.is_probing = self.failures >= FAILURES;
    }

    /// The receiver answered: it took the message, or refused that one.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// A message was not sent after all.
    pub fn not_sent(&mut self) {
        self.is_probing = false;
    }

    /// A message failed at `now`, Unix milliseconds. `random_fraction` is a random number from 0 to 1.
    pub fn failed(&mut self, now: i64, random_fraction: f64) {
        self.failures = self.failures.saturating_add(1);
        self.is_probing = false;
        if self.failures >= FAILURES {
            let pause = pause(self.failures - FAILURES + 1, random_fraction, None);
            self.until = now + i64::try_from(pause.as_millis()).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_an_outage_one_message_is_tried_at_a_time() {
        let mut outage = Outage::default();
        for now in 0..4 {
            outage.sending();
            outage.failed(now, 1.0);
            assert_eq!(outage.may_send_at(), Some(0));
        }
        outage.failed(1000, 1.0);
        assert_eq!(outage.may_send_at(), Some(2000));
        outage.sending();
        assert_eq!(outage.may_send_at(), None);
        outage.failed(2000, 1.0);
        assert_eq!(outage.may_send_at(), Some(4000));
        outage.sending();
        outage.answered();
        assert_eq!(outage.may_send_at(), Some(0));
    }
}
