//! A value, of a librdkafka property or of a variable that a rule sees: written down, or found in the environment or in
//! a file.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file with a value may have so many bytes: certificates are a few thousand, a device has no end.
const FILE_BYTES: u64 = 1 << 20;

/// The value of a property or variable. It may be a secret, so that nothing here shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// Empty until it is found.
    text: String,
    place: Place,
}

/// Where a value is.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    /// In the configuration itself.
    Here,
    /// In this variable, without the line end after it.
    Environment(String),
    /// In this file, but for the line end after it.
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
    /// Says what to do, in words for the user and without the value.
    pub fn from_environment(name: &str) -> Result<Self, String> {
        Self { text: String::new(), place: Place::Environment(name.to_owned()) }.found()
    }

    /// Reads the content of a file, without the line end after it.
    ///
    /// # Errors
    /// Says what to do, in words for the user and without the value.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        Self { text: String::new(), place: Place::File(path.to_owned()) }.found()
    }

    fn found(mut self) -> Result<Self, String> {
        self.find_text(Path::new(""))?;
        Ok(self)
    }

    /// The value as librdkafka and the rules take it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if it was kept out of the configuration: then no message may show it, whatever property it is for.
    pub fn is_secret(&self) -> bool {
        self.place != Place::Here
    }

    /// Looks for the value where it is said to be; `folder` is the base of paths, also of one that the value of the
    /// property `name` is. The error says what to do, and shows no secret.
    pub(super) fn find(&mut self, name: &str, folder: &Path) -> Result<(), String> {
        self.find_text(folder)?;
        if self.text.is_empty() && (name.ends_with("password") || name.ends_with("secret")) {
            return Err("is empty; give the value, { env = \"NAME\" } or { file = \"PATH\" }".into());
        }
        // librdkafka says of a file that is not there only that OpenSSL failed. `probe`: where the system has its own.
        if name.starts_with("ssl.") && name.ends_with(".location") && self.text != "probe" {
            let path = folder.join(&self.text);
            if !path.exists() {
                let file =
                    if self.is_secret() { "the file named there".into() } else { path.display().to_string() };
                return Err(format!("{file} is not there"));
            }
            self.text = path.display().to_string();
        }
        Ok(())
    }

    /// As [`Property::find`], where the value is no path.
    pub(super) fn find_text(&mut self, folder: &Path) -> Result<(), String> {
        let (bytes, place) = match &self.place {
            Place::Here => return Ok(()),
            Place::Environment(name) => match std::env::var_os(name) {
                Some(text) => (text.into_encoded_bytes(), format!("the environment variable {name}")),
                None => {
                    return Err(format!(
                        "the environment variable {name} is not set; set it for whoever starts this"
                    ));
                }
            },
            Place::File(path) => {
                let path = folder.join(path);
                let shown = path.display().to_string();
                let mut bytes = Vec::new();
                File::open(&path)
                    .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
                    .map_err(|error| format!("{shown} cannot be read: {error}"))?;
                (bytes, shown)
            }
        };
        self.text = value_of(bytes, &place)?;
        Ok(())
    }
}

