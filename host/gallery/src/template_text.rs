//! Templates in JSON: base64 of little-endian 32-bit floats. For `#[serde(with = "crate::template_text")]`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use everyframe_types::face::Embedding;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};
use zeroize::Zeroizing;

pub(crate) fn serialize<S: Serializer>(template: &Embedding, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = template.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    serializer.serialize_str(&BASE64.encode(Zeroizing::new(bytes)))
}

/// Copies of the template are overwritten when they are not needed any more.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Embedding, D::Error> {
    let text = Zeroizing::new(String::deserialize(deserializer)?);
    let bytes = Zeroizing::new(BASE64.decode(&*text).map_err(D::Error::custom)?);
    let numbers = bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk));
    let numbers = Zeroizing::new(numbers.collect::<Vec<f32>>());
    Embedding::from_raw(&numbers).ok_or_else(|| D::Error::custom("the vector has no direction"))
}
