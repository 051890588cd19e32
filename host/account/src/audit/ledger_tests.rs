use super::*;

#[test]
fn every_frame_is_a_result_a_dead_letter_missing_or_waiting() {
    let mut ledger = Ledger::default();
    ledger.add_result(0, 0);
    ledger.add_dead_letter(0, 1);
    for offset in 0..4 {
        ledger.add_frame(0, offset, "gate", 3, Some(("s", offset)));
    }
    let report = ledger.report();
    let expected =
        CameraCount { sent: 4, results: 1, dead_letters: 1, missing: 1, waiting: 1, ..Default::default() };
    assert_eq!(report.total, expected);
    assert_eq!(report.missing["gate"], ["0/2"]);
    assert!(!report.is_whole());
}

#[test]
fn repeated_outcomes_are_counted() {
    let mut ledger = Ledger::default();
    for offset in [0, 0, 1] {
        ledger.add_result(0, offset);
    }
    ledger.add_dead_letter(0, 1);
    ledger.add_frame(0, 0, "gate", 2, None);
    ledger.add_frame(0, 1, "gate", 2, None);
    let total = ledger.report().total;
    assert_eq!((total.results, total.dead_letters, total.missing, total.repeated), (2, 0, 0, 2));
}

#[test]
fn missing_frames_are_listed_by_camera_and_range() {
    let mut ledger = Ledger::default();
    ledger.add_result(0, 4);
    for offset in 0..8 {
        ledger.add_frame(0, offset, if offset % 2 == 0 { "even" } else { "odd" }, 8, None);
    }
    ledger.add_frame(1, 9, "even", 10, None);
    let report = ledger.report();
    assert_eq!(report.missing["even"], ["0/0-2", "0/6", "1/9"]);
    assert_eq!(report.missing["odd"], ["0/1-7"]);
    assert_eq!((report.cameras["even"].missing, report.cameras["odd"].missing), (4, 4));
}

#[test]
fn a_thousand_ranges_are_listed_and_others_counted() {
    let mut ledger = Ledger::default();
    for offset in (1..5000).step_by(2) {
        ledger.add_result(0, offset);
    }
    for offset in 0..5000 {
        ledger.add_frame(0, offset, "gate", 5000, Some(("s", 3 * offset)));
    }
    let report = ledger.report();
    assert_eq!((report.total.missing, report.total.gaps), (2500, 9998));
    assert_eq!((report.missing["gate"].len(), report.not_named.missing), (MAX_LISTED, 1500));
    assert_eq!((report.gaps["gate"].len(), report.not_named.gaps), (MAX_LISTED, 3999));
    assert_eq!(report.gaps["gate"][0], "s/1-2");
}

#[test]
fn frames_deleted_unread_are_listed_by_partition() {
    let mut ledger = Ledger::default();
    // A host's report, and the deletion that the topics show.
    ledger.add_deleted(2, 100..102);
    ledger.add_deleted(2, 101..103);
    ledger.add_deleted(3, 5..5);
    let report = ledger.report();
    assert_eq!((report.deleted, report.deleted_frames), (vec!["2/100-102".to_owned()], 3));
    assert_eq!(report.total, CameraCount::default());
}

/// The counts of frame 0/0 with these results and dead letters; `due` has one value for each replay: true if it is committed.
fn replayed(results: u64, letters: u64, due: &[bool]) -> CameraCount {
    let mut ledger = Ledger::default();
    (0..results).for_each(|_| ledger.add_result(0, 0));
    (0..letters).for_each(|_| ledger.add_dead_letter(0, 0));
    ledger.add_frame(0, 0, "gate", 9, None);
    for due in due {
        ledger.add_replay(0, 0, "gate", 9, *due);
    }
    ledger.report().total
}

