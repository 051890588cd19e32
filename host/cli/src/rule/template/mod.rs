//! The projects that `everyframe rule new` makes.

use super::{Kind, Language};
use everyframe_rules::kind_name;

const CONTRACT: &str = include_str!("../../../../../wit/0.1.0/rules.wit");

/// The name that stands in the templates, in each way in which it is written.
const NAME: &str = "rule-name";
const CRATE: &str = "rule_name";

/// The files of a project: paths in its folder, and their text.
pub fn files(name: &str, kind: Kind, language: Language) -> Vec<(&'static str, String)> {
    let OfKind { scenario, about, settings } = of_kind(kind);
    let OfLanguage { source, needs, limits, others } = of_language(language);
    let texts = [
        (source, rule(kind, language)),
        ("README.md", include_str!("README.md")),
        ("rule.toml", include_str!("rule.toml")),
        ("scenario.toml", scenario),
    ];
    let filled = |text: &str| {
        let text = text.replace("{about}", about).replace("{source}", source).replace("{needs}", needs);
        let text = text.replace("{kind}", kind_name(kind.into()));
        text.replace(NAME, name).replace(CRATE, &name.replace('-', "_"))
    };
    let mut files: Vec<_> = texts.iter().chain(others).map(|(path, text)| (*path, filled(text))).collect();
    for (path, text) in &mut files {
        match *path {
            "rule.toml" => *text = format!("{text}{settings}{limits}"),
            "Cargo.lock" => *text = in_order(text),
            _ => {}
        }
    }
    // Not in a folder called `wit`: cargo-component would make bindings of its own from it.
    files.push(("contract/rules.wit", CONTRACT.to_owned()));
    files
}

/// What depends on the kind alone.
struct OfKind {
    scenario: &'static str,
    /// What the rule does, for the README.
    about: &'static str,
    /// For the host's TOML.
    settings: &'static str,
}

fn of_kind(kind: Kind) -> OfKind {
    match kind {
        Kind::MatchingPolicy => OfKind {
            scenario: include_str!("matching-policy.toml"),
            about: "says who a face is: the most similar person of the gallery, if similar enough and clearly more so \
                    than the next. The host's first policy that decides about a face wins: put `rule.toml` before \
                    the others, or in their place",
            settings: "threshold = 0.45\nmargin = 0.05\n",
        },
        Kind::UnknownPerson => OfKind {
            scenario: include_str!("unknown-person.toml"),
            about: "gives each unknown face that is followed an id, and says when one stays too long. Who comes back \
                    is a new stranger to it: it does not compare faces. The host's first rule that names a face wins: \
                    put `rule.toml` before the others, or in their place",
            settings: "loiter_after_ms = 20000\n",
        },
        Kind::Alerting => OfKind {
            scenario: include_str!("alerting.toml"),
            about: "tells of everybody who is recognised, once a visit",
            settings: "away_ms = 60000\n",
        },
    }
}

/// What depends on the language alone.
struct OfLanguage {
    /// The file that is the rule.
    source: &'static str,
    /// What must be on the machine, for the README.
    needs: &'static str,
    /// For the host's TOML, after the settings.
    limits: &'static str,
    others: &'static [(&'static str, &'static str)],
}

fn of_language(language: Language) -> OfLanguage {
    match language {
        Language::Rust => OfLanguage {
            source: "src/lib.rs",
            needs: "Rust with its target wasm32-wasip2",
            limits: "",
            others: &[
                ("Makefile", include_str!("rust/Makefile")),
                ("Cargo.toml", include_str!("rust/manifest.toml")),
                ("Cargo.lock", include_str!("rust/Cargo.lock")),
                (".gitignore", "target/\n*.wasm\n"),
            ],
        },
        Language::Python => OfLanguage {
            source: "rule.py",
            needs: "Python 3.10 or newer with venv",
            limits: include_str!("python/limits.toml"),
            others: &[
                ("Makefile", include_str!("python/Makefile")),
                ("everyframe.py", include_str!("../../../../../examples/scripted-rules/everyframe.py")),
                ("requirements.txt", include_str!("../../../../../scripts/requirements/rules.txt")),
                (".gitignore", ".venv/\n__pycache__/\n*.wasm\n"),
            ],
        },
        Language::Javascript => OfLanguage {
            source: "rule.js",
            needs: "Node.js 18 or newer with npm",
            limits: "",
            others: &[
                ("Makefile", include_str!("javascript/Makefile")),
                ("everyframe.js", include_str!("../../../../../examples/scripted-rules/everyframe.js")),
                ("package.json", include_str!("javascript/package.json")),
                ("package-lock.json", include_str!("javascript/package-lock.json")),
                (".gitignore", "node_modules/\n*.wasm\n"),
            ],
        },
    }
}

