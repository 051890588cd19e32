//! A child process with its output in files.

use crate::wait_for;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// A running child. It is killed when dropped, and its output is shown if the test failed.
pub struct Part {
    name: String,
    child: Child,
    // Kept open for as long as this process lives: some children end when their standard input closes. `Child` would
    // close it at the first wait.
    _stdin: Option<ChildStdin>,
    out: PathBuf,
    err: PathBuf,
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub out: String,
    /// All of its standard error.
    pub err: String,
}

impl Ended {
    /// Checks that the child ended with status 0, and returns its standard output.
    pub fn expect_success(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }
}

impl Part {
    /// Starts `command`. Its output goes to the files `name.out` and `name.err` in `folder`.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Self {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let file = |path: &Path| std::fs::File::create(path).expect("a log file");
        let mut child = command
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdin = child.stdin.take();
        Self { name: name.to_owned(), child, _stdin: stdin, out, err }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The standard output so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// The standard error so far.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// True until it has ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until standard error contains `word`.
    pub fn wait_for_word(&mut self, word: &str) {
        self.wait_for_words(word, 1);
    }

    /// Waits until standard error contains `word` at least `times` times.
    pub fn wait_for_words(&mut self, word: &str, times: usize) {
        wait_for(&format!("\"{word}\" of {}, time {times}", self.name), || {
            assert!(self.is_running(), "{} ended early: {}", self.name, self.err());
            (self.count_in_log(word) >= times).then_some(())
        });
    }

    /// How many times standard error contains `word`.
    pub fn count_in_log(&self, word: &str) -> usize {
        self.err().matches(word).count()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let what = format!("the end of {}", self.name);
        let status = wait_for(&what, || self.child.try_wait().expect("a child can be waited for"));
        Ended { code: status.code(), out: self.out(), err: self.err() }
    }

    /// Sends SIGTERM, and waits for its end.
    pub fn terminate(self) -> Ended {
        self.signal("TERM");
        self.end()
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) {
        self::signal(self.id(), signal);
    }

    /// Sends SIGKILL, which ends it like a crash.
    pub fn kill(mut self) {
        assert!(self.is_running(), "{} ended before it was killed: {}", self.name, self.err());
        self.child.kill().expect("a running child can be killed");
        let _ = self.child.wait();
    }

    /// Its resident memory, MiB. Also resets the peak, see [`Part::peak_memory`].
    pub fn memory_from_now_on(&self) -> u64 {
        // Linux, proc(5): 5 resets the peak.
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").expect("a peak can be forgotten");
        self.memory("VmRSS:")
    }

    /// Its peak of resident memory since the last [`Part::memory_from_now_on`], MiB.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The CPU time of all its threads.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.id())
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kilobytes.expect("/proc has the memory of a running process") >> 10
    }

    fn tail(&self) -> String {
        let all = self.out() + &self.err();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the end of the output of {}:\n{}\n---", self.name, self.tail());
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(folder: &Path, command: &mut Command) -> Ended {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("command-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Part::start(&name, folder, command.stdin(Stdio::null())).end()
}

/// Sends a signal to a process: `STOP`, `CONT`.
pub(crate) fn signal(process: u32, signal: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]).status();
    assert!(sent.is_ok_and(|status| status.success()), "process {process} cannot be sent a {signal}");
}

/// The CPU time of all threads of a process.
pub(crate) fn cpu_time(process: u32) -> Duration {
    // Linux, proc(5): fields 14 and 15, after a name in brackets; 100 ticks a second.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: Option<u64> = fields.skip(11).take(2).map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks.expect("/proc has the time of a running process"))
}
