//! Reads the topics into the ledger.

use super::offsets::Offsets;
use super::{Ledger, Report};
use everyframe_config::{Config, KafkaSettings};
use everyframe_kafka::{BrokerError, Reader, committed, watermarks};
use everyframe_types::dead_letter::{Letter, Partial};
use everyframe_types::frame::Position;
use everyframe_types::machine::unix_ms;
use everyframe_types::record::{
    IncomingRecord, REFUSED, camera_id, parse_notice, parse_refusal, parse_replay, parse_stamp,
};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// The part of a result that the audit needs.
#[derive(Deserialize)]
struct Result {
    id: String,
}

/// How much earlier than its frame a result may seem to be, milliseconds: their times are from different clocks.
pub(crate) const CLOCKS_APART: i64 = 10 * 60 * 1000;

/// Accounts for every frame in the frames topic, or for those whose record is not older than `since` (Unix milliseconds).
///
/// # Errors
///
/// The brokers do not answer, or refuse this user: show the message.
pub fn audit(config: &Config, since: Option<i64>) -> std::result::Result<Report, BrokerError> {
    let report = account(config, since, CLOCKS_APART)?;
    // A camera's clock may be further ahead, so that its results are older than the part that was read. Read all results and dead
    // letters before reporting a frame as missing.
    if since.is_some() && report.total.missing > 0 {
        return account(config, since, i64::MAX);
    }
    Ok(report)
}

/// Accounts with results and dead letters from `earlier` milliseconds before `since` on. The order of reading matters: results of
/// frames that the group committed before must be found, and frames that were deleted before the group committed them were
/// deleted unread.
fn account(config: &Config, since: Option<i64>, earlier: i64) -> std::result::Result<Report, BrokerError> {
    let settings = &with_short_queue(&config.kafka);
    let topics = &config.topics;
    let open = |topic: &str, earlier: i64| match since {
        Some(since) => Reader::since(settings, topic, since.saturating_sub(earlier).max(0)),
        None => Reader::from_start(settings, topic),
    };
    let frames_kept = watermarks(settings, &topics.frames)?;
    let committed = committed(settings, &topics.frames)?;
    let committed = |partition: i32| committed.get(&partition).copied().unwrap_or(0);
    let mut ledger = Ledger::new(since.is_some(), unix_ms());
    config.cameras.iter().for_each(|camera| ledger.add_camera(&camera.id));
    for (partition, (oldest, _)) in frames_kept {
        ledger.add_deleted(partition, committed(partition)..oldest);
    }
    read_results(&mut ledger, open(&topics.results, earlier)?)?;
    let letters_kept = watermarks(settings, &topics.dead_letters)?;
    let deletions =
        read_dead_letters(&mut ledger, open(&topics.dead_letters, earlier)?, &letters_kept, since)?;
    // A host reports a deletion only when the oldest frame is later, and the oldest frame only moves forward.
    let frames_kept = watermarks(settings, &topics.frames)?;
    for Deletion { partition, first, last } in deletions {
        match frames_kept.get(&partition) {
            Some((oldest, _)) if last < *oldest => ledger.add_deleted(partition, first..last + 1),
            _ => ledger.add_forged(|| format!("deletion of {partition}/{first}-{last}")),
        }
    }
    let mut frames = open(&topics.frames, 0)?;
    while let Some(record) = frames.next()? {
        if since.is_none_or(|since| record.timestamp() >= since) {
            add_frame_record(&mut ledger, &record, &topics.frames, &committed);
        }
    }
    drop(frames);
    // Read last, because new frames keep coming.
    let ends = watermarks(settings, &topics.frames)?;
    ledger.set_ends(ends.into_iter().map(|(partition, (_, next))| (partition, next)).collect());
    Ok(ledger.report())
}

fn read_results(ledger: &mut Ledger, mut results: Reader) -> std::result::Result<(), BrokerError> {
    while let Some(record) = results.next()? {
        let result = record.value().and_then(|value| serde_json::from_slice::<Result>(value).ok());
        if let Some((partition, offset)) = result.and_then(|result| parse_result_id(&result.id)) {
            ledger.add_result(partition, offset);
        }
    }
    Ok(())
}

/// A host's report that retention deleted frames before they were read.
struct Deletion {
    partition: i32,
    first: u64,
    last: u64,
}

