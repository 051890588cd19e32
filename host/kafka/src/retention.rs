//! How long a topic keeps its records.

use std::time::Duration;

/// How long a topic keeps its records; none: without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`
    pub time: Option<Duration>,
    /// `retention.bytes`, of each partition.
    pub bytes: Option<u64>,
}
