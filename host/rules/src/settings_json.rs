//! Converts a rule's settings from TOML to the JSON that `configure` takes.

use everyframe_types::id::normalise;
use serde_json::{Map, Number, Value as Json};
use toml::Value as Toml;

/// A number that JSON cannot express (infinite or NaN).
#[derive(Debug, PartialEq)]
pub(super) struct NotFinite {
    /// Its dotted key in the settings.
    pub(super) key: String,
    pub(super) value: f64,
}

/// Converts the table to one JSON object. Dates and times become strings, as TOML writes them. Text is normalised to NFC, like
/// the ids that it may contain.
///
/// # Errors
///
/// The first number that is not finite.
pub(super) fn settings_json(table: &toml::Table) -> Result<String, NotFinite> {
    Ok(Json::Object(object(table, "")?).to_string())
}

fn object(table: &toml::Table, prefix: &str) -> Result<Map<String, Json>, NotFinite> {
    table
        .iter()
        .map(|(key, value)| Ok((normalise(key).into_owned(), json(value, format!("{prefix}{key}"))?)))
        .collect()
}

fn json(value: &Toml, key: String) -> Result<Json, NotFinite> {
    Ok(match value {
        Toml::String(text) => Json::String(normalise(text).into_owned()),
        Toml::Integer(number) => Json::Number((*number).into()),
        Toml::Float(number) => {
            Json::Number(Number::from_f64(*number).ok_or(NotFinite { key, value: *number })?)
        }
        Toml::Boolean(truth) => Json::Bool(*truth),
        Toml::Datetime(time) => Json::String(time.to_string()),
        Toml::Array(items) => {
            let item = |(i, item)| json(item, format!("{key}.{i}"));
            Json::Array(items.iter().enumerate().map(item).collect::<Result<_, _>>()?)
        }
        Toml::Table(table) => Json::Object(object(table, &format!("{key}."))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_converted() {
        let table = toml::toml! {
            text = "a\"b"
            count = -3
            share = 0.5
            on = true
            from = 2026-11-24T07:00:00Z
            at = 07:30:00
            list = [1, "two", { three = 3.0 }]
            [deep.er]
            empty = {}
        };
        let json: Json = serde_json::from_str(&settings_json(&table).unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "text": "a\"b", "count": -3, "share": 0.5, "on": true,
                "from": "2026-11-24T07:00:00Z", "at": "07:30:00",
                "list": [1, "two", { "three": 3.0 }],
                "deep": { "er": { "empty": {} } },
            })
        );
    }

    #[test]
    fn text_is_normalised_like_the_gallerys_ids() {
        let table = "deny = [\"Jose\u{301}\"]\n[people]\n\"Jose\u{301}\" = 1".parse().unwrap();
        assert_eq!(settings_json(&table).unwrap(), "{\"deny\":[\"Jos\u{e9}\"],\"people\":{\"Jos\u{e9}\":1}}");
    }

    #[test]
    fn a_number_that_is_not_finite_is_named_by_its_key() {
        let table = "a = [{ b = [0.0, inf] }]".parse().unwrap();
        assert_eq!(settings_json(&table), Err(NotFinite { key: "a.0.b.1".into(), value: f64::INFINITY }));
    }
}