/// The value from a variable or a file, without one line end after it, which an editor or a shell may have added. The
/// error names the place, never the value.
fn value_of(bytes: Vec<u8>, place: &str) -> Result<String, String> {
    if bytes.len() as u64 > FILE_BYTES {
        return Err(format!("{place} has more than {FILE_BYTES} bytes, too many for a value"));
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
        return Err(format!("{place} has a zero byte in it"));
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
            // What `sasl.username = "…"` without quotation marks is for TOML.
            _ => {
                return Err(A::Error::custom(
                    "is a table, and neither { env = \"NAME\" } nor { file = \"PATH\" }; put a name with dots in quotation marks",
                ));
            }
        };
        match (&place, table.next_key::<String>()?) {
            (_, Some(_)) => Err(A::Error::custom("must have one key, `env` or `file`")),
            (Place::Environment(name), _) if name.is_empty() || name.contains(['=', '\0']) => {
                Err(A::Error::custom(format!("`{name}` is no name of an environment variable")))
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
        let elsewhere = |key: &str, of: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { key: { "type": "string", "description": of } },
                "required": [key],
                "additionalProperties": false,
            })
        };
        schemars::json_schema!({
            "description": "The value of a property, or where to find it: what is secret need not stand in this file.",
            "anyOf": [
                { "type": ["string", "number", "boolean"] },
                elsewhere("env", "The name of an environment variable; a line end at its end is left out."),
                elsewhere("file", "The path of a file, relative to the folder of this one; a line end at its end is left out."),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn written(value: &str) -> Result<Property, String> {
        let table: Result<BTreeMap<String, Property>, _> = toml::from_str(&format!("key = {value}"));
        table.map(|mut table| table.remove("key").unwrap()).map_err(|error| error.message().to_owned())
    }

    fn found(value: &str, folder: &Path) -> Result<String, String> {
        let mut property = written(value)?;
        property.find("sasl.password", folder).map(|()| property.text().to_owned())
    }

    #[test]
    fn a_value_is_a_text_a_number_or_a_boolean() {
        for (value, text) in [("\"SSL\"", "SSL"), ("6000", "6000"), ("0.5", "0.5"), ("true", "true")] {
            assert_eq!(found(value, Path::new("")).unwrap(), text);
        }
        assert!(written("[1]").unwrap_err().contains("expected a text, a number"));
    }

    /// The content of a place, and the value that it means.
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
    fn a_value_is_found_in_a_file_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        for (content, text) in VALUES {
            std::fs::write(folder.path().join("password"), content).unwrap();
            assert_eq!(found("{ file = \"password\" }", folder.path()).unwrap(), text);
        }
    }

    #[test]
    fn one_line_end_is_left_out_wherever_a_value_is_kept() {
        for place in ["the environment variable NAME", "/run/password"] {
            for (content, text) in VALUES {
                assert_eq!(value_of(content.into(), place).unwrap(), text, "{content:?}");
            }
            for (content, message) in [
                (&b""[..], "is empty"),
                (b"\n", "is empty"),
                (b"\r\n", "is empty"),
                (b"s\xffcret\n", "is not text"),
                (b"s\0cret", "has a zero byte"),
                (&[b'a'; FILE_BYTES as usize + 1], "has more than"),
            ] {
                let said = value_of(content.to_vec(), place).unwrap_err();
                assert!(
                    said.starts_with(place) && said.contains(message) && !said.contains("cret"),
                    "{said}"
                );
            }
        }
    }

    #[test]
    fn a_value_is_found_in_the_environment() {
        // Cargo sets it for every test.
        let name = "CARGO_MANIFEST_DIR";
        let value = std::env::var(name).unwrap();
        assert_eq!(found(&format!("{{ env = \"{name}\" }}"), Path::new("")).unwrap(), value);
    }

    #[test]
    fn what_cannot_be_found_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad");
        for (content, message) in [
            (&b"\n"[..], "bad is empty"),
            (b"s\xffcret", "bad is not text"),
            (b"s\0cret", "bad has a zero byte"),
        ] {
            std::fs::write(&path, content).unwrap();
            let said = found("{ file = \"bad\" }", folder.path()).unwrap_err();
            assert!(said.contains(message) && !said.contains("cret"), "{said}");
        }
        for (value, message) in [
            ("{ file = \"none\" }", "none cannot be read: No such file"),
            ("{ file = \".\" }", ". cannot be read: Is a directory"),
            ("\"\"", "is empty; give the value"),
            ("{ file = \"/dev/zero\" }", "/dev/zero has more than 1048576 bytes"),
            ("{ env = \"EVERYFRAME_NO_SUCH\" }", "variable EVERYFRAME_NO_SUCH is not set"),
            ("{ env = \"\" }", "is no name"),
            ("{ env = \"A\", file = \"b\" }", "must have one key"),
            ("{ password = \"word\" }", "put a name with dots in quotation marks"),
            ("{}", "neither"),
        ] {
            let said = found(value, folder.path()).unwrap_err();
            assert!(said.contains(message), "{value}: {said}");
        }
    }

    #[test]
    fn a_value_that_is_a_path_is_relative_to_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let find = |value: &str| {
            let mut property = written(value).unwrap();
            property.find("ssl.ca.location", folder.path()).map(|()| property.text().to_owned())
        };
        let ca = folder.path().join("ca.pem").display().to_string();
        assert_eq!(find("\"ca.pem\"").unwrap_err(), format!("{ca} is not there"));
        std::fs::write(&ca, "").unwrap();
        assert_eq!(find("\"ca.pem\"").unwrap(), ca);
        assert_eq!(find("\"probe\"").unwrap(), "probe");
    }

    #[test]
    fn an_argument_may_be_kept_elsewhere() {
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
    fn nothing_shows_a_value() {
        assert_eq!(format!("{:?}", written("\"word\"").unwrap()), "(a value)");
        let property = Property { text: "word".into(), place: Place::Environment("NAME".into()) };
        assert!(!format!("{property:?}").contains("word"));
    }
}
