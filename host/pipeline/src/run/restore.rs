//! Reads the rule state of new partitions from the state topic, before their first frame is judged.

use super::deleted;
use super::lane_context::LaneContext;
use crate::publish::{Assignment, changelog};
use everyframe_kafka::BrokerError;
use everyframe_privacy::KeyCheck;
use everyframe_rules::RuleState;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// For each partition the rule state as it was when the partition's offset was committed. Changes by later frames are left
/// out: those frames come again.
///
/// # Errors
///
/// Kafka does not answer, or a transaction is still open: try again. If a value is encrypted with a key that this host does not
/// have, the host is stopped.
pub(super) fn read_states(
    context: &LaneContext,
    assignments: &[Arc<Assignment>],
) -> Result<HashMap<i32, RuleState>, BrokerError> {
    let topic = &context.config.topics.state;
    let began = context.clock.now();
    let committed = context.topics.committed_offsets()?;
    let kept = context.topics.offset_ranges()?;
    let partitions: Vec<i32> = assignments.iter().map(|assignment| assignment.partition()).collect();
    let mut states: HashMap<i32, RuleState> = HashMap::new();
    let (mut count, mut unreadable) = (0u64, 0u64);
    let mut check = KeyCheck::default();
    context.topics.read_state(&partitions, &mut |record| {
        let key = String::from_utf8_lossy(record.key().unwrap_or_default());
        let place = format!("{}/{key}", record.partition());
        let Some(read) = check.add(&place, changelog::read(&context.ring, record)) else { return };
        let Some((offset, change)) = read else {
            unreadable += 1;
            let (partition, offset) = (record.partition(), record.offset());
            tracing::debug!("the record at {topic}/{partition}/{offset} is not rule state");
            return;
        };
        let next = committed.get(&record.partition()).copied().unwrap_or(0);
        if offset.unsigned_abs() < next && context.judge.has_rule(&change.rule) {
            states.entry(record.partition()).or_default().restore(change);
            count += 1;
        }
    })?;
    if let Err(error) = check.finish() {
        let text = error.to_string();
        let _ = context.failure.set(error);
        context.stop.store(true, Ordering::Relaxed);
        return Err(BrokerError::Other(text));
    }
    if unreadable > 0 {
        tracing::warn!(
            unreadable,
            "records of topic `{topic}` that are not rule state are ignored; RUST_LOG=debug names them"
        );
    }
    let took = context.clock.elapsed_since(began);
    context.metrics.state_restored(count, took);
    // Last, because all before this is done again if it fails.
    for assignment in assignments {
        deleted::record_before_start(context, assignment, &committed, &kept);
    }
    tracing::info!(?partitions, changes = count, milliseconds = took.as_millis(), "rule state restored");
    Ok(states)
}
