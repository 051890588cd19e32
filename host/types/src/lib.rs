//! Plain data that crosses stages. Nothing here depends on a Kafka client, a model or a configuration.
//!
//! - [`frame`], [`face`], [`judgement`] and [`event`]: a frame, its faces, the rules' judgement, and the published events.
//! - [`record`] and [`dead_letter`]: the headers of Kafka records.
//! - [`sequence_gap`] and [`ranges`]: missing frames. [`camera_notice`]: what is wrong with a camera.
//! - [`search`]: how a frame was searched for faces.
//! - [`mute`]: alerts that nobody wants to be told of.
//! - [`id`] and [`redact`]: valid ids, and addresses without secrets. [`parallel`]: two things at the same time.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod camera_notice;
pub mod dead_letter;
pub mod event;
pub mod face;
pub mod frame;
pub mod hexadecimal;
pub mod id;
pub mod judgement;
pub mod machine;
pub mod mute;
pub mod parallel;
pub mod raised_alert;
pub mod ranges;
pub mod record;
pub mod redact;
pub mod search;
pub mod sequence_gap;
