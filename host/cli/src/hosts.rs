//! The hosts at work on this machine, each known by a file of its own, which it holds locked while it lives.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// What a host says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The process.
    pub pid: i32,
    /// Its configuration file, absolute.
    pub config: PathBuf,
    /// How often it has read that again.
    pub reloads: u64,
    /// True if what it read last is in force.
    pub is_in_force: bool,
    /// What came of it, for a person.
    pub outcome: String,
}

/// A host's own file; gone with it.
pub struct Entry {
    path: PathBuf,
    file: File,
}

fn folder(cache: &Path) -> PathBuf {
    cache.join("hosts")
}

impl Entry {
    /// Of this process.
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

    /// Says something new.
    pub fn say(&mut self, said: &Said) -> io::Result<()> {
        let text = serde_json::to_vec(said)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Left behind it would say nothing: nobody holds it locked.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The hosts at work with a configuration file. What dead ones left behind is removed.
pub fn at_work(cache: &Path, config: &Path) -> io::Result<Vec<Said>> {
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
        let said = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<Said>(&text).ok());
        all.extend(said.filter(|said| said.config == config));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_while_it_lives() {
        let cache = tempfile::tempdir().unwrap();
        let mut entry = Entry::new(cache.path()).unwrap();
        let said = Said {
            pid: std::process::id() as i32,
            config: "/etc/everyframe.toml".into(),
            reloads: 0,
            is_in_force: true,
            outcome: "a longer text".into(),
        };
        entry.say(&said).unwrap();
        let said = Said { reloads: 1, outcome: "short".into(), ..said };
        entry.say(&said).unwrap();
        assert_eq!(at_work(cache.path(), &said.config).unwrap(), std::slice::from_ref(&said));
        assert_eq!(at_work(cache.path(), Path::new("/other.toml")).unwrap(), []);
        drop(entry);
        assert_eq!(at_work(cache.path(), &said.config).unwrap(), []);
    }

    #[test]
    fn what_a_dead_host_left_is_removed() {
        let cache = tempfile::tempdir().unwrap();
        let folder = folder(cache.path());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("1"), "{}").unwrap();
        assert_eq!(at_work(cache.path(), Path::new("x")).unwrap(), []);
        assert!(!folder.join("1").exists());
    }
}
