//! Compiled code, kept from one start to the next: a Python rule compiles for seconds.
//!
//! Only code that this program compiled is ever loaded: it lies in a folder of our own which nobody else may write to,
//! under the checksum of the component and of everything in the engine that shapes the code.

use super::component::ComponentFile;
use super::error::LoadError;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmtime::Engine;
use wasmtime::component::Component;

/// As many pieces of compiled code are kept; those used last.
const KEPT: usize = 100;

/// The folder.
#[derive(Debug, Clone)]
pub struct CodeCache(PathBuf);

impl CodeCache {
    /// In a folder of the cache; made when there is something to keep.
    pub fn in_folder(cache: &Path) -> Self {
        Self(cache.join("compiled"))
    }

    /// The component's code: what was kept, or compiled now and kept from now on. A folder that cannot be used costs
    /// time and nothing else.
    pub(super) fn compile(&self, file: &ComponentFile, engine: &Engine) -> Result<Component, LoadError> {
        if let Err(error) = self.own() {
            tracing::debug!("compiled code is not kept in {}: {error}", self.0.display());
            return file.compile(engine);
        }
        let path = self.0.join(format!("{}-{:016x}", file.sha256, engine_hash(engine)));
        if let Some(component) = kept(&path, engine) {
            return Ok(component);
        }
        let component = file.compile(engine)?;
        if let Err(error) = self.keep(&path, &component) {
            tracing::debug!("compiled code is not kept at {}: {error}", path.display());
        }
        Ok(component)
    }

    /// Makes the folder, or makes sure that nobody else can have put anything into it.
    fn own(&self) -> io::Result<()> {
        match fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let folder = fs::symlink_metadata(&self.0)?;
        if !folder.is_dir() || folder.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it is not a folder of this user's"));
        }
        if folder.permissions().mode() & 0o022 != 0 {
            return Err(io::Error::other("others may write to it"));
        }
        Ok(())
    }

    fn keep(&self, path: &Path, component: &Component) -> io::Result<()> {
        let code = component.serialize().map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(&code)?;
        file.persist(path)?;
        self.forget()
    }

    fn forget(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.0)?
            .filter_map(|entry| entry.ok())
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        let too_many = files.len().saturating_sub(KEPT);
        files.iter().take(too_many).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn engine_hash(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

fn kept(path: &Path, engine: &Engine) -> Option<Component> {
    if !path.exists() {
        return None;
    }
    // SAFETY: the file is in a folder to which only this user may write, and `keep` alone writes there, whole files.
    // The engine refuses what another version or another setting of it compiled.
    match unsafe { Component::deserialize_file(engine, path) } {
        Ok(component) => {
            // So that what is used last is kept.
            let touched = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
            if let Err(error) = touched {
                tracing::debug!("{}: {error}", path.display());
            }
            Some(component)
        }
        Err(error) => {
            tracing::debug!("compiled code at {} is compiled anew: {error:#}", path.display());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Bench;
    use super::*;
    use everyframe_config::RuleKind::MatchingPolicy;
    use everyframe_test_guests::Guest;

    fn file(bench: &Bench) -> ComponentFile {
        let rule = bench.rule("policy", MatchingPolicy, &Guest::default().component());
        ComponentFile::read(&rule).map_err(|(key, error)| format!("{key}: {error}")).unwrap()
    }

    fn entries(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn code_is_kept_and_found_again() {
        let (bench, engine) = (Bench::new(), Engine::default());
        let cache = CodeCache::in_folder(bench.folder.path());
        let file = file(&bench);
        cache.compile(&file, &engine).unwrap();
        let [path] = &entries(&cache.0)[..] else { panic!("one file") };
        assert!(kept(path, &engine).is_some());
        // What is damaged is compiled anew.
        fs::write(path, b"\x7fELF nonsense").unwrap();
        assert!(kept(path, &engine).is_none());
        cache.compile(&file, &engine).unwrap();
        assert!(kept(path, &engine).is_some());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_not_used() {
        let (bench, engine) = (Bench::new(), Engine::default());
        let cache = CodeCache::in_folder(bench.folder.path());
        fs::create_dir(&cache.0).unwrap();
        fs::set_permissions(&cache.0, fs::Permissions::from_mode(0o777)).unwrap();
        cache.compile(&file(&bench), &engine).unwrap();
        assert!(entries(&cache.0).is_empty());
    }

    #[test]
    fn what_was_used_last_is_kept() {
        let bench = Bench::new();
        let cache = CodeCache::in_folder(bench.folder.path());
        cache.own().unwrap();
        for number in 0..KEPT as u64 + 5 {
            let file = fs::File::create(cache.0.join(number.to_string())).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number)).unwrap();
        }
        cache.forget().unwrap();
        assert_eq!(entries(&cache.0).len(), KEPT);
        assert!(!cache.0.join("4").exists() && cache.0.join("5").exists());
    }
}
