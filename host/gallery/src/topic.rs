//! The gallery topic: its key is `person/sample`, its value one template as JSON, encrypted by the person's data key if a key is
//! configured. A tombstone erases the template.

use super::sample::{Sample, Terms};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use everyframe_kafka::BrokerError;
use everyframe_privacy::PrivacyError;
use everyframe_types::face::Embedding;
use everyframe_types::id;
use everyframe_types::id::{MAX_BYTES, clean, clean_name, printable};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the broker may take to acknowledge a record.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The ids that the shipped rule and the dashboard give to strangers begin with this.
pub const STRANGER_PREFIX: &str = "stranger-";

/// Why the gallery cannot be used, or a person's id is invalid.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// The topic cannot be read or written.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The keys do not open what is stored.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The text is not a valid person id.
    #[error(
        "`{id}` cannot be a person's id: it {fault}; use 1 to {MAX_BYTES} bytes without `/`, control and invisible characters"
    )]
    BadId {
        /// The text, made printable.
        id: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The thread that follows a topic cannot be started.
    #[error("cannot start the thread that follows the gallery or the strangers topic: {0}")]
    Thread(#[from] std::io::Error),
}

impl GalleryError {
    /// True if this process must not go on: with the right key, it would know people whom it takes for unknown.
    pub fn is_wrong_key(&self) -> bool {
        matches!(self, Self::Privacy(error) if error.is_wrong_key())
    }
}

/// A sample as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    person: String,
    name: String,
    model: String,
    #[serde(with = "crate::template_text")]
    embedding: Embedding,
    quality: f32,
    source: String,
    enrolled_at: i64,
    /// Base64 of a JPEG.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    thumbnail: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    stranger: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    negative: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    consent: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    purposes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    expires_at: Option<i64>,
}

/// A sample as the value of a record, before encryption.
pub(crate) fn format_sample(sample: &Sample) -> Result<Zeroizing<Vec<u8>>, GalleryError> {
    let value = Value {
        person: parse_person_id(&sample.person)?,
        name: sample.name.clone(),
        model: sample.model.clone(),
        embedding: sample.embedding.clone(),
        quality: sample.quality,
        source: sample.source.clone(),
        enrolled_at: sample.enrolled_at,
        thumbnail: sample.thumbnail_base64(),
        stranger: sample.stranger.clone(),
        negative: sample.negative,
        consent: sample.terms.consent.clone(),
        purposes: sample.terms.purposes.clone(),
        expires_at: sample.terms.expires_at,
    };
    let value = serde_json::to_vec(&value).map_err(|error| BrokerError::Other(error.to_string()))?;
    Ok(Zeroizing::new(value))
}

/// Normalises and checks a person's id that a user typed.
///
/// # Errors
///
/// The text is not a valid id: show the message and ask for another one.
fn parse_person_id(text: &str) -> Result<String, GalleryError> {
    let bad = |fault: String| GalleryError::BadId { id: printable(text), fault };
    match id::parse(text, MAX_BYTES) {
        Ok(id) if id.contains('/') => Err(bad("has a `/`".into())),
        Ok(id) => Ok(id),
        Err(fault) => Err(bad(fault.to_string())),
    }
}

/// Normalises and checks an id that a user typed, of a person who may not be enrolled yet.
///
/// # Errors
///
/// The text is not a valid id, or not one that a person may get: show the message and ask for another one.
pub fn parse_new_person_id(text: &str) -> Result<String, GalleryError> {
    let id = parse_person_id(text)?;
    if id.starts_with(STRANGER_PREFIX) {
        let fault = "begins like the id of a stranger".into();
        return Err(GalleryError::BadId { id: printable(text), fault });
    }
    Ok(id)
}

/// The key of a sample's record.
pub(crate) fn record_key(person: &str, id: &str) -> Result<String, GalleryError> {
    Ok(format!("{}/{id}", parse_person_id(person)?))
}

/// The sample in a record's value; none if it is not one.
pub(crate) fn parse_sample(value: &[u8]) -> Option<Sample> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let person = Some(clean(&value.person)).filter(|person| !person.is_empty())?;
    let name =
        Some(clean_name(&value.name)).filter(|name| !name.is_empty()).unwrap_or_else(|| person.clone());
    Some(Sample {
        person,
        name,
        model: value.model,
        embedding: value.embedding,
        quality: value.quality,
        source: value.source,
        enrolled_at: value.enrolled_at,
        // A person is recognised without a picture, too.
        thumbnail: BASE64.decode(value.thumbnail).unwrap_or_default(),
        stranger: value.stranger.map(|stranger| clean(&stranger)).filter(|stranger| !stranger.is_empty()),
        negative: value.negative,
        terms: Terms { consent: value.consent, purposes: value.purposes, expires_at: value.expires_at },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> String {
        BASE64.encode([1.0f32, 0.0].map(f32::to_le_bytes).concat())
    }

    #[test]
    fn ids_and_names_of_records_are_made_valid() {
        let embedding = template();
        let sample = |person: &str, name: &str| {
            let value = serde_json::json!({
                "person": person, "name": name, "model": "m", "embedding": embedding, "quality": 1, "source": "",
                "enrolledAt": 0,
            });
            parse_sample(value.to_string().as_bytes()).map(|sample| (sample.person, sample.name))
        };
        let of = |person: &str, name: &str| Some((person.to_owned(), name.to_owned()));
        assert_eq!(sample("Jose\u{301} ", " Jose\u{301}"), of("Jos\u{e9}", "Jos\u{e9}"));
        assert_eq!(sample("a\x1b[2J", "\u{202e}b\n"), of("a\u{fffd}[2J", "\u{fffd}b"));
        assert_eq!(sample("ann", " "), of("ann", "ann"));
        assert_eq!(sample(" ", "Ann"), None);
    }

    #[test]
    fn an_id_that_would_break_keys_is_refused() {
        assert_eq!(record_key("ann", "1").unwrap(), "ann/1");
        assert_eq!(record_key(" Jose\u{301}", "1").unwrap(), "Jos\u{e9}/1");
        for wrong in ["a/b", "", " ", "a\nb", "a\u{202e}", &"x".repeat(129)] {
            assert!(record_key(wrong, "1").is_err(), "{wrong:?}");
        }
    }
}
