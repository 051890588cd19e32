//! The records of the strangers topic, as JSON. A tombstone erases what the record of its key said.

use everyframe_privacy::{KeyRing, KeyUse, PrivacyError};
use everyframe_types::event::EventPosition;
use everyframe_types::face::{Embedding, Rect};
use everyframe_types::id;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The end of the key of a [`StrangerMerge`].
const MERGED: &str = "/merged";
/// The end of the key of a [`StrangerChange`].
const CHANGED: &str = "/changed";

/// A record of the strangers topic.
#[derive(Debug, Clone, PartialEq)]
pub enum StrangerRecord {
    /// Of a face of a stranger.
    View(StrangerView),
    /// Two strangers are one.
    Merge(StrangerMerge),
    /// Somebody forgot or split a stranger by hand.
    Change(StrangerChange),
}

/// One view of a stranger: a template, and where the face was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StrangerView {
    /// The stranger's id.
    pub stranger: String,
    /// The camera.
    pub camera: String,
    /// The number of the view among those of this stranger and camera.
    pub view: u32,
    /// SHA-256 of the embedding model, hexadecimal. Templates of different models are never compared.
    pub model: String,
    /// The template, a unit vector `[n]`; `n` is given by the model.
    #[serde(with = "crate::template_text")]
    pub embedding: Embedding,
    /// The face's quality, 0 to 1.
    pub quality: f32,
    /// The face's bounding box, pixels of the frame.
    pub bounds: Rect,
    /// The frame.
    pub position: EventPosition,
    /// When a camera first saw the stranger, Unix milliseconds.
    pub first_seen_at: i64,
    /// When the frame was taken, Unix milliseconds.
    pub seen_at: i64,
    /// Number of visits, including the current one.
    pub visits: u32,
    /// The frame time from which on the view is forgotten, Unix milliseconds.
    pub expires_at: i64,
}

/// Says that two strangers are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StrangerMerge {
    /// The id that is no longer used.
    pub stranger: String,
    /// The id that is used instead.
    pub merged_into: String,
    /// The camera that saw it.
    pub camera: String,
    /// The frame.
    pub position: EventPosition,
    /// When the frame was taken, Unix milliseconds.
    pub seen_at: i64,
    /// The frame time from which on this is forgotten, Unix milliseconds.
    pub expires_at: i64,
}

/// Says that somebody changed a stranger by hand. What cameras remembered of it until then no longer holds; the views that the
/// topic has do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StrangerChange {
    /// The stranger.
    pub stranger: String,
    /// When, Unix milliseconds of the clock of the machine.
    pub changed_at: i64,
    /// Sightings up to this time, Unix milliseconds, are nobody's any more; none of them if the stranger was only split.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub forgotten_until: Option<i64>,
    /// Visits that belong to other strangers.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub moved: Vec<MovedVisit>,
    /// The time from which on this is forgotten, Unix milliseconds.
    pub expires_at: i64,
}

/// A visit that was split off a stranger. Times are Unix milliseconds, both included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedVisit {
    /// The camera.
    pub camera: String,
    /// When its first frame was taken.
    pub from: i64,
    /// When its last frame was taken.
    pub to: i64,
    /// The stranger to whom it belongs.
    pub stranger: String,
}

impl StrangerView {
    /// The record's key.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.stranger, self.camera, self.view)
    }
}

impl StrangerMerge {
    /// The record's key.
    pub fn key(&self) -> String {
        format!("{}{MERGED}", self.stranger)
    }
}

impl StrangerChange {
    /// The record's key.
    pub fn key(&self) -> String {
        format!("{}{CHANGED}", self.stranger)
    }
}

/// The stranger whose change has this key; none if it is not the key of a change.
pub(super) fn changed_stranger(key: &str) -> Option<&str> {
    key.strip_suffix(CHANGED)
}

/// The stranger whose merge has this key; none if it is not the key of a merge.
pub(super) fn merged_stranger(key: &str) -> Option<&str> {
    key.strip_suffix(MERGED)
}

impl StrangerRecord {
    /// Reads the record of a key; none if it is not a record that a host wrote under this key.
    ///
    /// # Errors
    ///
    /// [`PrivacyError::UnknownKey`]: stop. [`PrivacyError::Damaged`]: leave the record out.
    pub fn parse(ring: &KeyRing, key: &str, value: &[u8]) -> Result<Option<Self>, PrivacyError> {
        Ok(Self::parse_json(key, &ring.open(KeyUse::Stranger, key, value)?))
    }

