//! Records that are too large for their topic are cut, or their frame is parked. Other frames continue.

use everyframe_tests::{Frame, Raw, Record, Site, Topic, pictures, places, rule, shipped_rules};
use serde_json::json;

/// The largest record of a topic by Kafka's default, bytes.
const MEGABYTE: usize = 1_000_000;

/// Bytes that are not a picture.
fn no_picture(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 7 + n / 251) as u8).collect()
}

fn is_partial(letter: &Record) -> bool {
    !letter.header("everyframe-partial").is_empty()
}

/// Sends a broken frame of 3 MB between good ones, with a dead-letters topic for 1 MB. All others are processed, and the
/// dead letter describes the whole frame.
fn broken_among_good(delivery: &str) {
    let site = Site::start(1);
    site.configure(&format!("[publish]\ndelivery = \"{delivery}\"\n"), &shipped_rules(""));
    site.create_for(Topic::DeadLetters, MEGABYTE);
    let mut host = site.host();
    let (grey, broken) = (pictures::grey(64, 64), no_picture(3_000_000));
    let mut frames: Vec<Frame> = (0..20).map(|_| Frame::new("gate", &grey)).collect();
    frames[7] = Frame::new("gate", &broken);
    frames[11] = Frame::new("gate", b"small, and no picture");
    site.send(&frames);
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["total"]["missing"]), (Some(0), &json!(0)), "{audit}");
    assert_eq!(
        (&audit["total"]["results"], &audit["total"]["dead_letters"]),
        (&json!(18), &json!(2)),
        "{audit}"
    );
    assert_eq!((&audit["total"]["repeated"], &audit["partial"]), (&json!(0), &json!(["0/7"])), "{audit}");
    host.wait_for_word("takes records of at most 1000000 bytes");

    let mut letters = site.read(Topic::DeadLetters);
    // With at least once, the replaced record comes after the others.
    letters.sort_by_key(|letter| letter.header("everyframe-offset").parse::<u64>().ok());
    let [partial, whole] = &letters[..] else { panic!("{letters:?}") };
    assert!(is_partial(partial) && !is_partial(whole));
    let header = |name: &str| partial.header(&format!("everyframe-{name}")).to_owned();
    assert_eq!((partial.key.as_deref(), header("reason").as_str()), (Some("gate"), "not-a-picture"));
    assert_eq!((header("offset").as_str(), header("original-bytes").as_str()), ("7", "3000000"));
    assert_eq!(header("original-at"), format!("{}/0/7", site.name(Topic::Frames)));
    let kept = partial.value.as_deref().expect("the beginning of the frame");
    assert!(kept.len() >= 1024 && broken.starts_with(kept), "{} bytes", kept.len());
    let list = site.everyframe(&["dead-letters", "list"]).expect_success();
    assert!(list.contains("of 3000000 bytes, too large to keep; the whole frame stands at"), "{list}");
    let show = site.everyframe(&["dead-letters", "show", "0/7", "--json"]).expect_success();
    assert!(show.contains("\"originalBytes\":3000000"), "{show}");

    // The whole frame is replayed, not only the part in the dead letter; it is parked again as before.
    site.everyframe(&["dead-letters", "replay", "--at", "0/7", "--yes"]).expect_success();
    let replayed = site.wait_for_records(Topic::Frames, 21);
    assert!(replayed[20].value.as_deref() == Some(&broken), "the bytes are those that were sent");
    let (code, audit) = site.settled_audit();
    assert_eq!(
        (code, &audit["total"]["sent"], &audit["total"]["dead_letters"]),
        (Some(0), &json!(20), &json!(2))
    );

    // If retention has deleted the frame, nothing is replayed.
    site.delete_before(Topic::Frames, 0, 21);
    let again = site.everyframe(&["dead-letters", "replay", "--at", "0/7", "--yes"]);
    assert_eq!(again.code, Some(1), "{}{}", again.out, again.err);
    assert!(
        again.err.contains("frame 0/7 is not replayed: its 3000000 bytes were too large"),
        "{}",
        again.err
    );
    assert!(again.out.starts_with("replayed: 0 frames, 0 dead letters marked"), "{}", again.out);
    let ended = host.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[test]
