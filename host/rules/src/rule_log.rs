//! Log lines of a rule, limited in each call and over all calls.

use super::frame::FrameFacts;
use super::limits::presentable;
use super::recent_log::{LogLine, RecentLog};
use everyframe_config::Limits;
use everyframe_telemetry::throttle::Throttle;
use everyframe_types::machine::unix_ms;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The number of lines that one rule may log each second. Unused lines do not carry over to the next second.
struct LogRate {
    per_second: u32,
    /// When the current second began, and how many of its lines are left.
    left: Mutex<Option<(Instant, u32)>>,
    /// Limits how often dropped lines are reported: these reports must not flood the log either.
    drop_reports: Throttle,
}

impl LogRate {
    fn new(per_second: u32) -> Self {
        Self { per_second, left: Mutex::default(), drop_reports: Throttle::default() }
    }

    /// Takes one line from the current second; false if none is left.
    fn take_line(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, lines) = left
            .filter(|(began, _)| now.saturating_duration_since(*began).as_secs() == 0)
            .unwrap_or((now, self.per_second));
        *left = Some((began, lines.saturating_sub(1)));
        lines > 0
    }
}

/// Where the lines of all calls of a rule go. Clones share it.
#[derive(Clone)]
pub(super) struct LogSink {
    rate: Arc<LogRate>,
    /// Gets the lines that the host's log shows.
    pub(super) recent: RecentLog,
}

impl LogSink {
    /// A sink for this number of lines each second.
    pub(super) fn new(per_second: u32) -> Self {
        Self { rate: Arc::new(LogRate::new(per_second)), recent: RecentLog::default() }
    }
}

/// The log of one call. When it is dropped, it reports how many lines were above the limits.
pub(super) struct RuleLog {
    rule: String,
    camera: String,
    session: String,
    sequence: u64,
    left: usize,
    line_bytes: usize,
    sink: LogSink,
    dropped: u64,
}

impl RuleLog {
    pub(super) fn new(rule: &str, frame: &FrameFacts<'_>, limits: &Limits, sink: &LogSink) -> Self {
        Self {
            rule: rule.to_owned(),
            camera: frame.camera.to_owned(),
            session: frame.session.to_owned(),
            sequence: frame.sequence,
            left: limits.log_lines,
            line_bytes: limits.log_line_bytes,
            sink: sink.clone(),
            dropped: 0,
        }
    }

    /// The number of lines above the limits, which were not logged.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Logs one line, unless the call or the rule has used up its lines.
    pub(super) fn write(&mut self, level: tracing::Level, message: &str) {
        if self.left == 0 || !self.sink.rate.take_line(Instant::now()) {
            self.dropped += 1;
            return;
        }
        self.left -= 1;
        let message = presentable(message, self.line_bytes);
        let Self { rule, camera, session, sequence, .. } = self;
        // The level of a tracing event is part of its call site, hence the four sites.
        macro_rules! line {
            ($level:ident, $name:ident) => {{
                tracing::$level!(target: "everyframe::rule", %rule, %camera, %session, sequence, "{message}");
                (stringify!($level), tracing::enabled!(target: "everyframe::rule", tracing::Level::$name))
            }};
        }
        let (level, is_logged) = match level {
            tracing::Level::ERROR => line!(error, ERROR),
            tracing::Level::WARN => line!(warn, WARN),
            tracing::Level::INFO => line!(info, INFO),
            _ => line!(debug, DEBUG),
        };
        // The same lines as in the host's log.
        if is_logged {
            let (camera, session, sequence) = (camera.clone(), session.clone(), *sequence);
            self.sink.recent.add(LogLine { at: unix_ms(), level, camera, session, sequence, message });
        }
    }

    /// Reports the dropped lines and resets their count.
    pub(super) fn report_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 && self.sink.rate.drop_reports.may(Instant::now()).is_some() {
            let Self { rule, camera, session, sequence, .. } = self;
            tracing::warn!(
                target: "everyframe::rule", %rule, %camera, %session, sequence,
                "{dropped} more lines were not logged: the rule's `limits.log_lines` or `limits.log_rate` is used up"
            );
        }
    }
}

impl Drop for RuleLog {
    fn drop(&mut self) {
        self.report_dropped();
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::facts;
    use super::*;
    use std::time::Duration;

    /// What a subscriber at level DEBUG writes while `f` runs.
    fn capture_log(f: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::default();
        let writer = sink.clone();
        tracing::subscriber::with_default(
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::DEBUG)
                .with_writer(move || writer.clone())
                .finish(),
            f,
        );
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_call_logs_a_limited_number_of_escaped_lines() {
        let limits = Limits { log_lines: 2, log_line_bytes: 500, ..Limits::default() };
        let sink = LogSink::new(100);
        let text = capture_log(|| {
            let mut log = RuleLog::new("policy", &facts(7), &limits, &sink);
            log.write(tracing::Level::INFO, "first\x1b[2J\nsecond line?");
            log.write(tracing::Level::DEBUG, &"x".repeat(5000));
            log.write(tracing::Level::ERROR, "too much");
            log.write(tracing::Level::ERROR, "too much");
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("first [2J second line?") && lines[0].contains("rule=policy"), "{text}");
        assert!(lines[0].contains("camera=gate") && lines[0].contains("sequence=7"), "{text}");
        assert!(lines[1].len() < 700 && lines[2].contains("2 more lines"), "{text}");
        let recent = sink.recent.lines();
        assert_eq!((recent.len(), recent[0].level, recent[1].level), (2, "info", "debug"));
        assert_eq!((recent[0].message.as_str(), recent[0].sequence), ("first [2J second line?", 7));
    }

    #[test]
    fn a_line_that_the_log_does_not_show_is_not_kept() {
        let sink = LogSink::new(100);
        let quiet = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::sink);
        tracing::subscriber::with_default(quiet.finish(), || {
            let mut log = RuleLog::new("policy", &facts(7), &Limits::default(), &sink);
            log.write(tracing::Level::INFO, "hidden");
            log.write(tracing::Level::WARN, "shown");
        });
        let recent = sink.recent.lines();
        assert_eq!((recent.len(), recent[0].message.as_str()), (1, "shown"));
    }

    #[test]
    fn a_rule_logs_a_limited_number_of_lines_a_second() {
        let rate = LogRate::new(3);
        let now = Instant::now();
        assert_eq!((0..10).filter(|_| rate.take_line(now)).count(), 3);
        assert_eq!((0..10).filter(|_| rate.take_line(now + Duration::from_millis(999))).count(), 0);
        assert_eq!((0..10).filter(|_| rate.take_line(now + Duration::from_secs(1))).count(), 3);
    }
}
