//! The contract is documented. A released version never changes, and the host supports it for ever.

use super::contract_versions::CONTRACTS;
use super::fixtures::{Enrolled, face, facts, runtime};
use super::{RuleState, Rules};
use everyframe_config::{RuleKind, RuleSettings};
use everyframe_types::face::{Candidate, Embedding, Face, People, Person, RecentStranger, Track};
use everyframe_types::hexadecimal::hexadecimal;
use everyframe_types::judgement::{Decision, Judgement, Stranger};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use wit_parser::{Docs, Function, Interface, Resolve, Type, TypeDefKind, WorldItem};

/// The SHA-256 of the `rules.wit` of each released version. A version is added here when it is released. Later changes need a
/// new version.
const RELEASED: [(&str, &str); 2] = [
    ("0.1.0", "b5d3f172e44767d3e3120931b003ba6677a4916cc402eeec0d6183a8faaee0d8"),
    ("0.2.0", "736e6efaee6299e3b098b5ea3586088ba14b0e2e15e2b8150d459530c12a9e5f"),
];

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn wit(version: &str) -> String {
    std::fs::read_to_string(repository(&format!("wit/{version}/rules.wit"))).unwrap()
}

#[test]
fn a_released_version_is_never_edited() {
    for (version, checksum) in RELEASED {
        let now = hexadecimal(&Sha256::digest(wit(version)));
        assert_eq!(now, checksum, "wit/{version} is released: make the change in a new version");
    }
    let supported: Vec<_> = CONTRACTS.iter().map(|contract| contract.version).collect();
    assert_eq!(
        supported,
        RELEASED.map(|(version, _)| version),
        "the host supports every version ever released"
    );
}

/// `tests/fixtures/contract/VERSION` has the shipped rules, built against that version.
#[test]
fn rules_of_every_released_version_load_and_judge() {
    let rule = |version: &str, name: &str, kind, file: &str| {
        let path = repository(&format!("tests/fixtures/contract/{version}/{file}.wasm"));
        RuleSettings::new(name, kind, path.canonicalize().unwrap())
    };
    for (version, _) in RELEASED {
        let settings = [
            rule(version, "who", RuleKind::MatchingPolicy, "matching_policy"),
            rule(version, "strangers", RuleKind::UnknownPerson, "unknown_person"),
            rule(version, "alerts", RuleKind::Alerting, "alerting"),
        ];
        let rules = Rules::load(&settings, runtime().handle().clone(), None).unwrap();
        assert!(rules.descriptions().iter().all(|rule| rule.contract == version));
        let alike = |similarity| vec![Candidate { person: "anna".into(), similarity }];
        let faces =
            vec![Face { candidates: alike(0.9), ..face(0) }, Face { candidates: alike(0.1), ..face(1) }];
        let people: Arc<dyn People> = Arc::new(Enrolled(&["anna"]));
        let judgement = rules.judge(&facts(1), faces, &people, &mut RuleState::new()).unwrap();
        let [known, unknown] = &judgement.subjects[..] else { panic!("{judgement:?}") };
        assert!(matches!(&known.decision, Decision::Known { person, .. } if person == "anna"), "{known:?}");
        assert_eq!(unknown.decision, Decision::Unknown);
        assert!(unknown.stranger.is_some());
        assert_eq!(judgement.alerts.len(), 2, "{:?}", judgement.alerts);
        assert!(!judgement.state.is_empty());
    }
}

/// People among whom is a stranger whom another camera has seen.
struct Elsewhere;

impl People for Elsewhere {
    fn find(&self, _: &str) -> Option<Person> {
        None
    }

    fn recent_strangers(&self, _: &Embedding, count: usize, now: i64) -> Vec<RecentStranger> {
        let (first_seen_at, last_seen_at) = (now - 5000, now - 1000);
        let id = "seen-elsewhere".into();
        let stranger = RecentStranger { id, similarity: 0.9, first_seen_at, last_seen_at, visits: 3 };
        vec![stranger].into_iter().take(count).collect()
    }

    fn merged_into(&self, stranger: &str) -> Option<String> {
        (stranger == "seen-elsewhere").then(|| "present".into())
    }

    fn changed_at(&self, stranger: &str) -> Option<i64> {
        (stranger == "seen-elsewhere").then_some(7)
    }
}

