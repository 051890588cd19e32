//! Any Kafka client can act as a camera.

use everyframe_tests::{Frame, Raw, Record, Site, Topic, pictures, places, wait_for};
use serde_json::Value;
use std::process::Command;

/// A folder with three pictures of the man, one in each format.
fn pictures_in_three_formats(site: &Site) -> String {
    let man = pictures::man();
    site.file("pictures/1.jpg", &man[0]);
    site.file("pictures/2.png", &pictures::reencoded(&man[1], ".png"));
    let last = site.file("pictures/3.webp", &pictures::reencoded(&man[2], ".webp"));
    last.parent().expect("it lies in a folder").display().to_string()
}

fn results(site: &Site, count: usize) -> Vec<Value> {
    site.wait_for_records(Topic::Results, count).iter().map(|record| record.json()["data"].clone()).collect()
}

fn assert_the_man_is_seen(results: &[Value]) {
    for data in results {
        assert_eq!((&data["width"], &data["height"]), (&640.into(), &360.into()), "{data}");
        assert_eq!(data["faces"].as_array().map(Vec::len), Some(1), "{data}");
    }
}

#[test]
fn a_frame_needs_no_key_no_headers_and_no_jpeg() {
    let site = Site::start(1);
    let _host = site.host();
    let man = pictures::man();
    let frames =
        [man[0].clone(), pictures::reencoded(&man[1], ".png"), pictures::reencoded(&man[2], ".webp")]
            .map(|picture| Frame { picture: Some(picture), ..Frame::default() });
    site.send(&frames);
    let results = results(&site, 3);
    assert_the_man_is_seen(&results);
    for (data, offset) in results.iter().zip(0..) {
        assert_eq!(data["camera"], "partition-0");
        assert_eq!(data["session"], format!("{}/0", site.name(Topic::Frames)));
        assert_eq!((&data["sequence"], &data["position"]["offset"]), (&offset.into(), &offset.into()));
        let captured = data["capturedAt"].as_i64().expect("a time");
        assert!(captured > 1_700_000_000_000, "the record's own time: {captured}");
    }
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["cameras"]["partition-0"]["results"]), (Some(0), &3.into()), "{audit}");
}

#[test]
fn unreadable_headers_count_as_missing() {
    let site = Site::start(1);
    let _host = site.host();
    let mut frame = Frame::new("gate\n\u{1b}[2J", &pictures::grey(64, 64));
    frame.stamp = Some((String::new(), 7, -5));
    site.send(&[frame]);
    let data = &results(&site, 1)[0];
    assert_eq!(data["camera"], "gate\u{fffd}\u{fffd}[2J", "no control character comes through");
    let session = format!("{}/0", site.name(Topic::Frames));
    assert_eq!((&data["session"], &data["sequence"]), (&session.into(), &7.into()));
    assert_eq!(data["claimedAt"], -5);
    assert!(
        data["capturedAt"].as_i64().is_some_and(|at| at > 1_700_000_000_000),
        "the record's own time: {data}"
    );
}

#[test]
fn the_shell_example_sends_pictures() {
    let site = Site::start(1);
    let _host = site.host();
    let folder = pictures_in_three_formats(&site);
    let script = places::repository("examples/producers/kcat.sh");
    let topic = site.name(Topic::Frames);
    let mut kcat = Command::new("bash");
    kcat.arg(script).args(["-t", &topic, site.address(), "door", &folder]);
    let said = site.run(&mut kcat).expect_success();
    assert_eq!(said, format!("sent 3 pictures of door to {topic}\n"));
    let results = results(&site, 3);
    assert_the_man_is_seen(&results);
    assert!(results.iter().all(|data| data["camera"] == "door"));
}

#[test]
fn the_python_example_sends_numbered_pictures() {
    let site = Site::start(1);
    let _host = site.host();
    let folder = pictures_in_three_formats(&site);
    let script = places::repository("examples/producers/producer.py");
    let python = places::cached("python/bin/python");
    let topic = site.name(Topic::Frames);
    let mut python = Command::new(python);
    python.arg(script).args(["--topic", &topic, site.address(), "door", &folder]);
    let said = site.run(&mut python).expect_success();
    assert!(said.starts_with("door: read 3, acknowledged 3, session "), "{said}");
    let session = said.trim().rsplit(' ').next().expect("a session");
    let results = results(&site, 3);
    assert_the_man_is_seen(&results);
    for (data, sequence) in results.iter().zip(0..) {
        assert_eq!((&data["camera"], &data["session"]), (&"door".into(), &session.into()));
        assert_eq!(data["sequence"], sequence);
    }
    let frames: Vec<Record> = site.read(Topic::Frames);
    let sent = frames.iter().map(|frame| frame.header("everyframe-captured-at").parse::<i64>().ok());
    assert!(sent.eq(results.iter().map(|data| data["capturedAt"].as_i64())));
}

