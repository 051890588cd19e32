//! One template of one person.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use everyframe_types::face::Embedding;
use serde::{Deserialize, Serialize};

/// A template: a person's embedding from one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The person's id.
    pub person: String,
    /// The person's display name.
    pub name: String,
    /// SHA-256 of the embedding model, hexadecimal. Templates of different models are never compared.
    pub model: String,
    /// The template, a unit vector `[n]`; `n` is given by the model.
    pub embedding: Embedding,
    /// The face's quality in the picture, 0 to 1.
    pub quality: f32,
    /// The picture's file name, or the frame that it is from.
    pub source: String,
    /// When the person was enrolled, Unix milliseconds.
    pub enrolled_at: i64,
    /// A small JPEG of the face; empty if there is none.
    pub thumbnail: Vec<u8>,
    /// The stranger whose picture this was, if the person was enrolled from a stranger.
    pub stranger: Option<String>,
    /// The face is *not* this person's. A face that is at least as similar to it as to the person's other samples is not offered as
    /// this person.
    pub negative: bool,
    /// What the person agreed to.
    pub terms: Terms,
}

/// What a person agreed to. All samples of a person have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terms {
    /// Where the consent is recorded, for example the number of a form. None: no consent is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// The purposes, by their names in `[[privacy.purposes]]`; they limit the cameras. None: no limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    /// When the enrolment ends, Unix milliseconds: from then on the person is not recognised, and is erased. None: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

impl Terms {
    /// True if the enrolment has ended at a time, Unix milliseconds.
    pub fn have_expired(&self, at: i64) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= at)
    }

    /// These terms, with those of `before` where these say nothing.
    pub fn or(self, before: &Self) -> Self {
        Self {
            consent: self.consent.or_else(|| before.consent.clone()),
            purposes: if self.purposes.is_empty() { before.purposes.clone() } else { self.purposes },
            expires_at: self.expires_at.or(before.expires_at),
        }
    }
}

impl Sample {
    /// The JPEG of the face as base64.
    pub fn thumbnail_base64(&self) -> String {
        BASE64.encode(&self.thumbnail)
    }
}

#[cfg(test)]
impl Sample {
    /// A sample for tests; its name is the id in upper case.
    pub fn for_test(person: &str, model: &str, values: &[f32]) -> Self {
        Self {
            person: person.into(),
            name: person.to_uppercase(),
            model: model.into(),
            embedding: Embedding::from_raw(values).unwrap(),
            quality: 1.0,
            source: String::new(),
            enrolled_at: 0,
            thumbnail: Vec::new(),
            stranger: None,
            negative: false,
            terms: Terms::default(),
        }
    }
}
