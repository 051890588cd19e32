//! The entries of the trail.

use crate::error::PrivacyError;
use crate::secret::fill_random;
use crate::signature::{Signature, Signer};
use everyframe_types::hexadecimal::hexadecimal;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Enrolled a person, or another picture of one.
    Enrolled,
    /// Changed a person's name, consent, purposes or expiry, or gave the samples to another person.
    Changed,
    /// Erased a person or one sample.
    Erased,
    /// Erased a person whose time was over.
    Expired,
    /// Let a picture be recognised.
    Searched,
    /// Looked at pictures.
    Viewed,
    /// Exported everything that is known about a person.
    Exported,
    /// Replayed or dropped dead letters: parked frames, or messages of a channel.
    Decided,
    /// Acknowledged an alert.
    Acknowledged,
    /// Opened an acknowledged alert again.
    Reopened,
    /// Muted alerts for a while.
    Muted,
    /// Ended a mute.
    Unmuted,
    /// Put other rules or another site into force.
    Reconfigured,
    /// Encrypted keys and templates again.
    Rewrapped,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enrolled => "enrolled",
            Self::Changed => "changed",
            Self::Erased => "erased",
            Self::Expired => "expired",
            Self::Searched => "searched",
            Self::Viewed => "viewed",
            Self::Exported => "exported",
            Self::Decided => "decided",
            Self::Acknowledged => "acknowledged",
            Self::Reopened => "reopened",
            Self::Muted => "muted",
            Self::Unmuted => "unmuted",
            Self::Reconfigured => "reconfigured",
            Self::Rewrapped => "rewrapped",
        })
    }
}

/// What an entry says. The trail adds its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTrailEntry {
    /// Who did it: the name of a token, or of a user of a machine.
    pub actor: String,
    /// What.
    pub action: Action,
    /// To whom or to what: the id of a person or stranger, the name of a rule, the place of a frame.
    pub subject: String,
    /// More about it; may be empty.
    pub detail: String,
}

/// An entry of the trail. Its hash covers all fields, `previous` included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrailEntry {
    /// Its place in the chain; the first one is 1.
    pub number: u64,
    /// When, Unix milliseconds of the clock of the process that appended it.
    pub at: i64,
    /// Who did it.
    pub actor: String,
    /// What.
    pub action: Action,
    /// To whom or to what.
    pub subject: String,
    /// More about it.
    pub detail: String,
    /// A random text, the same if the entry had to be appended again.
    pub id: String,
    /// The hash of the entry before it, 64 hexadecimal digits; empty for the first.
    pub previous: String,
}

/// A record of the trail topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrailRecord {
    pub entry: TrailEntry,
    /// Signs the entry's hash; none if no signing key is configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signed: Option<Signature>,
}

/// A place of the chain: kept elsewhere, it shows later that nothing before it was changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrailPoint {
    /// The entry's number.
    pub number: u64,
    /// The entry's hash, 64 hexadecimal digits.
    pub hash: String,
}

impl TrailEntry {
    /// The entry's hash: SHA-256 of its fields as JSON, 64 hexadecimal digits.
    pub fn hash(&self) -> String {
        // Numbers and texts: serialising cannot fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        hexadecimal(digest(&SHA256, &json).as_ref())
    }

    /// The entry after `head` (none if the trail is empty).
    pub(crate) fn after(head: Option<&TrailPoint>, id: &str, at: i64, new: &NewTrailEntry) -> Self {
        let NewTrailEntry { actor, action, subject, detail } = new.clone();
        Self {
            number: head.map_or(1, |head| head.number + 1),
            at,
            actor,
            action,
            subject,
            detail,
            id: id.to_owned(),
            previous: head.map(|head| head.hash.clone()).unwrap_or_default(),
        }
    }

    pub(crate) fn point(&self) -> TrailPoint {
        TrailPoint { number: self.number, hash: self.hash() }
    }
}

impl TrailRecord {
    pub(crate) fn new(entry: TrailEntry, signer: Option<&Signer>) -> Self {
        let signed = signer.map(|signer| signer.sign(entry.hash().as_bytes()));
        Self { entry, signed }
    }

    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A random id of an entry.
pub(crate) fn random_id() -> Result<String, PrivacyError> {
    let mut bytes = [0; 8];
    fill_random(&mut bytes)?;
    Ok(hexadecimal(&bytes))
}
