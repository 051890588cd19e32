//! Tools for rule authors: scenarios, which test a rule frame by frame.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod scenario;
