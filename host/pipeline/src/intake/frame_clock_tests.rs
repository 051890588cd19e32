//! Cameras whose clocks are wrong: for one frame, for some, or for good.

use super::*;
use everyframe_types::frame::{Position, SourceKind};
use everyframe_types::sequence_gap::SequenceGap;
use proptest::prelude::*;
use std::time::Instant;

/// 1 May 2026, 12:00 UTC.
const NOON: i64 = 1_777_636_800_000;
const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// The clock's tolerance plus a step between two frames.
const TOLERANCE: i64 = 11 * SECOND;

/// What a frame claims, and when its record was written.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sent(i64, i64);

fn frame(offset: i64, Sent(claimed_at, recorded_at): Sent, source: Option<SourceKind>) -> Frame {
    let position = Position { topic: "frames".into(), partition: 0, offset };
    Frame {
        identity: position.clone(),
        position,
        camera: "gate".into(),
        session: "s".into(),
        sequence: offset.unsigned_abs(),
        captured_at: claimed_at,
        claimed_at,
        recorded_at,
        source,
        is_numbered: true,
        taken_in_at: Instant::now(),
        sequence_gap: None,
        notice: None,
        callback: None,
        picture: Vec::new(),
    }
}

/// The times that are believed of a session's frames.
fn believed(sent: &[Sent], source: Option<SourceKind>) -> Vec<i64> {
    let mut clock = FrameClock::default();
    let believe = |(sent, offset)| {
        let mut frame = frame(offset, sent, source);
        clock.set_time(&mut frame);
        frame.captured_at
    };
    sent.iter().copied().zip(0..).map(believe).collect()
}

/// A camera that sends every frame at once, ten a second.
fn live(frames: i64) -> Vec<Sent> {
    (0..frames).map(|n| NOON + n * 100).map(|at| Sent(at, at + 40)).collect()
}

/// Frames that waited for an hour on the agent's disk, and come fifty times as fast as they were taken.
fn spooled(frames: i64) -> Vec<Sent> {
    (0..frames).map(|n| Sent(NOON - HOUR + n * 100, NOON + n * 2)).collect()
}

/// Pictures of 2010, a day apart, and sent as fast as possible.
fn archive(frames: i64) -> Vec<Sent> {
    (0..frames).map(|n| Sent(1_272_672_000_000 + n * DAY, NOON + n * 5)).collect()
}

/// A file of hours, sent much faster than it plays.
fn recording(frames: i64) -> Vec<Sent> {
    (0..frames).map(|n| Sent(NOON + n * SECOND, NOON + n * 5)).collect()
}

fn claims(sent: &[Sent]) -> Vec<i64> {
    sent.iter().map(|Sent(claimed, _)| *claimed).collect()
}

/// Times that a clock gone wrong shows instead of `at`.
fn wrong(at: i64) -> Vec<i64> {
    let others = [0, -5, 1, -DAY, i64::MAX, i64::MIN, 1_272_672_000_000, 2_000_000_000_000_000];
    let near = [-DAY, -HOUR, -90 * SECOND, 90 * SECOND, HOUR, DAY, 400 * DAY];
    [at * 1000, at / 1000].into_iter().chain(others).chain(near.map(|by| at + by)).collect()
}

#[test]
fn streams_without_a_wrong_clock_are_believed() {
    for (sent, source) in [
        (live(100), Some(SourceKind::Live)),
        (live(100), None),
        (spooled(100), Some(SourceKind::Live)),
        (spooled(100), None),
        (recording(5000), Some(SourceKind::Recording)),
    ] {
        assert_eq!(believed(&sent, source), claims(&sent), "{source:?}");
    }
}

#[test]
fn an_archive_is_believed_from_its_third_picture_on() {
    let sent = archive(50);
    for source in [None, Some(SourceKind::Pictures), Some(SourceKind::Recording)] {
        let believed = believed(&sent, source);
        assert_eq!(believed[0], sent[0].0);
        assert!((0..=DAY).contains(&(believed[1] - believed[0])), "{believed:?}");
        assert_eq!(believed[2..], claims(&sent)[2..]);
    }
}

#[test]
fn what_comes_after_an_outage_is_believed_at_once() {
    let mut sent = spooled(50);
    sent.extend((0..50).map(|n| NOON + SECOND + n * 100).map(|at| Sent(at, at + 40)));
    assert_eq!(believed(&sent, Some(SourceKind::Live)), claims(&sent));
    let quiet =
        [Sent(NOON, NOON), Sent(NOON + 9 * HOUR, NOON + 9 * HOUR), Sent(NOON + 10 * HOUR, NOON + 10 * HOUR)];
    assert_eq!(believed(&quiet, None), claims(&quiet), "a camera that sends when something moves");
}

