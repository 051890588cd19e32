//! The last lines that a rule logged, for whoever shows them in the same process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The most lines that are kept of one rule.
const MAX_LINES: usize = 200;
/// The most bytes of messages that are kept of one rule.
const MAX_BYTES: usize = 128 << 10;

/// A line that a rule logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was logged, Unix milliseconds.
    pub at: i64,
    /// `error`, `warn`, `info` or `debug`.
    pub level: &'static str,
    /// The camera of the frame.
    pub camera: String,
    /// The agent's session of the frame.
    pub session: String,
    /// The frame's number in it.
    pub sequence: u64,
    /// The message, without control characters, of at most `limits.log_line_bytes`.
    pub message: String,
}

/// The last lines of one rule. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct RecentLog(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<LogLine>,
    /// Of their messages.
    bytes: usize,
}

impl RecentLog {
    /// Adds a line. The oldest ones are dropped when there are too many.
    pub(super) fn add(&self, line: LogLine) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += line.message.len();
        kept.lines.push_back(line);
        while kept.lines.len() > MAX_LINES || (kept.bytes > MAX_BYTES && kept.lines.len() > 1) {
            let dropped = kept.lines.pop_front();
            kept.bytes -= dropped.map_or(0, |line| line.message.len());
        }
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> Vec<LogLine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lines.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, message: String) -> LogLine {
        LogLine { at, level: "info", camera: "gate".into(), session: "s".into(), sequence: 1, message }
    }

    #[test]
    fn the_oldest_lines_are_dropped() {
        let log = RecentLog::default();
        (0..MAX_LINES as i64 + 3).for_each(|at| log.clone().add(line(at, "m".into())));
        assert_eq!((log.lines().len(), log.lines()[0].at), (MAX_LINES, 3));
        log.add(line(1000, "m".repeat(MAX_BYTES)));
        assert_eq!(log.lines().len(), 1, "the bytes are limited, too");
        log.add(line(1001, "m".into()));
        assert_eq!(log.lines()[0].at, 1001);
    }
}
