//! A single node of Kafka, as `everyframe broker` runs it.

use crate::part::Part;
use crate::ports::free_port;
use crate::{kafka, places, wait_for};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A running broker. It ends with this process, whatever becomes of it, and its folder goes with it.
pub(crate) struct Broker {
    part: Option<Part>,
    pub(crate) address: String,
    folder: PathBuf,
    starts: u32,
}

impl Broker {
    /// The address of the broker that the tests of this binary share, started when the first of them asks; or that of the
    /// cluster that `EVERYFRAME_TEST_BROKERS` names.
    pub(crate) fn shared() -> &'static str {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        let shared = SHARED.get_or_init(|| match crate::cluster::others() {
            Some(address) => Self { part: None, address, folder: PathBuf::new(), starts: 0 },
            None => {
                let folder = tempfile::Builder::new().prefix("everyframe-broker-").tempdir();
                // The broker itself removes it: nothing here outlives the last test.
                let mut broker = Self::new(&folder.expect("a folder").keep());
                broker.start();
                broker
            }
        });
        &shared.address
    }

    /// One with its data in this folder; not started yet.
    pub(crate) fn new(folder: &Path) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        Self { part: None, address, folder: folder.to_owned(), starts: 0 }
    }

    /// Starts it: at the same address and with the same data as before, if it was stopped.
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

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.part.take().expect("the broker runs").kill();
    }
}
