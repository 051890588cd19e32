//! AES-256-GCM, by ring.

use crate::error::PrivacyError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Bytes of a nonce.
pub(crate) const NONCE: usize = NONCE_LEN;
/// Bytes that encryption adds: nonce and tag.
pub(crate) const OVERHEAD: usize = NONCE + 16;

/// A key of 32 bytes.
pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    pub(crate) fn new(secret: &[u8; 32]) -> Result<Self, PrivacyError> {
        let key = UnboundKey::new(&AES_256_GCM, secret).map_err(|_| PrivacyError::Cryptography)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Adds nonce, ciphertext and tag to `head`. Never use a nonce twice. `context` says what the text is, and is not part of the
    /// output: it must be the same for opening.
    pub(crate) fn seal(
        &self,
        mut head: Vec<u8>,
        nonce: [u8; NONCE],
        context: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, PrivacyError> {
        head.reserve(plain.len() + OVERHEAD);
        head.extend_from_slice(&nonce);
        let begin = head.len();
        head.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let text = &mut head[begin..];
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(context), text);
        head.extend_from_slice(tag.map_err(|_| PrivacyError::Cryptography)?.as_ref());
        Ok(head)
    }

    /// Opens nonce, ciphertext and tag. None if the key, the context or the text is another one.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(context), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}
