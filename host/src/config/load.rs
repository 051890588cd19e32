//! Reads a configuration file, and says where in it a problem is.

use super::{Config, check};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}; give a configuration with --config FILE", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// The file says something that cannot be done. One problem a line.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Line in the file, from 1; none for a problem of the whole file.
    pub line: Option<usize>,
    /// The dotted key; empty for a problem of the whole file.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A checked configuration, and the file it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the file says, with defaults filled in and paths made absolute.
    pub config: Config,
    file: PathBuf,
    keys: Vec<Key>,
}

/// Where a key stands in the text.
#[derive(Debug, Clone)]
struct Key {
    path: String,
    line: usize,
    span: Range<usize>,
}

impl Loaded {
    /// Reads and checks a file, all but the rules: these are checked when they are loaded. All problems found are
    /// reported together.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|reason| ConfigError::Unreadable { path: file.to_owned(), reason })?;
        Self::parse(&text, file)
    }

    /// Checks a configuration given as text; `file` names it in errors, and its folder is the base of paths.
    fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let keys = keys_of(text);
        let mut config: Config = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            ConfigError::Invalid(vec![Problem {
                file: file.to_owned(),
                line: Some(line_of(text, start)),
                // The deepest key which the error's place lies in.
                key: keys
                    .iter()
                    .filter(|key| key.span.contains(&start))
                    .max_by_key(|key| key.path.len())
                    .map_or_else(String::new, |key| key.path.clone()),
                message: plain(error.message()),
            }])
        })?;
        let folder = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let folder = folder.parent().unwrap_or(Path::new("")).to_owned();
        let absolute = |path: &mut PathBuf| *path = folder.join(&*path);
        config.vision.onnxruntime.iter_mut().for_each(absolute);
        config.vision.models.iter_mut().for_each(absolute);
        config.rules.iter_mut().map(|rule| &mut rule.component).for_each(absolute);
        let mut problems = config.kafka.find_properties(&folder);
        let loaded = Self { config, file: file.to_owned(), keys };
        problems.extend(check::problems(&loaded.config));
        if problems.is_empty() {
            return Ok(loaded);
        }
        Err(ConfigError::Invalid(
            problems.into_iter().map(|(key, message)| loaded.problem(&key, message)).collect(),
        ))
    }

    /// A problem with a key of this file, for checks that need more than the file: the rules' own.
    pub fn problem(&self, key: &str, message: String) -> Problem {
        // A key that is not written stands where its nearest written parent does.
        let mut path = key;
        let line = loop {
            if let Some(found) = self.keys.iter().find(|k| k.path == path) {
                break Some(found.line);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => break None,
            }
        };
        Problem { file: self.file.clone(), line, key: key.to_owned(), message }
    }
}

/// Every key of the document with its place. Empty if the text is no TOML: then the parser says what is wrong.
fn keys_of(text: &str) -> Vec<Key> {
    let mut keys = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        walk_table(table.get_ref(), "", text, &mut keys);
    }
    keys
}

fn walk_table(table: &DeTable<'_>, prefix: &str, text: &str, keys: &mut Vec<Key>) {
    for (key, value) in table {
        let path = match prefix {
            "" => key.get_ref().to_string(),
            prefix => format!("{prefix}.{}", key.get_ref()),
        };
        let span = key.span().start..value.span().end.max(key.span().end);
        keys.push(Key { path: path.clone(), line: line_of(text, key.span().start), span });
        walk_value(value.get_ref(), &path, text, keys);
    }
}

fn walk_value(value: &DeValue<'_>, path: &str, text: &str, keys: &mut Vec<Key>) {
    match value {
        DeValue::Table(table) => walk_table(table, path, text, keys),
        DeValue::Array(array) => {
            for (index, item) in array.iter().enumerate() {
                let path = format!("{path}[{index}]");
                keys.push(Key {
                    path: path.clone(),
                    line: line_of(text, item.span().start),
                    span: item.span(),
                });
                walk_value(item.get_ref(), &path, text, keys);
            }
        }
        _ => {}
    }
}