/// The rule itself.
fn rule(kind: Kind, language: Language) -> &'static str {
    match (language, kind) {
        (Language::Rust, Kind::MatchingPolicy) => include_str!("rust/matching-policy.rs"),
        (Language::Rust, Kind::UnknownPerson) => include_str!("rust/unknown-person.rs"),
        (Language::Rust, Kind::Alerting) => include_str!("rust/alerting.rs"),
        (Language::Python, Kind::MatchingPolicy) => include_str!("python/matching-policy.py"),
        (Language::Python, Kind::UnknownPerson) => include_str!("python/unknown-person.py"),
        (Language::Python, Kind::Alerting) => include_str!("python/alerting.py"),
        (Language::Javascript, Kind::MatchingPolicy) => include_str!("javascript/matching-policy.js"),
        (Language::Javascript, Kind::UnknownPerson) => include_str!("javascript/unknown-person.js"),
        (Language::Javascript, Kind::Alerting) => include_str!("javascript/alerting.js"),
    }
}

/// Cargo's lock file with its packages in the order of their names: the rule's own has another one than the template's.
fn in_order(lock: &str) -> String {
    const START: &str = "[[package]]\n";
    let (head, packages) = lock.split_once(START).unwrap_or((lock, ""));
    let mut packages: Vec<&str> = packages.split(START).map(str::trim_end).collect();
    packages.sort_by_key(|package| package.lines().next().map(|line| line.trim_end_matches('"')));
    let packages: Vec<String> = packages.iter().map(|package| format!("{START}{package}\n\n")).collect();
    format!("{head}{}\n", packages.concat().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    /// The project of each kind in each language.
    fn projects(name: &str) -> Vec<(Kind, Vec<(&'static str, String)>)> {
        let mut projects = Vec::new();
        for language in Language::value_variants() {
            for kind in Kind::value_variants() {
                projects.push((*kind, files(name, *kind, *language)));
            }
        }
        projects
    }

    #[test]
    fn the_lock_file_keeps_the_order_of_the_names() {
        let template = include_str!("rust/Cargo.lock");
        for name in ["aaa", "rule-name", "serde", "zzz"] {
            let lock = in_order(&template.replace(NAME, name));
            let names: Vec<&str> = lock.lines().filter(|line| line.starts_with("name = ")).collect();
            assert!(names.is_sorted() && names.contains(&format!("name = \"{name}\"").as_str()), "{lock}");
            assert_eq!(lock.len(), template.len() - NAME.len() + name.len());
        }
    }

    #[test]
    fn nothing_of_the_templates_is_left() {
        for (kind, files) in projects("only-at-night") {
            for (path, text) in &files {
                for left in ["TODO", NAME, CRATE, "{kind}", "{about}", "{source}", "{needs}"] {
                    assert!(!text.contains(left), "{path}: {left}");
                }
            }
            assert!(files[0].1.contains(&format!("of kind `{}`", kind_name(kind.into()))), "{}", files[0].0);
        }
    }

    #[test]
    fn the_block_for_the_host_is_a_rule_of_its_configuration() {
        for (kind, files) in projects("only-at-night") {
            let (_, text) = files.iter().find(|(path, _)| *path == "rule.toml").unwrap();
            let config: everyframe_config::Config = toml::from_str(text).unwrap();
            let rule = &config.rules[0];
            assert_eq!((rule.name.as_str(), rule.kind), ("only-at-night", kind.into()));
            assert!(rule.component.ends_with("only-at-night/only-at-night.wasm"));
            let (_, scenario) = files.iter().find(|(path, _)| *path == "scenario.toml").unwrap();
            let scenario: toml::Table = toml::from_str(scenario).unwrap();
            assert_eq!(scenario["settings"].as_table(), Some(&rule.settings), "what the scenario tries");
        }
    }
}
