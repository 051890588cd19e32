//! Plain data that crosses stages: frames, faces, decisions, events and the headers of records. No clients, no models.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod dead_letter;
pub mod event;
pub mod face;
pub mod frame;
pub mod hexadecimal;
pub mod id;
pub mod judgement;
pub mod machine;
pub mod ranges;
pub mod record;
pub mod redact;
pub mod sequence_gap;