fn a_frame_too_large_to_park_is_kept_in_part_exactly_once() {
    broken_among_good("exactly-once");
}

#[test]
fn a_frame_too_large_to_park_is_kept_in_part_at_least_once() {
    broken_among_good("at-least-once");
}

#[test]
fn many_frames_too_large_to_park_are_each_kept_in_part() {
    let site = Site::start(2);
    site.create_for(Topic::DeadLetters, MEGABYTE);
    let _host = site.host();
    let (grey, broken) = (pictures::grey(64, 64), no_picture(1_500_000));
    let frame =
        |n: usize| if n.is_multiple_of(3) { Frame::new("gate", &broken) } else { Frame::new("gate", &grey) };
    let frames: Vec<Frame> = (0..30).map(|n| frame(n).to(n as i32 % 2)).collect();
    site.send(&frames);
    let (code, audit) = site.settled_audit();
    assert_eq!(
        (code, &audit["total"]["results"], &audit["total"]["dead_letters"]),
        (Some(0), &json!(20), &json!(10))
    );
    assert_eq!((&audit["total"]["repeated"], &audit["partial_letters"]), (&json!(0), &json!(10)), "{audit}");
    assert!(site.read(Topic::DeadLetters).iter().all(is_partial));
}

#[test]
fn a_state_record_that_is_too_large_parks_its_frame() {
    let site = Site::start(1);
    let settings = "do = \"as-the-camera-says\"";
    let hostile = rule("hostile", "matching-policy", &places::other_rule("hostile_rule"), settings);
    let limits = "[rules.limits]\nstate_bytes = 3000000\nmemory_mb = 512\ntime_ms = 60000\n";
    site.configure("", &(hostile + limits));
    site.create_for(Topic::State, MEGABYTE);
    let host = site.host();
    let man = pictures::man();
    // On the tenth frame the rule stores a megabyte under each of several keys.
    site.send(&Frame::stream("state-flood", &man[..14]));
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["total"]["results"]), (Some(0), &json!(13)), "{audit}");
    assert_eq!(
        (&audit["total"]["dead_letters"], &audit["total"]["repeated"]),
        (&json!(1), &json!(0)),
        "{audit}"
    );
    let letters = site.read(Topic::DeadLetters);
    assert_eq!(letters[0].header("everyframe-reason"), "rule-state-too-large", "{letters:?}");
    assert_eq!(letters[0].header("everyframe-stage"), "publish");
    let message = letters[0].header("everyframe-message");
    assert!(message.contains("rule `hostile` keeps 1048576 bytes under `flood/"), "{message}");
    assert!(letters[0].value.as_deref() == Some(&man[9]), "the whole frame is kept");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_result_that_is_too_large_parks_its_frame() {
    let site = Site::start(1);
    // Each face is in all of these zones, so the result is large.
    let zone = |n: usize| {
        let name = format!("{n:064}");
        format!("[[zones]]\nname = \"{name}\"\npolygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\n")
    };
    site.configure(&(0..400).map(zone).collect::<String>(), &shipped_rules(""));
    site.create_for(Topic::Results, 20_000);
    let _host = site.host();
    let (man, grey) = (pictures::man(), pictures::grey(64, 64));
    site.enrol("viktor", &[&man[0]]);
    let frames = [&grey, &grey, &man[0], &grey, &man[1], &grey].map(|picture| Frame::new("gate", picture));
    site.send(&frames);
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["total"]["results"]), (Some(0), &json!(4)), "{audit}");
    assert_eq!(
        (&audit["total"]["dead_letters"], &audit["total"]["repeated"]),
        (&json!(2), &json!(0)),
        "{audit}"
    );
    let letters = site.read(Topic::DeadLetters);
    assert!(
        letters.iter().all(|letter| letter.header("everyframe-reason") == "result-too-large"),
        "{letters:?}"
    );
    assert!(letters[0].value.as_deref() == Some(&man[0]), "the whole frame is kept");
    assert!(site.count(Topic::Alerts) > 0, "the alert that he is known");
}

