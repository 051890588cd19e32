//! Turns serde's errors, which are written for programmers, into advice for the author of the TOML.

use serde::de::DeserializeOwned;

/// Explains why `json` cannot be parsed as a `T`: the dotted key, and what is wrong and what to do.
pub fn explain_error<T: DeserializeOwned>(json: &str) -> (String, String) {
    let mut reader = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => {
            let path = error.path().to_string();
            let key = if path == "." { String::new() } else { path };
            (key, rewrite(&error.inner().to_string()))
        }
        // The object itself can be parsed, so the error is in the text after it.
        Ok(_) => (String::new(), "the settings must be one table and nothing after it".into()),
    }
}

fn rewrite(message: &str) -> String {
    // The position is in JSON that the host generated, which the author cannot see.
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

/// `rest` is serde's message after "unknown field": "`wrong`, expected one of `a`, `b`".
fn unknown_key(rest: &str) -> String {
    let mut names = rest.split('`').skip(1).step_by(2);
    let wrong = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let closest = known.iter().map(|name| (distance(wrong, name), name)).min();
    match closest {
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

/// The Levenshtein distance of two names, to find the name that a typing error was meant to be.
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