#[test]
fn rules_see_strangers_elsewhere_from_0_2_0_on() {
    for (version, expected) in [("0.1.0", None), ("0.2.0", Some(["seen-elsewhere", "present"]))] {
        let rule = |name: &str, kind, file: &str| {
            let path = repository(&format!("tests/fixtures/contract/{version}/{file}.wasm"));
            RuleSettings::new(name, kind, path.canonicalize().unwrap())
        };
        let settings = [
            rule("who", RuleKind::MatchingPolicy, "matching_policy"),
            rule("strangers", RuleKind::UnknownPerson, "unknown_person"),
        ];
        let rules = Rules::load(&settings, runtime().handle().clone(), None).unwrap();
        let (people, mut state): (Arc<dyn People>, _) = (Arc::new(Elsewhere), RuleState::new());
        let track = Track { id: 1, started_at: facts(1).captured_at - 500 };
        let shown = || vec![Face { track, ..face(0) }];
        // By its looks, then by its track, under the id that it has by then.
        let seen: Vec<Stranger> = (1..=2)
            .map(|sequence| rules.judge(&facts(sequence), shown(), &people, &mut state).unwrap())
            .filter_map(|judgement| judgement.subjects.into_iter().next()?.stranger)
            .collect();
        let ids: Vec<&str> = seen.iter().map(|stranger| stranger.id.as_str()).collect();
        match expected {
            Some(expected) => {
                assert_eq!(ids, expected);
                assert_eq!((seen[0].event, seen[0].visits), (None, 3));
                assert_eq!(seen[0].first_seen_at, facts(1).captured_at - 5000);
                assert!(seen[0].share.is_some_and(|share| share.expires_in == 8 * 3600 * 1000));
            }
            None => {
                assert!(ids.len() == 2 && ids[0] == ids[1] && ids[0] != "seen-elsewhere", "{ids:?}");
                assert!(seen.iter().all(|stranger| stranger.share.is_none()));
            }
        }
    }
}

/// People from whom these strangers were erased.
struct Without(&'static str);

impl People for Without {
    fn find(&self, _: &str) -> Option<Person> {
        None
    }

    fn is_erased(&self, stranger: &str) -> bool {
        stranger == self.0
    }
}

#[test]
fn an_erased_stranger_is_not_named_by_any_version() {
    for version in ["0.1.0", "0.2.0"] {
        let rule = |name: &str, kind, file: &str| {
            let path = repository(&format!("tests/fixtures/contract/{version}/{file}.wasm"));
            RuleSettings::new(name, kind, path.canonicalize().unwrap())
        };
        let settings = [
            rule("who", RuleKind::MatchingPolicy, "matching_policy"),
            rule("strangers", RuleKind::UnknownPerson, "unknown_person"),
            rule("alerts", RuleKind::Alerting, "alerting"),
        ];
        let rules = Rules::load(&settings, runtime().handle().clone(), None).unwrap();
        let track = Track { id: 1, started_at: facts(1).captured_at - 500 };
        let judge = |people: Arc<dyn People>| {
            let shown = vec![Face { track, ..face(0) }];
            rules.judge(&facts(1), shown, &people, &mut RuleState::new()).unwrap()
        };
        let before = judge(Arc::new(Without("somebody else")));
        let id = before.subjects[0].stranger.as_ref().unwrap().id.clone();
        let names = |judgement: &Judgement| {
            let values = judgement.state.iter().filter(|change| change.value.is_some());
            values
                .filter(|it| it.key.contains(&id) || it.value.as_ref().unwrap().bytes == id.as_bytes())
                .count()
        };
        assert_eq!((before.alerts.len(), &before.erased[..]), (1, &[][..]), "{version}");
        assert!(names(&before) >= 2, "{version}: {:?}", before.state);
        // The rule makes the id of the track: it gives the same one again.
        let after = judge(Arc::new(Without(String::leak(id.clone()))));
        assert_eq!(after.subjects[0].stranger, None, "{version}");
        assert_eq!((after.alerts.len(), names(&after), &after.erased[..]), (0, 0, &[0][..]), "{version}");
    }
}

/// `docs/contract` is generated from the WIT; `EVERYFRAME_UPDATE=1` writes it. An item without documentation fails the test.
#[test]
fn every_item_is_documented() {
    for (version, _) in RELEASED {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("rules.wit", &wit(version)).unwrap();
        let written = Contract { resolve: &resolve }.pages(package, version);
        let path = repository(&format!("docs/contract/{version}.md"));
        if std::env::var_os("EVERYFRAME_UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &written).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == written,
            "{} is out of date; run the test with EVERYFRAME_UPDATE=1",
            path.display()
        );
    }
}

/// The contract as a page.
struct Contract<'a> {
    resolve: &'a Resolve,
}

