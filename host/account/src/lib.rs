//! What became of every frame, from the topics alone: the audit, dead letters, replays with other rules, and the sizing
//! of a site so that nothing is lost.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod audit;
pub mod dead_letters;
pub mod replay;
pub mod sizing;
