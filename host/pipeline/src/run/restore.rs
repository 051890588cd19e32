//! What the rules remember, read from the state topic before the first frame of a lane is judged.

use super::deleted;
use super::lanes::LaneCell;
use super::stages::Stages;
use crate::publish::changelog;
use everyframe_kafka::{BrokerError, LogOnce, Reader, committed, watermarks};
use everyframe_rules::RuleState;
use everyframe_types::record::IncomingRecord as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// After an attempt that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Restores the lanes on a thread of its own: intake has to go on polling.
pub(super) fn begin(stages: Arc<Stages>, cells: Vec<Arc<LaneCell>>) {
    let started = std::thread::Builder::new().name("restore".into()).spawn(move || run(&stages, &cells));
    if let Err(error) = started {
        tracing::error!("cannot start a thread to restore what rules remember: {error}");
    }
}

/// Tries until it is done, or the partitions are another's.
fn run(stages: &Stages, cells: &[Arc<LaneCell>]) {
    let log_once = LogOnce::default();
    while cells.iter().any(|cell| !cell.assignment.is_over()) && !stages.stop.load(Ordering::Relaxed) {
        match read(stages, cells) {
            Ok(mut states) => {
                log_once.settle("what rules remember is restored");
                for cell in cells {
                    cell.restored(states.remove(&cell.partition).unwrap_or_default());
                }
                return;
            }
            Err(error) => {
                log_once.say(&format!("what rules remember cannot be restored: {error}; trying again"))
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// For each partition what was remembered when its offset was committed. What a frame beyond it changed is left out:
/// that frame will come, or come again.
fn read(stages: &Stages, cells: &[Arc<LaneCell>]) -> Result<HashMap<i32, RuleState>, BrokerError> {
    let (settings, topics) = (&stages.config.kafka, &stages.config.topics);
    let began = Instant::now();
    let committed = committed(settings, &topics.frames)?;
    let kept = watermarks(settings, &topics.frames)?;
    let partitions: Vec<i32> = cells.iter().map(|cell| cell.partition).collect();
    let mut reader = Reader::of_partitions(settings, &topics.state, &partitions)?;
    let mut states: HashMap<i32, RuleState> = HashMap::new();
    let (mut count, mut unreadable) = (0u64, 0u64);
    while let Some(record) = reader.next()? {
        let Some((offset, change)) = changelog::read(&record) else {
            unreadable += 1;
            let place = (record.partition(), record.offset());
            tracing::debug!("the record at {}/{}/{} is not a rule's state", topics.state, place.0, place.1);
            continue;
        };
        let next = committed.get(&record.partition()).copied().unwrap_or(0);
        if offset.unsigned_abs() < next
            && stages.active_rules.load().rules.description(&change.rule).is_some()
        {
            states.entry(record.partition()).or_default().restore(change);
            count += 1;
        }
    }
    if unreadable > 0 {
        tracing::warn!(
            unreadable,
            "records of topic `{}` that are not a rule's state are ignored; RUST_LOG=debug names them",
            topics.state
        );
    }
    stages.metrics.restored(count, began.elapsed());
    // Only now, for what failed before this is tried again.
    cells.iter().for_each(|cell| deleted::at_the_beginning(stages, &cell.assignment, &committed, &kept));
    let milliseconds = began.elapsed().as_millis();
    tracing::info!(?partitions, changes = count, milliseconds, "what rules remember was read");
    Ok(states)
}
