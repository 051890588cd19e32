//! The value of a librdkafka property or of a rule's environment variable: written in the configuration, or read from the
//! environment or from a file.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest file with a value, bytes. Certificates have a few thousand, and a device has no end.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The value of a property or variable. It may be a secret, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// Empty until it is read.
    text: String,
    place: Place,
}

/// Where a value is kept.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    /// In the configuration itself.
    Here,
    /// In this environment variable; one line end after the value is ignored.
    Environment(String),
    /// In this file; one line end after the value is ignored.
    File(PathBuf),
}

impl From<&str> for Property {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), place: Place::Here }
    }
}

impl Property {
    /// Reads the value of an environment variable, for an argument that must not be on the command line.
    ///
    /// # Errors
    ///
    /// A message for the user, without the value.
    pub fn from_environment(name: &str) -> Result<Self, String> {
        Self { text: String::new(), place: Place::Environment(name.to_owned()) }.resolved()
    }

    /// Reads the content of a file, without the line end after it.
    ///
    /// # Errors
    ///
    /// A message for the user, without the value.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        Self { text: String::new(), place: Place::File(path.to_owned()) }.resolved()
    }

    fn resolved(mut self) -> Result<Self, String> {
        self.resolve_text(Path::new(""))?;
        Ok(self)
    }

    /// The value.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if the value is kept outside the configuration: no message may show it.
    pub fn is_secret(&self) -> bool {
        self.place != Place::Here
    }

    /// The problem of the file with the value, if it cannot be opened.
    pub(super) fn find_missing_file(&self, folder: &Path) -> Option<String> {
        let Place::File(path) = &self.place else { return None };
        let path = folder.join(path);
        File::open(&path).err().map(|error| format!("{} cannot be read: {error}", path.display()))
    }

    /// Reads the value of the property `name` from its place. `folder` is the base of relative paths, also of a value that is a
    /// path. The error is a message for the user, without secrets.
    pub(super) fn resolve(&mut self, name: &str, folder: &Path) -> Result<(), String> {
        self.resolve_text(folder)?;
        if self.text.is_empty() && (name.ends_with("password") || name.ends_with("secret")) {
            return Err("is empty; give the value, { env = \"NAME\" } or { file = \"PATH\" }".into());
        }
        // For a missing file, librdkafka reports only that OpenSSL failed. `probe` means the system's certificates.
        if name.starts_with("ssl.") && name.ends_with(".location") && self.text != "probe" {
            let path = folder.join(&self.text);
            if !path.exists() {
                let file =
                    if self.is_secret() { "the file named there".into() } else { path.display().to_string() };
                return Err(format!("{file} does not exist"));
            }
            self.text = path.display().to_string();
        }
        Ok(())
    }

    /// As [`Property::resolve`], for a value that is not a path.
    pub(super) fn resolve_text(&mut self, folder: &Path) -> Result<(), String> {
        let (bytes, place) = match &self.place {
            Place::Here => return Ok(()),
            Place::Environment(name) => match std::env::var_os(name) {
                Some(text) => (text.into_encoded_bytes(), format!("the environment variable {name}")),
                None => {
                    return Err(format!(
                        "the environment variable {name} is not set; set it for the user that starts this program"
                    ));
                }
            },
            Place::File(path) => {
                let path = folder.join(path);
                let shown = path.display().to_string();
                let mut bytes = Vec::new();
                File::open(&path)
                    .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
                    .map_err(|error| format!("{shown} cannot be read: {error}"))?;
                (bytes, shown)
            }
        };
        self.text = parse_value(bytes, &place)?;
        Ok(())
    }
}

