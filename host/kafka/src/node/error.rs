//! Why a node does not run, and what to do.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// The oldest Java that Kafka 4 runs on.
pub(super) const OLDEST_JAVA: u32 = 17;

/// Why a node does not run, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// There is no Java to run Kafka on.
    #[error(
        "no Java {} or newer to run Kafka on; looked for {looked_for}. Run `make setup`, which fetches one, or install one (Debian: apt-get install openjdk-17-jre-headless) and set JAVA_HOME",
        OLDEST_JAVA
    )]
    NoJava {
        /// Each place, and what was found there.
        looked_for: String,
    },
    /// Kafka's jars are not there.
    #[error(
        "no Kafka in {}: no kafka_*.jar. Run `make setup`, which fetches it, or set EVERYFRAME_KAFKA to the `libs` folder of Apache Kafka 4",
        folder.display()
    )]
    NoKafka {
        /// Where they were looked for.
        folder: PathBuf,
    },
    /// An address that no node can listen at.
    #[error("cannot listen at {address}: {reason}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else listens there.
    #[error(
        "{address} is taken: another program listens there, perhaps another broker; end that one, or give another address with --listen"
    )]
    AddressTaken {
        /// The address.
        address: String,
    },
    /// Another node works in the folder.
    #[error(
        "{} is in use by another node{process}; end that one, or give another folder with --data",
        folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// ` (process 123)`, if it is known.
        process: String,
    },
    /// The folder has something else in it.
    #[error("{} is not a folder of this node: {reason}; give an empty or a new folder with --data", folder.display())]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// The data are of a newer Kafka.
    #[error(
        "the data in {} have format {found}, and this Kafka reads format {known}: a newer Kafka wrote them. Use that one, or another folder with --data",
        folder.display()
    )]
    NewerFormat {
        /// The folder.
        folder: PathBuf,
        /// The format of the data.
        found: String,
        /// Ours.
        known: &'static str,
    },
    /// A settings file that cannot be used.
    #[error("{}: {reason}", file.display())]
    Settings {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The store could not be made.
    #[error("Kafka cannot make its store: {0}")]
    NotFormatted(String),
    /// The node ended by itself.
    #[error("Kafka ended ({status}): {reason}; {} has more", log.display())]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// Its last error.
        reason: String,
        /// The whole log.
        log: PathBuf,
    },
    /// The node runs, and does not answer.
    #[error("Kafka has not answered within {} s; {} may say why", patience.as_secs(), log.display())]
    NoAnswer {
        /// How long it had.
        patience: Duration,
        /// Its log.
        log: PathBuf,
    },
    /// Java did not write its ahead-of-time cache.
    #[error("Java did not write its ahead-of-time cache; {} may say why. Kafka starts without it, too", log.display())]
    Untrained {
        /// The log.
        log: PathBuf,
    },
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// A path.
        what: String,
        /// The system's words.
        source: io::Error,
    },
}

impl NodeError {
    /// Wraps an error of the system with the path that it is about.
    pub(super) fn io(path: impl AsRef<OsStr>) -> impl FnOnce(io::Error) -> Self {
        let what = path.as_ref().to_string_lossy().into_owned();
        move |source| Self::Io { what, source }
    }
}
