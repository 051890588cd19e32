//! A node's folder: its lock and its store.

use super::settings::Settings;
use super::{NodeError, Software, open_or_create};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The format of `meta.properties` that Kafka 3 and 4 write.
const FORMAT: &str = "1";
/// How long a node that was killed may hold its folder.
const PREDECESSOR: Duration = Duration::from_secs(5);
/// A log larger than this at the start is renamed to `kafka.log.old`.
const LOG_BYTES: u64 = 10 << 20;
/// What a node's folder holds, besides its log.
const OURS: [&str; 7] =
    ["data", "new", "lock", "node.pid", "server.properties", "format.properties", "logging.properties"];

/// The locked folder of a node. The lock is released when this is dropped.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    lock: File,
}

impl Store {
    /// Makes the folder if it is not there, and locks it.
    pub(super) fn open(folder: &Path) -> Result<Self, NodeError> {
        std::fs::create_dir_all(folder).map_err(NodeError::io(folder))?;
        // Kafka writes where its own working folder is.
        let folder = folder.canonicalize().map_err(NodeError::io(folder))?;
        if !folder.join("lock").exists() {
            refuse_foreign(&folder)?;
        }
        let lock = open_or_create(&folder.join("lock"))?;
        let deadline = Instant::now() + PREDECESSOR;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(super::STEP);
                }
                Err(TryLockError::WouldBlock) => {
                    let process = std::fs::read_to_string(folder.join("node.pid"));
                    let process =
                        process.map_or_else(|_| String::new(), |id| format!(" (process {})", id.trim()));
                    return Err(NodeError::InUse { folder, process });
                }
                Err(TryLockError::Error(error)) => return Err(NodeError::io(&folder)(error)),
            }
        }
        Ok(Self { folder, lock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The lock, to be held by the node, too.
    pub(super) fn lock(&self) -> Result<File, NodeError> {
        self.lock.try_clone().map_err(NodeError::io(&self.folder))
    }

    fn identity(&self) -> PathBuf {
        self.folder.join("data/meta.properties")
    }

    pub(super) fn is_formatted(&self) -> bool {
        self.identity().is_file()
    }

    /// Refuses a store that another Kafka, or another node, has made.
    pub(super) fn check_identity(&self, settings: &Settings) -> Result<(), NodeError> {
        if !self.is_formatted() {
            return Ok(());
        }
        let path = self.identity();
        let text = std::fs::read_to_string(&path).map_err(NodeError::io(&path))?;
        let value = |key: &str| {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            pairs.filter(|(name, _)| *name == key).map(|(_, value)| value.trim().to_owned()).next()
        };
        let not_ours = |reason: String| NodeError::NotOurs { folder: self.folder.clone(), reason };
        match value("version") {
            Some(version) if version == FORMAT => {}
            Some(found) => {
                return Err(NodeError::NewerFormat { folder: self.folder.clone(), found, known: FORMAT });
            }
            None => return Err(not_ours(format!("{} has no version", path.display()))),
        }
        match value("node.id") {
            Some(node) if node == settings.node_id() => {}
            Some(node) => return Err(not_ours(format!("its data are those of node {node}"))),
            None => return Err(not_ours("its data are those of a Kafka with ZooKeeper".into())),
        }
        match (value("cluster.id"), &settings.cluster_id) {
            (Some(found), Some(wanted)) if found != *wanted => {
                Err(not_ours(format!("its data are those of the cluster {found}")))
            }
            _ => Ok(()),
        }
    }

    /// Makes the store. It appears under its name only when complete.
    pub(super) fn format(&self, software: &Software, settings: &Settings) -> Result<(), NodeError> {
        let new = self.folder.join("new");
        if new.exists() {
            std::fs::remove_dir_all(&new).map_err(NodeError::io(&new))?;
        }
        let properties = settings.write_properties(&self.folder, &new, "format.properties")?;
        let mut tool = software.tool(&self.folder, "kafka.tools.StorageTool");
        let identity = settings.cluster_id.clone().map_or_else(random_id, Ok)?;
        tool.args(["format", "--cluster-id", &identity, "--config"]).arg(&properties);
        for user in &settings.users {
            let (name, password) = user.split_once('=').unwrap_or((user, ""));
            tool.args(["--add-scram", &format!("SCRAM-SHA-512=[name={name},password={password}]")]);
        }
        let output = tool.output().map_err(NodeError::io(tool.get_program()))?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            return Err(NodeError::NotFormatted(String::from_utf8_lossy(&text).trim().to_owned()));
        }
        let _ = std::fs::remove_file(&properties);
        std::fs::rename(&new, self.folder.join("data")).map_err(NodeError::io(&new))
    }

    /// The log, to be added to.
    pub(super) fn open_log(&self) -> Result<File, NodeError> {
        let path = self.folder.join("kafka.log");
        if std::fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES) {
            std::fs::rename(&path, self.folder.join("kafka.log.old")).map_err(NodeError::io(&path))?;
        }
        File::options().create(true).append(true).open(&path).map_err(NodeError::io(&path))
    }
}

