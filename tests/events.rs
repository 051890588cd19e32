//! Results and alerts match their published schemas.
//!
//! `EVERYFRAME_UPDATE=1 cargo test --release --workspace --test end_to_end events::` writes the schemas again.

use everyframe_tests::{Frame, Site, Topic, pictures, places};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// For each event, what is wrong with it by its published schema. A validator in Python spares the tests the compiling of one in Rust.
fn find_problems(site: &Site, kind: &str, events: &[Value]) -> Vec<Vec<String>> {
    let file = site.folder().join(format!("{kind}-events.json"));
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(&file, lines).expect("events can be written");
    let mut python = Command::new(places::cached("python/bin/python"));
    python.arg(places::repository("tests/fixtures/validate.py")).arg(schema(kind)).arg(file);
    let printed = site.run(&mut python).expect_success();
    let problems: Vec<Vec<String>> =
        printed.lines().map(|line| serde_json::from_str(line).expect("a list of problems")).collect();
    assert_eq!(problems.len(), events.len());
    problems
}

fn assert_valid(site: &Site, kind: &str, events: &[Value]) {
    for (problems, event) in find_problems(site, kind, events).iter().zip(events) {
        assert!(problems.is_empty(), "{problems:#?} in {event:#}");
    }
}

fn schema(kind: &str) -> PathBuf {
    places::repository(&format!("docs/schemas/{kind}.schema.json"))
}

#[test]
fn the_published_schemas_match_the_program() {
    let site = Site::start(1);
    for kind in ["result", "alert", "retention", "rule", "replay"] {
        let printed = site.run(&mut site.command(&["config", "schema", kind])).expect_success();
        let path = schema(kind);
        if std::env::var_os("EVERYFRAME_UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, &printed).expect("a schema can be written");
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == printed,
            "{} is out of date; EVERYFRAME_UPDATE=1 writes it anew",
            path.display()
        );
    }
}

#[test]
fn every_result_and_alert_is_valid_by_its_schema() {
    let site = Site::start(1);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let _host = site.host();
    // A known person, a stranger, several faces at once, and an empty picture.
    let woman = pictures::clip("WolfgangLanger_Pexels.mp4");
    let group = std::fs::read(places::cached("footage/multi_face.jpg")).expect("a picture");
    let frames = [
        Frame::stream("office", &man[..20]),
        Frame::stream("lobby", &woman[..20]),
        vec![Frame::new("group", &group), Frame::new("yard", &pictures::grey(640, 480))],
    ]
    .concat();
    site.send(&frames);
    site.settled_audit();

    let results: Vec<Value> = site.read(Topic::Results).iter().map(|record| record.json()).collect();
    assert_eq!(results.len(), frames.len());
    assert_valid(&site, "result", &results);
    let decisions = |name: &str| {
        let faces = results.iter().filter_map(|event| event["data"]["faces"].as_array()).flatten();
        faces.filter(|face| face["decision"] == name).count()
    };
    assert!(decisions("known") > 0 && decisions("unknown") > 0, "every kind of face was there");
    let alerts: Vec<Value> = site.read(Topic::Alerts).iter().map(|record| record.json()).collect();
    assert!(alerts.len() >= 2, "{alerts:?}");
    assert_valid(&site, "alert", &alerts);
    for event in results.iter().chain(&alerts) {
        for (key, expected) in
            [("specversion", "1.0"), ("source", "everyframe"), ("datacontenttype", "application/json")]
        {
            assert_eq!(event[key], expected);
        }
    }

    // A result names its alerts, and an alert has the same frame as its result.
    for event in &alerts {
        let id = event["id"].as_str().expect("an id");
        let position = &event["data"]["position"];
        let about =
            results.iter().find(|result| result["data"]["position"] == *position).expect("its result");
        let named = about["data"]["alerts"].as_array().expect("a list");
        assert!(named.iter().any(|named| named == id), "{id} in {named:?}");
        assert!(id.starts_with(about["id"].as_str().expect("an id")), "{id}");
    }
}

#[test]
fn an_event_without_a_field_is_invalid() {
    let site = Site::start(1);
    let _host = site.host();
    site.send(&Frame::stream("office", &pictures::man()[..20]));
    for (topic, kind, count) in [(Topic::Results, "result", 20), (Topic::Alerts, "alert", 1)] {
        let event = site.wait_for_records(topic, count).last().expect("one").json();
        assert_valid(&site, kind, std::slice::from_ref(&event));
        let envelope = event.as_object().expect("an object").keys();
        let data = event["data"].as_object().expect("an object").keys();
        let pointers = envelope.map(|key| format!("/{key}")).chain(data.map(|key| format!("/data/{key}")));
        let is_optional = |pointer: &str| matches!(pointer, "/data/face" | "/data/faceBounds");
        let pointers: Vec<String> = pointers.filter(|pointer| !is_optional(pointer)).collect();
        let without = pointers.iter().map(|pointer| {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            let mut without = event.clone();
            without.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(key);
            without
        });
        let without: Vec<Value> = without.collect();
        for (problems, pointer) in find_problems(&site, kind, &without).iter().zip(&pointers) {
            // Results of earlier versions lack it.
            let is_newer = pointer == "/data/search";
            assert_eq!(problems.is_empty(), is_newer, "{kind} without {pointer}");
        }
        let nonsense = pointers.iter().map(|pointer| {
            let mut nonsense = event.clone();
            *nonsense.pointer_mut(pointer).expect("it is there") = Value::Null;
            nonsense
        });
        let nonsense: Vec<Value> = nonsense.collect();
        for (problems, pointer) in find_problems(&site, kind, &nonsense).iter().zip(&pointers) {
            assert!(!problems.is_empty(), "{kind} with no {pointer}");
        }
    }
}
