//! What a component is made of, told by its imports and exports: none of it runs.

use super::component::{check_import, is_http, looks_like, ours, speaks, unknown_version};
use super::contract::interface_of;
use super::error::LoadError;
use super::limits::presentable;
use everyframe_config::{Grants, RuleKind};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The kinds, in the order in which a frame meets them.
const KINDS: [RuleKind; 3] = [RuleKind::MatchingPolicy, RuleKind::UnknownPerson, RuleKind::Alerting];

/// A component as it is seen from outside.
#[derive(Debug, Clone)]
pub struct ComponentInfo {
    /// The kinds whose interface it exports: one, where it is a rule.
    pub kinds: Vec<RuleKind>,
    /// The version of the contract that it was built against; none if it is no rule.
    pub contract: Option<String>,
    /// What it imports of the contract, without package and version: `state`.
    pub contract_imports: Vec<String>,
    /// What else it imports, by the full name: `wasi:cli/environment@0.2.6`.
    pub other_imports: Vec<String>,
    /// The grants without which a host refuses it, as keys of the rule's table: `grants.http`. What is only refused
    /// in a call (variables, files) cannot be told by its imports: ordinary guests import it all.
    pub wants: Vec<&'static str>,
    /// Of the file.
    pub bytes: usize,
    /// Of the file, hexadecimal.
    pub sha256: String,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl ComponentInfo {
    pub(super) fn of(engine: &Engine, component: &Component, bytes: usize, sha256: String) -> Self {
        let ty = component.component_type();
        let imports: Vec<String> = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        let exported = |kind: RuleKind| {
            let interfaces = exports.iter().filter_map(|name| ours(name));
            interfaces.into_iter().find(|(interface, _)| *interface == interface_of(kind))
        };
        let kinds: Vec<RuleKind> = KINDS.into_iter().filter(|kind| exported(*kind).is_some()).collect();
        let contract = kinds.first().and_then(|kind| exported(*kind));
        let contract = contract.map(|(_, version)| presentable(version, 32));
        let of_the_contract = imports.iter().filter_map(|name| Some(presentable(ours(name)?.0, 64)));
        let others = imports.iter().filter(|name| ours(name).is_none());
        Self {
            contract_imports: of_the_contract.collect(),
            other_imports: others.map(|name| presentable(name, 200)).collect(),
            wants: imports.iter().any(|name| is_http(name)).then_some("grants.http").into_iter().collect(),
            kinds,
            contract,
            bytes,
            sha256,
            imports,
            exports,
        }
    }

    /// The packages that it imports beyond the contract, each once, with the version: `wasi:cli@0.2.6`.
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

    /// Everything for which it would be refused as a rule of this kind (any kind if none is given) with these grants,
    /// as key of the rule's table and error.
    pub fn problems(&self, kind: Option<RuleKind>, grants: &Grants) -> Vec<(&'static str, LoadError)> {
        let mut problems = Vec::new();
        match (kind.or(self.kinds.first().copied()), kind) {
            (Some(found), _) if self.kinds.contains(&found) => {}
            (_, Some(expected)) => {
                problems.push(("kind", LoadError::WrongKind { expected, found: looks_like(&self.exports) }));
            }
            (_, None) => {
                let message = format!("the component is {}", looks_like(&self.exports));
                problems.push(("component", LoadError::Setting(message)));
            }
        }
        let versions = self.exports.iter().filter_map(|name| ours(name));
        for (interface, version) in versions.filter(|(_, version)| speaks(version).is_none()) {
            problems.push(("component", unknown_version(interface, version)));
        }
        let imports = self.imports.iter().filter_map(|import| check_import(import, grants).err());
        problems.extend(imports.map(|error| ("component", error)));
        problems
    }
}
