//! Signatures by Ed25519.

use crate::error::PrivacyError;
use crate::hex;
use crate::secret::read_secret;
use everyframe_config::PrivacySettings;
use everyframe_types::hexadecimal::hexadecimal;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A signature, and the key that checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signature {
    /// The public key, 64 hexadecimal digits.
    pub public_key: String,
    /// The signature (Ed25519), 128 hexadecimal digits.
    pub signature: String,
}

/// Signs receipts and trail entries.
pub struct Signer(Ed25519KeyPair);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public_key())
    }
}

impl Signer {
    /// Reads the configured signing key; none if none is configured.
    ///
    /// # Errors
    ///
    /// The key cannot be read.
    pub fn load(settings: &PrivacySettings) -> Result<Option<Self>, PrivacyError> {
        settings.signing_key.as_ref().map(|source| Self::new(&*read_secret(source)?)).transpose()
    }

    fn new(seed: &[u8; 32]) -> Result<Self, PrivacyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| PrivacyError::Cryptography)?;
        Ok(Self(pair))
    }

    /// The public key, 64 hexadecimal digits.
    pub fn public_key(&self) -> String {
        hexadecimal(self.0.public_key().as_ref())
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature { public_key: self.public_key(), signature: hexadecimal(self.0.sign(message).as_ref()) }
    }
}

/// True if the signature is one of `public_key` for this message.
pub fn verify_signature(signature: &Signature, public_key: &str, message: &[u8]) -> bool {
    if !signature.public_key.eq_ignore_ascii_case(public_key) {
        return false;
    }
    match (hex::parse::<32>(public_key), hex::parse::<64>(&signature.signature)) {
        (Some(key), Some(signature)) => {
            UnparsedPublicKey::new(&ED25519, key).verify(message, &signature).is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn signer(byte: u8) -> Signer {
        Signer::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_signature_is_of_its_key_and_message() {
        let (signer, other) = (signer(1), signer(2));
        let signature = signer.sign(b"message");
        assert!(verify_signature(&signature, &signer.public_key(), b"message"));
        assert!(!verify_signature(&signature, &signer.public_key(), b"massage"));
        assert!(!verify_signature(&signature, &other.public_key(), b"message"));
        let forged = Signature { public_key: signer.public_key(), ..other.sign(b"message") };
        assert!(!verify_signature(&forged, &signer.public_key(), b"message"));
        let nonsense = Signature { signature: "00".into(), ..signature };
        assert!(!verify_signature(&nonsense, &signer.public_key(), b"message"));
    }
}
