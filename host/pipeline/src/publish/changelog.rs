//! Rule state in the compacted state topic. The key is `rule/camera/key`, the value is what the rule stored.
//!
//! A frame's changes are published with its result, into the partition that has the number of the frame's.

use everyframe_types::judgement::{StateChange, StateValue};
use everyframe_types::record::IncomingRecord;

/// Header: the offset of the frame that made the change.
pub(super) const FRAME_OFFSET: &str = "everyframe-offset";
/// Header: frame time from which on the value is gone, Unix milliseconds. Without it: never.
pub(super) const EXPIRES_AT: &str = "everyframe-expires-at";

/// The record's key. A rule's name has no slash; a slash in a camera's id is escaped.
pub(super) fn key(change: &StateChange) -> String {
    let camera = change.camera.replace('%', "%25").replace('/', "%2F");
    format!("{}/{camera}/{}", change.rule, change.key)
}

/// The change in a record, and the offset of the frame that made it. None for a record that no host wrote.
pub(crate) fn read(record: &dyn IncomingRecord) -> Option<(i64, StateChange)> {
    let offset = record.header(FRAME_OFFSET)?.parse().ok().filter(|offset| *offset >= 0)?;
    let (rule, camera, key) = names(std::str::from_utf8(record.key()?).ok()?)?;
    let expires_at = match record.header(EXPIRES_AT) {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    let value = record.value().map(|bytes| StateValue { bytes: bytes.to_vec(), expires_at });
    Some((offset, StateChange { rule, camera, key, value }))
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
