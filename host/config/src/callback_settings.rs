//! `[[web.callbacks]]`: programs that may be called back with the results of frames.

use crate::property::Property;
use crate::value_checks::{name_problem, range_problem};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// `[[web.callbacks]]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackSettings {
    /// The receiver's name. Its consumer group, and so what it was told already, goes by it.
    pub name: String,
    /// The address that `POST /frames/{camera}?callback=…` may give. An address that ends with `/` allows everything below it.
    pub url: String,
    /// The key that requests are signed with, as in Standard Webhooks; none: they are not signed.
    #[serde(default)]
    pub secret: Option<Property>,
    /// A file with the certificates (PEM) that the server's may be signed by, in place of the public authorities.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// How long a request may take, seconds, 1 to 120.
    #[serde(default = "default_timeout")]
    pub timeout_s: u64,
    /// A result that cannot be delivered for this long is given up, seconds; 0: never.
    #[serde(default = "default_give_up_after")]
    pub give_up_after_s: u64,
}

fn default_timeout() -> u64 {
    10
}

fn default_give_up_after() -> u64 {
    86_400
}

impl CallbackSettings {
    /// Reads the secret, and makes the path absolute. `base` is the configuration's folder. Returns a key and a message for each
    /// problem.
    pub(super) fn resolve(&mut self, base: &Path) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let unread = self.secret.as_mut().and_then(|secret| secret.resolve_text(base).err());
        problems.extend(unread.map(|message| ("secret", message)));
        if let Some(ca) = &mut self.ca {
            *ca = base.join(&*ca);
            if !ca.is_file() {
                problems.push(("ca", format!("{} is not a file", ca.display())));
            }
        }
        problems
    }
}

/// The problems that can be found without reading secrets: dotted keys and messages.
pub(super) fn find_problems(callbacks: &[CallbackSettings]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for (index, callback) in callbacks.iter().enumerate() {
        let mut add =
            |key: &str, message: String| found.push((format!("web.callbacks[{index}].{key}"), message));
        if let Some(problem) = name_problem(&callback.name) {
            add("name", problem);
        }
        if !names.insert(&*callback.name) {
            add("name", format!("`{}` is used twice; each receiver needs its own name", callback.name));
        }
        let mut range = |key: &str, value: u64, range: RangeInclusive<u64>| {
            if let Some(problem) = range_problem(value, range) {
                add(key, problem);
            }
        };
        range("timeout_s", callback.timeout_s, 1..=120);
        range("give_up_after_s", callback.give_up_after_s, 0..=604_800);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_of_callbacks_are_named() {
        #[derive(Deserialize)]
        struct Web {
            callbacks: Vec<CallbackSettings>,
        }
        let keys = |lines: &str| -> Vec<String> {
            let text = format!("[[callbacks]]\nurl = \"http://a/\"\n{lines}\n");
            let web: Web = toml::from_str(&text).unwrap();
            find_problems(&web.callbacks).into_iter().map(|(key, _)| key).collect()
        };
        assert!(keys("name = \"orders\"").is_empty());
        assert_eq!(keys("name = \"a/b\""), ["web.callbacks[0].name"]);
        assert_eq!(keys("name = \"a\"\ntimeout_s = 0"), ["web.callbacks[0].timeout_s"]);
        assert_eq!(keys("name = \"a\"\ngive_up_after_s = 604801"), ["web.callbacks[0].give_up_after_s"]);
        let twice = "name = \"a\"\n[[callbacks]]\nname = \"a\"\nurl = \"http://b/\"";
        assert_eq!(keys(twice), ["web.callbacks[1].name"]);
    }
}
