//! Reads the topics into the ledger.

use super::offsets::Offsets;
use super::{Ledger, Report};
use everyframe_config::{Config, KafkaSettings};
use everyframe_kafka::{BrokerError, Reader, committed, watermarks};
use everyframe_types::dead_letter::{Letter, Partial};
use everyframe_types::frame::Position;
use everyframe_types::record::{IncomingRecord as _, REFUSED, camera, refused, replay_of, stamp};
use serde::Deserialize;
use std::collections::HashMap;

/// As much of a result as the audit needs.
#[derive(Deserialize)]
struct Result {
    id: String,
}

/// How much earlier than a frame its result may seem to be: the two have their time from different clocks.
pub(crate) const CLOCKS_APART: i64 = 10 * 60 * 1000;

/// Accounts for every frame that the frames topic holds now, or those whose record is not older than `since` (Unix
/// milliseconds).
///
/// # Errors
///
/// The brokers do not answer, or refuse this user.
pub fn audit(config: &Config, since: Option<i64>) -> std::result::Result<Report, BrokerError> {
    let report = account(config, since, CLOCKS_APART)?;
    // A camera's clock may be ahead by more, and its results be older than they were looked for. Before a frame is called
    // missing, all results and dead letters are read.
    if since.is_some() && report.total.missing > 0 {
        return account(config, since, i64::MAX);
    }
    Ok(report)
}

/// The same, with results and dead letters from `earlier` milliseconds before `since` on. The order of reading matters: what
/// the group had committed before the results were read must be among them, and what was deleted before it committed further
/// was deleted unread.
fn account(config: &Config, since: Option<i64>, earlier: i64) -> std::result::Result<Report, BrokerError> {
    let settings = &frugal(&config.kafka);
    let topics = &config.topics;
    let open = |topic: &str, earlier: i64| match since {
        Some(since) => Reader::since(settings, topic, since.saturating_sub(earlier).max(0)),
        None => Reader::from_start(settings, topic),
    };
    let frames_kept = watermarks(settings, &topics.frames)?;
    let committed = committed(settings, &topics.frames)?;
    let committed = |partition: i32| committed.get(&partition).copied().unwrap_or(0);
    let mut ledger = Ledger::new(since.is_some());
    for (partition, (oldest, _)) in frames_kept {
        ledger.deleted(partition, committed(partition)..oldest);
    }

    let mut results = open(&topics.results, earlier)?;
    while let Some(record) = results.next()? {
        let result = record.value().and_then(|value| serde_json::from_slice::<Result>(value).ok());
        if let Some((partition, offset)) = result.and_then(|result| position(&result.id)) {
            ledger.result(partition, offset);
        }
    }
    drop(results);

    let letters_kept = watermarks(settings, &topics.dead_letters)?;
    let mut counted: HashMap<i32, Offsets> = HashMap::new();
    let mut deletions = Vec::new();
    let mut dead_letters = open(&topics.dead_letters, earlier)?;
    while let Some(record) = dead_letters.next()? {
        match Letter::read(&record) {
            Letter::Parked(frame) => {
                ledger.dead_letter(frame.partition, frame.offset);
                if Partial::read(&record).is_some() {
                    ledger.partial_letter(frame.partition, frame.offset);
                }
            }
            // The letter was deleted since: its mark counts for it, once.
            Letter::Mark(mark) => {
                let oldest = letters_kept.get(&mark.letter.partition).map_or(0, |(oldest, _)| *oldest);
                let is_gone = mark.letter.offset < oldest;
                if is_gone && counted.entry(mark.letter.partition).or_default().insert(mark.letter.offset) {
                    ledger.dead_letter(mark.frame.partition, mark.frame.offset);
                }
            }
            Letter::Deleted { partition, first, last } => {
                // What was deleted before the window is none of its matter, however far back is read.
                if since.is_none_or(|since| record.timestamp() >= since.saturating_sub(CLOCKS_APART)) {
                    deletions.push((partition, first, last));
                }
            }
            Letter::Other => {}
        }
    }
    drop(dead_letters);
    // A host reports a deletion only when the oldest frame is later, and the oldest frame only moves forward.
    let frames_kept = watermarks(settings, &topics.frames)?;
    for (partition, first, last) in deletions {
        match frames_kept.get(&partition) {
            Some((oldest, _)) if last < *oldest => ledger.deleted(partition, first..last + 1),
            _ => ledger.add_forged(|| format!("deletion of {partition}/{first}-{last}")),
        }
    }

    let mut frames = open(&topics.frames, 0)?;
    while let Some(record) = frames.next()? {
        if since.is_some_and(|since| record.timestamp() < since) {
            continue;
        }
        let (partition, offset) = (record.partition(), record.offset().unsigned_abs());
        let camera = camera(record.key(), partition);
        let stamp = stamp(&record);
        let refused = refused(&record);
        let is_refusal = record.header(REFUSED).is_some() && record.value().unwrap_or_default().is_empty();
        if is_refusal && refused.is_none() {
            ledger.add_forged(|| format!("refusal by camera {camera} at {partition}/{offset}"));
        }
        if let Some(numbers) = refused {
            ledger.refusal(&camera, stamp.session.as_deref().unwrap_or_default(), numbers);
        } else if let Some(original) = replay_of(&topics.frames, &record) {
            let (of, at) = (original.partition, original.offset.unsigned_abs());
            ledger.replay(of, at, &camera, committed(of), offset < committed(partition));
        } else {
            ledger.frame(
                partition,
                offset,
                &camera,
                committed(partition),
                stamp.session.as_deref().zip(stamp.sequence),
            );
        }
    }
    drop(frames);
    // Asked last, because frames keep coming.
    let ends = watermarks(settings, &topics.frames)?;
    ledger.set_ends(ends.into_iter().map(|(partition, (_, next))| (partition, next)).collect());
    Ok(ledger.report())
}

/// Of all records only keys, headers and ids are kept: a short queue does. What the operator set wins.
fn frugal(settings: &KafkaSettings) -> KafkaSettings {
    let mut settings = settings.clone();
    for (name, value) in [("queued.max.messages.kbytes", "1024"), ("fetch.message.max.bytes", "1048576")] {
        if !settings.properties.contains_key(name) {
            settings.consumer.entry(name.into()).or_insert_with(|| value.into());
        }
    }
    settings
}

/// Partition and offset of a result's id, `topic/partition/offset`.
fn position(id: &str) -> Option<(i32, u64)> {
    let Position { partition, offset, .. } = Position::parse(id)?;
    Some((partition, u64::try_from(offset).ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_id_holds_partition_and_offset() {
        assert_eq!(super::position("frames/3/42"), Some((3, 42)));
        for nonsense in ["nonsense", "frames/3/-1", "frames/3/18446744073709551615", "3/42"] {
            assert_eq!(super::position(nonsense), None, "{nonsense}");
        }
    }
}
