use super::*;

#[test]
fn every_frame_is_a_result_a_dead_letter_missing_or_waiting() {
    let mut ledger = Ledger::default();
    ledger.result(0, 0);
    ledger.dead_letter(0, 1);
    for offset in 0..4 {
        ledger.frame(0, offset, "gate", 3, Some(("s", offset)));
    }
    let report = ledger.report();
    let expected =
        CameraCount { sent: 4, results: 1, dead_letters: 1, missing: 1, waiting: 1, ..Default::default() };
    assert_eq!(report.total, expected);
    assert_eq!(report.missing["gate"], ["0/2"]);
    assert!(!report.is_whole());
}

#[test]
fn what_was_done_twice_is_repeated_not_lost() {
    let mut ledger = Ledger::default();
    for offset in [0, 0, 1] {
        ledger.result(0, offset);
    }
    ledger.dead_letter(0, 1);
    ledger.frame(0, 0, "gate", 2, None);
    ledger.frame(0, 1, "gate", 2, None);
    let total = ledger.report().total;
    assert_eq!((total.results, total.dead_letters, total.missing, total.repeated), (2, 0, 0, 2));
}

#[test]
fn missing_frames_are_named_by_range_each_camera_for_itself() {
    let mut ledger = Ledger::default();
    ledger.result(0, 4);
    for offset in 0..8 {
        ledger.frame(0, offset, if offset % 2 == 0 { "even" } else { "odd" }, 8, None);
    }
    ledger.frame(1, 9, "even", 10, None);
    let report = ledger.report();
    assert_eq!(report.missing["even"], ["0/0-2", "0/6", "1/9"]);
    assert_eq!(report.missing["odd"], ["0/1-7"]);
    assert_eq!((report.cameras["even"].missing, report.cameras["odd"].missing), (4, 4));
}

#[test]
fn a_thousand_ranges_are_named_and_the_others_counted() {
    let mut ledger = Ledger::default();
    for offset in (1..5000).step_by(2) {
        ledger.result(0, offset);
    }
    for offset in 0..5000 {
        ledger.frame(0, offset, "gate", 5000, Some(("s", 3 * offset)));
    }
    let report = ledger.report();
    assert_eq!((report.total.missing, report.total.gaps), (2500, 9998));
    assert_eq!((report.missing["gate"].len(), report.not_named.missing), (NAMED, 1500));
    assert_eq!((report.gaps["gate"].len(), report.not_named.gaps), (NAMED, 3999));
    assert_eq!(report.gaps["gate"][0], "s/1-2");
}

#[test]
fn what_retention_deleted_unread_is_named_by_partition() {
    let mut ledger = Ledger::default();
    // What a host put on record, and what the topics still show.
    ledger.deleted(2, 100..102);
    ledger.deleted(2, 101..103);
    ledger.deleted(3, 5..5);
    let report = ledger.report();
    assert_eq!((report.deleted, report.deleted_frames), (vec!["2/100-102".to_owned()], 3));
    assert_eq!(report.total, CameraCount::default());
}

/// Frame 0/0 was parked; what it comes to with these results and further letters, when its replay is committed or not.
fn replayed(results: u64, letters: u64, due: &[bool]) -> CameraCount {
    let mut ledger = Ledger::default();
    (0..results).for_each(|_| ledger.result(0, 0));
    (0..letters).for_each(|_| ledger.dead_letter(0, 0));
    ledger.frame(0, 0, "gate", 9, None);
    for due in due {
        ledger.replay(0, 0, "gate", 9, *due);
    }
    ledger.report().total
}

#[test]
fn a_replay_makes_one_more_outcome_right() {
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
fn the_replay_of_a_frame_that_is_gone_stands_for_it() {
    for (in_part, letters, expected) in [(false, 1, (0, 1)), (true, 1, (1, 0)), (false, 2, (1, 0))] {
        let mut ledger = Ledger::new(in_part);
        (0..letters).for_each(|_| ledger.dead_letter(0, 7));
        ledger.replay(0, 7, "gate", 9, true);
        let total = ledger.report().total;
        assert_eq!((total.sent, total.dead_letters, total.missing), (1, expected.0, expected.1));
    }
}

#[test]
fn the_lost_replay_of_a_parked_frame_is_named() {
    let mut ledger = Ledger::default();
    ledger.dead_letter(0, 1);
    for offset in 0..3 {
        ledger.frame(0, offset, "gate", 9, None);
    }
    ledger.replay(0, 1, "gate", 9, true);
    let report = ledger.report();
    assert_eq!(
        (report.total.missing, &report.missing["gate"][..]),
        (3, &["0/0", "0/1", "0/2"].map(String::from)[..])
    );
}
