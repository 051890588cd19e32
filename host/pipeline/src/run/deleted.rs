//! Frames that retention deleted before this group read them: the one loss that no host can prevent. A record beside the
//! dead letters names them, so that the account stays exact after the group has gone past them.

use super::lane_context::LaneContext;
use crate::publish::Assignment;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Publishes which frames were deleted between the committed offset, at which a lane begins, and the oldest record.
pub(super) fn record_before_start(
    context: &LaneContext,
    assignment: &Arc<Assignment>,
    committed: &BTreeMap<i32, u64>,
    kept: &BTreeMap<i32, (u64, u64)>,
) {
    let partition = assignment.partition();
    if let (Some(committed), Some((oldest, _))) = (committed.get(&partition), kept.get(&partition)) {
        record(context, assignment, offset(*committed)..offset(*oldest));
    }
}

/// Investigates a gap between the offsets of two records that came one after the other. Transactions leave such gaps, too:
/// frames are missing only if the oldest record that is left lies beyond the gap.
pub(super) fn investigate_gap(context: &Arc<LaneContext>, assignment: Arc<Assignment>, gap: Range<i64>) {
    let shared = context.clone();
    let investigate = move || {
        match shared.topics.offset_ranges() {
            Ok(kept) => {
                let oldest = kept.get(&assignment.partition()).map_or(0, |(oldest, _)| offset(*oldest));
                record(&shared, &assignment, gap.start..gap.end.min(oldest));
            }
            Err(error) => tracing::warn!("cannot find out whether frames were deleted unread: {error}"),
        }
        None
    };
    if let Err(error) = context.background.start("offset-gap", Box::new(investigate)) {
        tracing::error!("cannot start a thread: {error}");
    }
}

fn record(context: &LaneContext, assignment: &Arc<Assignment>, frames: Range<i64>) {
    if !frames.is_empty() {
        context.metrics.frames_deleted((frames.end - frames.start).unsigned_abs());
        tracing::error!(
            partition = assignment.partition(),
            first = frames.start,
            last = frames.end - 1,
            "{} frames were deleted unread: retention overtook this group",
            frames.end - frames.start
        );
        context.publisher.publish_deleted(frames, assignment);
    }
}

fn offset(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
