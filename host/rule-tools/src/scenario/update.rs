//! Answers are written into a scenario's text as what is expected from now on. The rest of the text, with its
//! comments, stays as it is.

use super::{Entry, Ran, ScenarioFrame, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item};

/// Longer than this, and a list has a line for each entry.
const LINE: usize = 100;

/// The text with new answers for those frames whose answer was not expected or not written; none if there are none.
/// An entry keeps to the fields that it named before. A frame on which the rule failed stays as it is.
///
/// # Errors
///
/// The text is not the one that the frames were read from.
pub fn updated(text: &str, frames: &[ScenarioFrame], ran: &[Ran]) -> Result<Option<String>, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let mut changed = false;
    for (at, (frame, ran)) in frames.iter().zip(ran).enumerate() {
        let Ok(got) = &ran.got else { continue };
        if frame.expect.is_some() && ran.differences.is_empty() {
            continue;
        }
        let before = frame.expect.as_deref().unwrap_or_default();
        let none = Entry::default();
        let entries: Vec<Entry> = got
            .iter()
            .enumerate()
            .map(|(at, got)| before.get(at).unwrap_or(&none).in_the_words_of(got))
            .collect();
        write(&mut document, at, &entries).ok_or_else(|| format!("frame {} is not there", at + 1))?;
        changed = true;
    }
    Ok(changed.then(|| document.to_string()))
}

fn write(document: &mut DocumentMut, frame: usize, entries: &[Entry]) -> Option<()> {
    let mut value = toml_edit::Value::from(list(entries));
    match document.get_mut("frames")? {
        Item::ArrayOfTables(frames) => {
            let frame = frames.get_mut(frame)?;
            if let Some(old) = frame.get("expect").and_then(Item::as_value) {
                *value.decor_mut() = old.decor().clone();
            }
            // The key's own comment stays: it is not replaced.
            match frame.get_mut("expect") {
                // A list of `[[frames.expect]]`.
                Some(Item::Value(old)) => *old = value,
                _ => drop(frame.insert("expect", Item::Value(value))),
            }
        }
        Item::Value(toml_edit::Value::Array(frames)) => {
            drop(frames.get_mut(frame)?.as_inline_table_mut()?.insert("expect", value));
        }
        _ => return None,
    }
    Some(())
}

pub(super) fn list(entries: &[Entry]) -> Array {
    let mut list: Array = entries.iter().map(table).collect();
    if list.len() > 1 && list.to_string().len() > LINE {
        list.iter_mut().for_each(|entry| entry.decor_mut().set_prefix("\n  "));
        list.set_trailing_comma(true);
        list.set_trailing("\n");
    }
    list
}

fn table(entry: &Entry) -> InlineTable {
    let fields = entry.fields().iter().map(|(name, value)| {
        let value: toml_edit::Value = match value {
            Value::Text(text) => text.as_str().into(),
            Value::Number(number) if number.fract() == 0.0 && *name != "confidence" => {
                (*number as i64).into()
            }
            Value::Number(number) => (*number).into(),
            Value::Truth(truth) => (*truth).into(),
        };
        (*name, value)
    });
    fields.collect()
}
