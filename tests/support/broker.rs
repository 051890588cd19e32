//! A single Kafka node, run by `everyframe broker`.

use crate::part::Part;
use crate::ports::free_port;
use crate::{kafka, places, wait_for};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Lines of Kafka's log that a failed test prints.
const LOG_LINES: usize = 60;

/// A broker. It ends with this process, also after a crash, and its folder is removed.
pub(crate) struct Broker {
    part: Option<Part>,
    pub(crate) address: String,
    folder: PathBuf,
    starts: u32,
}

impl Broker {
    /// The address of the broker that all tests of this binary share, or of the cluster of `EVERYFRAME_TEST_BROKERS`. The first
    /// call starts the broker.
    pub(crate) fn shared() -> &'static str {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        let shared = SHARED.get_or_init(|| match crate::cluster::others() {
            Some(address) => Self { part: None, address, folder: PathBuf::new(), starts: 0 },
            None => {
                let folder = tempfile::Builder::new().prefix("everyframe-broker-").tempdir();
                // The broker removes the folder itself, because nothing in this process outlives the last test.
                let mut broker = Self::new(&folder.expect("a folder").keep());
                broker.start();
                broker
            }
        });
        &shared.address
    }

    /// A broker with its data in this folder, not started yet.
    pub(crate) fn new(folder: &Path) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        Self { part: None, address, folder: folder.to_owned(), starts: 0 }
    }

    /// Starts it, at the same address and with the same data as before.
    pub(crate) fn start(&mut self) {
        self.starts += 1;
        let mut command = Command::new(places::binary("everyframe"));
        command
            .args(["broker", "--listen", &self.address, "--data"])
            .arg(self.folder.join("broker"))
            .arg("--until-stdin-closes")
            .arg("--remove")
            .arg(&self.folder)
            .stdin(Stdio::piped());
        let part = Part::start(&format!("broker-{}", self.starts), &self.folder, &mut command);
        let part = self.part.insert(part);
        wait_for("the broker", || {
            assert!(part.is_running(), "the broker ended: {}", part.err());
            kafka::metadata(&self.address).filter(|metadata| !metadata.brokers.is_empty())
        });
    }

    /// Ends it by SIGKILL, like a crash.
    pub(crate) fn kill(&mut self) {
        self.part.take().expect("the broker runs").kill();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("broker/kafka.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("--- the end of Kafka's log:\n{}\n---", end.join("\n"));
        }
    }
}
