//! The configured keys, and what they encrypt directly.
//!
//! ```text
//! EFK1 | id of the key, 8 bytes | salt, 16 bytes | nonce, 12 bytes | ciphertext | tag, 16 bytes
//! ```
//!
//! The key of a text is derived (HKDF-SHA256) from a configured key, the purpose and the salt. Each ring has a random salt and
//! counts its nonces, so that no pair of key and nonce is used twice, however many texts are encrypted.

use crate::aead::{AeadKey, NONCE, OVERHEAD};
use crate::error::PrivacyError;
use crate::secret::{Secret, fill_random, read_secret};
use everyframe_config::PrivacySettings;
use everyframe_types::hexadecimal::hexadecimal;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"EFK1";
const SALT: usize = 16;
const ID: usize = 8;

/// What a text is. The key of one purpose opens no text of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// The data key of a person.
    PersonKey,
    /// The ids of a person who was erased.
    Erasure,
    /// A view of a stranger.
    Stranger,
    /// A value that a rule keeps.
    RuleState,
    /// A picture in an agent's spool.
    Spool,
}

impl KeyUse {
    const ALL: [Self; 5] = [Self::PersonKey, Self::Erasure, Self::Stranger, Self::RuleState, Self::Spool];

    fn label(self) -> &'static str {
        match self {
            Self::PersonKey => "the data key of a person",
            Self::Erasure => "a notice of an erasure",
            Self::Stranger => "a view of a stranger",
            Self::RuleState => "rule state",
            Self::Spool => "a picture of a spool",
        }
    }
}

/// The id of a key: the first bytes of a hash of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

struct MasterKey {
    id: KeyId,
    secret: Secret,
}

impl MasterKey {
    fn new(secret: Secret) -> Result<Self, PrivacyError> {
        let mut id = [0; ID];
        derive(&secret, &[], "everyframe key id", &mut id)?;
        Ok(Self { id: KeyId(id), secret })
    }

    fn purpose_key(&self, salt: &[u8; SALT], purpose: KeyUse) -> Result<AeadKey, PrivacyError> {
        let mut key = Zeroizing::new([0; 32]);
        derive(&self.secret, salt, purpose.label(), &mut *key)?;
        AeadKey::new(&key)
    }
}

/// Encrypts with the first key.
struct Active {
    id: KeyId,
    salt: [u8; SALT],
    keys: Vec<(KeyUse, AeadKey)>,
    next_nonce: AtomicU64,
}

/// The configured keys. Without any, texts stay as they are.
pub struct KeyRing {
    keys: Vec<MasterKey>,
    active: Option<Active>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl KeyRing {
    /// Reads the configured keys from their places.
    ///
    /// # Errors
    ///
    /// A key cannot be read: do not go on without it.
    pub fn load(settings: &PrivacySettings) -> Result<Self, PrivacyError> {
        Self::new(settings.keys.iter().map(read_secret).collect::<Result<_, _>>()?)
    }

    fn new(secrets: Vec<Secret>) -> Result<Self, PrivacyError> {
        let keys = secrets.into_iter().map(MasterKey::new).collect::<Result<Vec<_>, _>>()?;
        let active = match keys.first() {
            None => None,
            Some(first) => {
                let mut salt = [0; SALT];
                fill_random(&mut salt)?;
                let key = |purpose| Ok((purpose, first.purpose_key(&salt, purpose)?));
                let keys = KeyUse::ALL.into_iter().map(key).collect::<Result<_, _>>()?;
                Some(Active { id: first.id, salt, keys, next_nonce: AtomicU64::new(0) })
            }
        };
        Ok(Self { keys, active })
    }

    /// A ring without keys.
    pub fn empty() -> Self {
        Self { keys: Vec::new(), active: None }
    }

    /// True if there is no key, so that nothing is encrypted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The id of the key that encrypts.
    pub fn active_id(&self) -> Option<KeyId> {
        self.active.as_ref().map(|active| active.id)
    }

    /// The ids of all keys; the first one encrypts.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|key| key.id)
    }

