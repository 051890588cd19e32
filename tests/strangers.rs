//! A stranger is one person at all cameras, on all hosts.

use everyframe_tests::{Frame, Part, Site, Topic, pictures, places, rule};
use serde_json::Value;
use std::collections::BTreeSet;

/// The man's face is in the first 72 of 169 frames, or in the last 72.
const FACE_FIRST: &str = "face_noface.mov";
const FACE_LAST: &str = "noface_face.mov";

/// The faces of a camera's results that have a stranger, in order.
fn strangers(site: &Site, camera: &str) -> Vec<Value> {
    let results = site.read(Topic::Results).into_iter().map(|record| record.json()["data"].take());
    let of_camera = results.filter(|data| data["camera"] == camera);
    let faces = of_camera.flat_map(|data| data["faces"].as_array().cloned().unwrap_or_default());
    faces.map(|mut face| face["stranger"].take()).filter(Value::is_object).collect()
}

fn ids(strangers: &[Value]) -> BTreeSet<&str> {
    strangers.iter().filter_map(|stranger| stranger["id"].as_str()).collect()
}

fn events<'a>(strangers: &'a [Value], event: &str) -> Vec<&'a Value> {
    strangers.iter().filter(|stranger| stranger["event"] == event).collect()
}

/// Frames of a camera, from a later second on.
fn later(frames: Vec<Frame>, seconds: i64) -> Vec<Frame> {
    let shift = |mut frame: Frame| {
        frame.stamp.as_mut().expect("it is stamped").2 += seconds * 1000;
        frame
    };
    frames.into_iter().map(shift).collect()
}

fn alerts(site: &Site, kind: &str) -> usize {
    let alerts = site.read(Topic::Alerts).into_iter().map(|record| record.json());
    alerts.filter(|alert| alert["data"]["kind"] == kind).count()
}

fn settle(site: &Site) {
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
}

fn assigned(host: &Part) -> usize {
    host.err().matches("partition assigned").count()
}

/// The man at the first gate, then at the second one.
fn sees_the_man_at_two_gates(site: &Site) -> String {
    let first = pictures::clip(FACE_FIRST);
    site.send(&Frame::stream("gate-1", &first).into_iter().map(|frame| frame.to(0)).collect::<Vec<_>>());
    settle(site);
    let view = site.wait_for_records(Topic::Strangers, 1)[0].json();
    assert_eq!((&view["camera"], &view["position"]["partition"]), (&"gate-1".into(), &0.into()));
    // A hundred frames without a face come first: the hosts have long read what the first gate has shared.
    let second = pictures::clip(FACE_LAST);
    site.send(&Frame::stream("gate-2", &second).into_iter().map(|frame| frame.to(1)).collect::<Vec<_>>());
    settle(site);
    let seen = [strangers(site, "gate-1"), strangers(site, "gate-2")];
    assert!(seen.iter().all(|seen| seen.len() > 50), "{seen:?}");
    let all = seen.concat();
    assert_eq!(ids(&all).len(), 1, "one man, one stranger: {:?}", ids(&all));
    assert_eq!(events(&all, "first-seen").len(), 1, "{all:?}");
    assert_eq!(events(&seen[1], "first-seen"), [&Value::Null; 0], "the second gate knows him");
    assert_eq!(alerts(site, "first-seen"), 1);
    view["stranger"].as_str().expect("an id").to_owned()
}

#[test]
fn a_stranger_is_one_at_two_gates_and_after_a_restart() {
    let site = Site::start(2);
    let host = site.host();
    let id = sees_the_man_at_two_gates(&site);
    assert_eq!(host.terminate().code, Some(0));
    // Another host knows him from the topic, also at a third gate.
    let host = site.host_called("next");
    site.send(&later(Frame::stream("gate-3", &pictures::clip(FACE_FIRST)[..72]), 60));
    settle(&site);
    let seen = strangers(&site, "gate-3");
    assert_eq!(ids(&seen), [id.as_str()].into());
    let returned = events(&seen, "returned");
    assert_eq!((returned.len(), &returned[0]["visits"]), (1, &2.into()), "he was away for 40 s");
    assert_eq!(alerts(&site, "first-seen"), 1);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_stranger_is_one_on_two_hosts() {
    let site = Site::start(2);
    let first = site.host_called("host-1");
    let second = site.host_called("host-2");
    assert!(assigned(&first) >= 2 && assigned(&second) == 1, "each host has one of the two gates");
    sees_the_man_at_two_gates(&site);
    assert_eq!([first.terminate().code, second.terminate().code], [Some(0); 2]);
}

#[test]
fn strangers_met_at_once_are_merged() {
    let site = Site::start(1);
    let _host = site.host();
    let clip = pictures::clip(FACE_FIRST);
    let man: Vec<Vec<u8>> = clip[..72].iter().cycle().take(3 * 72).cloned().collect();
    let gates = ["gate-1", "gate-2"].map(|camera| Frame::stream(camera, &man));
    // In turns: the second gate meets him before it can know of the first gate's stranger.
    let frames: Vec<Frame> =
        (0..man.len()).flat_map(|n| gates.each_ref().map(|gate| gate[n].clone())).collect();
    site.send(&frames);
    settle(&site);
    let seen = [strangers(&site, "gate-1"), strangers(&site, "gate-2")];
    let all = seen.concat();
    assert_eq!((ids(&all).len(), events(&all, "first-seen").len()), (2, 2), "{:?}", ids(&all));
    let merges = events(&all, "merged");
    let [merge] = merges[..] else { panic!("one merge: {merges:?}") };
    let (id, merged) = (merge["id"].as_str().expect("an id"), merge["merged"][0].as_str().expect("an id"));
    assert_eq!(ids(&all), [id, merged].into());
    for seen in &seen {
        let last = &seen[seen.len() - 30..];
        assert_eq!(ids(last), [id].into(), "both gates use the same id now");
    }
    assert_eq!(alerts(&site, "merged"), 1);
}

#[test]
fn an_unknown_person_rule_of_contract_0_1_0_still_works() {
    let site = Site::start(1);
    let old = places::repository("tests/fixtures/contract/0.1.0/unknown_person.wasm");
    let rules = rule("who", "matching-policy", &places::rule("matching_policy"), "")
        + &rule("strangers", "unknown-person", &old, "")
        + &rule("alerts", "alerting", &places::rule("alerting"), "");
    site.configure("", &rules);
    let _host = site.host();
    let man = pictures::clip(FACE_FIRST);
    for camera in ["gate-1", "gate-2"] {
        site.send(&Frame::stream(camera, &man[..72]));
        settle(&site);
    }
    let seen = [strangers(&site, "gate-1"), strangers(&site, "gate-2")];
    let each: Vec<_> = seen.iter().map(|seen| (ids(seen).len(), events(seen, "first-seen").len())).collect();
    assert_eq!(each, [(1, 1), (1, 1)]);
    assert_ne!(ids(&seen[0]), ids(&seen[1]), "that version has no strangers across cameras");
    assert_eq!(site.count(Topic::Strangers), 0);
}
