//! Where in a TOML text a key stands.

use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// The keys of a text with their places.
pub struct Places<'a> {
    text: &'a str,
    keys: Vec<(String, Range<usize>)>,
}

impl<'a> Places<'a> {
    /// Of no keys if the text is no TOML: then the parser says what is wrong.
    pub fn of(text: &'a str) -> Self {
        let mut keys = Vec::new();
        if let Ok(table) = DeTable::parse(text) {
            walk(table.get_ref(), "", &mut keys);
        }
        Self { text, keys }
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

    /// The innermost key that is written round a place.
    pub fn key_at(&self, place: usize) -> &str {
        let around = self.keys.iter().filter(|(_, span)| span.contains(&place));
        around.max_by_key(|(key, _)| key.len()).map_or("", |(key, _)| key)
    }

    pub fn line_at(&self, place: usize) -> usize {
        self.text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
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
