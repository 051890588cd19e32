//! The time that a frame claims, and the time that is believed.

use everyframe_types::frame::SourceKind;
use std::ops::Range;

/// Times that a working clock can show, Unix milliseconds: the years 2000 to 2099.
pub(super) const SANE: Range<i64> = 946_684_800_000..4_102_444_800_000;

/// True for a time that a working clock can show, Unix milliseconds.
pub(super) fn is_sane(time: i64) -> bool {
    SANE.contains(&time)
}

/// The information about one frame's time, Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    /// What the frame claims.
    pub claimed: i64,
    /// The record's timestamp, if it can be right.
    pub recorded: Option<i64>,
    /// What the agent read it from.
    pub source: Option<SourceKind>,
}

/// A time that is believed, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Believed {
    pub at: i64,
    /// True if a correction begins with this frame.
    pub is_new: bool,
}
