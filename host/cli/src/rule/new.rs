//! `everyframe rule new`

use super::{Kind, Language, template};
use crate::{DONE, WrongInput};
use anyhow::{Context as _, Result};
use everyframe_rules::kind_name;
use std::path::Path;

/// Names that cargo would refuse for a library; the same in all languages, so that a rule can change hands.
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
    /// The language to write it in.
    #[arg(long, default_value = "rust")]
    lang: Language,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { name, kind, lang } = arguments;
    if let Err(reason) = check_name(name) {
        return Err(WrongInput(format!("`{}` {reason}", everyframe_types::id::printable(name))).into());
    }
    let folder = Path::new(name);
    if let Some(reason) = taken(folder) {
        return Err(WrongInput(format!("{name}: {reason}; give another name, or remove it")).into());
    }
    for (path, text) in template::files(name, *kind, *lang) {
        let path = folder.join(path);
        let cannot = || format!("{}: cannot be written", path.display());
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(cannot)?;
        std::fs::write(&path, text).with_context(cannot)?;
    }
    println!("{name}: a rule of kind {}", kind_name((*kind).into()));
    println!("  cd {name}");
    println!("  make");
    println!("  everyframe rule test {name}.wasm scenario.toml");
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
}
