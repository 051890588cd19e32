//! Reads and compiles a component file. None of its code runs here.

use super::error::LoadError;
use super::limits::presentable;
use everyframe_config::RuleSettings;
use everyframe_types::hexadecimal::hexadecimal;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The bytes of a component. Its header and its configured checksum are checked.
pub(super) struct ComponentFile {
    path: String,
    bytes: Vec<u8>,
    /// Of the file, hexadecimal.
    pub(super) sha256: String,
}

impl ComponentFile {
    /// Reads a rule's component.
    ///
    /// # Errors
    ///
    /// The key of the rule's table that is at fault (`component` or `sha256`), and what is wrong.
    pub(super) fn read(settings: &RuleSettings) -> Result<Self, (&'static str, LoadError)> {
        let path = settings.component.display().to_string();
        let bytes = match read_at_most(&settings.component, settings.limits.component_bytes()) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let limit = settings.limits.component_mb;
                return Err(("component", LoadError::TooLarge { path, limit }));
            }
            Err(source) => return Err(("component", LoadError::Read { path, source })),
        };
        let sha256 = hexadecimal(&Sha256::digest(&bytes));
        if let Some(expected) = &settings.sha256 {
            if expected.len() != 64 || !expected.bytes().all(|b| b.is_ascii_hexdigit()) {
                let message = format!("must be 64 hexadecimal digits; the file has sha256 {sha256}");
                return Err(("sha256", LoadError::Setting(message)));
            }
            if !expected.eq_ignore_ascii_case(&sha256) {
                let expected = expected.clone();
                return Err(("sha256", LoadError::Checksum { path, expected, actual: sha256 }));
            }
        }
        let error = match bytes.get(..8) {
            // WebAssembly binary format: magic, version, layer (1 is the component layer).
            Some([0, b'a', b's', b'm', _, _, 1, 0]) => return Ok(Self { path, bytes, sha256 }),
            Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => LoadError::CoreModule { path },
            Some([0x7f, b'E', b'L', b'F', ..]) => LoadError::MachineCode { path },
            _ => LoadError::NotWasm { path },
        };
        Err(("component", error))
    }

    /// Size of the file, bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Compiles the component.
    ///
    /// # Errors
    ///
    /// It is not valid, or exceeds the limits of the engine's pool.
    pub(super) fn compile(&self, engine: &Engine) -> Result<Component, LoadError> {
        Component::from_binary(engine, &self.bytes).map_err(|error| {
            let (path, reason) = (self.path.clone(), presentable(&format!("{error:#}"), 1000));
            match find_exceeded_limit(&reason) {
                Some(key) => LoadError::TooBig { path, reason, key },
                None => LoadError::Damaged { path, reason },
            }
        })
    }
}

/// The limit that a message of wasmtime's pool is about; wasmtime has no error type for it.
fn find_exceeded_limit(reason: &str) -> Option<&'static str> {
    if !reason.contains("exceeds the") {
        return None;
    }
    let limits = [
        ("core module instances", "instances"),
        ("memories", "memories"),
        ("tables", "tables"),
        ("element size", "table_elements"),
        ("byte size", "memory_mb"),
    ];
    limits.into_iter().find(|(text, _)| reason.contains(text)).map(|(_, key)| key)
}

/// Reads a regular file; none if it has more than `limit` bytes.
fn read_at_most(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}
