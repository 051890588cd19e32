//! A cache of compiled code on disk: compiling a Python rule takes seconds.
//!
//! Only code that this program compiled is loaded. The folder belongs to this user and nobody else may write to it. A file's
//! name has the checksum of the component and of every engine setting that affects the code.

use super::component_file::ComponentFile;
use super::error::LoadError;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The most files in the cache. The least recently used ones are deleted.
const MAX_FILES: usize = 100;

/// The cache's folder.
#[derive(Debug, Clone)]
pub struct CodeCache(PathBuf);

impl CodeCache {
    /// A subfolder of `cache`, created when there is code to store.
    pub fn in_folder(cache: &Path) -> Self {
        Self(cache.join("compiled"))
    }

    /// Loads the component's code, or compiles and stores it. If the folder cannot be used, the code is compiled each time.
    ///
    /// # Errors
    ///
    /// The component does not compile.
    pub(super) fn compile(&self, file: &ComponentFile, engine: &Engine) -> Result<Component, LoadError> {
        if let Err(error) = self.secure_folder() {
            tracing::debug!("cannot cache compiled code in {}: {error}", self.0.display());
            return file.compile(engine);
        }
        let path = self.0.join(format!("{}-{:016x}", file.sha256, engine_hash(engine)));
        if let Some(component) = load_code(&path, engine) {
            return Ok(component);
        }
        let component = file.compile(engine)?;
        if let Err(error) = self.store(&path, &component) {
            tracing::debug!("cannot store compiled code at {}: {error}", path.display());
        }
        Ok(component)
    }

    /// Creates the folder, or checks that nobody else can have written to it.
    fn secure_folder(&self) -> io::Result<()> {
        match fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let folder = fs::symlink_metadata(&self.0)?;
        if !folder.is_dir() || folder.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it is not a folder that this user owns"));
        }
        if folder.permissions().mode() & 0o022 != 0 {
            return Err(io::Error::other("other users may write to it"));
        }
        Ok(())
    }

    fn store(&self, path: &Path, component: &Component) -> io::Result<()> {
        let code = component.serialize().map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(&code)?;
        file.persist(path)?;
        self.delete_oldest()
    }

    fn delete_oldest(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.0)?
            .filter_map(|entry| entry.ok())
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        let too_many = files.len().saturating_sub(MAX_FILES);
        files.iter().take(too_many).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn engine_hash(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

fn load_code(path: &Path, engine: &Engine) -> Option<Component> {
    if !path.exists() {
        return None;
    }
    // SAFETY: the file is in a folder to which only this user may write, and only `store` writes there, whole files.
    // The engine rejects code of another version or of other settings.
    match unsafe { Component::deserialize_file(engine, path) } {
        Ok(component) => {
            // The modification time is the time of last use.
            let touched = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
            if let Err(error) = touched {
                tracing::debug!("{}: {error}", path.display());
            }
            Some(component)
        }
        Err(error) => {
            tracing::debug!(
                "compiled code at {} is not usable and is compiled again: {error:#}",
                path.display()
            );
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
    fn compiled_code_is_stored_and_loaded() {
        let (bench, engine) = (Bench::new(), Engine::default());
        let cache = CodeCache::in_folder(bench.folder.path());
        let file = file(&bench);
        cache.compile(&file, &engine).unwrap();
        let [path] = &entries(&cache.0)[..] else { panic!("one file") };
        assert!(load_code(path, &engine).is_some());
        // Damaged code is compiled again.
        fs::write(path, b"\x7fELF nonsense").unwrap();
        assert!(load_code(path, &engine).is_none());
        cache.compile(&file, &engine).unwrap();
        assert!(load_code(path, &engine).is_some());
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
    fn the_least_recently_used_code_is_deleted() {
        let bench = Bench::new();
        let cache = CodeCache::in_folder(bench.folder.path());
        cache.secure_folder().unwrap();
        for number in 0..MAX_FILES as u64 + 5 {
            let file = fs::File::create(cache.0.join(number.to_string())).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number)).unwrap();
        }
        cache.delete_oldest().unwrap();
        assert_eq!(entries(&cache.0).len(), MAX_FILES);
        assert!(!cache.0.join("4").exists() && cache.0.join("5").exists());
    }
}
