//! The running hosts of this machine. Each has a file in the cache folder, which it keeps locked while it lives.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// What a host reports about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// The process.
    pub pid: i32,
    /// Its configuration file, absolute.
    pub config: PathBuf,
    /// How often it has read the configuration again.
    pub reloads: u64,
    /// True if the rules that it read last are active.
    pub is_in_force: bool,
    /// The outcome of the last reload, for a person.
    pub outcome: String,
}

/// A host's own file; gone with it.
pub struct HostEntry {
    path: PathBuf,
    file: File,
}

fn folder(cache: &Path) -> PathBuf {
    cache.join("hosts")
}

impl HostEntry {
    /// Makes the file of this process.
    ///
    /// # Errors
    ///
    /// The file cannot be made or locked: the host is not found by `everyframe rule reload`.
    pub fn new(cache: &Path) -> io::Result<Self> {
        let folder = folder(cache);
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(std::process::id().to_string());
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::other("another process says it is this one"),
        })?;
        Ok(Self { path, file })
    }

    /// Replaces the report.
    ///
    /// # Errors
    ///
    /// The file cannot be written: the host is not found by `everyframe rule reload`.
    pub fn publish(&mut self, report: &HostReport) -> io::Result<()> {
        let text = serde_json::to_vec(report)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }
}

impl Drop for HostEntry {
    fn drop(&mut self) {
        // A file that stays behind does no harm: nobody holds it locked.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The running hosts that use a configuration file. Files of hosts that died are removed.
///
/// # Errors
///
/// The folder cannot be read.
pub fn find_hosts(cache: &Path, config: &Path) -> io::Result<Vec<HostReport>> {
    let entries = match std::fs::read_dir(folder(cache)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut all = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let Ok(mut file) = File::open(&path) else { continue };
        if file.try_lock_shared().is_ok() {
            let _ = std::fs::remove_file(&path);
            continue;
        }
        let mut text = String::new();
        let report =
            file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<HostReport>(&text).ok());
        all.extend(report.filter(|report| report.config == config));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_while_it_lives() {
        let cache = tempfile::tempdir().unwrap();
        let mut entry = HostEntry::new(cache.path()).unwrap();
        let report = HostReport {
            pid: std::process::id() as i32,
            config: "/etc/everyframe.toml".into(),
            reloads: 0,
            is_in_force: true,
            outcome: "a longer text".into(),
        };
        entry.publish(&report).unwrap();
        let report = HostReport { reloads: 1, outcome: "short".into(), ..report };
        entry.publish(&report).unwrap();
        assert_eq!(find_hosts(cache.path(), &report.config).unwrap(), std::slice::from_ref(&report));
        assert_eq!(find_hosts(cache.path(), Path::new("/other.toml")).unwrap(), []);
        drop(entry);
        assert_eq!(find_hosts(cache.path(), &report.config).unwrap(), []);
    }

    #[test]
    fn files_of_dead_hosts_are_removed() {
        let cache = tempfile::tempdir().unwrap();
        let folder = folder(cache.path());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("1"), "{}").unwrap();
        assert_eq!(find_hosts(cache.path(), Path::new("x")).unwrap(), []);
        assert!(!folder.join("1").exists());
    }
}
