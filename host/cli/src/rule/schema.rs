//! The settings of a rule, out of the JSON Schema that it gives.
//!
//! The schema is the rule's word: it may be anything, as deep and as long as it likes.

use serde::Serialize;
use serde_json::Value;

/// Deeper tables are not shown.
const DEPTH: usize = 6;
/// No more settings than this are shown.
const MOST: usize = 300;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Dotted; `NAME` stands for a key of one's own, `[]` for each item of a list.
    pub key: String,
    /// For people: `number, 0 to 1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// As TOML writes it.
    pub default: Option<String>,
    /// True if it must be given.
    pub required: bool,
    /// One line.
    pub description: String,
}

/// Every setting of a schema, tables before what is in them.
///
/// # Errors
///
/// Why there are none to be had.
pub fn settings(schema: &str) -> Result<Vec<Setting>, String> {
    if schema.trim().is_empty() {
        return Ok(Vec::new());
    }
    let root: Value =
        serde_json::from_str(schema).map_err(|error| format!("the rule's schema is no JSON: {error}"))?;
    if !root.is_object() {
        return Err("the rule's schema is no object".into());
    }
    let mut found = Vec::new();
    Walk { root: &root, found: &mut found }.table(&root, None, "", DEPTH);
    Ok(found)
}

struct Walk<'a> {
    root: &'a Value,
    found: &'a mut Vec<Setting>,
}

impl<'a> Walk<'a> {
    /// Notes the settings of a table; `defaults` is the table's own default.
    fn table(&mut self, schema: &'a Value, defaults: Option<&'a Value>, prefix: &str, depth: usize) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for (name, property) in properties {
            let default = property.get("default").or_else(|| defaults?.get(name));
            self.setting(
                &format!("{prefix}{name}"),
                property,
                default,
                required.contains(&name.as_str()),
                depth,
            );
        }
    }

    fn setting(
        &mut self,
        key: &str,
        property: &'a Value,
        default: Option<&'a Value>,
        required: bool,
        depth: usize,
    ) {
        if self.found.len() >= MOST || depth == 0 {
            return;
        }
        let schema = self.resolved(property);
        let text = |schema: &Value| schema.get("description").and_then(Value::as_str).map(str::to_owned);
        let description = text(property).or_else(|| text(schema)).unwrap_or_default();
        let default = default.or_else(|| schema.get("default"));
        // A table's default is told by its settings.
        let is_table = schema.get("properties").is_some();
        self.found.push(Setting {
            key: key.to_owned(),
            kind: kind(schema, &|it| self.resolved(it)),
            default: default.filter(|it| !is_table && !it.is_null()).map(in_toml),
            required,
            description: description.split_whitespace().collect::<Vec<_>>().join(" "),
        });
        self.table(schema, default, &format!("{key}."), depth - 1);
        if let Some(item) = schema.get("items") {
            self.inner(item, &format!("{key}[]."), depth);
        }
        if let Some(value) = schema.get("additionalProperties").filter(|it| it.is_object()) {
            self.inner(value, &format!("{key}.NAME."), depth);
        }
    }

    /// The settings of a list's items, or of a table whose keys are one's own.
    fn inner(&mut self, schema: &'a Value, prefix: &str, depth: usize) {
        let schema = self.resolved(schema);
        self.table(schema, schema.get("default"), prefix, depth - 1);
    }

    /// What a reference means; of "this or null", this.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        for _ in 0..DEPTH {
            let reference = schema.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
            let options = schema.get("anyOf").and_then(Value::as_array).filter(|options| options.len() == 2);
            let is_null = |it: &&Value| it.get("type").and_then(Value::as_str) != Some("null");
            let next = match (reference, options) {
                (Some(pointer), _) => self.root.pointer(pointer),
                (None, Some(options)) if options.iter().filter(is_null).count() == 1 => {
                    options.iter().find(is_null)
                }
                _ => None,
            };
            match next {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }
}

