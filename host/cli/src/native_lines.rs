//! Splits the output of C and C++ libraries on standard error into lines, and limits their number.

use everyframe_kafka::redacted;
use everyframe_types::id::printable;
use everyframe_types::redact::redact_addresses;
use std::time::{Duration, Instant};

/// The most lines let through in each [`WINDOW`].
const LINES: u64 = 5;
/// See [`LINES`].
const WINDOW: Duration = Duration::from_secs(1);
/// The longest line, bytes; a longer one is split.
const LINE_BYTES: usize = 4096;

/// Puts lines together from pieces, and counts the lines beyond the limit.
#[derive(Debug, Default)]
pub(super) struct NativeLines {
    rest: Vec<u8>,
    window: Option<Instant>,
    let_through: u64,
    suppressed: u64,
}

impl NativeLines {
    /// Takes bytes; gives the lines to be logged, without passwords and control characters.
    pub fn push(&mut self, bytes: &[u8], now: Instant) -> Vec<String> {
        let mut lines = self.tick(now);
        for byte in bytes {
            // A carriage return ends a line of progress.
            let is_end = matches!(byte, b'\n' | b'\r');
            if !is_end {
                self.rest.push(*byte);
            }
            if is_end || self.rest.len() >= LINE_BYTES {
                self.end_line(&mut lines);
            }
        }
        lines
    }

    /// Reports how many lines were suppressed, once their second is over.
    pub fn tick(&mut self, now: Instant) -> Vec<String> {
        if self.window.is_some_and(|begun| now.saturating_duration_since(begun) < WINDOW) {
            return Vec::new();
        }
        self.window = Some(now);
        self.let_through = 0;
        self.report_suppressed()
    }

    /// Returns the last lines, also one without a line end.
    pub fn finish(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.end_line(&mut lines);
        lines.extend(self.report_suppressed());
        lines
    }

    /// How long [`NativeLines::tick`] may wait; none if there is nothing to say.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let begun = self.window.filter(|_| self.suppressed > 0)?;
        Some((begun + WINDOW).saturating_duration_since(now))
    }

    fn report_suppressed(&mut self) -> Vec<String> {
        match std::mem::take(&mut self.suppressed) {
            0 => Vec::new(),
            count => vec![format!("{count} more lines of libraries suppressed")],
        }
    }

    fn end_line(&mut self, lines: &mut Vec<String>) {
        let line = std::mem::take(&mut self.rest);
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if self.let_through >= LINES {
            self.suppressed += 1;
            return;
        }
        self.let_through += 1;
        let line = redact_addresses(String::from_utf8_lossy(&line).trim_end());
        lines.push(printable(&redacted(&line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let (mut lines, now) = (NativeLines::default(), Instant::now());
        assert!(lines.push(b"libpng er", now).is_empty());
        assert_eq!(
            lines.push(b"ror: bad\r\n\n 50 %\rdone\nand", now),
            ["libpng error: bad", " 50 %", "done"]
        );
        assert_eq!(lines.finish(), ["and"]);
        assert!(lines.finish().is_empty());
    }

    #[test]
    fn too_many_lines_are_counted() {
        let (mut lines, now) = (NativeLines::default(), Instant::now());
        assert_eq!(lines.push("x\n".repeat(100).as_bytes(), now), ["x"; 5]);
        assert!(lines.push(b"x\n", now + WINDOW / 2).is_empty());
        assert_eq!(lines.wait(now + WINDOW / 2), Some(WINDOW / 2));
        assert_eq!(lines.tick(now + WINDOW), ["96 more lines of libraries suppressed"]);
        assert_eq!(lines.wait(now + WINDOW), None);
        assert_eq!(lines.push(b"y\n", now + WINDOW), ["y"]);
        lines.push("x\n".repeat(9).as_bytes(), now + WINDOW);
        assert_eq!(lines.finish(), ["5 more lines of libraries suppressed"]);
    }

    #[test]
    fn a_line_is_harmless_and_bounded() {
        let (mut lines, now) = (NativeLines::default(), Instant::now());
        let line = lines.push(b"\x1b[31mOpening 'rtsp://a:hunter2@cam/v'\xff\n", now).join("");
        assert!(!line.contains(['\x1b']) && !line.contains("hunter2"), "{line}");
        assert!(line.contains("rtsp://***@cam/v"), "{line}");
        let long = lines.push(&vec![b'x'; 2 * LINE_BYTES + 1], now);
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES, LINE_BYTES]);
        assert_eq!(lines.finish(), ["x"]);
    }
}
