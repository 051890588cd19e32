//! `audit`, `lag`, `plan` and `dead-letters`.

use everyframe_tests::{Frame, Raw, Site, Topic, pictures, places, rule, shipped_rules, wait_for};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}

const HOUR: i64 = 3_600_000;

/// A frame with an agent's headers.
fn numbered(camera: &str, number: u64) -> Raw {
    Raw {
        key: camera.into(),
        value: Some(b"frame".to_vec()),
        headers: vec![
            ("everyframe-session", "session-1".into()),
            ("everyframe-sequence", number.to_string()),
        ],
        ..Raw::default()
    }
}

/// The result of a frame.
fn result(site: &Site, partition: i32, offset: i64) -> Raw {
    let id = format!("{}/{partition}/{offset}", site.name(Topic::Frames));
    let event = json!({ "id": id, "data": { "faces": [] } });
    Raw { key: "gate".into(), value: Some(event.to_string().into_bytes()), ..Raw::default() }
}

fn audit(site: &Site, words: &[&str]) -> (Option<i32>, Value) {
    let ended = site.everyframe(&[&["audit", "--json"], words].concat());
    (ended.code, serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{}{}", ended.out, ended.err)))
}

#[test]
fn the_audit_of_a_window_leaves_out_earlier_frames() {
    let site = Site::start(1);
    site.create_topics(1, &[]);
    let at = |number: u64, hours_ago: i64| Raw {
        timestamp: Some(now() - hours_ago * HOUR),
        ..numbered("gate", number)
    };
    // The fourth came late from a spool, with its old time.
    site.send_raw(Topic::Frames, &[at(0, 3), at(1, 3), at(2, 0), at(3, 3), at(4, 0)]);
    site.send_raw(Topic::Results, &(0..4).map(|offset| result(&site, 0, offset)).collect::<Vec<_>>());
    site.commit(0, 5);
    let (code, all) = audit(&site, &[]);
    assert_eq!((code, &all["total"]["sent"], &all["missing"]["gate"]), (Some(1), &json!(5), &json!(["0/4"])));
    let (code, window) = audit(&site, &["--since", "1h"]);
    assert_eq!(
        (code, &window["total"]["sent"], &window["total"]["results"]),
        (Some(1), &json!(2), &json!(1))
    );
    let (code, none) = audit(&site, &["--since", "2100-01-01T00:00:00Z"]);
    assert_eq!((code, &none["total"]["sent"]), (Some(0), &json!(0)));
    let wrong = site.everyframe(&["audit", "--since", "yesterday"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
}

#[test]
fn a_window_accepts_clocks_an_hour_ahead() {
    let site = Site::start(1);
    site.create_topics(1, &[]);
    let at = |number: u64, minutes: i64| Raw {
        timestamp: Some(now() + minutes * 60_000),
        ..numbered("gate", number)
    };
    let result_at = |offset: i64, minutes: i64| Raw {
        timestamp: Some(now() + minutes * 60_000),
        ..result(&site, 0, offset)
    };
    // Taken an hour ago by a clock that is 50 minutes ahead, and judged immediately.
    site.send_raw(Topic::Frames, &[at(0, -10), at(1, -9), at(2, -8)]);
    site.send_raw(Topic::Results, &[result_at(0, -60), result_at(1, -59)]);
    site.commit(0, 2);
    let (code, window) = audit(&site, &["--since", "30m"]);
    let total = &window["total"];
    assert_eq!((code, &total["sent"], &total["results"]), (Some(0), &json!(3), &json!(2)), "{window}");
    // A frame without any result is still missing.
    site.commit(0, 3);
    let (code, window) = audit(&site, &["--since", "30m"]);
    assert_eq!((code, &window["missing"]["gate"]), (Some(1), &json!(["0/2"])), "{window}");
}

#[test]
fn frames_deleted_unread_are_listed_and_fail_the_audit() {
    let site = Site::start(2);
    site.create_topics(2, &[]);
    let frames: Vec<Raw> = (0..20).map(|number| numbered("gate", number)).collect();
    site.send_raw(Topic::Frames, &frames);
    site.send_raw(Topic::Results, &(0..5).map(|offset| result(&site, 0, offset)).collect::<Vec<_>>());
    site.commit(0, 5);
    let (code, before) = audit(&site, &[]);
    assert_eq!((code, &before["total"]["waiting"]), (Some(0), &json!(15)));

    site.delete_before(Topic::Frames, 0, 12);
    let (code, after) = audit(&site, &[]);
    assert_eq!(code, Some(1), "{after}");
    assert_eq!((&after["deleted"], &after["deleted_frames"]), (&json!(["0/5-11"]), &json!(7)));
    assert_eq!((&after["total"]["sent"], &after["total"]["waiting"]), (&json!(8), &json!(8)));
    let table = site.everyframe(&["audit"]).out;
    assert!(
        table.ends_with("deleted unread by retention (partition/offsets): 0/5-11: 7 frames\n"),
        "{table}"
    );

    let lag = site.everyframe(&["lag", "--window", "1s"]);
    assert_eq!(lag.code, Some(1), "{}{}", lag.out, lag.err);
    assert!(lag.out.ends_with("7 frames of partition 0 were deleted unread\n"), "{}", lag.out);
}

#[test]
fn late_and_refused_numbers_are_no_gaps() {
    let site = Site::start(1);
    site.create_topics(1, &[]);
    let mut frames: Vec<Raw> = [0, 1, 4, 3, 9, 9].map(|number| numbered("gate", number)).into();
    let mut refusal = numbered("gate", 5);
    refusal.value = None;
    refusal.headers.push(("everyframe-refused", "5-6".into()));
    frames.push(refusal);
    site.send_raw(Topic::Frames, &frames);
    let (code, report) = audit(&site, &[]);
    assert_eq!(code, Some(0), "{report}");
    let gate = &report["cameras"]["gate"];
    let counts = ["sent", "waiting", "repeated", "gaps", "late", "refused"].map(|count| gate[count].as_u64());
    assert_eq!(counts, [5, 5, 1, 3, 1, 2].map(Some), "{report}");
    assert_eq!(report["gaps"]["gate"], json!(["session-1/2", "session-1/7-8"]));
    assert_eq!(report["refused"]["gate"], json!(["session-1/5-6"]));
}

#[test]
fn forged_headers_are_listed_and_change_no_count() {
    let site = Site::start(1);
    site.create_topics(1, &[]);
    let replay_of = |key: &str, place: &str| Raw {
        key: key.into(),
        value: Some(b"frame".to_vec()),
        headers: vec![("everyframe-replay-of", format!("{}/{place}", site.name(Topic::Frames)))],
        ..Raw::default()
    };
    let refusal = Raw {
        value: None,
        headers: vec![
            ("everyframe-session", "session-1".into()),
            ("everyframe-refused", "0-18446744073709551615".into()),
        ],
        ..numbered("gate", 0)
    };
    let letter = |of: &str, header: (&'static str, &str)| Raw {
        key: "gate".into(),
        value: Some(b"frame".to_vec()),
        headers: vec![
            ("everyframe-partition", "0".into()),
            ("everyframe-offset", of.into()),
            (header.0, header.1.into()),
        ],
        ..Raw::default()
    };
    site.send_raw(
        Topic::Frames,
        &[
            numbered("gate", 0),
            numbered("gate", 1),
            // Replays of another camera's frame, of a frame that was not parked, of one that does not exist, and of an invalid
            // position.
            replay_of("yard", "0/1"),
            replay_of("gate", "0/0"),
            replay_of("gate", "0/900"),
            replay_of("gate", "0/-1"),
            refusal,
        ],
    );
    let results: Vec<Raw> = [0, 1, 1, 0, 900, 5].map(|offset| result(&site, 0, offset)).into();
    site.send_raw(Topic::Results, &results);
    site.send_raw(
        Topic::DeadLetters,
        &[
            letter("1", ("everyframe-reason", "rule-trapped")),
            letter("6", ("everyframe-reason", "empty")),
            letter("18446744073709551615", ("everyframe-reason", "forged")),
            letter("0", ("everyframe-deleted", "0-18446744073709551615")),
        ],
    );
    site.commit(0, 7);
    let (code, report) = audit(&site, &[]);
    assert_eq!(code, Some(0), "{report}");
    let counts = ["sent", "results", "dead_letters", "missing", "waiting", "repeated", "refused"];
    let counts = counts.map(|count| report["total"][count].as_u64());
    // Real repeats: frame 0 has a second result by its forged replay, and frame 1 was parked as well.
    assert_eq!(counts, [4, 3, 1, 0, 0, 3, 0].map(Some), "{report}");
    assert_eq!(report["forged_records"], json!(5), "{report}");
    let mut forged: Vec<&str> =
        report["forged"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    forged.sort_unstable();
    let expected = [
        "deletion of 0/0-18446744073709551615",
        "refusal by camera gate at 0/6",
        "replay of 0/0 by camera gate",
        "replay of 0/1 by camera yard",
        "replay of 0/900 by camera gate",
    ];
    assert_eq!(forged, expected, "{report}");
    let table = site.everyframe(&["audit"]).out;
    assert!(
        table.contains("forged, and not counted: ") && !table.contains("1844674407370955161 "),
        "{table}"
    );
}

#[test]
fn retention_near_unread_frames_raises_the_alarm() {
    let site = Site::start(1);
    site.create_topics(1, &[("retention.ms", "86400000")]);
    let old = |number| Raw { timestamp: Some(now() - 21 * HOUR), ..numbered("gate", number) };
    site.send_raw(Topic::Frames, &[old(0), old(1), old(2), numbered("gate", 3)]);
    let read = |offset| site.commit(0, offset);
    read(1);
    let lag = |words: &[&str]| site.everyframe(&[&["lag", "--window", "1s"], words].concat());
    let alarm = lag(&[]);
    assert_eq!(alarm.code, Some(1), "{}{}", alarm.out, alarm.err);
    let left = "camera traffic on partition 0 will be deleted unread in 2 h 59 min\n";
    assert!(alarm.out.ends_with(left), "{}", alarm.out);
    let calm = lag(&["--within", "2h", "--json"]);
    assert_eq!(calm.code, Some(0), "{}{}", calm.out, calm.err);
    let report: Value = serde_json::from_str(&calm.out).expect("JSON");
    let partition = &report["partitions"][0];
    assert_eq!(
        (&partition["lag"], &partition["committed"], &report["alarm"]),
        (&json!(3), &json!(1), &json!([]))
    );
    assert!(
        partition["time_left"].as_f64().is_some_and(|left| (10_000.0..10_800.0).contains(&left)),
        "{report}"
    );
    read(4);
    assert_eq!(lag(&[]).code, Some(0), "all is read");
}

fn letters(site: &Site, words: &[&str]) -> Vec<Value> {
    let out = site.everyframe(&[&["dead-letters", "list", "--json"], words].concat()).expect_success();
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_dead_letter_is_replayed_after_its_rule_was_fixed() {
    let site = Site::start(1);
    let trap = rule("who", "matching-policy", &places::other_rule("hostile_rule"), "do = \"trap\"");
    site.configure("", &trap);
    let host = site.host();
    let man = pictures::man();
    site.send(&Frame::stream("gate", &man[..4]));
    site.send(&[Frame::new("gate", b"no picture")]);
    site.settled_audit();
    assert_eq!(host.terminate().code, Some(0));
    assert_eq!(letters(&site, &[]).len(), 5);

    let asked = site.everyframe(&["dead-letters", "replay", "--reason", "rule-trapped"]);
    assert_eq!(asked.code, Some(2), "nobody is there to ask: {}{}", asked.out, asked.err);
    let replay = ["dead-letters", "replay", "--reason", "rule-trapped", "--yes"];
    let said = site.everyframe(&replay).expect_success();
    assert_eq!(said, "replayed: 4 frames, 4 dead letters marked, 4 records deleted\n");
    assert_eq!(
        site.everyframe(&replay).expect_success(),
        "replayed: 0 frames, 0 dead letters marked, 0 records deleted\n"
    );
    let (code, waiting) = site.audit();
    assert_eq!(
        (code, &waiting["total"]["sent"], &waiting["total"]["waiting"]),
        (Some(0), &json!(5), &json!(4))
    );

    site.configure("", &shipped_rules(""));
    let _host = site.host_called("host-mended");
    let (code, report) = wait_for("the replayed frames' results", || {
        let (code, report) = site.audit();
        (report["total"]["waiting"] == 0).then_some((code, report))
    });
    assert_eq!(code, Some(0), "{report}");
    let counts = ["sent", "results", "dead_letters", "missing", "repeated", "gaps"];
    let counts = counts.map(|count| report["total"][count].as_u64());
    assert_eq!(counts, [5, 4, 1, 0, 0, 0].map(Some), "{report}");
    let ids: Vec<String> =
        site.read(Topic::Results).iter().map(|result| result.json()["id"].to_string()).collect();
    assert_eq!(
        ids,
        (0..4).map(|offset| format!("\"{}/0/{offset}\"", site.name(Topic::Frames))).collect::<Vec<_>>()
    );
    let data = site.read(Topic::Results)[2].json()["data"].clone();
    assert_eq!((&data["session"], &data["sequence"]), (&json!("session-1"), &json!(2)), "as it was");
    assert_eq!(data["capturedAt"], json!(1_764_000_000_200i64));
    assert_eq!(letters(&site, &[]).len(), 1, "what was replayed is listed no more");
}

#[test]
fn dropped_letters_are_deleted_up_to_the_first_open_one() {
    let site = Site::start(1);
    let host = site.host();
    let frame = |camera: &str| Frame::new(camera, b"no picture");
    site.send(&[frame("test"), frame("test"), frame("gate"), frame("test")]);
    site.settled_audit();
    host.terminate().code.expect("it ended in good order");

    let drop = |words: &[&str]| {
        site.everyframe(&[&["dead-letters", "drop", "--yes", "--json"], words].concat()).expect_success()
    };
    let said: Value = serde_json::from_str(&drop(&["--camera", "test"])).expect("JSON");
    assert_eq!(said, json!({ "dropped": 3, "letters": 3, "deleted": 2 }));
    assert_eq!(site.oldest(Topic::DeadLetters, 0), 2, "the third is open");
    let left = letters(&site, &[]);
    assert_eq!((left.len(), &left[0]["camera"], &left[0]["offset"]), (1, &json!("gate"), &json!(2)));
    let all = letters(&site, &["--all"]);
    assert_eq!((all.len(), &all[1]["fate"]), (2, &json!("dropped")));
    let (code, report) = site.audit();
    assert_eq!((code, &report["total"]["dead_letters"]), (Some(0), &json!(4)), "{report}");

    let shown = site.everyframe(&["dead-letters", "show", "0/2", "--save", "parked"]).expect_success();
    assert!(shown.contains("everyframe-stage        vision\n"), "{shown}");
    assert_eq!(std::fs::read(site.folder().join("parked/0-2.frame")).expect("a file"), b"no picture");
    assert_eq!(site.everyframe(&["dead-letters", "show", "0/77"]).code, Some(1));

    drop(&["--at", "0/2"]);
    assert_eq!(site.oldest(Topic::DeadLetters, 0), 4, "the marks speak for the letters");
    let (code, report) = site.audit();
    let total = &report["total"];
    assert_eq!(
        (code, &total["dead_letters"], &total["repeated"]),
        (Some(0), &json!(4), &json!(0)),
        "{report}"
    );
    assert_eq!(letters(&site, &["--all"]).len(), 0);
}

#[test]
fn a_plan_prints_its_formulas_with_numbers() {
    let site = Site::start(1);
    let plan = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        site.run(&mut site.command(&words))
    };
    let told = plan("plan --cameras 1 --fps 10 --frame-kb 100 --seconds-per-frame 0.5 --cores-per-host 4")
        .expect_success();
    assert!(told.contains("10 frames/s × 0.5 s = 5 before head-room\n"), "{told}");
    let json =
        plan("plan --cameras 100 --fps 10 --frame-kb 80 --seconds-per-frame 0.02 --json --cores-per-host 8");
    let json: Value = serde_json::from_str(&json.expect_success()).expect("JSON");
    assert_eq!((&json["plan"]["consumers"], &json["plan"]["hosts"]), (&json!(29), &json!(4)), "{json}");
    assert_eq!(plan("plan --cameras 100 --fps 10").code, Some(2), "neither given nor measured");

    let pictures = pictures::man();
    for (number, picture) in pictures[..20].iter().enumerate() {
        site.file(&format!("frames/{number}.jpg"), picture);
    }
    let measured = plan("plan --cameras 1 --fps 10 --json --measure frames").expect_success();
    let measured: Value = serde_json::from_str(&measured).expect("JSON");
    let bytes: usize = pictures[..20].iter().map(Vec::len).sum();
    assert_eq!(
        measured["demand"]["frame_bytes"].as_f64().map(f64::round),
        Some((bytes as f64 / 20.0).round())
    );
    assert!(
        measured["demand"]["seconds_per_frame"].as_f64().is_some_and(|seconds| seconds > 0.0),
        "{measured}"
    );
}