    /// Encrypts a text, or returns it as it is if there is no key. `context` says where it belongs, for example its record key;
    /// it opens nowhere else.
    ///
    /// # Errors
    ///
    /// [`PrivacyError::Cryptography`]: the text has gigabytes.
    pub fn seal(&self, purpose: KeyUse, context: &str, plain: &[u8]) -> Result<Vec<u8>, PrivacyError> {
        let Some(active) = &self.active else { return Ok(plain.to_vec()) };
        let (_, key) =
            active.keys.iter().find(|(other, _)| *other == purpose).ok_or(PrivacyError::Cryptography)?;
        let head = [MAGIC.as_slice(), &active.id.0, &active.salt].concat();
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(&active.next_nonce.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        key.seal(head, nonce, context.as_bytes(), plain)
    }

    /// Decrypts what [`KeyRing::seal`] returned. A text that is not encrypted is returned as it is.
    ///
    /// # Errors
    ///
    /// [`PrivacyError::UnknownKey`]: stop, and say so. [`PrivacyError::Damaged`]: the text cannot be trusted.
    pub fn open(
        &self,
        purpose: KeyUse,
        context: &str,
        text: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, PrivacyError> {
        let Some(rest) = text.strip_prefix(MAGIC) else { return Ok(Zeroizing::new(text.to_vec())) };
        let damaged = || PrivacyError::Damaged(purpose.label().into());
        let (id, rest) = rest.split_first_chunk::<ID>().ok_or_else(damaged)?;
        let (salt, sealed) = rest.split_first_chunk::<SALT>().ok_or_else(damaged)?;
        let key = self.keys.iter().find(|key| key.id.0 == *id);
        let key = key.ok_or_else(|| PrivacyError::UnknownKey {
            what: purpose.label().into(),
            needed: KeyId(*id).to_string(),
            have: self.ids().map(|id| id.to_string()).collect(),
        })?;
        key.purpose_key(salt, purpose)?.open(context.as_bytes(), sealed).ok_or_else(damaged)
    }

    /// The id of the key that a text is encrypted with; none if it is not encrypted.
    pub fn key_of(text: &[u8]) -> Option<KeyId> {
        text.strip_prefix(MAGIC)?.first_chunk::<ID>().map(|id| KeyId(*id))
    }

    /// Bytes that [`KeyRing::seal`] adds to a text if there is a key.
    pub const OVERHEAD: usize = MAGIC.len() + ID + SALT + OVERHEAD;
}

/// True if a text is encrypted by a [`KeyRing`].
pub fn is_sealed(text: &[u8]) -> bool {
    text.starts_with(MAGIC)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(secret: &Secret, salt: &[u8], label: &str, out: &mut [u8]) -> Result<(), PrivacyError> {
    let key = Salt::new(HKDF_SHA256, salt).extract(&**secret);
    let label = [label.as_bytes()];
    let derived = key.expand(&label, Length(out.len())).map_err(|_| PrivacyError::Cryptography)?;
    derived.fill(out).map_err(|_| PrivacyError::Cryptography)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn ring(secrets: &[u8]) -> KeyRing {
        KeyRing::new(secrets.iter().map(|byte| Zeroizing::new([*byte; 32])).collect()).unwrap()
    }

    #[test]
    fn a_text_opens_with_its_key_purpose_and_context_only() {
        let ring = ring(&[1]);
        let sealed = ring.seal(KeyUse::Stranger, "ann/gate/0", b"a face").unwrap();
        assert!(is_sealed(&sealed) && !sealed.windows(6).any(|bytes| bytes == b"a face"));
        assert_eq!(sealed.len(), 6 + KeyRing::OVERHEAD);
        let open = |purpose, context: &str, text: &[u8]| ring.open(purpose, context, text);
        assert_eq!(&**open(KeyUse::Stranger, "ann/gate/0", &sealed).unwrap(), b"a face");
        assert!(matches!(open(KeyUse::RuleState, "ann/gate/0", &sealed), Err(PrivacyError::Damaged(_))));
        assert!(matches!(open(KeyUse::Stranger, "bob/gate/0", &sealed), Err(PrivacyError::Damaged(_))));
        for place in 4 + ID..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            let error = open(KeyUse::Stranger, "ann/gate/0", &changed).unwrap_err();
            assert_eq!(error, PrivacyError::Damaged("a view of a stranger".into()), "byte {place}");
        }
        for length in 4..sealed.len() {
            assert!(open(KeyUse::Stranger, "ann/gate/0", &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn an_older_key_opens_and_the_first_one_seals() {
        let old = ring(&[1]).seal(KeyUse::Spool, "", b"picture").unwrap();
        let both = ring(&[2, 1]);
        assert_eq!(&**both.open(KeyUse::Spool, "", &old).unwrap(), b"picture");
        let new = both.seal(KeyUse::Spool, "", b"picture").unwrap();
        assert_eq!(KeyRing::key_of(&new), both.active_id());
        assert_ne!(KeyRing::key_of(&old), KeyRing::key_of(&new));
        assert_eq!(&**ring(&[2]).open(KeyUse::Spool, "", &new).unwrap(), b"picture");
    }

    #[test]
    fn a_missing_key_is_named_with_those_there_are() {
        let sealed = ring(&[1]).seal(KeyUse::PersonKey, "", b"key").unwrap();
        let needed = ring(&[1]).active_id().unwrap().to_string();
        for (others, have) in [(ring(&[2]), 1), (KeyRing::empty(), 0)] {
            let error = others.open(KeyUse::PersonKey, "", &sealed).unwrap_err();
            assert!(error.is_wrong_key() && error.to_string().contains(&needed), "{error}");
            let PrivacyError::UnknownKey { have: ids, .. } = error else { panic!("{error}") };
            assert_eq!(ids.len(), have);
        }
    }

    #[test]
    fn without_a_key_texts_stay_as_they_are() {
        let ring = KeyRing::empty();
        assert_eq!(ring.seal(KeyUse::RuleState, "", b"{}").unwrap(), b"{}");
        assert_eq!(&**ring.open(KeyUse::RuleState, "", b"{}").unwrap(), b"{}");
        assert_eq!(&**super::tests::ring(&[1]).open(KeyUse::RuleState, "", b"{}").unwrap(), b"{}");
    }

    #[test]
    fn equal_texts_look_different() {
        let ring = ring(&[1]);
        let seal = || ring.seal(KeyUse::RuleState, "", b"value").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn debug_output_shows_no_key() {
        let text = format!("{:?}", ring(&[0xab]));
        assert!(!text.contains("abab") && !text.contains("171"), "{text}");
    }
}
