//! The lines of the keys in a TOML text, and its errors in plain words.

use crate::problem::Problem;
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// A TOML text and the byte ranges of its keys.
#[derive(Debug, Clone)]
pub struct KeyLines {
    text: String,
    keys: Vec<(String, Range<usize>)>,
}

impl KeyLines {
    /// Finds the keys of a text. There are none if the text is not valid TOML; [`KeyLines::read`] then returns the error.
    pub fn parse(text: &str) -> Self {
        let mut keys = Vec::new();
        if let Ok(table) = DeTable::parse(text) {
            collect_keys(table.get_ref(), "", &mut keys);
        }
        Self { text: text.to_owned(), keys }
    }

    /// Deserialises the text. Errors name `file`.
    ///
    /// # Errors
    ///
    /// The text is not valid TOML, or does not match the type: show the problem to the user.
    pub fn read<T: DeserializeOwned>(&self, file: &Path) -> Result<T, Problem> {
        toml::from_str(&self.text).map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            Problem {
                file: file.to_owned(),
                line: Some(self.line_at(place)),
                key: self.key_at(place).to_owned(),
                message: in_plain_words(error.message()),
            }
        })
    }

    /// The line of a key, from 1. For a key that is not in the text, the line of the innermost table around it.
    pub fn line(&self, key: &str) -> Option<usize> {
        let mut path = key;
        loop {
            if let Some((_, span)) = self.keys.iter().find(|(written, _)| written == path) {
                return Some(self.line_at(span.start));
            }
            path = path.get(..path.rfind(['.', '['])?)?;
        }
    }

    /// The line of a byte offset, from 1.
    pub fn line_at(&self, place: usize) -> usize {
        self.text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The innermost key around a byte offset.
    fn key_at(&self, place: usize) -> &str {
        let around = self.keys.iter().filter(|(_, span)| span.contains(&place));
        around.max_by_key(|(key, _)| key.len()).map_or("", |(key, _)| key)
    }
}

fn collect_keys(table: &DeTable<'_>, prefix: &str, keys: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table {
        let path = match prefix {
            "" => key.get_ref().to_string(),
            prefix => format!("{prefix}.{}", key.get_ref()),
        };
        keys.push((path.clone(), key.span().start..value.span().end.max(key.span().end)));
        collect_value_keys(value.get_ref(), &path, keys);
    }
}

fn collect_value_keys(value: &DeValue<'_>, path: &str, keys: &mut Vec<(String, Range<usize>)>) {
    match value {
        DeValue::Table(table) => collect_keys(table, path, keys),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                keys.push((path.clone(), item.span()));
                collect_value_keys(item.get_ref(), &path, keys);
            }
        }
        _ => {}
    }
}

/// Replaces the Rust types in the parser's message: people who write TOML need not know Rust.
fn in_plain_words(message: &str) -> String {
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