/// A folder without a lock is new, or somebody else's.
fn refuse_foreign(folder: &Path) -> Result<(), NodeError> {
    let entries = std::fs::read_dir(folder).map_err(NodeError::io(folder))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let foreign = names.filter(|name| !OURS.contains(&name.as_str()) && !name.starts_with("kafka.log"));
    match foreign.min() {
        Some(name) => Err(NodeError::NotOurs {
            folder: folder.to_owned(),
            reason: format!("it holds `{name}`, which no node has put there"),
        }),
        None => Ok(()),
    }
}

/// Sixteen random bytes as Kafka writes them: URL-safe Base64. Never with a hyphen first, which a command line would take
/// for an option.
fn random_id() -> Result<String, NodeError> {
    use base64::Engine as _;
    use std::io::Read as _;
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(NodeError::io(source))?;
    // The first letter stands for the six highest bits.
    bytes[0] &= 0x7f;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// The last error in a node's log, or its last line.
pub(super) fn last_error(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let is_error =
        |line: &&str| line.contains(" ERROR ") || line.contains(" FATAL ") || line.starts_with("Error");
    let lines = || text.lines().rev().take(200);
    let line = lines().find(is_error).or_else(|| lines().find(|line| !line.trim().is_empty()));
    line.unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{Listen, NodeOptions};
    use super::*;

    fn settings(folder: &Path) -> Settings {
        Settings::new(&NodeOptions::new(folder.to_owned(), Listen::parse("127.0.0.1:9").unwrap())).unwrap()
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("photo.jpg"), "").unwrap();
        let error = Store::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("it holds `photo.jpg`") && error.contains("--data"), "{error}");
    }

    #[test]
    fn stores_of_other_nodes_and_newer_kafkas_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.check_identity(&settings(folder.path())).unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        for (text, expected) in [
            ("version=1\nnode.id=1\ncluster.id=a\n", None),
            ("version=2\nnode.id=1\n", Some("a newer Kafka wrote them")),
            ("version=1\nnode.id=2\n", Some("those of node 2")),
            ("version=1\nbroker.id=0\n", Some("ZooKeeper")),
            ("nonsense", Some("has no version")),
        ] {
            std::fs::write(folder.path().join("data/meta.properties"), text).unwrap();
            let checked = store.check_identity(&settings(folder.path())).map_err(|error| error.to_string());
            match expected {
                None => checked.unwrap(),
                Some(words) => {
                    assert!(checked.as_ref().is_err_and(|said| said.contains(words)), "{checked:?}")
                }
            }
        }
    }

    #[test]
    fn an_identity_is_never_taken_for_an_option() {
        for _ in 0..200 {
            let id = random_id().unwrap();
            assert!(id.len() == 22 && !id.starts_with('-'), "{id}");
        }
    }

    #[test]
    fn the_last_error_of_a_log_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("kafka.log");
        assert_eq!(last_error(&log), "it said nothing");
        std::fs::write(&log, "12:00 ERROR Server: a\n12:01 ERROR Server: b\n\tat c\n").unwrap();
        assert_eq!(last_error(&log), "12:01 ERROR Server: b");
    }
}