#[test]
fn one_wrong_time_changes_no_other() {
    for (name, sent, source) in [
        ("live", live(60), Some(SourceKind::Live)),
        ("unknown", live(60), None),
        ("spooled", spooled(60), Some(SourceKind::Live)),
        ("archive", archive(60), None),
        ("recording", recording(60), Some(SourceKind::Recording)),
    ] {
        let right = believed(&sent, source);
        for at in [6, 30] {
            for claimed in wrong(sent[at].0) {
                // As near to its record it may as well be the end of the outage.
                if name == "spooled" && claimed.abs_diff(sent[at].1) <= 60_000 {
                    continue;
                }
                let mut sent = sent.clone();
                sent[at].0 = claimed;
                let mut now = believed(&sent, source);
                let of_the_wrong = now.remove(at);
                let between = right[at - 1] - TOLERANCE..=right[at + 1] + TOLERANCE;
                assert!(between.contains(&of_the_wrong), "{name} {at}: {claimed} gives {of_the_wrong}");
                let others = [&right[..at], &right[at + 1..]].concat();
                assert_eq!(now, others, "{name} {at}: {claimed}");
            }
        }
    }
}

#[test]
fn a_clock_that_is_wrong_from_now_on_goes_on_smoothly() {
    for by in [-400 * DAY, -DAY, -HOUR, -90 * SECOND, 90 * SECOND, HOUR, DAY, 400 * DAY] {
        for from in [0, 1, 30] {
            let mut sent = live(200);
            sent[from..].iter_mut().for_each(|sent| sent.0 += by);
            let now = believed(&sent, Some(SourceKind::Live));
            // Nobody can tell a first frame that is old from one that waited.
            let right = if from == 0 && by < AHEAD_OF_RECORD { claims(&sent) } else { claims(&live(200)) };
            for (now, right) in now.iter().zip(right) {
                assert!(now.abs_diff(right) <= 10_000, "{by} from {from}: {now} for {right}");
            }
            // Then the clock is set right. A believed clock that was ahead is left out: time does not go back.
            if from == 0 && (0..AHEAD_OF_RECORD).contains(&by) {
                continue;
            }
            let mut sent = live(200);
            sent[from..100].iter_mut().for_each(|sent| sent.0 += by);
            assert_eq!(
                believed(&sent, Some(SourceKind::Live))[101..],
                claims(&live(200))[101..],
                "{by} from {from}"
            );
        }
    }
}

#[test]
fn a_first_frame_that_is_ahead_does_not_move_the_others() {
    for by in [11 * SECOND, 20 * SECOND, 50 * SECOND, 120 * SECOND, 240 * SECOND, HOUR] {
        let mut sent = live(200);
        sent[0].0 += by;
        for source in [Some(SourceKind::Live), None] {
            assert_eq!(believed(&sent, source)[1..], claims(&live(200))[1..], "{by} with {source:?}");
        }
    }
}

/// How far a first frame is believed to be ahead of its record.
const AHEAD_OF_RECORD: i64 = 10 * SECOND;

#[test]
fn garbage_in_every_frame_gives_the_time_of_the_records() {
    for claimed in [0, -1, 1_777_636_800, i64::MAX, i64::MIN] {
        let sent: Vec<Sent> =
            live(3000).into_iter().map(|Sent(_, recorded)| Sent(claimed, recorded)).collect();
        for (now, Sent(_, recorded)) in believed(&sent, None).into_iter().zip(sent) {
            assert!(now <= recorded && recorded - now <= TOLERANCE, "{claimed}: {now} for {recorded}");
        }
    }
}

#[test]
fn records_without_a_timestamp_leave_the_claims() {
    for recorded in [-1, 0, i64::MAX] {
        let sent: Vec<Sent> = live(50).into_iter().map(|Sent(claimed, _)| Sent(claimed, recorded)).collect();
        assert_eq!(believed(&sent, None), claims(&sent));
        let nothing = [Sent(recorded, recorded), Sent(recorded, recorded)];
        assert_eq!(believed(&nothing, None), [recorded.clamp(0, SANE.end); 2]);
    }
}

#[test]
fn dead_letters_and_refusals_leave_the_clock_alone() {
    let mut clock = FrameClock::default();
    let mut set_time = |mut frame: Frame| {
        clock.set_time(&mut frame);
        frame.captured_at
    };
    assert_eq!(set_time(frame(0, Sent(NOON - HOUR, NOON), None)), NOON - HOUR);
    let mut letter = frame(1, Sent(NOON - DAY, NOON), None);
    letter.identity.offset = 7;
    assert_eq!(set_time(letter), NOON - DAY);
    let mut absurd = frame(2, Sent(5, NOON), None);
    absurd.identity.offset = 7;
    assert_eq!(set_time(absurd), NOON);
    let refusal =
        Frame { sequence_gap: Some(SequenceGap::Refused(1..=3)), ..frame(3, Sent(NOON, NOON), None) };
    assert_eq!(set_time(refusal), NOON);
    assert_eq!(set_time(frame(4, Sent(NOON - HOUR + 100, NOON), None)), NOON - HOUR + 100);
}

