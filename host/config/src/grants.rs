//! Grants: what a rule may access beyond the contract.

use crate::property::Property;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// `[rules.grants]`: what the rule may access beyond the contract. By default, nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// The environment variables of the rule. It gets no others. Each is a value, or the place of a value: `{ env = "NAME" }` or
    /// `{ file = "PATH" }`.
    pub environment: BTreeMap<String, Property>,
    /// A folder that the rule can read but not write, mounted as `/`.
    pub folder: Option<PathBuf>,
    /// The hosts that the rule may call with `wasi:http`, by http and https: `hooks.example.org` at the default port of the scheme,
    /// `127.0.0.1:8080` at this port. With an empty list, the rule may import `wasi:http`, but every request is refused.
    pub http: Option<Vec<String>>,
}

impl Grants {
    /// Reads the values that are kept elsewhere, and makes the folder's path absolute. `base` is the configuration's folder.
    /// Returns a key and a message for each problem.
    pub(super) fn resolve(&mut self, base: &Path) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (name, value) in &mut self.environment {
            let key = format!("environment.{name}");
            if name.is_empty() || name.contains(['=', '\0']) {
                problems.push((key, "is not a valid name of an environment variable".to_owned()));
            } else if let Err(message) = value.resolve_text(base) {
                problems.push((key, message));
            }
        }
        if let Some(folder) = &mut self.folder {
            *folder = base.join(&*folder);
            let shown = folder.display();
            let problem = match find_special_file(folder) {
                Ok(None) => None,
                Ok(Some(path)) => Some(format!(
                    "{} is neither a file nor a folder: opening it could block the rule for ever",
                    path.display()
                )),
                Err(error) => Some(match error.kind() {
                    ErrorKind::NotFound => format!("{shown} does not exist"),
                    ErrorKind::NotADirectory => format!("{shown} is not a folder"),
                    _ => format!("{shown} cannot be read: {error}"),
                }),
            };
            problems.extend(problem.map(|message| ("folder".to_owned(), message)));
        }
        problems
    }
}

/// Finds an entry in a folder or its subfolders that is neither a file, a folder nor a link.
fn find_special_file(folder: &Path) -> std::io::Result<Option<PathBuf>> {
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

    fn parse(text: &str) -> Grants {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn nothing_is_granted_by_default() {
        let Grants { environment, folder, http } = parse("");
        assert!(environment.is_empty() && folder.is_none() && http.is_none());
    }

    #[test]
    fn values_kept_elsewhere_are_read_and_not_shown() {
        let base = tempfile::tempdir().unwrap();
        std::fs::write(base.path().join("token"), "secret\n").unwrap();
        std::fs::create_dir(base.path().join("lists")).unwrap();
        let mut grants =
            parse("environment = { REGION = \"north\", TOKEN = { file = \"token\" } }\nfolder = \"lists\"");
        assert_eq!(grants.resolve(base.path()), []);
        assert_eq!(grants.environment["REGION"].text(), "north");
        assert_eq!(grants.environment["TOKEN"].text(), "secret");
        assert_eq!(grants.folder, Some(base.path().join("lists")));
        let shown = format!("{grants:?}");
        assert!(!shown.contains("secret") && !shown.contains("north"), "{shown}");
    }

    #[test]
    fn invalid_grants_are_reported() {
        let base = tempfile::tempdir().unwrap();
        std::fs::write(base.path().join("file"), "").unwrap();
        std::fs::create_dir_all(base.path().join("special/deep")).unwrap();
        let _socket =
            std::os::unix::net::UnixListener::bind(base.path().join("special/deep/socket")).unwrap();
        for (text, key, message) in [
            ("folder = \"none\"", "folder", "none does not exist"),
            ("folder = \"file\"", "folder", "file is not a folder"),
            ("folder = \"special\"", "folder", "special/deep/socket is neither a file nor a folder"),
            ("environment = { T = { env = \"EVERYFRAME_NO_SUCH\" } }", "environment.T", "is not set"),
            ("environment = { \"A=B\" = 1 }", "environment.A=B", "is not a valid name"),
        ] {
            let found = parse(text).resolve(base.path());
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(found[0].0, key);
            assert!(found[0].1.contains(message), "{text}: {found:?}");
        }
    }
}
