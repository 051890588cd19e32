//! Checks of the headers that an agent adds to its frames.

use crate::Record;
use std::collections::BTreeSet;

/// Sequence numbers and times of a camera's frames in order, and all their sessions.
pub fn stamps(records: &[Record]) -> (Vec<u64>, Vec<i64>, BTreeSet<String>) {
    let number = |record: &Record, name: &str| record.header(name).parse::<i64>().expect("a number");
    (
        records.iter().map(|record| number(record, "everyframe-sequence").unsigned_abs()).collect(),
        records.iter().map(|record| number(record, "everyframe-captured-at")).collect(),
        records.iter().map(|record| record.header("everyframe-session").to_owned()).collect(),
    )
}

/// Checks that the records are one session of JPEG frames from one source: numbered from 0 without gaps, `step_ms` apart.
pub fn assert_stamped(records: &[Record], camera: &str, step_ms: i64) {
    let (sources, numbers) = (sources(records), records.len());
    assert!(numbers > 0 && sources.len() == 1 && !sources.contains(""), "one source: {sources:?}");
    let (sequences, times, sessions) = stamps(records);
    assert!(sequences.into_iter().eq(0..records.len() as u64), "numbered without a hole");
    assert_eq!(sessions.len(), 1, "one run is one session");
    assert!(times[0] > 1_700_000_000_000, "the clip begins now: {}", times[0]);
    for pair in times.windows(2) {
        assert!((pair[1] - pair[0] - step_ms).abs() <= 1, "a frame is {step_ms} ms after the last: {pair:?}");
    }
    for record in records {
        assert_eq!(record.key.as_deref(), Some(camera));
        assert!(record.value.as_ref().is_some_and(|value| value.starts_with(&[0xff, 0xd8, 0xff])), "a JPEG");
    }
}

/// All kinds of sources in the frames' headers.
pub fn sources(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|record| record.header("everyframe-source").to_owned()).collect()
}
