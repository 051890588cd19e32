//! A component file: read, and checked before any of it runs.

use super::contract::{CONTRACTS, Contract, PACKAGE, interface_of};
use super::error::{LoadError, kind_name};
use super::limits::presentable;
use everyframe_config::{Grants, RuleKind, RuleSettings};
use everyframe_types::hexadecimal::hexadecimal;
use semver::Version;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The WASI packages that are linked, in version 0.2; without a grant, what reaches out is refused in the call.
const WASI: &[&str] =
    &["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];

/// A component's bytes, known to begin like a component, and to be those that the configuration names.
pub(super) struct ComponentFile {
    path: String,
    bytes: Vec<u8>,
    /// Hexadecimal, of the file.
    pub(super) sha256: String,
}

impl ComponentFile {
    /// Reads a rule's component. The problem's key is `component`, or `sha256` where that is at fault.
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

    /// Bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Compiles it.
    pub(super) fn compile(&self, engine: &Engine) -> Result<Component, LoadError> {
        Component::from_binary(engine, &self.bytes).map_err(|error| {
            let (path, reason) = (self.path.clone(), presentable(&format!("{error:#}"), 1000));
            // The pool's words; it has no error type for it.
            match exceeded(&reason) {
                Some(key) => LoadError::TooBig { path, reason, key },
                None => LoadError::Damaged { path, reason },
            }
        })
    }
}

/// The limit that the pool's words are about.
fn exceeded(reason: &str) -> Option<&'static str> {
    if !reason.contains("exceeds the") {
        return None;
    }
    let about = [
        ("core module instances", "instances"),
        ("memories", "memories"),
        ("tables", "tables"),
        ("element size", "table_elements"),
        ("byte size", "memory_mb"),
    ];
    about.into_iter().find(|(words, _)| reason.contains(words)).map(|(_, key)| key)
}

/// The bytes of an ordinary file; none if there are more than `limit`.
fn read_at_most(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    // Opening a pipe waits for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an ordinary file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// Which version of the contract a component was built against; refuses one of another kind, and one that
/// imports what no rule is given.
pub(super) fn contract_of(
    engine: &Engine,
    component: &Component,
    rule: &RuleSettings,
) -> Result<&'static Contract, (&'static str, LoadError)> {
    let kind = rule.kind;
    let ty = component.component_type();
    let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let imports: Vec<String> = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
    let version = exports
        .iter()
        .filter_map(|name| ours(name))
        .find_map(|(interface, version)| (interface == interface_of(kind)).then_some(version))
        .ok_or_else(|| ("kind", LoadError::WrongKind { expected: kind, found: looks_like(&exports) }))?;
    let contract =
        speaks(version).ok_or_else(|| ("component", unknown_version(interface_of(kind), version)))?;
    let check = |import: &String| check_import(import, &rule.grants);
    imports.iter().try_for_each(check).map_err(|error| ("component", error))?;
    Ok(contract)
}

/// Refuses an import that no rule is given, or not this one.
pub(super) fn check_import(import: &str, grants: &Grants) -> Result<(), LoadError> {
    match ours(import) {
        Some((_, version)) if speaks(version).is_some() => Ok(()),
        Some((interface, version)) => Err(unknown_version(interface, version)),
        None if is_wasi(import) => Ok(()),
        None if is_http(import) && grants.http.is_some() => Ok(()),
        None => {
            let advice = match is_http(import) {
                true => {
                    "which is for rules with `grants.http`: if it may call out, name the hosts in the rule's \
                         TOML, `[rules.grants] http = [\"hooks.example.org\"]`"
                        .to_owned()
                }
                false => format!("which no rule is given; a rule may import {PACKAGE} and WASI 0.2"),
            };
            Err(LoadError::Import { import: presentable(import, 200), advice })
        }
    }
}

/// Interface and version, if the name is of our package: `everyframe:rules/matching@0.1.0`.
pub(super) fn ours(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.strip_prefix('/').map(|rest| rest.split_once('@').unwrap_or((rest, "")))
}

fn is_wasi(import: &str) -> bool {
    let package = import.split('/').next().unwrap_or_default();
    let version = import.split_once('@').map_or("", |(_, version)| version);
    WASI.contains(&package) && version.starts_with("0.2.")
}

/// An interface by which a rule can call out, and which is linked.
pub(super) fn is_http(import: &str) -> bool {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    ["wasi:http/outgoing-handler", "wasi:http/types"].contains(&name) && version.starts_with("0.2.")
}

/// The contract for a version: the same one, or another patch of it (which is compatible by the rules of
/// the component model, and is linked by them).
pub(super) fn speaks(version: &str) -> Option<&'static Contract> {
    let track = |version: &str| numbers(version).map(|(major, minor, _)| (major, minor));
    CONTRACTS
        .iter()
        .rev()
        .find(|contract| track(version).is_some_and(|it| Some(it) == track(contract.version)))
}

fn numbers(version: &str) -> Option<(u64, u64, u64)> {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

pub(super) fn unknown_version(interface: &str, version: &str) -> LoadError {
    let spoken: Vec<&str> = CONTRACTS.iter().map(|contract| contract.version).collect();
    let newest = spoken.last().copied().unwrap_or_default();
    let advice = if Version::parse(version).ok() > Version::parse(newest).ok() {
        format!(
            "which is newer than this host (it speaks {}): upgrade everyframe, or build the rule against `wit/{newest}`",
            spoken.join(", ")
        )
    } else {
        format!(
            "which this host does not speak ({}): build the rule against `wit/{newest}`",
            spoken.join(", ")
        )
    };
    LoadError::Import { import: presentable(&format!("{PACKAGE}/{interface}@{version}"), 200), advice }
}

/// What a component of the wrong kind is, and what to do about it.
pub(super) fn looks_like(exports: &[String]) -> String {
    let kinds = [RuleKind::MatchingPolicy, RuleKind::UnknownPerson, RuleKind::Alerting];
    let exported = |kind: &RuleKind| {
        exports.iter().filter_map(|name| ours(name)).any(|(interface, _)| interface == interface_of(*kind))
    };
    if let Some(kind) = kinds.into_iter().find(exported) {
        let kind = kind_name(kind);
        return format!("of the world `{kind}`; write `kind = \"{kind}\"`, or name another component");
    }
    let exports = match exports {
        [] => "nothing".to_owned(),
        some => presentable(&some.join(", "), 300),
    };
    format!("no rule (it exports {exports}); build it for one of the worlds of {PACKAGE} in `wit/`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_the_contract_is_spoken_and_another_version_is_not() {
        assert!(speaks("0.1.0").is_some());
        assert!(speaks("0.1.7").is_some());
        for other in ["0.2.0", "1.1.0", "", "0.1", "x.y.z"] {
            assert!(speaks(other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_message_says_which_side_to_upgrade() {
        assert!(unknown_version("state", "0.2.0").to_string().contains("upgrade everyframe"));
        assert!(unknown_version("state", "0.0.9").to_string().contains("build the rule"));
    }
}