#[test]
fn a_replay_allows_one_more_outcome() {
    let one = || CameraCount { sent: 1, ..Default::default() };
    assert_eq!(replayed(1, 1, &[true]), CameraCount { results: 1, ..one() }, "processed");
    assert_eq!(replayed(0, 2, &[true]), CameraCount { dead_letters: 1, ..one() }, "parked again");
    assert_eq!(replayed(0, 1, &[false]), CameraCount { waiting: 1, ..one() }, "still to come");
    assert_eq!(replayed(0, 1, &[true]), CameraCount { missing: 1, ..one() }, "the replay was lost");
    assert_eq!(replayed(2, 1, &[true]), CameraCount { results: 1, repeated: 1, ..one() }, "done twice");
    assert_eq!(replayed(1, 2, &[true, true]), CameraCount { results: 1, ..one() }, "parked, then processed");
    assert_eq!(replayed(1, 1, &[]), CameraCount { results: 1, repeated: 1, ..one() }, "not replayed");
}

#[test]
fn the_replay_of_a_deleted_frame_counts_in_its_place() {
    for (in_part, letters, expected) in [(false, 1, (0, 1)), (true, 1, (1, 0)), (false, 2, (1, 0))] {
        let mut ledger = Ledger::new(in_part, 0);
        (0..letters).for_each(|_| ledger.add_dead_letter(0, 7));
        ledger.add_replay(0, 7, "gate", 9, true);
        let total = ledger.report().total;
        assert_eq!((total.sent, total.dead_letters, total.missing), (1, expected.0, expected.1));
    }
}

#[test]
fn the_lost_replay_of_a_parked_frame_is_listed() {
    let mut ledger = Ledger::default();
    ledger.add_dead_letter(0, 1);
    for offset in 0..3 {
        ledger.add_frame(0, offset, "gate", 9, None);
    }
    ledger.add_replay(0, 1, "gate", 9, true);
    let report = ledger.report();
    assert_eq!(
        (report.total.missing, &report.missing["gate"][..]),
        (3, &["0/0", "0/1", "0/2"].map(String::from)[..])
    );
}

/// Frame 0/0 of `gate` with these results and letters, and its replays by these cameras.
fn replayed_by(results: u64, letters: u64, cameras: &[&str]) -> Report {
    let mut ledger = Ledger::default();
    (0..results).for_each(|_| ledger.add_result(0, 0));
    (0..letters).for_each(|_| ledger.add_dead_letter(0, 0));
    ledger.add_frame(0, 0, "gate", 9, None);
    for camera in cameras {
        ledger.add_replay(0, 0, camera, 9, true);
    }
    ledger.report()
}

#[test]
fn a_replay_of_another_cameras_frame_is_forged() {
    let report = replayed_by(1, 1, &["yard"]);
    let expected = CameraCount { sent: 1, results: 1, repeated: 1, ..Default::default() };
    assert_eq!((&report.cameras["gate"], &report.total), (&expected, &expected));
    assert_eq!((report.forged, report.forged_records), (vec!["replay of 0/0 by camera yard".into()], 1));

    let report = replayed_by(1, 1, &["yard", "gate"]);
    assert_eq!((report.total.repeated, report.forged_records), (0, 1), "the true one counts");
}

#[test]
fn a_replay_of_a_frame_that_was_not_parked_is_forged() {
    for (results, expected) in [
        (1, CameraCount { sent: 1, results: 1, ..Default::default() }),
        (2, CameraCount { sent: 1, results: 1, repeated: 1, ..Default::default() }),
    ] {
        let report = replayed_by(results, 0, &["gate"]);
        assert_eq!((report.total, report.forged_records), (expected, 1));
    }
}

#[test]
fn a_replay_of_a_frame_that_never_was_is_forged() {
    for (partition, offset, forged) in [(0, 4, 0), (0, 5, 1), (7, 0, 1), (0, u64::MAX, 1)] {
        let mut ledger = Ledger::default();
        ledger.add_result(partition, offset);
        ledger.add_replay(partition, offset, "gate", 9, true);
        ledger.set_ends([(0, 5)].into());
        let report = ledger.report();
        assert_eq!((report.forged_records, report.total.sent), (forged, 1 - forged), "{partition}/{offset}");
    }
}

