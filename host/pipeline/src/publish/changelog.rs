//! Rule state in the compacted state topic. The key is `rule/camera/key`, the value is what the rule stored.
//!
//! A frame's changes are published with its result, into the partition that has the number of the frame's.

use everyframe_privacy::{KeyRing, KeyUse, PrivacyError};
use everyframe_types::judgement::{StateChange, StateValue};
use everyframe_types::record::IncomingRecord;

/// Header: the offset of the frame that made the change.
pub(crate) const FRAME_OFFSET: &str = "everyframe-offset";
/// Header: frame time from which on the value is gone, Unix milliseconds. Without it: never.
pub(crate) const EXPIRES_AT: &str = "everyframe-expires-at";

/// Header: the value is encrypted. Without it, it is not, whatever its bytes are: rules choose them.
pub(crate) const SEALED: &str = "everyframe-sealed";

/// The record's key. A rule's name has no slash; a slash in a camera's id is escaped.
pub(super) fn key(change: &StateChange) -> String {
    let camera = change.camera.replace('%', "%25").replace('/', "%2F");
    format!("{}/{camera}/{}", change.rule, change.key)
}

/// The change in a record, and the offset of the frame that made it. None for a record that no host wrote.
///
/// # Errors
///
/// [`PrivacyError::UnknownKey`]: stop. [`PrivacyError::Damaged`]: leave the record out.
pub(crate) fn read(
    ring: &KeyRing,
    record: &dyn IncomingRecord,
) -> Result<Option<(i64, StateChange)>, PrivacyError> {
    let Some((offset, expires_at, key, names)) = read_head(record) else { return Ok(None) };
    let bytes = match record.value() {
        None => None,
        Some(value) => Some(open_value(ring, key, value, record.header(SEALED).is_some())?),
    };
    let (rule, camera, key) = names;
    let value = bytes.map(|bytes| StateValue { bytes, expires_at });
    Ok(Some((offset, StateChange { rule, camera, key, value })))
}

/// Offset, expiry, key, and the names in the key.
type Head<'a> = (i64, Option<i64>, &'a str, (String, String, String));

fn read_head(record: &dyn IncomingRecord) -> Option<Head<'_>> {
    let offset = record.header(FRAME_OFFSET)?.parse().ok().filter(|offset| *offset >= 0)?;
    let key = std::str::from_utf8(record.key()?).ok()?;
    let expires_at = match record.header(EXPIRES_AT) {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    Some((offset, expires_at, key, names(key)?))
}

/// The value of a record.
///
/// # Errors
///
/// As [`read`].
pub(crate) fn open_value(
    ring: &KeyRing,
    key: &str,
    value: &[u8],
    is_sealed: bool,
) -> Result<Vec<u8>, PrivacyError> {
    if is_sealed { Ok(ring.open(KeyUse::RuleState, key, value)?.to_vec()) } else { Ok(value.to_vec()) }
}

/// A value as it is written, and whether it is encrypted. None if it cannot be encrypted.
pub(crate) fn write_value(ring: &KeyRing, key: &str, value: &[u8]) -> Option<(Vec<u8>, bool)> {
    match ring.seal(KeyUse::RuleState, key, value) {
        Ok(sealed) => Some((sealed, !ring.is_empty())),
        Err(error) => {
            tracing::error!("a rule's state is not written: {error}");
            None
        }
    }
}

/// Rule, camera and the rule's own key, out of a record's key.
pub(super) fn names(key: &str) -> Option<(String, String, String)> {
    let (rule, rest) = key.split_once('/')?;
    let (camera, key) = rest.split_once('/')?;
    Some((rule.to_owned(), camera.replace("%2F", "/").replace("%25", "%"), key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_survive_the_key(camera in ".*", own in ".*") {
            let change = StateChange { rule: "a-rule".into(), camera, key: own, value: None };
            prop_assert_eq!(names(&key(&change)), Some((change.rule, change.camera, change.key)));
        }
    }
}
