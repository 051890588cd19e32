//! What authors of rules work with: scenarios that a rule is tested with, and recording them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod record;
pub mod scenario;