/// Frames of the man at a camera, ten a second, with their claimed times and the times of their records.
fn claiming(camera: &str, claims: &[(i64, i64)]) -> Vec<Raw> {
    let man = pictures::man();
    let raw = |((claimed, recorded), number): (&(i64, i64), usize)| Raw {
        key: camera.into(),
        value: Some(man[number % man.len()].clone()),
        headers: vec![
            ("everyframe-session", "s".into()),
            ("everyframe-sequence", number.to_string()),
            ("everyframe-captured-at", claimed.to_string()),
        ],
        timestamp: Some(*recorded),
        partition: 0,
    };
    claims.iter().zip(0..).map(raw).collect()
}

#[test]
fn one_wrong_time_does_not_affect_other_frames() {
    const BEGIN: i64 = 1_764_000_000_000;
    let site = Site::start(1);
    let host = site.host();
    let right: Vec<i64> = (0..300).map(|n| BEGIN + n * 100).collect();
    let mut claims: Vec<(i64, i64)> = right.iter().map(|at| (*at, at + 30)).collect();
    let wrong = [
        (20, (BEGIN + 2000) * 1000),
        (50, BEGIN / 1000),
        (80, 0),
        (110, BEGIN + 86_400_000),
        (140, BEGIN - 3_600_000),
        (170, i64::MAX),
        (190, -5),
    ];
    wrong.iter().for_each(|(place, claimed)| claims[*place].0 = *claimed);
    site.send_raw(Topic::Frames, &claiming("gate", &claims));
    let results = results(&site, 300);
    for (data, (place, right)) in results.iter().zip(right.iter().enumerate()) {
        let believed = data["capturedAt"].as_i64().expect("a time");
        match wrong.iter().find(|(wrong, _)| *wrong == place) {
            Some((_, claimed)) => {
                assert_eq!(data["claimedAt"], *claimed);
                assert!(believed.abs_diff(*right) <= 10_000, "{place}: {believed} for {right}");
            }
            None => assert_eq!((believed, &data["claimedAt"]), (*right, &Value::Null), "{place}"),
        }
    }
    // Nobody is enrolled, so the man is a stranger: new once, and loitering once.
    let events: Vec<(i64, String)> = results
        .iter()
        .filter_map(|data| {
            let event = data["faces"][0]["stranger"]["event"].as_str()?;
            Some((data["sequence"].as_i64()? / 10, event.to_owned()))
        })
        .collect();
    assert_eq!(events, [(0, "first-seen".to_owned()), (20, "loitering".to_owned())]);
    let alerts: Vec<String> = site
        .wait_for_records(Topic::Alerts, 2)
        .iter()
        .map(|alert| alert.json()["data"]["kind"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(alerts, ["first-seen", "loitering"]);
    wait_for("the operator to be told", || host.err().contains("by NTP").then_some(()));
    assert!(
        host.err().contains("camera=\"gate\"") && host.err().contains("1970-01-01T00:00:00Z"),
        "{}",
        host.err()
    );
}

#[test]
fn frames_of_cameras_with_odd_ids_are_processed() {
    let site = Site::start(1);
    let _host = site.host();
    let man = pictures::man();
    let odd =
        ["gate\u{202a}", &"門".repeat(200), &("門".repeat(199) + "口"), "Jose\u{301} ", "\u{feff}x\u{2028}y"];
    let mut frames = Vec::new();
    for at in 0..12 {
        for camera in odd.iter().chain(&["yard"]) {
            frames.push(Frame::stream(camera, &man[..12])[at].clone());
        }
    }
    site.send(&frames);
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["total"]["results"]), (Some(0), &frames.len().into()), "{audit}");
    let results = results(&site, frames.len());
    let cameras = audit["cameras"].as_object().expect("cameras");
    assert_eq!(cameras.len(), 6, "none became another's: {audit}");
    for camera in ["gate\u{fffd}", "Jos\u{e9}", "\u{fffd}x\u{fffd}y", "yard"] {
        assert_eq!(cameras[camera]["results"], 12, "{camera}: {audit}");
    }
    // He is one stranger, so a camera that sees him after another has no alert of its own.
    let strangers = |camera: &str| {
        let of_camera = |data: &&Value| data["camera"] == camera;
        let all =
            results.iter().filter(of_camera).filter(|data| data["faces"][0]["stranger"]["id"].is_string());
        all.count()
    };
    for camera in cameras.keys() {
        assert!(strangers(camera) > 0, "{camera}: his stranger's id: {results:?}");
    }
    assert!(site.count(Topic::Alerts) >= 1, "he is reported");
}
