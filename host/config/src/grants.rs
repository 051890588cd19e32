//! What a rule may reach beyond the contract.

use crate::property::Property;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// `[rules.grants]`: what a rule may reach besides the contract. Nothing, unless it is written here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// The environment variables that the rule sees, and no others: a value, or where it is to be found:
    /// `{ env = "NAME" }`, `{ file = "path" }`.
    pub environment: BTreeMap<String, Property>,
    /// A folder that the rule may read, and not write; it sees it as `/`.
    pub folder: Option<PathBuf>,
    /// The hosts that the rule may call by `wasi:http`, by http and https: `hooks.example.org` at the scheme's own
    /// port, `127.0.0.1:8080` at that port. An empty list: it may import `wasi:http`, and each call is refused.
    pub http: Option<Vec<String>>,
}

impl Grants {
    /// Looks for the values that are kept elsewhere, and makes the folder's path absolute; `base` is the configuration's
    /// folder. Key and message of what cannot be granted.
    pub(super) fn find(&mut self, base: &Path) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (name, value) in &mut self.environment {
            let key = format!("environment.{name}");
            if name.is_empty() || name.contains(['=', '\0']) {
                problems.push((key, "is no name of an environment variable".to_owned()));
            } else if let Err(message) = value.find_text(base) {
                problems.push((key, message));
            }
        }
        if let Some(folder) = &mut self.folder {
            *folder = base.join(&*folder);
            let shown = folder.display();
            let unfit = match special_file(folder) {
                Ok(None) => None,
                Ok(Some(path)) => Some(format!(
                    "{} is neither a file nor a folder: opening it could take for ever, and nothing can end that",
                    path.display()
                )),
                Err(error) => Some(match error.kind() {
                    ErrorKind::NotFound => format!("{shown} is not there"),
                    ErrorKind::NotADirectory => format!("{shown} is not a folder"),
                    _ => format!("{shown} cannot be read: {error}"),
                }),
            };
            problems.extend(unfit.map(|message| ("folder".to_owned(), message)));
        }
        problems
    }
}

/// The first thing in a folder that is no file, no folder and no link.
fn special_file(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if !kind.is_file() && !kind.is_symlink() {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Grants {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn nothing_is_granted_by_default() {
        let Grants { environment, folder, http } = written("");
        assert!(environment.is_empty() && folder.is_none() && http.is_none());
    }

    #[test]
    fn what_is_kept_elsewhere_is_found_and_not_shown() {
        let base = tempfile::tempdir().unwrap();
        std::fs::write(base.path().join("token"), "secret\n").unwrap();
        std::fs::create_dir(base.path().join("lists")).unwrap();
        let mut grants =
            written("environment = { REGION = \"north\", TOKEN = { file = \"token\" } }\nfolder = \"lists\"");
        assert_eq!(grants.find(base.path()), []);
        assert_eq!(grants.environment["REGION"].text(), "north");
        assert_eq!(grants.environment["TOKEN"].text(), "secret");
        assert_eq!(grants.folder, Some(base.path().join("lists")));
        let shown = format!("{grants:?}");
        assert!(!shown.contains("secret") && !shown.contains("north"), "{shown}");
    }

    #[test]
    fn what_cannot_be_granted_is_named() {
        let base = tempfile::tempdir().unwrap();
        std::fs::write(base.path().join("file"), "").unwrap();
        std::fs::create_dir_all(base.path().join("special/deep")).unwrap();
        let _socket =
            std::os::unix::net::UnixListener::bind(base.path().join("special/deep/socket")).unwrap();
        for (text, key, message) in [
            ("folder = \"none\"", "folder", "none is not there"),
            ("folder = \"file\"", "folder", "file is not a folder"),
            ("folder = \"special\"", "folder", "special/deep/socket is neither a file nor a folder"),
            ("environment = { T = { env = \"EVERYFRAME_NO_SUCH\" } }", "environment.T", "is not set"),
            ("environment = { \"A=B\" = 1 }", "environment.A=B", "is no name"),
        ] {
            let found = written(text).find(base.path());
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(found[0].0, key);
            assert!(found[0].1.contains(message), "{text}: {found:?}");
        }
    }
}
