//! Finds out whether a key is missing for the records of a compacted topic.

use crate::error::PrivacyError;
use everyframe_types::id::printable;
use std::collections::BTreeMap;

/// Collects the records that need a missing key. A compacted topic keeps older records for a while, so only the last one of each
/// record key counts: it may have been encrypted again with a key that is there.
#[derive(Debug, Default)]
pub struct KeyCheck {
    missing: BTreeMap<String, PrivacyError>,
}

impl KeyCheck {
    /// Takes note of the next record of this key, and returns its content; none if it cannot be decrypted.
    pub fn add<T>(&mut self, key: &str, read: Result<T, PrivacyError>) -> Option<T> {
        self.missing.remove(key);
        match read {
            Ok(content) => Some(content),
            Err(error) if error.is_wrong_key() => {
                self.missing.insert(key.to_owned(), error);
                None
            }
            Err(error) => {
                tracing::error!(key = printable(key), "a record is ignored: {error}");
                None
            }
        }
    }

    /// Ends the check when all records are read.
    ///
    /// # Errors
    ///
    /// [`PrivacyError::UnknownKey`]: a last record needs a key that is missing. Stop.
    pub fn finish(self) -> Result<(), PrivacyError> {
        self.missing.into_values().next().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_ring::{KeyRing, KeyUse, tests::ring};

    #[test]
    fn only_the_last_record_of_a_key_counts() {
        let old = ring(&[1]).seal(KeyUse::RuleState, "", b"old").unwrap();
        let open = |text: &[u8]| KeyRing::open(&ring(&[2]), KeyUse::RuleState, "", text);
        let mut check = KeyCheck::default();
        assert!(check.add("a", open(&old)).is_none());
        assert!(check.add("a", open(b"plain")).is_some());
        assert_eq!(check.finish(), Ok(()));
        let mut check = KeyCheck::default();
        check.add("a", open(b"plain"));
        check.add("b", open(&old));
        assert!(check.finish().unwrap_err().is_wrong_key());
    }
}