/// What a value must be, for people.
fn kind<'a>(schema: &'a Value, resolved: &dyn Fn(&'a Value) -> &'a Value) -> String {
    if let Some(choices) = choices(schema) {
        return choices.join(" | ");
    }
    let name = match schema.get("type") {
        Some(Value::String(name)) => name.as_str(),
        // `["string", "null"]`
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("any")
        }
        _ => "any",
    };
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let range = match (number("minimum"), number("maximum")) {
        (Some(from), Some(to)) => format!(", {from} to {to}"),
        // schemars says so of every unsigned number.
        (Some(0.0), None) if name == "integer" => String::new(),
        (Some(from), None) => format!(", {from} or more"),
        (None, Some(to)) => format!(", at most {to}"),
        (None, None) => String::new(),
    };
    match name {
        "integer" => format!("whole number{range}"),
        "number" => format!("number{range}"),
        "string" => "text".to_owned(),
        "boolean" => "true | false".to_owned(),
        "object" => "table".to_owned(),
        "array" => {
            let item = schema.get("items").map(resolved).filter(|it| it.get("items").is_none());
            item.map_or("list".to_owned(), |item| format!("list of {}", kind(item, resolved)))
        }
        other => other.to_owned(),
    }
}

/// The values of an enumeration.
fn choices(schema: &Value) -> Option<Vec<String>> {
    let listed = schema.get("enum").and_then(Value::as_array);
    let of_one = || {
        let options = schema.get("oneOf").and_then(Value::as_array)?;
        options.iter().map(|option| option.get("const").or_else(|| option.get("enum")?.get(0))).collect()
    };
    let values: Vec<&Value> = listed.map(|values| values.iter().collect()).or_else(of_one)?;
    Some(values.into_iter().filter(|value| !value.is_null()).map(in_toml).collect())
}

/// JSON's values are TOML's, but for the tables.
fn in_toml(value: &Value) -> String {
    toml::Value::try_from(value).map_or_else(|_| value.to_string(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(schema: &str) -> Vec<String> {
        let shown = |it: Setting| {
            let default = it.default.unwrap_or_default();
            format!("{} ({}) = {default}{}", it.key, it.kind, if it.required { "!" } else { "" })
        };
        settings(schema).unwrap().into_iter().map(shown).collect()
    }

    #[test]
    fn tables_lists_and_choices_are_rendered() {
        let schema = r##"{
            "type": "object",
            "required": ["door"],
            "properties": {
                "door": {"type": "string", "description": "Which\n door."},
                "threshold": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.45},
                "known": {"$ref": "#/$defs/Choice", "default": {"severity": "info"}},
                "hours": {"type": "array", "items": {"$ref": "#/$defs/Window"}, "default": []},
                "people": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Choice"}},
                "maybe": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}
            },
            "$defs": {
                "Choice": {"type": "object", "properties": {"severity": {"enum": ["info", "critical"]}}},
                "Window": {"type": "object", "properties": {"from": {"type": ["string", "null"]}}}
            }
        }"##;
        let mut found = shown(schema);
        found.sort();
        assert_eq!(
            found,
            [
                "door (text) = !",
                "hours (list of table) = []",
                "hours[].from (text) = ",
                "known (table) = ",
                "known.severity (\"info\" | \"critical\") = \"info\"",
                "maybe (whole number) = ",
                "people (table) = ",
                "people.NAME.severity (\"info\" | \"critical\") = ",
                "threshold (number, 0 to 1) = 0.45",
            ]
        );
        let described = settings(schema).unwrap();
        assert_eq!(described.iter().find(|it| it.key == "door").unwrap().description, "Which door.");
    }

    #[test]
    fn a_schema_that_turns_in_circles_ends() {
        let schema =
            r##"{"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/properties/b"}, "c": {"$ref": "#"}}}"##;
        assert!(settings(schema).unwrap().len() <= MOST);
    }

    #[test]
    fn text_that_is_not_a_schema_is_refused() {
        assert!(settings("").unwrap().is_empty());
        assert!(settings("{}").unwrap().is_empty());
        assert!(settings("what?").unwrap_err().contains("no JSON"));
        assert!(settings("[]").unwrap_err().contains("no object"));
    }
}
