//! Tools for rule authors: scenarios, which test a rule frame by frame, and recording them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod record;
pub mod scenario;
