//! Turns serde's errors, written for programmers, into advice for whoever wrote the TOML.

use crate::{Problems, Rule};

/// Notes why `json` doesn't have the shape of `R`.
pub fn shape<R: Rule>(json: &str, problems: &mut Problems) {
    let mut reader = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, R>(&mut reader) {
        Err(error) => {
            let path = error.path().to_string();
            let key = if path == "." { String::new() } else { path };
            problems.error(key, advice(&error.inner().to_string()));
        }
        // It reads well, so what follows the object was wrong.
        Ok(_) => problems.error("", "the settings must be one table and nothing after it"),
    }
}

fn advice(message: &str) -> String {
    // The position is one in the JSON that the host made; nobody can look there.
    let message = message.rfind(" at line ").map_or(message, |end| &message[..end]);
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown_key(rest);
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return format!("{key} is missing: add it");
    }
    let message = plain_types(message);
    if message.starts_with("invalid ") { format!("{message}: change the value") } else { message }
}

/// `rest` is "`wrong`, expected one of `a`, `b`".
fn unknown_key(rest: &str) -> String {
    let mut names = rest.split('`').skip(1).step_by(2);
    let wrong = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let meant = known.iter().map(|name| (distance(wrong, name), name)).min();
    match meant {
        Some((steps, name)) if steps <= 2 => {
            format!("there is no setting `{wrong}`: did you mean `{name}`?")
        }
        _ => format!("there is no setting `{wrong}`: remove it; there are `{}`", known.join("`, `")),
    }
}

fn plain_types(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once("expected ") else { return message.to_string() };
    let plain = match expected {
        "f32" | "f64" => "a number",
        "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i16" | "i32" | "i64" => "a whole number",
        "a string" => "a text in quotation marks",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}expected {plain}")
}

/// Edits between two names (Levenshtein), so that a slip of the finger finds the name that was meant.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("threshold", "threshold"), 0);
        assert_eq!(distance("threshold_", "threshold"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
