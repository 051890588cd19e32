//! Captures what libraries write to standard error, and puts it into the log.
//!
//! File descriptor 2 becomes a pipe that a thread empties. The log, and the command line's own messages, go to the
//! standard error that was there before.

use super::native_lines::NativeLines;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long the end waits for lines that are still in the pipe.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// The size of one read, bytes: as much as a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// The pipe that replaces standard error.
pub(super) struct StderrCapture {
    /// Closing it tells the thread to end. That cannot block, however full the other pipe is.
    wake: PipeWriter,
    ended: Receiver<()>,
}

impl StderrCapture {
    /// Starts to log everything that is written to file descriptor 2.
    ///
    /// # Errors
    /// The system gives no pipe or no thread. Standard error is then as it was.
    pub fn start() -> std::io::Result<Self> {
        let (lines, writer) = std::io::pipe()?;
        let (woken, wake) = std::io::pipe()?;
        let (end, ended) = channel();
        std::thread::Builder::new().name("stderr".into()).spawn(move || read(lines, woken, end))?;
        redirect(writer)?;
        Ok(Self { wake, ended })
    }

    /// Points file descriptor 2 to another file, and waits until everything written before is in the log.
    pub fn end(self, then: impl AsFd) {
        if redirect(then).is_ok() {
            drop(self.wake);
            // Not for ever: a child process may hold the pipe, or the reader of the log may have stopped.
            let _ = self.ended.recv_timeout(LAST_WAIT);
        }
    }
}

/// Points file descriptor 2 to this file.
fn redirect(file: impl AsFd) -> std::io::Result<()> {
    // SAFETY: it is open (Rust's runtime sees to it at start), and `ManuallyDrop` never closes it.
    let mut stderr = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(2) });
    Ok(rustix::io::dup2(file, &mut stderr)?)
}

fn read(mut pipe: PipeReader, woken: PipeReader, _end: Sender<()>) {
    let mut lines = NativeLines::default();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let timeout = lines.wait(Instant::now()).map(|wait| Timespec {
            tv_sec: wait.as_secs().try_into().unwrap_or(1),
            tv_nsec: wait.subsec_nanos().into(),
        });
        let mut polled = [PollFd::new(&pipe, PollFlags::IN), PollFd::new(&woken, PollFlags::IN)];
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
        let (has_bytes, is_ending) = (!polled[0].revents().is_empty(), !polled[1].revents().is_empty());
        if has_bytes {
            match pipe.read(&mut bytes) {
                Ok(count @ 1..) => log(lines.push(&bytes[..count], Instant::now())),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // Nobody can write any more.
                Ok(0) | Err(_) => break,
            }
        } else if is_ending {
            break;
        }
        log(lines.tick(Instant::now()));
    }
    log(lines.finish());
}

fn log(lines: Vec<String>) {
    for line in lines {
        tracing::warn!(target: "native", native = true, "{line}");
    }
}

/// A file that discards everything.
pub(super) fn open_dev_null() -> std::io::Result<File> {
    File::options().write(true).open("/dev/null")
}
