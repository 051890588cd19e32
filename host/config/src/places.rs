//! Where in a TOML text a key stands, and what is wrong with the text in words for who wrote it.

use crate::problem::Problem;
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// A text and its keys with their places.
#[derive(Debug, Clone)]
pub struct Places {
    text: String,
    keys: Vec<(String, Range<usize>)>,
}

impl Places {
    /// Of no keys if the text is no TOML: then [`Places::read`] says what is wrong.
    pub fn of(text: &str) -> Self {
        let mut keys = Vec::new();
        if let Ok(table) = DeTable::parse(text) {
            walk(table.get_ref(), "", &mut keys);
        }
        Self { text: text.to_owned(), keys }
    }

    /// What the text says; `file` names it in the problem.
    ///
    /// # Errors
    ///
    /// It is no TOML, or not of this shape.
    pub fn read<T: DeserializeOwned>(&self, file: &Path) -> Result<T, Problem> {
        toml::from_str(&self.text).map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            Problem {
                file: file.to_owned(),
                line: Some(self.line_at(place)),
                key: self.key_at(place).to_owned(),
                message: plain(error.message()),
            }
        })
    }

    /// The line of a key, from 1; of the nearest written one around it, if it is not written itself.
    pub fn line(&self, key: &str) -> Option<usize> {
        let mut path = key;
        loop {
            if let Some((_, span)) = self.keys.iter().find(|(written, _)| written == path) {
                return Some(self.line_at(span.start));
            }
            path = path.get(..path.rfind(['.', '['])?)?;
        }
    }

    /// The line of a place, from 1.
    pub fn line_at(&self, place: usize) -> usize {
        self.text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The innermost key that is written round a place.
    fn key_at(&self, place: usize) -> &str {
        let around = self.keys.iter().filter(|(_, span)| span.contains(&place));
        around.max_by_key(|(key, _)| key.len()).map_or("", |(key, _)| key)
    }
}

fn walk(table: &DeTable<'_>, prefix: &str, keys: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table {
        let path = match prefix {
            "" => key.get_ref().to_string(),
            prefix => format!("{prefix}.{}", key.get_ref()),
        };
        keys.push((path.clone(), key.span().start..value.span().end.max(key.span().end)));
        walk_value(value.get_ref(), &path, keys);
    }
}

fn walk_value(value: &DeValue<'_>, path: &str, keys: &mut Vec<(String, Range<usize>)>) {
    match value {
        DeValue::Table(table) => walk(table, path, keys),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                keys.push((path.clone(), item.span()));
                walk_value(item.get_ref(), &path, keys);
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