/// The value in a variable or a file. One line end after it is removed: an editor or a shell may have added it. The error names
/// the place, never the value.
fn parse_value(bytes: Vec<u8>, place: &str) -> Result<String, String> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{place} has more than {MAX_FILE_BYTES} bytes, which is too large for a value"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| format!("{place} is not text (UTF-8)"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(format!("{place} is empty"));
    }
    // librdkafka takes C strings.
    if text.contains('\0') {
        return Err(format!("{place} contains a zero byte"));
    }
    Ok(text)
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Here => f.write_str("(a value)"),
            Place::Environment(name) => write!(f, "(from the environment variable {name})"),
            Place::File(path) => write!(f, "(from {})", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl Written {
    fn here<E>(text: impl ToString) -> Result<Property, E> {
        Ok(Property { text: text.to_string(), place: Place::Here })
    }
}

impl<'de> Visitor<'de> for Written {
    type Value = Property;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false, { env = \"NAME\" } or { file = \"PATH\" }")
    }

    fn visit_str<E>(self, value: &str) -> Result<Property, E> {
        Self::here(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Property, E> {
        Self::here(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Property, E> {
        Self::here(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Property, E> {
        Self::here(value)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Property, E> {
        Self::here(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Property, A::Error> {
        let place = match table.next_key::<String>()?.as_deref() {
            Some("env") => Place::Environment(table.next_value()?),
            Some("file") => Place::File(table.next_value()?),
            // In TOML, `sasl.username = "…"` without quotation marks is a table.
            _ => {
                return Err(A::Error::custom(
                    "is a table, but neither { env = \"NAME\" } nor { file = \"PATH\" }; put a name with dots in quotation marks",
                ));
            }
        };
        match (&place, table.next_key::<String>()?) {
            (_, Some(_)) => Err(A::Error::custom("must have one key, `env` or `file`")),
            (Place::Environment(name), _) if name.is_empty() || name.contains(['=', '\0']) => {
                Err(A::Error::custom(format!("`{name}` is not a valid name of an environment variable")))
            }
            _ => Ok(Property { text: String::new(), place }),
        }
    }
}

impl JsonSchema for Property {
    fn schema_name() -> Cow<'static, str> {
        "Property".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let elsewhere = |key: &str, description: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { key: { "type": "string", "description": description } },
                "required": [key],
                "additionalProperties": false,
            })
        };
        schemars::json_schema!({
            "description": "The value of a property, or where it is kept. Keep secrets outside this file.",
            "anyOf": [
                { "type": ["string", "number", "boolean"] },
                elsewhere("env", "The name of an environment variable. One line end after the value is ignored."),
                elsewhere("file", "The path of a file, relative to the folder of this file. One line end after the value is ignored."),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn parse(value: &str) -> Result<Property, String> {
        let table: Result<BTreeMap<String, Property>, _> = toml::from_str(&format!("key = {value}"));
        table.map(|mut table| table.remove("key").unwrap()).map_err(|error| error.message().to_owned())
    }

    fn found(value: &str, folder: &Path) -> Result<String, String> {
        let mut property = parse(value)?;
        property.resolve("sasl.password", folder).map(|()| property.text().to_owned())
    }

    #[test]
    fn a_value_is_a_text_a_number_or_a_boolean() {
        for (value, text) in [("\"SSL\"", "SSL"), ("6000", "6000"), ("0.5", "0.5"), ("true", "true")] {
            assert_eq!(found(value, Path::new("")).unwrap(), text);
        }
        assert!(parse("[1]").unwrap_err().contains("expected a text, a number"));
    }

    /// The content of a place, and its value.
    const VALUES: [(&str, &str); 8] = [
        ("word", "word"),
        ("word\n", "word"),
        ("word\r\n", "word"),
        ("word\r", "word\r"),
        ("a\nb\n\n", "a\nb\n"),
        ("word\r\n\r\n", "word\r\n"),
        (" w ", " w "),
        (" \n", " "),
    ];

    #[test]
    fn a_value_is_read_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for (content, text) in VALUES {
            std::fs::write(folder.path().join("password"), content).unwrap();
            assert_eq!(found("{ file = \"password\" }", folder.path()).unwrap(), text);
        }
    }

    #[test]
    fn one_line_end_after_a_value_is_ignored() {
        for place in ["the environment variable NAME", "/run/password"] {
            for (content, text) in VALUES {
                assert_eq!(parse_value(content.into(), place).unwrap(), text, "{content:?}");
            }
            for (content, message) in [
                (&b""[..], "is empty"),
                (b"\n", "is empty"),
                (b"\r\n", "is empty"),
                (b"s\xffcret\n", "is not text"),
                (b"s\0cret", "contains a zero byte"),
                (&[b'a'; MAX_FILE_BYTES as usize + 1], "has more than"),
            ] {
                let error = parse_value(content.to_vec(), place).unwrap_err();
                assert!(
                    error.starts_with(place) && error.contains(message) && !error.contains("cret"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn a_value_is_read_from_the_environment() {
        // Cargo sets it for every test.
        let name = "CARGO_MANIFEST_DIR";
        let value = std::env::var(name).unwrap();
        assert_eq!(found(&format!("{{ env = \"{name}\" }}"), Path::new("")).unwrap(), value);
    }

    #[test]
    fn unreadable_values_are_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad");
        for (content, message) in [
            (&b"\n"[..], "bad is empty"),
            (b"s\xffcret", "bad is not text"),
            (b"s\0cret", "bad contains a zero byte"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = found("{ file = \"bad\" }", folder.path()).unwrap_err();
            assert!(error.contains(message) && !error.contains("cret"), "{error}");
        }
        for (value, message) in [
            ("{ file = \"none\" }", "none cannot be read: No such file"),
            ("{ file = \".\" }", ". cannot be read: Is a directory"),
            ("\"\"", "is empty; give the value"),
            ("{ file = \"/dev/zero\" }", "/dev/zero has more than 1048576 bytes"),
            ("{ env = \"EVERYFRAME_NO_SUCH\" }", "variable EVERYFRAME_NO_SUCH is not set"),
            ("{ env = \"\" }", "is not a valid name"),
            ("{ env = \"A\", file = \"b\" }", "must have one key"),
            ("{ password = \"word\" }", "put a name with dots in quotation marks"),
            ("{}", "neither"),
        ] {
            let error = found(value, folder.path()).unwrap_err();
            assert!(error.contains(message), "{value}: {error}");
        }
    }

    #[test]
    fn a_path_is_relative_to_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let find = |value: &str| {
            let mut property = parse(value).unwrap();
            property.resolve("ssl.ca.location", folder.path()).map(|()| property.text().to_owned())
        };
        let ca = folder.path().join("ca.pem").display().to_string();
        assert_eq!(find("\"ca.pem\"").unwrap_err(), format!("{ca} does not exist"));
        std::fs::write(&ca, "").unwrap();
        assert_eq!(find("\"ca.pem\"").unwrap(), ca);
        assert_eq!(find("\"probe\"").unwrap(), "probe");
    }

    #[test]
    fn an_argument_can_be_kept_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("address");
        std::fs::write(&path, "rtsp://me:hunter2@cam/\n").unwrap();
        let property = Property::from_file(&path).unwrap();
        assert_eq!(property.text(), "rtsp://me:hunter2@cam/");
        assert!(!format!("{property:?}").contains("hunter2"));
        let path = std::env::var("PATH").unwrap();
        assert_eq!(Property::from_environment("PATH").unwrap().text(), path);
        assert!(Property::from_environment("EVERYFRAME_NO_SUCH").unwrap_err().contains("is not set"));
        assert!(Property::from_file(folder.path()).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn debug_output_shows_no_value() {
        assert_eq!(format!("{:?}", parse("\"word\"").unwrap()), "(a value)");
        let property = Property { text: "word".into(), place: Place::Environment("NAME".into()) };
        assert!(!format!("{property:?}").contains("word"));
    }
}
