//! A single node of Apache Kafka on this machine: what `everyframe broker`, `demo` and `bench` run.
//!
//! The node is broker and controller in one (KRaft). All that belongs to it is in one folder:
//!
//! | name | what |
//! | --- | --- |
//! | `data/` | Kafka's own log folder |
//! | `server.properties`, `logging.properties` | its settings, written at each start |
//! | `kafka.log` | its warnings and errors; `kafka.log.old` once that has grown |
//! | `node.pid` | the id of its process, while it runs |
//! | `lock` | locked while it runs |

mod answer;
mod error;
mod java;
mod settings;
mod store;

pub use error::NodeError;
pub use java::Software;
pub use settings::{Listen, NodeOptions};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use settings::Settings;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use store::Store;

/// How often the state of a node is checked.
const STEP: Duration = Duration::from_millis(20);
/// How long a node may take to end in good order. One that lost its quorum would wait for minutes.
const END: Duration = Duration::from_secs(10);
/// The limit for creating the ahead-of-time cache.
const TRAINING: Duration = Duration::from_secs(60);

/// A running node. It ends when this is dropped, and when the thread that started it ends in whatever way.
pub struct Node {
    child: Child,
    folder: PathBuf,
    /// Where clients reach it: `host:port`.
    pub address: String,
}

impl Node {
    /// Starts a node, and formats its store if the folder is new. It may not answer yet.
    ///
    /// # Errors
    /// [`NodeError`] names what is missing or in the way: Java, Kafka's jars, the port, or what is in the folder.
    pub fn start(software: &Software, options: &NodeOptions) -> Result<Self, NodeError> {
        let store = Store::open(&options.data)?;
        let settings = Settings::new(options)?;
        store.check_identity(&settings)?;
        settings.check_ports()?;
        settings.write(store.folder())?;
        if !store.is_formatted() {
            store.format(software, &settings)?;
        }
        Self::run(&store, software.node(store.folder()), settings.address().to_owned())
    }

    fn run(store: &Store, mut command: Command, address: String) -> Result<Self, NodeError> {
        let log = store.open_log()?;
        command
            // The lock stays until this process and the node have both ended.
            .stdin(store.lock()?)
            .stdout(log.try_clone().map_err(NodeError::io(store.folder()))?)
            .stderr(log)
            // Ctrl-C is for this process, which asks the node to end.
            .process_group(0);
        // SAFETY: between fork and exec, only a system call is made.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let child = command.spawn().map_err(NodeError::io(command.get_program()))?;
        let folder = store.folder().to_owned();
        let pid = folder.join("node.pid");
        std::fs::write(&pid, format!("{}\n", child.id())).map_err(NodeError::io(&pid))?;
        Ok(Self { child, folder, address })
    }

    /// True if the node answers clients by now: it knows its topics, and takes requests.
    ///
    /// # Errors
    /// [`NodeError::Ended`] if it has ended instead.
    pub fn answers(&mut self) -> Result<bool, NodeError> {
        match self.ended()? {
            Some(status) => Err(self.why_it_ended(status)),
            None => Ok(answer::is_there(&self.address)),
        }
    }

    /// Waits until the node answers.
    ///
    /// # Errors
    /// [`NodeError::Ended`] if it ends instead, [`NodeError::NoAnswer`] after `patience`.
    pub fn wait_until_it_answers(&mut self, patience: Duration) -> Result<(), NodeError> {
        let deadline = Instant::now() + patience;
        while !self.answers()? {
            if Instant::now() >= deadline {
                return Err(NodeError::NoAnswer { patience, log: self.log() });
            }
            std::thread::sleep(STEP);
        }
        Ok(())
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// Only if the system does not know the process.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, NodeError> {
        self.child.try_wait().map_err(NodeError::io(&self.folder))
    }

    /// Asks the node to end in good order, and waits. One that takes longer than ten seconds is killed, which costs
    /// it nothing but a longer next start.
    ///
    /// # Errors
    /// Only if the system does not know the process.
    pub fn end(&mut self) -> Result<(), NodeError> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + END;
        while self.ended()?.is_none() {
            if Instant::now() >= deadline {
                tracing::warn!("the node did not end within {} s: it is killed", END.as_secs());
                break;
            }
            std::thread::sleep(STEP);
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended this moment.
            let _ = kill_process(pid, signal);
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("kafka.log")
    }

    /// The error for a node that ended by itself.
    pub fn why_it_ended(&self, status: ExitStatus) -> NodeError {
        NodeError::Ended { status, reason: store::last_error(&self.log()), log: self.log() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.folder.join("node.pid"));
    }
}

/// Makes later starts take half as long: starts a node in a folder of its own, ends it, and keeps what Java has learnt of
/// its classes. Takes ten seconds, and does nothing if that was done before, or if Java is older than 25.
///
/// # Errors
/// As [`Node::start`].
pub fn train_java_cache(software: &Software) -> Result<(), NodeError> {
    let Some(learnt) = software.untrained_cache() else { return Ok(()) };
    let parent = learnt.parent().unwrap_or(Path::new("."));
    let folder =
        tempfile::Builder::new().prefix(".new.").tempdir_in(parent).map_err(NodeError::io(parent))?;
    let made = folder.path().join("learnt");
    let options = NodeOptions::new(folder.path().join("node"), Listen::on_a_free_port()?);
    let store = Store::open(&options.data)?;
    let settings = Settings::new(&options)?;
    settings.write(store.folder())?;
    store.format(software, &settings)?;
    let training = software.training_node(store.folder(), &made);
    let mut node = Node::run(&store, training, settings.address().to_owned())?;
    node.wait_until_it_answers(TRAINING)?;
    node.signal(Signal::TERM);
    let deadline = Instant::now() + TRAINING;
    while node.ended()?.is_none() && Instant::now() < deadline {
        std::thread::sleep(STEP);
    }
    if !made.is_file() {
        return Err(NodeError::Untrained { log: node.log() });
    }
    std::fs::rename(&made, learnt).map_err(NodeError::io(learnt))
}

/// Opens a file for reading and writing, and creates it if it is not there.
fn open_or_create(path: &Path) -> Result<File, NodeError> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(NodeError::io(path))
}