    fn parse_json(key: &str, value: &[u8]) -> Option<Self> {
        let is_id = |text: &str| id::parse(text, id::MAX_STRANGER_BYTES).as_deref() == Ok(text);
        if merged_stranger(key).is_some() {
            let merge: StrangerMerge = serde_json::from_slice(value).ok()?;
            let is_valid = merge.key() == key && is_id(&merge.stranger) && is_id(&merge.merged_into);
            return is_valid.then_some(Self::Merge(merge));
        }
        if changed_stranger(key).is_some() {
            let change: StrangerChange = serde_json::from_slice(value).ok()?;
            let are_ids = is_id(&change.stranger) && change.moved.iter().all(|visit| is_id(&visit.stranger));
            let is_valid = change.key() == key && are_ids;
            return is_valid.then_some(Self::Change(change));
        }
        let view: StrangerView = serde_json::from_slice(value).ok()?;
        (view.key() == key && is_id(&view.stranger)).then_some(Self::View(view))
    }

    /// The record's key.
    pub fn key(&self) -> String {
        match self {
            Self::View(view) => view.key(),
            Self::Merge(merge) => merge.key(),
            Self::Change(change) => change.key(),
        }
    }

    /// The record's value: JSON, encrypted if a key is configured.
    ///
    /// # Errors
    ///
    /// See [`KeyRing::seal`].
    pub fn to_value(&self, ring: &KeyRing) -> Result<Vec<u8>, PrivacyError> {
        let json = Zeroizing::new(self.to_json());
        ring.seal(KeyUse::Stranger, &self.key(), &json)
    }

    /// Serialising cannot fail: the record has text keys and numbers. If it did, the value would be empty, and its readers would
    /// ignore it.
    fn to_json(&self) -> Vec<u8> {
        let json = match self {
            Self::View(view) => serde_json::to_vec(view),
            Self::Merge(merge) => serde_json::to_vec(merge),
            Self::Change(change) => serde_json::to_vec(change),
        };
        json.unwrap_or_default()
    }

    /// The stranger's id, and the one that it was merged into.
    pub(crate) fn strangers(&self) -> (&str, Option<&str>) {
        match self {
            Self::View(view) => (&view.stranger, None),
            Self::Merge(merge) => (&merge.stranger, Some(&merge.merged_into)),
            Self::Change(change) => (&change.stranger, None),
        }
    }

    /// When the frame was taken or the change made, and when the record expires, Unix milliseconds.
    pub(super) fn times(&self) -> (i64, i64) {
        match self {
            Self::View(view) => (view.seen_at, view.expires_at),
            Self::Merge(merge) => (merge.seen_at, merge.expires_at),
            Self::Change(change) => (change.changed_at, change.expires_at),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn position() -> EventPosition {
        EventPosition { topic: "frames".into(), partition: 0, offset: 7 }
    }

    /// A view that was taken at `seen_at` and lives for a thousand milliseconds.
    pub(crate) fn view(stranger: &str, camera: &str, values: &[f32], seen_at: i64) -> StrangerView {
        StrangerView {
            stranger: stranger.into(),
            camera: camera.into(),
            view: 0,
            model: "m".into(),
            embedding: Embedding::from_raw(values).unwrap(),
            quality: 0.9,
            bounds: Rect { x: 1.0, y: 2.0, width: 3.0, height: 4.0 },
            position: position(),
            first_seen_at: seen_at,
            seen_at,
            visits: 1,
            expires_at: seen_at + 1000,
        }
    }

    pub(crate) fn merge(stranger: &str, into: &str, seen_at: i64) -> StrangerMerge {
        StrangerMerge {
            stranger: stranger.into(),
            merged_into: into.into(),
            camera: "gate".into(),
            position: position(),
            seen_at,
            expires_at: seen_at + 1000,
        }
    }

    /// A stranger was forgotten by hand.
    pub(in super::super) fn change(stranger: &str, at: i64) -> StrangerChange {
        let stranger = stranger.into();
        StrangerChange {
            stranger,
            changed_at: at,
            forgotten_until: Some(at),
            moved: vec![],
            expires_at: at + 1000,
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let view = StrangerRecord::View(view("a/b", "gate", &[0.6, 0.8], 5));
        let merge = StrangerRecord::Merge(merge("a/b", "c", 5));
        let visit = MovedVisit { camera: "gate".into(), from: 1, to: 2, stranger: "d".into() };
        let change = StrangerRecord::Change(StrangerChange { moved: vec![visit], ..change("a/b", 7) });
        for record in [view, merge, change] {
            let value = record.to_value(&KeyRing::empty()).unwrap();
            let read = StrangerRecord::parse(&KeyRing::empty(), &record.key(), &value);
            assert_eq!(read, Ok(Some(record)));
        }
    }

    #[test]
    fn a_record_under_another_key_is_refused() {
        let view = StrangerRecord::View(view("a", "gate", &[0.6, 0.8], 5));
        let merge = StrangerRecord::Merge(merge("a", "b", 5));
        let (json, merge_json) = (view.to_json(), merge.to_json());
        for (key, value) in
            [("b/gate/0", &json), ("a/merged", &json), ("b/merged", &merge_json), ("a/gate/0", &merge_json)]
        {
            assert_eq!(StrangerRecord::parse_json(key, value), None, "{key}");
        }
        assert_eq!(StrangerRecord::parse_json("a/gate/0", b"{}"), None);
    }
}
