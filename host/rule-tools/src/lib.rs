//! What authors of rules work with: scenarios that a rule is tested by.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod scenario;
