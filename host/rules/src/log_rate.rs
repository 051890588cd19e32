//! How much a rule may log, over all its calls.

use everyframe_telemetry::throttle::Throttle;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// One rule's lines a second: what is not used in one second is not saved for the next.
pub(super) struct LogRate {
    per_second: u32,
    /// When the present second began, and the lines that are left of it.
    left: Mutex<Option<(Instant, u32)>>,
    /// How often it is said that lines were dropped: that must not flood the log either.
    pub(super) notices: Throttle,
}

impl LogRate {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, left: Mutex::default(), notices: Throttle::default() }
    }

    /// True if there may be one more line.
    pub(super) fn may(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, lines) = left
            .filter(|(began, _)| now.saturating_duration_since(*began).as_secs() == 0)
            .unwrap_or((now, self.per_second));
        *left = Some((began, lines.saturating_sub(1)));
        lines > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_rule_logs_so_many_lines_a_second() {
        let rate = LogRate::new(3);
        let now = Instant::now();
        assert_eq!((0..10).filter(|_| rate.may(now)).count(), 3);
        assert_eq!((0..10).filter(|_| rate.may(now + Duration::from_millis(999))).count(), 0);
        assert_eq!((0..10).filter(|_| rate.may(now + Duration::from_secs(1))).count(), 3);
    }
}
