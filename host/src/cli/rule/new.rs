//! `everyframe rule new`

use super::Kind;
use crate::cli::{DONE, WrongInput};
use crate::rules::kind_name;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

const CONTRACT: &str = include_str!("../../../../wit/0.1.0/rules.wit");
const MANIFEST: &str = include_str!("template/manifest.toml");
const LOCK: &str = include_str!("template/Cargo.lock");
const README: &str = include_str!("template/README.md");

/// The name that stands in the templates, in each way in which it is written.
const NAME: &str = "rule-name";
const CRATE: &str = "rule_name";

/// Names that cargo would refuse for a library.
const RESERVED: [&str; 8] = ["test", "core", "std", "alloc", "proc-macro", "everyframe", "build", "deps"];
/// Rust's words: no crate can be called so.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof unsafe unsized use virtual where while yield";

#[derive(clap::Args)]
pub struct Arguments {
    /// The rule's name, and that of its folder, which is made here: lower-case words with `-` between them.
    name: String,
    /// The kind of rule.
    #[arg(long)]
    kind: Kind,
}

/// What depends on the kind.
struct Template {
    source: &'static str,
    scenario: &'static str,
    /// What the rule does, for the README.
    about: &'static str,
    /// Settings for the host's TOML.
    settings: &'static str,
}

fn template(kind: Kind) -> Template {
    match kind {
        Kind::MatchingPolicy => Template {
            source: include_str!("template/matching-policy.rs"),
            scenario: include_str!("template/matching-policy.toml"),
            about: "says who a face is: the most similar person of the gallery, if similar enough and clearly more so \
                    than the next. The host's first policy that decides about a face wins: put the block below before \
                    the others, or in their place",
            settings: "threshold = 0.45\nmargin = 0.05",
        },
        Kind::UnknownPerson => Template {
            source: include_str!("template/unknown-person.rs"),
            scenario: include_str!("template/unknown-person.toml"),
            about: "gives each unknown face that is followed an id, and says when one stays too long. Who comes back \
                    is a new stranger to it: it does not compare faces. The host's first rule that names a face wins: put \
                    the block below before the others, or in their place",
            settings: "loiter_after_ms = 20000",
        },
        Kind::Alerting => Template {
            source: include_str!("template/alerting.rs"),
            scenario: include_str!("template/alerting.toml"),
            about: "tells of everybody who is recognised, once a visit",
            settings: "away_ms = 60000",
        },
    }
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { name, kind } = arguments;
    if let Err(reason) = check_name(name) {
        return Err(WrongInput(format!("`{}` {reason}", crate::cli::narrate::printable(name))).into());
    }
    let folder = Path::new(name);
    if let Some(reason) = taken(folder) {
        return Err(WrongInput(format!("{name}: {reason}; give another name, or remove it")).into());
    }
    let Template { source, scenario, about, settings } = template(*kind);
    let filled = |text: &str| {
        text.replace("{about}", about)
            .replace("{settings}", settings)
            .replace("{kind}", kind_name((*kind).into()))
            .replace(NAME, name)
            .replace(CRATE, &name.replace('-', "_"))
    };
    let files: [(PathBuf, String); 7] = [
        ("Cargo.toml".into(), filled(MANIFEST)),
        ("Cargo.lock".into(), lock(name)),
        ("README.md".into(), filled(README)),
        ("scenario.toml".into(), filled(scenario)),
        (".gitignore".into(), "target/\n".into()),
        ("src/lib.rs".into(), filled(source)),
        // Not in a folder called `wit`: cargo-component would make bindings of its own from it.
        ("contract/rules.wit".into(), CONTRACT.into()),
    ];
    for (path, text) in files {
        let path = folder.join(path);
        let cannot = || format!("{}: cannot be written", path.display());
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(cannot)?;
        std::fs::write(&path, text).with_context(cannot)?;
    }
    let component = format!("target/wasm32-wasip2/release/{}.wasm", name.replace('-', "_"));
    println!("{name}: a rule of kind {}", kind_name((*kind).into()));
    println!("  cd {name}");
    println!("  cargo build --release --target wasm32-wasip2      # or: cargo component build --release");
    println!("  everyframe rule test {component} scenario.toml");
    println!("README.md says how to go on from there to an alert.");
    Ok(DONE)
}

/// What is wrong with a name.
fn check_name(name: &str) -> Result<(), &'static str> {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if name.len() > 64 {
        return Err("is too long for a rule's name; 64 letters are the most");
    }
    // A component's package may be called so, too.
    if !name.split('-').all(word) {
        return Err(
            "cannot be a rule's name; give lower-case words that begin with a letter, with `-` between them, such as `only-at-night`",
        );
    }
    if RESERVED.contains(&name) || KEYWORDS.split_whitespace().any(|keyword| keyword == name) {
        return Err("means something else already; give the rule another name");
    }
    Ok(())
}

/// Why nothing can be made there, if so.
fn taken(folder: &Path) -> Option<String> {
    if folder.symlink_metadata().is_err() {
        return None;
    }
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => None,
        Ok(false) => Some("the folder is there already, and not empty".into()),
        Err(_) => Some("there is a file of that name".into()),
    }
}

/// The lock file with the rule's own package, which stands in the order of the names.
fn lock(name: &str) -> String {
    const START: &str = "[[package]]\n";
    let (head, packages) = LOCK.split_once(START).unwrap_or((LOCK, ""));
    let own = format!("name = \"{NAME}\"\n");
    let mut packages: Vec<String> = packages
        .split(START)
        .map(|package| format!("{}\n\n", package.trim_end()))
        .map(|package| if package.starts_with(&own) { package.replacen(NAME, name, 1) } else { package })
        .collect();
    let key = |package: &String| package.lines().next().map(|line| line.trim_end_matches('"').to_owned());
    packages.sort_by_key(key);
    let packages: Vec<String> = packages.into_iter().map(|package| format!("{START}{package}")).collect();
    format!("{head}{}\n", packages.concat().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_cargo_and_a_component_may_have() {
        for right in ["door", "only-at-night", "a1", "rule2-b"] {
            assert_eq!(check_name(right), Ok(()), "{right}");
        }
        let long = "a".repeat(65);
        for wrong in [
            "",
            "Door",
            "a_b",
            "2fast",
            "a-2",
            "-a",
            "a-",
            "a--b",
            "a/b",
            "../a",
            "ä",
            "fn",
            "test",
            "everyframe",
            &long,
        ] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_lock_file_keeps_the_order_of_the_names() {
        for name in ["aaa", "rule-name", "serde", "zzz"] {
            let lock = lock(name);
            let names: Vec<&str> = lock.lines().filter(|line| line.starts_with("name = ")).collect();
            assert!(names.is_sorted() && names.contains(&format!("name = \"{name}\"").as_str()), "{lock}");
            assert_eq!(lock.len(), LOCK.len() - NAME.len() + name.len());
        }
    }

    #[test]
    fn nothing_of_the_templates_is_left() {
        for kind in [Kind::MatchingPolicy, Kind::UnknownPerson, Kind::Alerting] {
            let template = template(kind);
            for text in [template.source, template.scenario, MANIFEST, README] {
                assert!(!text.contains("TODO"));
            }
            assert!(template.source.contains(kind_name(kind.into())));
        }
    }
}
