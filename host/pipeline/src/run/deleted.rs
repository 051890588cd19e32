//! Frames that retention deleted before this group came to them: the one loss that no host can prevent. It is put on
//! record, beside the dead letters, so that the account stays exact after the group has gone past them.

use super::stages::Stages;
use crate::publish::Assignment;
use everyframe_kafka::{BrokerError, watermarks};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Records what is deleted between the group's offset, at which a lane begins, and the oldest record that there is.
pub(super) fn at_the_beginning(
    stages: &Stages,
    assignment: &Arc<Assignment>,
    committed: &BTreeMap<i32, u64>,
    kept: &BTreeMap<i32, (u64, u64)>,
) {
    let partition = assignment.partition();
    if let (Some(committed), Some((oldest, _))) = (committed.get(&partition), kept.get(&partition)) {
        record(stages, assignment, offset(*committed)..offset(*oldest));
    }
}

/// Looks into a hole between two records that came one after the other. The records of a transactional producer have
/// such holes, too: it is a loss only if the oldest record that there is lies beyond it.
pub(super) fn investigate_gap(stages: Arc<Stages>, assignment: Arc<Assignment>, hole: Range<i64>) {
    let look = move || -> Result<(), BrokerError> {
        let config = &stages.config;
        let kept = watermarks(&config.kafka, &config.topics.frames)?;
        let oldest = kept.get(&assignment.partition()).map_or(0, |(oldest, _)| offset(*oldest));
        record(&stages, &assignment, hole.start..hole.end.min(oldest));
        Ok(())
    };
    let work = move || {
        if let Err(error) = look() {
            tracing::warn!("cannot find out whether frames were deleted unread: {error}");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("deleted".into()).spawn(work) {
        tracing::error!("cannot start a thread: {error}");
    }
}

fn record(stages: &Stages, assignment: &Arc<Assignment>, frames: Range<i64>) {
    if !frames.is_empty() {
        stages.metrics.deleted((frames.end - frames.start).unsigned_abs());
        tracing::error!(
            partition = assignment.partition(),
            first = frames.start,
            last = frames.end - 1,
            "{} frames were deleted unread: retention overtook this group",
            frames.end - frames.start
        );
        stages.publisher.publish_deleted(frames, assignment);
    }
}

fn offset(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