#[test]
fn a_correction_says_what_is_wrong_and_when_it_begins() {
    let mut clock = FrameClock::default();
    let mut sent = live(20);
    sent[5].0 = 1_777_636_800;
    sent[10..].iter_mut().for_each(|sent| sent.0 += HOUR);
    let told: Vec<_> = sent
        .into_iter()
        .zip(0..)
        .filter_map(|(sent, offset)| Some((offset, clock.set_time(&mut frame(offset, sent, None))?)))
        .map(|(offset, Correction { fault, is_new })| (offset, fault.as_str(), is_new))
        .collect();
    assert_eq!(told[..3], [(5, "absurd", true), (10, "ahead", true), (11, "ahead", false)]);
    assert_eq!(told.len(), 11);
}

#[test]
fn cameras_and_sessions_without_end_are_forgotten() {
    let mut clock = FrameClock::default();
    for offset in 0..20_000 {
        let mut frame = frame(offset, Sent(NOON, NOON), None);
        frame.camera = format!("camera-{}", offset % 5000).into();
        frame.session = format!("session-{offset}").into();
        clock.set_time(&mut frame);
        let mut busy = self::frame(offset, Sent(NOON, NOON), None);
        busy.session = format!("session-{offset}").into();
        clock.set_time(&mut busy);
    }
    assert!(clock.cameras.len() <= 1000, "{}", clock.cameras.len());
    assert!(clock.cameras.values().all(|camera| camera.sessions.len() <= SESSIONS));
}

fn wild_time() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -DAY..NOON + 400 * DAY,
        Just(0),
        Just(i64::MAX),
        NOON - 2 * HOUR..NOON + 2 * HOUR
    ]
}

proptest! {
    /// Up to five frames in a row have any times: all others are believed as if they had not, and these are between them.
    #[test]
    fn a_run_of_wild_times_changes_no_others(
        kind in 0..3usize,
        at in 6..40usize,
        times in proptest::collection::vec(wild_time(), 1..=5),
        is_steady in any::<bool>(),
    ) {
        let (sent, source) = match kind {
            0 => (live(60), None),
            1 => (spooled(60), Some(SourceKind::Live)),
            _ => (recording(60), Some(SourceKind::Recording)),
        };
        let right = believed(&sent, source);
        prop_assert_eq!(&right, &claims(&sent));
        let mut wild = sent.clone();
        let run = at..at + times.len();
        for (place, time) in run.clone().zip(&times) {
            // Some clocks are wrong and go on, others jump about.
            let by = times[0].saturating_sub(sent[at].0);
            wild[place].0 = if is_steady { sent[place].0.saturating_add(by) } else { *time };
        }
        if kind == 1 {
            prop_assume!(run.clone().all(|place| wild[place].0.abs_diff(wild[place].1) > 60_000));
        }
        let now = believed(&wild, source);
        prop_assert_eq!(&now[..at], &right[..at]);
        prop_assert_eq!(&now[run.end..], &right[run.end..]);
        let between = right[at - 1] - TOLERANCE..=right[run.end] + TOLERANCE;
        for place in run {
            prop_assert!(between.contains(&now[place]), "{} gives {}", wild[place].0, now[place]);
        }
        prop_assert!(now.is_sorted_by(|a, b| *b >= a - TOLERANCE), "{:?}", now);
    }

    /// Whatever comes, nothing overflows, and a live camera's time does not go back.
    #[test]
    fn a_live_cameras_time_does_not_go_back(claims in proptest::collection::vec(prop_oneof![3 => Just(None), 1 => wild_time().prop_map(Some)], 1..60)) {
        let mut sent = live(60);
        for (sent, claim) in sent.iter_mut().zip(claims).skip(1) {
            sent.0 = claim.unwrap_or(sent.0);
        }
        let now = believed(&sent, Some(SourceKind::Live));
        // Some wild times come so near that they lead the clock astray by as much again.
        prop_assert!(now.is_sorted_by(|a, b| *b >= a - 2 * TOLERANCE), "{:?}", now);
        prop_assert!(now.iter().zip(&sent).all(|(now, sent)| now.abs_diff(sent.1) <= 60_000), "{:?}", now);
    }

    /// Nothing overflows.
    #[test]
    fn any_numbers_are_times(sent in proptest::collection::vec((any::<i64>(), any::<i64>()), 1..50)) {
        let sent: Vec<Sent> = sent.into_iter().map(|(claimed, recorded)| Sent(claimed, recorded)).collect();
        for source in [None, Some(SourceKind::Live), Some(SourceKind::Recording), Some(SourceKind::Pictures)] {
            believed(&sent, source);
        }
    }
}
