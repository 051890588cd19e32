//! The key of one person's templates.
//!
//! ```text
//! EFP1 | id of the data key, 16 bytes | nonce, 12 bytes | ciphertext | tag, 16 bytes
//! ```

use crate::aead::{AeadKey, NONCE};
use crate::error::PrivacyError;
use crate::hex;
use crate::key_ring::{KeyRing, KeyUse};
use crate::secret::{Secret, fill_random};
use everyframe_types::hexadecimal::hexadecimal;
use std::fmt;
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"EFP1";
const ID: usize = 16;

/// The id of a data key: random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataKeyId([u8; ID]);

impl fmt::Display for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl DataKeyId {
    /// Reads the text that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        hex::parse(text).map(Self)
    }

    /// The data key that a text is encrypted with; none if it is not encrypted by a [`DataKey`].
    pub fn of(text: &[u8]) -> Option<Self> {
        text.strip_prefix(MAGIC)?.first_chunk::<ID>().map(|id| Self(*id))
    }
}

/// The key of one person's templates. It is kept encrypted by a [`KeyRing`]; when that copy is destroyed, all templates are
/// unreadable, wherever copies of them are.
pub struct DataKey {
    id: DataKeyId,
    secret: Secret,
    key: AeadKey,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

impl DataKey {
    /// A new random key.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn generate() -> Result<Self, PrivacyError> {
        let (mut id, mut secret) = ([0; ID], Zeroizing::new([0; 32]));
        fill_random(&mut id)?;
        fill_random(&mut *secret)?;
        Ok(Self { id: DataKeyId(id), key: AeadKey::new(&secret)?, secret })
    }

    /// The key's id.
    pub fn id(&self) -> DataKeyId {
        self.id
    }

    /// The key, encrypted, with the id of its person.
    ///
    /// # Errors
    ///
    /// See [`KeyRing::seal`].
    pub fn wrap(&self, ring: &KeyRing, person: &str) -> Result<Vec<u8>, PrivacyError> {
        let plain = Zeroizing::new([self.secret.as_slice(), person.as_bytes()].concat());
        ring.seal(KeyUse::PersonKey, &self.id.to_string(), &plain)
    }

    /// The key that [`DataKey::wrap`] encrypted, and the id of its person.
    ///
    /// # Errors
    ///
    /// See [`KeyRing::open`].
    pub fn unwrap(ring: &KeyRing, id: DataKeyId, wrapped: &[u8]) -> Result<(Self, String), PrivacyError> {
        let damaged = || PrivacyError::Damaged("the data key of a person".into());
        if KeyRing::key_of(wrapped).is_none() {
            return Err(damaged());
        }
        let plain = ring.open(KeyUse::PersonKey, &id.to_string(), wrapped)?;
        let (secret, person) = plain.split_first_chunk::<32>().ok_or_else(damaged)?;
        let person = std::str::from_utf8(person).map_err(|_| damaged())?.to_owned();
        let secret = Zeroizing::new(*secret);
        Ok((Self { id, key: AeadKey::new(&secret)?, secret }, person))
    }

    /// Encrypts a text of the person; it opens with the same `context` only.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, PrivacyError> {
        let mut nonce = [0; NONCE];
        // Random: a person has at most thousands of texts.
        fill_random(&mut nonce)?;
        self.key.seal([MAGIC.as_slice(), &self.id.0].concat(), nonce, context.as_bytes(), plain)
    }

    /// Decrypts what [`DataKey::seal`] returned.
    ///
    /// # Errors
    ///
    /// [`PrivacyError::Damaged`]: it is of another key or context, or was changed.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, PrivacyError> {
        let rest = sealed.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&self.id.0));
        let plain = rest.and_then(|rest| self.key.open(context.as_bytes(), rest));
        plain.ok_or_else(|| PrivacyError::Damaged("a template".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_ring::tests::ring;

    #[test]
    fn a_wrapped_key_opens_the_texts_of_its_person() {
        let key = DataKey::generate().unwrap();
        let sealed = key.seal("ann/1", b"template").unwrap();
        assert_eq!(DataKeyId::of(&sealed), Some(key.id()));
        assert_eq!(DataKeyId::parse(&key.id().to_string()), Some(key.id()));
        let wrapped = key.wrap(&ring(&[1]), "ann").unwrap();
        let (again, person) = DataKey::unwrap(&ring(&[2, 1]), key.id(), &wrapped).unwrap();
        assert_eq!((person.as_str(), &**again.open("ann/1", &sealed).unwrap()), ("ann", &b"template"[..]));
        assert!(again.open("bob/1", &sealed).is_err(), "a template opens under its own record key only");
        assert!(DataKey::generate().unwrap().open("ann/1", &sealed).is_err());
    }

    #[test]
    fn a_key_is_bound_to_its_id_and_never_plain() {
        let key = DataKey::generate().unwrap();
        let wrapped = key.wrap(&ring(&[1]), "ann").unwrap();
        let other = DataKey::generate().unwrap().id();
        assert!(matches!(DataKey::unwrap(&ring(&[1]), other, &wrapped), Err(PrivacyError::Damaged(_))));
        assert!(DataKey::unwrap(&ring(&[1]), key.id(), &[7; 40]).is_err());
        assert!(DataKey::unwrap(&ring(&[2]), key.id(), &wrapped).unwrap_err().is_wrong_key());
    }
}