#[test]
fn small_records_that_are_too_large_together_are_sent_apart() {
    let site = Site::start(1);
    // Batches are larger than the topic's limit, so the host must split them.
    site.configure("[kafka.producer]\n\"batch.size\" = 900000\n\"linger.ms\" = 50\n", &shipped_rules(""));
    site.create_for(Topic::Results, 20_000);
    let _host = site.host();
    let grey = pictures::grey(64, 64);
    site.send(&(0..200).map(|_| Frame::new("gate", &grey)).collect::<Vec<_>>());
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["total"]["results"]), (Some(0), &json!(200)), "{audit}");
    assert_eq!(audit["total"]["repeated"], json!(0), "{audit}");
}

#[test]
fn frames_that_are_too_large_together_are_sent_apart() {
    let site = Site::start(1);
    site.create_for(Topic::Frames, 200_000);
    let noise = pictures::noise(300, 400);
    assert!((70_000..190_000).contains(&noise.len()), "{} bytes", noise.len());
    (0..30).for_each(|n| drop(site.file(&format!("pictures/{n:02}.jpg"), &noise)));
    let said = site.everyframe(&["camera", "--id", "gate", "--rate", "1000", "pictures"]);
    assert_eq!(said.expect_success(), "gate: 30 frames read · 30 acknowledged\n");
}

/// The number of bytes of a variable-length number of Kafka (zigzag).
fn varint(number: usize) -> usize {
    (1..10).find(|bytes| number << 1 < 1 << (7 * bytes)).expect("a small number")
}

/// The number of bytes of a batch with one record.
fn batch_bytes(raw: &Raw) -> usize {
    let field = |bytes: usize| varint(bytes) + bytes;
    let headers = raw.headers.iter().map(|(name, value)| field(name.len()) + field(value.len()));
    let value = raw.value.as_ref().map_or(0, Vec::len);
    let record = 3 + field(raw.key.len()) + field(value) + varint(raw.headers.len()) + headers.sum::<usize>();
    61 + field(record)
}

#[test]
fn a_frame_at_the_limit_with_long_headers_is_parked_whole() {
    let site = Site::start(1);
    let _host = site.host();
    let long = |c: char| c.to_string().repeat(200);
    let mut raw = Raw {
        key: long('k'),
        value: None,
        headers: vec![
            ("everyframe-session", long('s')),
            ("everyframe-sequence", u64::from(u32::MAX).to_string()),
            ("everyframe-captured-at", "1764000000000".into()),
        ],
        ..Raw::default()
    };
    const LIMIT: usize = 16 << 20;
    let mut bytes = LIMIT;
    let value = loop {
        raw.value = Some(vec![0; bytes]);
        match batch_bytes(&raw).checked_sub(LIMIT) {
            Some(0) => break no_picture(bytes),
            Some(more) => bytes -= more,
            None => panic!("no frame is exactly at the limit"),
        }
    };
    raw.value = Some(value.clone());
    site.send_raw(Topic::Frames, &[raw]);
    let (code, audit) = site.settled_audit();
    assert_eq!(
        (code, &audit["total"]["sent"], &audit["total"]["dead_letters"]),
        (Some(0), &json!(1), &json!(1))
    );
    assert_eq!(audit["partial_letters"], json!(0), "{audit}");
    let letters = site.read(Topic::DeadLetters);
    assert!(letters[0].value.as_deref() == Some(&value), "all of it is kept");
}
