//! Accounting for frames from the topics alone.
//!
//! - [`audit`]: what happened to every frame.
//! - [`replay`]: what other rules would have decided about past frames.
//! - [`sizing`]: how many hosts, partitions and brokers a site needs.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod audit;
pub mod dead_letters;
pub mod replay;
pub mod sizing;