impl Contract<'_> {
    fn pages(&self, package: wit_parser::PackageId, version: &str) -> String {
        let package = &self.resolve.packages[package];
        let mut page =
            format!("# The contract everyframe:rules@{version}\n\nMade from `wit/{version}/rules.wit`.\n\n");
        let _ = writeln!(
            page,
            "{}\n\n## Worlds\n\n| world | imports | exports |\n| --- | --- | --- |",
            docs_text(&package.docs, "the package")
        );
        for (name, id) in &package.worlds {
            let world = &self.resolve.worlds[*id];
            let about = docs_text(&world.docs, name);
            let names = |items: Vec<&WorldItem>| {
                let names = items.into_iter().filter_map(|item| match item {
                    WorldItem::Interface { id, .. } => self.resolve.interfaces[*id].name.clone(),
                    _ => None,
                });
                names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            };
            let (imports, exports) =
                (names(world.imports.values().collect()), names(world.exports.values().collect()));
            let _ = writeln!(page, "| `{name}`: {about} | {imports} | {exports} |");
        }
        for (name, id) in &package.interfaces {
            self.interface(&mut page, name, &self.resolve.interfaces[*id]);
        }
        page
    }

    fn interface(&self, page: &mut String, name: &str, interface: &Interface) {
        let _ = writeln!(page, "\n## `{name}`\n\n{}", docs_text(&interface.docs, name));
        for function in interface.functions.values() {
            let _ = writeln!(
                page,
                "\n### `{}`\n\n{}",
                self.signature(function),
                docs_text(&function.docs, &function.name)
            );
        }
        for (name, id) in &interface.types {
            let ty = &self.resolve.types[*id];
            // A type of another interface is documented there.
            if matches!(ty.kind, TypeDefKind::Type(Type::Id(_))) {
                continue;
            }
            let _ = writeln!(page, "\n### {} `{name}`\n\n{}", ty.kind.as_str(), docs_text(&ty.docs, name));
            let items: Vec<(String, &Docs)> = match &ty.kind {
                TypeDefKind::Record(record) => record
                    .fields
                    .iter()
                    .map(|it| (format!("`{}`: {}", it.name, self.ty(&it.ty)), &it.docs))
                    .collect(),
                TypeDefKind::Variant(variant) => variant
                    .cases
                    .iter()
                    .map(|it| match &it.ty {
                        Some(ty) => (format!("`{}` ({})", it.name, self.ty(ty)), &it.docs),
                        None => (format!("`{}`", it.name), &it.docs),
                    })
                    .collect(),
                TypeDefKind::Enum(cases) => {
                    cases.cases.iter().map(|it| (format!("`{}`", it.name), &it.docs)).collect()
                }
                _ => Vec::new(),
            };
            if !items.is_empty() {
                let _ = writeln!(page, "\n| | |\n| --- | --- |");
            }
            for (item, docs) in items {
                let _ = writeln!(page, "| {item} | {} |", docs_text(docs, &format!("{name}.{item}")));
            }
        }
    }

    fn signature(&self, function: &Function) -> String {
        let parameters: Vec<String> =
            function.params.iter().map(|it| format!("{}: {}", it.name, self.ty(&it.ty))).collect();
        let result = function.result.as_ref().map(|ty| format!(" -> {}", self.ty(ty))).unwrap_or_default();
        format!("{}({}){result}", function.name, parameters.join(", "))
    }

    fn ty(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else { return format!("{ty:?}").to_lowercase() };
        let ty = &self.resolve.types[*id];
        if let Some(name) = &ty.name {
            return name.clone();
        }
        let or_none = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| self.ty(ty));
        match &ty.kind {
            TypeDefKind::List(ty) => format!("list<{}>", self.ty(ty)),
            TypeDefKind::Option(ty) => format!("option<{}>", self.ty(ty)),
            TypeDefKind::Result(result) => {
                format!("result<{}, {}>", or_none(&result.ok), or_none(&result.err))
            }
            kind => panic!("the page cannot show {kind:?}"),
        }
    }
}

/// The documentation of an item, on one line.
fn docs_text(docs: &Docs, item: &str) -> String {
    let words = docs.contents.as_deref().unwrap_or_default();
    assert!(!words.trim().is_empty(), "{item} has no documentation");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
