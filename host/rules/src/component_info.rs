//! Describes a component by its imports and exports. None of its code runs.

use super::component_imports::{check_import, describe_exports, is_http, parse_contract_name};
use super::contract::interface_of;
use super::contract_versions::{find_contract, unsupported_version};
use super::error::LoadError;
use super::limits::presentable;
use everyframe_config::{Grants, RuleKind};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The kinds, in the order in which they judge a frame.
const KINDS: [RuleKind; 3] = [RuleKind::MatchingPolicy, RuleKind::UnknownPerson, RuleKind::Alerting];

/// A component's kinds, versions, imports, size and checksum.
#[derive(Debug, Clone)]
pub struct ComponentInfo {
    /// The kinds whose interface it exports; one if it is a rule.
    pub kinds: Vec<RuleKind>,
    /// The version of the contract that it was built against; none if it is not a rule.
    pub contract: Option<String>,
    /// The contract's interfaces that it imports, without package and version: `state`.
    pub contract_imports: Vec<String>,
    /// Its other imports, by full name: `wasi:cli/environment@0.2.6`.
    pub other_imports: Vec<String>,
    /// The grants that it cannot be loaded without, as keys of the rule's table: `grants.http`. Environment and folder are not
    /// listed: ordinary guests import both whether they use them or not.
    pub required_grants: Vec<&'static str>,
    /// Size of the file.
    pub bytes: usize,
    /// Checksum of the file, hexadecimal.
    pub sha256: String,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl ComponentInfo {
    pub(super) fn read(engine: &Engine, component: &Component, bytes: usize, sha256: String) -> Self {
        let ty = component.component_type();
        let imports: Vec<String> = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        let exported = |kind: RuleKind| {
            let interfaces = exports.iter().filter_map(|name| parse_contract_name(name));
            interfaces.into_iter().find(|(interface, _)| *interface == interface_of(kind))
        };
        let kinds: Vec<RuleKind> = KINDS.into_iter().filter(|kind| exported(*kind).is_some()).collect();
        let contract = kinds.first().and_then(|kind| exported(*kind));
        let contract = contract.map(|(_, version)| presentable(version, 32));
        let contract_imports =
            imports.iter().filter_map(|name| Some(presentable(parse_contract_name(name)?.0, 64)));
        let others = imports.iter().filter(|name| parse_contract_name(name).is_none());
        Self {
            contract_imports: contract_imports.collect(),
            other_imports: others.map(|name| presentable(name, 200)).collect(),
            required_grants: imports
                .iter()
                .any(|name| is_http(name))
                .then_some("grants.http")
                .into_iter()
                .collect(),
            kinds,
            contract,
            bytes,
            sha256,
            imports,
            exports,
        }
    }

    /// The packages that it imports besides the contract, each once, with the version: `wasi:cli@0.2.6`.
    pub fn packages(&self) -> Vec<String> {
        let mut packages: Vec<String> = self
            .other_imports
            .iter()
            .map(|name| {
                let (name, version) = name.split_once('@').unwrap_or((name, ""));
                let package = name.split('/').next().unwrap_or(name);
                if version.is_empty() { package.to_owned() } else { format!("{package}@{version}") }
            })
            .collect();
        packages.sort_unstable();
        packages.dedup();
        packages
    }

    /// Every reason why a host would not load it as a rule of this kind (any kind if none is given) with these grants: the key
    /// of the rule's table, and the error.
    pub fn problems(&self, kind: Option<RuleKind>, grants: &Grants) -> Vec<(&'static str, LoadError)> {
        let mut problems = Vec::new();
        match (kind.or(self.kinds.first().copied()), kind) {
            (Some(found), _) if self.kinds.contains(&found) => {}
            (_, Some(expected)) => {
                problems.push((
                    "kind",
                    LoadError::WrongKind { expected, found: describe_exports(&self.exports) },
                ));
            }
            (_, None) => {
                let message = format!("the component is {}", describe_exports(&self.exports));
                problems.push(("component", LoadError::Setting(message)));
            }
        }
        let versions = self.exports.iter().filter_map(|name| parse_contract_name(name));
        for (interface, version) in versions.filter(|(_, version)| find_contract(version).is_none()) {
            problems.push(("component", unsupported_version(interface, version)));
        }
        let imports = self.imports.iter().filter_map(|import| check_import(import, grants).err());
        problems.extend(imports.map(|error| ("component", error)));
        problems
    }
}