/// The parser names what it expected as Rust does; whoever writes TOML need not know Rust.
fn plain(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once("expected ") else { return message.to_owned() };
    let expected = match expected {
        "f32" | "f64" => "a number",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "a string" | "path string" => "a text in quotation marks",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}expected {expected}")
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "[[rules]]\nname = \"who\"\nkind = \"matching-policy\"\ncomponent = \"Cargo.toml\"\n";

    fn parse(text: &str) -> Result<Loaded, ConfigError> {
        Loaded::parse(text, &Path::new(env!("CARGO_MANIFEST_DIR")).join("everyframe.toml"))
    }

    fn first_problem(text: &str) -> Problem {
        match parse(text) {
            Err(ConfigError::Invalid(problems)) => problems[0].clone(),
            other => panic!("expected problems, got {other:?}"),
        }
    }

    #[test]
    fn defaults_fill_what_is_not_written() {
        let loaded = parse(RULES).unwrap();
        assert_eq!(loaded.config.topics.frames, "frames");
        assert!(loaded.config.rules[0].component.is_absolute());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let problem = first_problem(&format!("[kafka]\n\nbroker = \"x\"\n{RULES}"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(3), "kafka.broker"));
        assert!(problem.message.contains("unknown field `broker`") && problem.message.contains("`brokers`"));
    }

    #[test]
    fn a_wrong_type_is_named_with_its_line() {
        let problem = first_problem(&format!("[vision.detector]\nscore = \"high\"\n{RULES}"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(2), "vision.detector.score"));
        assert_eq!(problem.message, "invalid type: string \"high\", expected a number");
    }

    #[test]
    fn what_was_expected_is_said_without_rust() {
        for (text, expected) in [
            ("[intake]\nworkers = -1\n", "expected a whole number, 0 or more"),
            ("[topics]\npartitions = true\n", "expected a whole number"),
            ("[topics]\nframes = 1\n", "expected a text in quotation marks"),
            ("[vision]\nmodels = 1\n", "expected a text in quotation marks"),
            ("[vision.embedder]\nevery_face = 1\n", "expected true or false"),
            ("rules = 1\n", "expected a list"),
            ("kafka = 1\n", "expected a table"),
            ("kafka.properties = 1\n", "expected a table"),
        ] {
            let message = first_problem(text).message;
            assert!(message.ends_with(expected), "{text}: {message}");
        }
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_line() {
        let problem = first_problem(&format!("{RULES}\n[vision.detector]\nscore = 1.5\n"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(7), "vision.detector.score"));
        assert!(problem.message.contains("from 0 to 1"), "{}", problem.message);
    }

    #[test]
    fn a_value_that_is_not_where_it_is_said_to_be_is_named_with_its_line() {
        let problem = first_problem(&format!(
            "[kafka.properties]\n\"sasl.password\" = {{ env = \"EVERYFRAME_NO_SUCH\" }}\n{RULES}"
        ));
        assert_eq!((problem.line, problem.key.as_str()), (Some(2), "kafka.properties.sasl.password"));
        let problem = first_problem(&format!("[kafka.consumer]\nsasl.password = \"word\"\n{RULES}"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(2), "kafka.consumer.sasl"));
        assert!(problem.message.contains("in quotation marks"), "{}", problem.message);
    }

    #[test]
    fn an_unknown_kind_of_rule_lists_the_kinds() {
        let problem = first_problem(&RULES.replace("matching-policy", "matching"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(3), "rules[0].kind"));
        assert!(problem.message.contains("unknown-person"), "{}", problem.message);
    }

    #[test]
    fn broken_syntax_is_placed() {
        assert_eq!(first_problem("[kafka\n").line, Some(1));
    }
}