#[test]
fn frames_with_partial_letters_are_listed() {
    let mut ledger = Ledger::default();
    for offset in [1, 1, 2] {
        ledger.add_dead_letter(0, offset);
        ledger.add_partial_letter(0, offset);
    }
    // Replayed since, and processed.
    ledger.add_result(0, 2);
    ledger.add_frame(0, 1, "gate", 2, None);
    let report = ledger.report();
    assert!(report.is_whole());
    assert_eq!(
        (report.total.dead_letters, report.partial, report.partial_letters),
        (1, vec!["0/1".into()], 1)
    );
}

mod any_input {
    use super::*;
    use proptest::prelude::*;

    /// A record of one of the topics.
    #[derive(Debug, Clone)]
    enum AnyRecord {
        Result(i32, u64),
        Letter(i32, u64),
        Partial(i32, u64),
        Deleted(i32, u64, u64),
        Frame(i32, u64, String, u64, Option<u64>),
        Replay(i32, u64, String, u64, bool),
        Refusal(String, u64, u64),
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![4 => 0u64..5, 1 => (u64::MAX - 3)..=u64::MAX, 1 => any::<u64>()]
    }

    fn partition() -> impl Strategy<Value = i32> {
        prop_oneof![4 => 0i32..2, 1 => Just(-1), 1 => any::<i32>()]
    }

    fn camera() -> impl Strategy<Value = String> {
        prop_oneof![Just("gate".to_owned()), Just("yard".to_owned()), Just(String::new())]
    }

    fn any_record() -> impl Strategy<Value = AnyRecord> {
        let place = || (partition(), number());
        prop_oneof![
            place().prop_map(|(p, o)| AnyRecord::Result(p, o)),
            place().prop_map(|(p, o)| AnyRecord::Letter(p, o)),
            place().prop_map(|(p, o)| AnyRecord::Partial(p, o)),
            (place(), number()).prop_map(|((p, from), to)| AnyRecord::Deleted(p, from, to)),
            (place(), camera(), number(), proptest::option::of(number()))
                .prop_map(|((p, o), camera, committed, n)| AnyRecord::Frame(p, o, camera, committed, n)),
            (place(), camera(), number(), any::<bool>())
                .prop_map(|((p, o), camera, committed, due)| AnyRecord::Replay(p, o, camera, committed, due)),
            (camera(), number(), number())
                .prop_map(|(camera, from, to)| AnyRecord::Refusal(camera, from, to)),
        ]
    }

    proptest! {
        /// A count that wrapped would be greater than the number of records.
        #[test]
        fn no_count_exceeds_the_number_of_records(
            words in proptest::collection::vec(any_record(), 0..60),
            in_part: bool,
            ends in proptest::option::of(number()),
        ) {
            let mut ledger = Ledger::new(in_part, 0);
            let (mut frames, mut replays, mut outcomes) = (0, 0, 0);
            for any_record in &words {
                match any_record.clone() {
                    AnyRecord::Result(partition, offset) => {
                        outcomes += 1;
                        ledger.add_result(partition, offset);
                    }
                    AnyRecord::Letter(partition, offset) => {
                        outcomes += 1;
                        ledger.add_dead_letter(partition, offset);
                    }
                    AnyRecord::Partial(partition, offset) => ledger.add_partial_letter(partition, offset),
                    AnyRecord::Deleted(partition, from, to) => ledger.add_deleted(partition, from..to),
                    AnyRecord::Frame(partition, offset, camera, committed, n) => {
                        frames += 1;
                        ledger.add_frame(partition, offset, &camera, committed, n.map(|n| ("s", n)));
                    }
                    AnyRecord::Replay(partition, offset, camera, committed, due) => {
                        replays += 1;
                        ledger.add_replay(partition, offset, &camera, committed, due);
                    }
                    AnyRecord::Refusal(camera, from, to) => ledger.add_refusal(&camera, "s", from..=to),
                }
            }
            if let Some(end) = ends {
                ledger.set_ends([(0, end), (1, end)].into());
            }
            let report = ledger.report();
            let counts = report.cameras.values().chain([&report.total]);
            for count in counts {
                prop_assert!(count.sent <= frames + replays, "{count:?}");
                let states = [count.results, count.dead_letters, count.missing, count.waiting];
                prop_assert_eq!(states.iter().sum::<u64>(), count.sent, "{:?}", count);
                // If a frame was added more than once, its outcomes count as repeats each time, and so does its number.
                prop_assert!(count.repeated <= outcomes * (frames + replays) + frames, "{count:?}");
                prop_assert!(count.late <= frames, "{count:?}");
            }
            let sent: u64 = report.cameras.values().map(|count| count.sent).sum();
            prop_assert_eq!(sent, report.total.sent);
            prop_assert!(report.forged_records <= replays);
        }
    }
}

