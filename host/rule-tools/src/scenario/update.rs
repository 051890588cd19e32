//! Writes a rule's output into a scenario's text as the new expectation. The rest of the text, with its comments, does not
//! change.

use super::{Entry, FrameResult, ScenarioFrame, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item};

/// A list that is longer than this has one line for each entry, characters.
const LINE_LENGTH: usize = 100;

/// Returns the text with the rule's output as expectation, for the frames whose output differs from the expectation or that
/// have none; `None` if there is no such frame. An entry keeps the fields that it had. A frame on which the rule failed does not
/// change.
///
/// # Errors
///
/// The text is not the one that the frames were parsed from. Parse the file again.
pub fn update_expectations(
    text: &str,
    frames: &[ScenarioFrame],
    results: &[FrameResult],
) -> Result<Option<String>, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let mut changed = false;
    for (at, (frame, result)) in frames.iter().zip(results).enumerate() {
        let Ok(got) = &result.got else { continue };
        if frame.expect.is_some() && result.differences.is_empty() {
            continue;
        }
        let before = frame.expect.as_deref().unwrap_or_default();
        let none = Entry::default();
        let entries: Vec<Entry> = got
            .iter()
            .enumerate()
            .map(|(at, got)| before.get(at).unwrap_or(&none).select_fields(got))
            .collect();
        write_expectation(&mut document, at, &entries)
            .ok_or_else(|| format!("the text has no frame {}", at + 1))?;
        changed = true;
    }
    Ok(changed.then(|| document.to_string()))
}

fn write_expectation(document: &mut DocumentMut, frame: usize, entries: &[Entry]) -> Option<()> {
    let mut value = toml_edit::Value::from(format_list(entries));
    match document.get_mut("frames")? {
        Item::ArrayOfTables(frames) => {
            let frame = frames.get_mut(frame)?;
            if let Some(old) = frame.get("expect").and_then(Item::as_value) {
                *value.decor_mut() = old.decor().clone();
            }
            // The value is replaced, not the key: the key keeps its comment.
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

pub(super) fn format_list(entries: &[Entry]) -> Array {
    let mut list: Array = entries.iter().map(format_entry).collect();
    if list.len() > 1 && list.to_string().len() > LINE_LENGTH {
        list.iter_mut().for_each(|entry| entry.decor_mut().set_prefix("\n  "));
        list.set_trailing_comma(true);
        list.set_trailing("\n");
    }
    list
}

fn format_entry(entry: &Entry) -> InlineTable {
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
