//! An entry: one record on its way to the frames topic, and how it is stored in the spool.

use everyframe_privacy::{KeyRing, KeyUse, PrivacyError};
use everyframe_types::camera_notice::{CameraNotice, NoticeKind};
use everyframe_types::frame::SourceKind;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// One record for the frames topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The agent's session.
    pub session: Arc<str>,
    /// Its content.
    pub payload: Payload,
}

/// The content of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A frame.
    Frame {
        /// Its number in the session.
        sequence: u64,
        /// When it was taken, Unix milliseconds.
        captured_at: i64,
        /// The kind of source; none if an older version of the agent spooled the frame.
        source: Option<SourceKind>,
        /// The agent knows that the picture is damaged.
        is_damaged: bool,
        /// The encoded picture.
        picture: Vec<u8>,
    },
    /// The frames with these numbers, both inclusive, were refused.
    Refused {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// What is wrong with the camera.
    Notice(CameraNotice),
}

impl Entry {
    /// Its size in the spool's file, bytes. A notice counts as 0: it is small, and must always fit.
    pub fn size(&self) -> u64 {
        match &self.payload {
            Payload::Frame { picture, .. } => stored_bytes(picture),
            Payload::Refused { .. } | Payload::Notice(_) => 0,
        }
    }

    /// Merges a refusal that continues this one; false if it does not.
    pub fn merge(&mut self, more: &Self) -> bool {
        match (&mut self.payload, &more.payload) {
            (Payload::Refused { last, .. }, Payload::Refused { first, last: end })
                if self.session == more.session && *last + 1 == *first =>
            {
                *last = *end;
                true
            }
            _ => false,
        }
    }

    /// True for a frame, false for a notice.
    pub fn is_frame(&self) -> bool {
        matches!(self.payload, Payload::Frame { .. })
    }

    /// The entry as it is stored. If the ring has a key, the picture is encrypted.
    pub(super) fn encode(&self, ring: &KeyRing) -> Result<Vec<u8>, PrivacyError> {
        let nothing = Head { session: self.session.as_ref().into(), ..Head::default() };
        let (head, picture) = match &self.payload {
            Payload::Frame { sequence, captured_at, source, is_damaged, picture } => {
                let stored = ring.seal(KeyUse::Spool, &context(&self.session, *sequence), picture)?;
                let (sequence, captured_at) = (Some(*sequence), Some(*captured_at));
                let (damaged, sealed) = (*is_damaged, !ring.is_empty());
                let source = source.map(|source| source.as_str().into());
                (Head { sequence, captured_at, source, damaged, sealed, ..nothing }, stored)
            }
            Payload::Refused { first, last } => {
                (Head { refused: Some((*first, *last)), ..nothing }, Vec::new())
            }
            Payload::Notice(notice) => (Head { notice: Some(notice.into()), ..nothing }, Vec::new()),
        };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let length = u16::try_from(head.len()).unwrap_or_default();
        Ok([&length.to_le_bytes(), head.as_slice(), &picture].concat())
    }

    /// Reads a stored entry; none if it is not of this version.
    pub(super) fn decode(ring: &KeyRing, bytes: &[u8]) -> Result<Option<Self>, PrivacyError> {
        let Some((head, picture)) = Head::split(bytes) else { return Ok(None) };
        let picture = match (head.sealed, head.sequence) {
            (true, Some(sequence)) => {
                ring.open(KeyUse::Spool, &context(&head.session, sequence), picture)?.to_vec()
            }
            _ => picture.to_vec(),
        };
        let payload = match (head.notice, head.refused, head.sequence, head.captured_at) {
            (Some(notice), ..) => match notice.decode() {
                Some(notice) => Payload::Notice(notice),
                None => return Ok(None),
            },
            (_, Some((first, last)), ..) => Payload::Refused { first, last },
            (_, None, Some(sequence), Some(captured_at)) => {
                let source = head.source.as_deref().and_then(SourceKind::parse);
                Payload::Frame { sequence, captured_at, source, is_damaged: head.damaged, picture }
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { session: head.session.as_ref().into(), payload }))
    }
}

/// Where an encrypted picture belongs: it opens nowhere else.
fn context(session: &str, sequence: u64) -> String {
    format!("{session}/{sequence}")
}

/// The size of a picture with its head in the file, bytes: redb allocates a power of two of pages for each value. The head is
/// rounded up.
fn stored_bytes(picture: &[u8]) -> u64 {
    // An encrypted picture has some bytes more than its entry, whose size must be the same.
    (picture.len() + 256).max(4096).next_power_of_two() as u64
}

/// The head of a stored entry.
#[derive(Default, Serialize, Deserialize)]
struct Head<'a> {
    session: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    damaged: bool,
    /// True if the picture is encrypted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sealed: bool,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    notice: Option<NoticeHead<'a>>,
}

/// A notice in the head.
#[derive(Serialize, Deserialize)]
struct NoticeHead<'a> {
    kind: Cow<'a, str>,
    from: i64,
    to: Option<i64>,
    frames: u64,
    reason: Cow<'a, str>,
}

impl<'a> From<&'a CameraNotice> for NoticeHead<'a> {
    fn from(notice: &'a CameraNotice) -> Self {
        let CameraNotice { kind, from, to, frames, reason } = notice;
        Self {
            kind: kind.as_str().into(),
            from: *from,
            to: *to,
            frames: *frames,
            reason: reason.as_str().into(),
        }
    }
}

impl NoticeHead<'_> {
    fn decode(self) -> Option<CameraNotice> {
        let Self { kind, from, to, frames, reason } = self;
        let kind = NoticeKind::parse(&kind)?;
        Some(CameraNotice { kind, from, to, frames, reason: reason.into_owned() })
    }
}

impl<'a> Head<'a> {
    /// The part of a stored picture that is as long as the picture itself.
    fn plain<'b>(&self, stored: &'b [u8]) -> &'b [u8] {
        let overhead = if self.sealed { KeyRing::OVERHEAD } else { 0 };
        &stored[..stored.len().saturating_sub(overhead)]
    }

    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (head, picture) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        Some((serde_json::from_slice(head).ok()?, picture))
    }
}

/// Of a stored entry: whether it is a frame, and its size as [`Entry::size`] counts it.
pub(super) fn stored_size(bytes: &[u8]) -> Option<(bool, u64)> {
    let (head, picture) = Head::split(bytes)?;
    let is_frame = head.sequence.is_some();
    Some((is_frame, if is_frame { stored_bytes(head.plain(picture)) } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_stored() {
        let notice = CameraNotice {
            kind: NoticeKind::Away,
            from: 7,
            to: Some(9),
            frames: 0,
            reason: "a \"word\"".into(),
        };
        let damaged = Payload::Frame {
            sequence: 3,
            captured_at: 7,
            source: Some(SourceKind::Live),
            is_damaged: true,
            picture: vec![1, 2, 3],
        };
        for payload in [damaged, Payload::Refused { first: 1, last: 4 }, Payload::Notice(notice)] {
            let entry = Entry { session: "s-1".into(), payload };
            let ring = KeyRing::empty();
            assert_eq!(Entry::decode(&ring, &entry.encode(&ring).unwrap()).unwrap(), Some(entry));
        }
    }
}