#[test]
fn a_frame_that_came_twice_counts_once() {
    let mut ledger = Ledger::default();
    ledger.add_result(0, 0);
    ledger.add_result(0, 1);
    for (offset, number) in [(0, 7), (1, 7), (2, 8)] {
        ledger.add_frame(0, offset, "gate", 2, Some(("s", number)));
    }
    let expected = CameraCount { sent: 2, results: 1, waiting: 1, repeated: 1, ..Default::default() };
    assert_eq!(ledger.report().cameras["gate"], expected);
}

#[test]
fn absences_and_damaged_pictures_are_added_up() {
    use everyframe_types::camera_notice::{CameraNotice, NoticeKind};
    let notice = |kind, from, to, frames| CameraNotice { kind, from, to, frames, reason: String::new() };
    let mut ledger = Ledger::new(false, 100_000);
    ledger.add_camera("silent");
    ledger.add_notice("gate", &notice(NoticeKind::Away, 10_000, None, 0));
    ledger.add_notice("gate", &notice(NoticeKind::Away, 10_000, Some(15_000), 0));
    ledger.add_notice("gate", &notice(NoticeKind::Interrupted, 20_000, Some(21_500), 0));
    ledger.add_notice("gate", &notice(NoticeKind::Damaged, 30_000, Some(31_000), 5));
    ledger.add_notice("gate", &notice(NoticeKind::Frozen, 30_000, Some(90_000), 0));
    // Its agent was killed, and another one sent a frame.
    ledger.add_notice("gate", &notice(NoticeKind::Away, 40_000, None, 0));
    ledger.end_absence("gate", 44_000);
    // It is still away.
    ledger.add_notice("yard", &notice(NoticeKind::Away, 70_000, None, 0));
    let report = ledger.report();
    let counts = ["gate", "yard", "silent"].map(|camera| {
        let count = &report.cameras[camera];
        (count.sent, count.away, count.damaged)
    });
    assert_eq!(counts, [(0, 10, 5), (0, 30, 0), (0, 0, 0)]);
    assert_eq!((report.total.away, report.total.damaged), (40, 5));
}

#[test]
fn a_number_that_is_used_twice_hides_no_loss() {
    let mut ledger = Ledger::default();
    ledger.add_result(0, 0);
    ledger.add_dead_letter(0, 2);
    // The second has no outcome, the third is parked, the fourth waits.
    for offset in 0..4 {
        ledger.add_frame(0, offset, "gate", 3, Some(("s", 0)));
    }
    let report = ledger.report();
    let expected =
        CameraCount { sent: 3, results: 1, dead_letters: 1, missing: 1, repeated: 1, ..Default::default() };
    assert_eq!(report.total, expected);
    assert_eq!(report.missing["gate"], ["0/1"]);
}
