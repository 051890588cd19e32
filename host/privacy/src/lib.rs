//! Keys, encryption at rest, signatures, and the trail.
//!
//! - [`KeyRing`] holds the configured keys. It encrypts views of strangers, rule state, spools and the data keys of people.
//! - [`KeyCheck`] finds out whether a key is missing for the records of a topic.
//! - [`DataKey`] encrypts the templates of one person. Without it, nobody can read them any more.
//! - [`Signer`] signs receipts and trail entries; [`verify_signature`] checks them.
//! - [`Trail`] appends to the trail; [`TrailCheck`] finds entries that were changed, removed or moved.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod aead;
mod data_key;
mod error;
mod hex;
mod key_check;
mod key_ring;
mod secret;
mod signature;
mod trail;
mod trail_check;
mod trail_entry;

pub use data_key::{DataKey, DataKeyId};
pub use error::PrivacyError;
pub use key_check::KeyCheck;
pub use key_ring::{KeyId, KeyRing, KeyUse, is_sealed};
pub use secret::{make_secret, write_secret};
pub use signature::{Signature, Signer, verify_signature};
pub use trail::{Trail, TrailError};
pub use trail_check::{TrailCheck, TrailReport};
pub use trail_entry::{Action, NewTrailEntry, TrailEntry, TrailPoint};
