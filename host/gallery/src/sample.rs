//! One template of one person.

use everyframe_types::face::Embedding;

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
        }
    }
}