/// Reads dead letters. `kept` has the first and the next offset of each partition. Returns the deletions that hosts reported, which
/// are not checked yet.
fn read_dead_letters(
    ledger: &mut Ledger,
    mut dead_letters: Reader,
    kept: &BTreeMap<i32, (u64, u64)>,
    since: Option<i64>,
) -> std::result::Result<Vec<Deletion>, BrokerError> {
    let mut counted: HashMap<i32, Offsets> = HashMap::new();
    let mut deletions = Vec::new();
    while let Some(record) = dead_letters.next()? {
        match Letter::parse(&record) {
            Letter::Parked(frame) => {
                ledger.add_dead_letter(frame.partition, frame.offset);
                if Partial::parse(&record).is_some() {
                    ledger.add_partial_letter(frame.partition, frame.offset);
                }
            }
            // If the letter was deleted, its mark counts in its place, once.
            Letter::Mark(mark) => {
                let oldest = kept.get(&mark.letter.partition).map_or(0, |(oldest, _)| *oldest);
                let is_gone = mark.letter.offset < oldest;
                if is_gone && counted.entry(mark.letter.partition).or_default().insert(mark.letter.offset) {
                    ledger.add_dead_letter(mark.frame.partition, mark.frame.offset);
                }
            }
            Letter::Deleted { partition, first, last } => {
                // Deletions before the window do not count, however far back the topic is read.
                if since.is_none_or(|since| record.timestamp() >= since.saturating_sub(CLOCKS_APART)) {
                    deletions.push(Deletion { partition, first, last });
                }
            }
            Letter::Other => {}
        }
    }
    Ok(deletions)
}

/// Adds a record of the frames topic: a frame, an agent's refusal or notice, or a replayed frame. `committed` gives the group's offset
/// in a partition before any topic was read.
fn add_frame_record(
    ledger: &mut Ledger,
    record: &impl IncomingRecord,
    topic: &str,
    committed: &impl Fn(i32) -> u64,
) {
    let (partition, offset) = (record.partition(), record.offset().unsigned_abs());
    let camera = camera_id(record.key(), partition);
    let stamp = parse_stamp(record);
    let refused = parse_refusal(record);
    let is_refusal = record.header(REFUSED).is_some() && record.value().unwrap_or_default().is_empty();
    if is_refusal && refused.is_none() {
        ledger.add_forged(|| format!("refusal by camera {camera} at {partition}/{offset}"));
    }
    if let Some(numbers) = refused {
        ledger.add_refusal(&camera, stamp.session.as_deref().unwrap_or_default(), numbers);
    } else if let Some(notice) = parse_notice(record) {
        ledger.add_notice(&camera, &notice);
    } else if let Some(original) = parse_replay(topic, record) {
        let (of, at) = (original.partition, original.offset.unsigned_abs());
        ledger.add_replay(of, at, &camera, committed(of), offset < committed(partition));
    } else {
        ledger.end_absence(&camera, record.timestamp());
        let sequence = stamp.session.as_deref().zip(stamp.sequence);
        ledger.add_frame(partition, offset, &camera, committed(partition), sequence);
    }
}

/// Settings with a short queue: only keys, headers and ids of records are needed. The operator's settings take precedence.
fn with_short_queue(settings: &KafkaSettings) -> KafkaSettings {
    let mut settings = settings.clone();
    for (name, value) in [("queued.max.messages.kbytes", "1024"), ("fetch.message.max.bytes", "1048576")] {
        if !settings.properties.contains_key(name) {
            settings.consumer.entry(name.into()).or_insert_with(|| value.into());
        }
    }
    settings
}

/// Partition and offset of a result's id, `topic/partition/offset`.
fn parse_result_id(id: &str) -> Option<(i32, u64)> {
    let Position { partition, offset, .. } = Position::parse(id)?;
    Some((partition, u64::try_from(offset).ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_id_holds_partition_and_offset() {
        assert_eq!(super::parse_result_id("frames/3/42"), Some((3, 42)));
        for nonsense in ["nonsense", "frames/3/-1", "frames/3/18446744073709551615", "3/42"] {
            assert_eq!(super::parse_result_id(nonsense), None, "{nonsense}");
        }
    }
}
