//! Checks a component's imports and exports before any of its code runs.

use super::contract::{Contract, PACKAGE, interface_of};
use super::contract_versions::{find_contract, unsupported_version};
use super::error::{LoadError, kind_name};
use super::limits::presentable;
use everyframe_config::{Grants, RuleKind, RuleSettings};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The WASI packages that are linked, in version 0.2. Without a grant, their functions that reach outside are refused when they
/// are called.
const WASI: &[&str] =
    &["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];

/// Finds the version of the contract that a component was built against.
///
/// # Errors
///
/// The key of the rule's table that is at fault, and what is wrong: the component is of another kind, was built against an
/// unsupported version, or imports an interface that the rule may not use.
pub(super) fn check_component(
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
        .filter_map(|name| parse_contract_name(name))
        .find_map(|(interface, version)| (interface == interface_of(kind)).then_some(version))
        .ok_or_else(|| {
            ("kind", LoadError::WrongKind { expected: kind, found: describe_exports(&exports) })
        })?;
    let contract = find_contract(version)
        .ok_or_else(|| ("component", unsupported_version(interface_of(kind), version)))?;
    let check = |import: &String| check_import(import, &rule.grants);
    imports.iter().try_for_each(check).map_err(|error| ("component", error))?;
    Ok(contract)
}

/// # Errors
///
/// The rule may not use this import, with these grants or with any.
pub(super) fn check_import(import: &str, grants: &Grants) -> Result<(), LoadError> {
    match parse_contract_name(import) {
        Some((_, version)) if find_contract(version).is_some() => Ok(()),
        Some((interface, version)) => Err(unsupported_version(interface, version)),
        None if is_wasi(import) => Ok(()),
        None if is_http(import) && grants.http.is_some() => Ok(()),
        None => {
            let advice = match is_http(import) {
                true => {
                    "which needs `grants.http`: to let the rule send requests, name the hosts in the rule's \
                         TOML, `[rules.grants] http = [\"hooks.example.org\"]`"
                        .to_owned()
                }
                false => format!("which no rule may use; a rule may import {PACKAGE} and WASI 0.2"),
            };
            Err(LoadError::Import { import: presentable(import, 200), advice })
        }
    }
}

/// Splits the name of an import or export of the contract, `everyframe:rules/matching@0.1.0`, into interface and version. None
/// for any other name.
pub(super) fn parse_contract_name(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.strip_prefix('/').map(|rest| rest.split_once('@').unwrap_or((rest, "")))
}

fn is_wasi(import: &str) -> bool {
    let package = import.split('/').next().unwrap_or_default();
    let version = import.split_once('@').map_or("", |(_, version)| version);
    WASI.contains(&package) && version.starts_with("0.2.")
}

/// True for the `wasi:http` interfaces that are linked for rules with `grants.http`.
pub(super) fn is_http(import: &str) -> bool {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    ["wasi:http/outgoing-handler", "wasi:http/types"].contains(&name) && version.starts_with("0.2.")
}

/// Says what a component of the wrong kind is, and what to do.
pub(super) fn describe_exports(exports: &[String]) -> String {
    let kinds = [RuleKind::MatchingPolicy, RuleKind::UnknownPerson, RuleKind::Alerting];
    let exported = |kind: &RuleKind| {
        exports
            .iter()
            .filter_map(|name| parse_contract_name(name))
            .any(|(interface, _)| interface == interface_of(*kind))
    };
    if let Some(kind) = kinds.into_iter().find(exported) {
        let kind = kind_name(kind);
        return format!("of the world `{kind}`; write `kind = \"{kind}\"`, or name another component");
    }
    let exports = match exports {
        [] => "nothing".to_owned(),
        some => presentable(&some.join(", "), 300),
    };
    format!("not a rule (it exports {exports}); build it for one of the worlds of {PACKAGE} in `wit/`")
}
