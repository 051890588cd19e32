//! Any Kafka client is a camera.

use everyframe_tests::{Frame, Record, Site, Topic, pictures, places};
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
        assert_eq!(data["session"], "frames/0");
        assert_eq!((&data["sequence"], &data["position"]["offset"]), (&offset.into(), &offset.into()));
        let captured = data["capturedAt"].as_i64().expect("a time");
        assert!(captured > 1_700_000_000_000, "the record's own time: {captured}");
    }
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["cameras"]["partition-0"]["results"]), (Some(0), &3.into()), "{audit}");
}

#[test]
fn headers_that_cannot_be_read_count_as_missing() {
    let site = Site::start(1);
    let _host = site.host();
    let mut frame = Frame::of("gate\n\u{1b}[2J", &pictures::grey(64, 64));
    frame.stamp = Some((String::new(), 7, -5));
    site.send(&[frame]);
    let data = &results(&site, 1)[0];
    assert_eq!(data["camera"], "gate\u{fffd}\u{fffd}[2J", "no control character comes through");
    assert_eq!((&data["session"], &data["sequence"]), (&"frames/0".into(), &7.into()));
    assert_eq!(data["capturedAt"], -5);
}

#[test]
fn the_shell_example_puts_pictures_in() {
    let site = Site::start(1);
    let _host = site.host();
    let folder = pictures_in_three_formats(&site);
    let script = places::repository("examples/producers/kcat.sh");
    // The set-up's kcat goes first: Debian's own is too old for the embedded broker.
    let path =
        [&places::cached("tools/bin").to_string_lossy(), &*std::env::var("PATH").expect("a path")].join(":");
    let mut kcat = Command::new("bash");
    kcat.arg(script).args([site.address(), "door", &folder]).env("PATH", path);
    let said = site.run(&mut kcat).well();
    assert_eq!(said, "sent 3 pictures of door to frames\n");
    let results = results(&site, 3);
    assert_the_man_is_seen(&results);
    assert!(results.iter().all(|data| data["camera"] == "door"));
}

#[test]
fn the_python_example_puts_pictures_in_and_numbers_them() {
    let site = Site::start(1);
    let _host = site.host();
    let folder = pictures_in_three_formats(&site);
    let script = places::repository("examples/producers/producer.py");
    let python = places::cached("python/bin/python");
    let said = site.run(Command::new(python).arg(script).args([site.address(), "door", &folder])).well();
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
