//! The versions of the contract that this host supports.

use super::contract::{Contract, PACKAGE};
use super::error::LoadError;
use super::limits::presentable;
use super::{v0_1_0, v0_2_0};
use semver::Version;

/// Every version ever released, oldest first.
pub(super) const CONTRACTS: &[Contract] = &[v0_1_0::CONTRACT, v0_2_0::CONTRACT];

/// The contract of a version: the same version, or another patch of it. Patches are compatible by the semantic
/// versioning of the component model, and wasmtime links them.
pub(super) fn find_contract(version: &str) -> Option<&'static Contract> {
    let minor = major_and_minor(version)?;
    CONTRACTS.iter().rev().find(|contract| major_and_minor(contract.version) == Some(minor))
}

fn major_and_minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().ok());
    let (major, minor) = (parts.next()??, parts.next()??);
    let _patch: u64 = parts.next()??;
    Some((major, minor))
}

/// The error for a version that this host does not support.
pub(super) fn unsupported_version(interface: &str, version: &str) -> LoadError {
    let supported: Vec<&str> = CONTRACTS.iter().map(|contract| contract.version).collect();
    let newest = supported.last().copied().unwrap_or_default();
    let supported = supported.join(", ");
    let advice = if Version::parse(version).ok() > Version::parse(newest).ok() {
        format!(
            "which is newer than this host (it supports {supported}): upgrade everyframe, or build the rule against \
             `wit/{newest}`"
        )
    } else {
        format!(
            "which this host does not support (it supports {supported}): build the rule against `wit/{newest}`"
        )
    };
    LoadError::Import { import: presentable(&format!("{PACKAGE}/{interface}@{version}"), 200), advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_patches_of_a_supported_version_are_supported() {
        assert!(find_contract("0.1.0").is_some());
        assert!(find_contract("0.1.7").is_some_and(|contract| contract.version == "0.1.0"));
        assert!(find_contract("0.2.0").is_some());
        for other in ["0.3.0", "1.1.0", "", "0.1", "x.y.z"] {
            assert!(find_contract(other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_message_names_the_side_to_upgrade() {
        assert!(unsupported_version("state", "0.3.0").to_string().contains("upgrade everyframe"));
        assert!(unsupported_version("state", "0.0.9").to_string().contains("build the rule"));
    }
}
