//! The log, and all other output on standard error.

use super::stderr_capture::{StderrCapture, open_dev_null};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    /// Standard error as it was at the start.
    stderr: Arc<File>,
    is_json: bool,
    /// Set while the output of libraries is captured.
    capture: Mutex<Option<StderrCapture>>,
}

/// Writes out the last lines of libraries when it is dropped, also by a panic.
pub(super) struct LogGuard;

impl Drop for LogGuard {
    fn drop(&mut self) {
        finish();
    }
}

/// Starts the log, as JSON or as text, with the filter of `RUST_LOG` or else `filter`. With `has_libraries`, lines that
/// libraries write to standard error go to the log, too.
pub(super) fn start(is_json: bool, filter: &str, has_libraries: bool) -> LogGuard {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(filter));
    // A duplicate, because file descriptor 2 may become a pipe.
    let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() else { return LogGuard };
    let stderr = Arc::new(File::from(stderr));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr.clone())
        .with_target(false)
        .with_ansi(stderr.is_terminal())
        // They would go to file descriptor 2, and come back as lines of the log.
        .log_internal_errors(false);
    if is_json {
        log.json().init()
    } else {
        log.init()
    }
    let log = LOG.get_or_init(|| Log { stderr, is_json, capture: Mutex::new(None) });
    std::panic::set_hook(Box::new(log_panic));
    if has_libraries {
        match StderrCapture::start() {
            Ok(capture) => *log.capture.lock().unwrap_or_else(PoisonError::into_inner) = Some(capture),
            Err(error) => tracing::warn!(
                "the output of libraries on standard error cannot be captured, so the log lacks it: {error}"
            ),
        }
    }
    LogGuard
}

/// Writes a message for the user to standard error, whatever the filter of the log.
pub(super) fn print_message(message: &str) {
    let Some(log) = LOG.get() else { return eprintln!("{message}") };
    let text = if log.is_json { json_line(message) } else { message.to_owned() };
    // In one write, so that no line of the log comes between. If it fails, there is nowhere to report it.
    let _ = log.stderr.as_ref().write_all(format!("{text}\n").as_bytes());
}

/// Writes a question to standard error, without an end of line.
pub(super) fn prompt(question: &str) {
    match LOG.get() {
        Some(log) => drop(log.stderr.as_ref().write_all(question.as_bytes())),
        None => eprint!("{question}"),
    }
}

/// A message as a line of the log in JSON.
fn json_line(message: &str) -> String {
    let text = serde_json::Value::from(message);
    let now = jiff::Timestamp::now();
    format!(r#"{{"timestamp":"{now:.6}","level":"ERROR","fields":{{"message":{text}}}}}"#)
}

/// Ends the capture: logs what libraries wrote until now, and nothing that they write later.
pub(super) fn finish() {
    let Some(log) = LOG.get() else { return };
    let Some(capture) = log.capture.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    // Libraries may write while the process ends, and not in JSON.
    match open_dev_null() {
        Ok(null) if log.is_json => capture.end(null),
        _ => capture.end(log.stderr.as_fd()),
    }
}

/// Ends the process, after the last lines of the log.
///
/// Without the C library's exit handlers: OpenSSL's frees what threads of librdkafka may still use, which then corrupt
/// the heap, so that a command that did its work would be ended by a signal.
pub(super) fn exit(status: u8) -> ! {
    finish();
    let _ = std::io::stdout().flush();
    // SAFETY: `_exit` takes any status and touches no memory of this process.
    unsafe { libc::_exit(status.into()) }
}

/// Rust's own hook would write to file descriptor 2.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload_as_str().unwrap_or("(no message)");
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("(unnamed)");
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    let backtrace = Backtrace::capture();
    let trace = match backtrace.status() {
        BacktraceStatus::Captured => format!("\n{backtrace}"),
        _ => String::new(),
    };
    print_message(&format!("thread '{name}' panicked{place}: {payload}{trace}"));
}

#[cfg(test)]
mod tests {
    use super::json_line;

    #[test]
    fn a_message_of_any_text_is_a_line_of_json() {
        let message = "everyframe: \"a\"\n\u{1b}[31m\u{202a}";
        let line = json_line(message);
        assert_eq!(line.lines().count(), 1);
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["fields"]["message"], message);
        assert_eq!(parsed["timestamp"].as_str().map(str::len), Some("2026-11-28T06:01:28.507627Z".len()));
    }
}
