//! What people correct: a face that is not a person's, strangers who are one or two, a stranger who is to be forgotten, alerts
//! that are muted.

use crate::erasure::man_before_two_cameras;
use everyframe_tests::{
    Feed, Frame, Http, Served, Site, Topic, list, pictures, serve, wait_for, wait_for_history,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Frames of a camera, from a later second on.
fn later(camera: &str, pictures: &[Vec<u8>], seconds: i64) -> Vec<Frame> {
    let shift = |mut frame: Frame| {
        frame.stamp.as_mut().expect("it is stamped").2 += seconds * 1000;
        frame
    };
    Frame::stream(camera, pictures).into_iter().map(shift).collect()
}

/// The faces in the results of a camera.
fn faces(site: &Site, camera: &str) -> Vec<Value> {
    let results = site.read(Topic::Results).into_iter().map(|record| record.json()["data"].take());
    let of_camera = results.filter(|data| data["camera"] == camera);
    of_camera.flat_map(|data| data["faces"].as_array().cloned().unwrap_or_default()).collect()
}

/// The ids of the strangers that a camera saw.
fn strangers(site: &Site, camera: &str) -> BTreeSet<String> {
    let faces = faces(site, camera);
    faces.iter().filter_map(|face| face["stranger"]["id"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_face_that_is_not_a_persons_is_not_taken_for_him() {
    let site = Site::start(1);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0]]);
    let served = Served::on(site);
    let same = |picture: &Vec<u8>| vec![picture.clone(); 6];
    let sent = served.site.send(&Frame::stream("gate-1", &same(&man[60])));
    let known = |camera: &str| {
        served.site.settled_audit();
        let faces = faces(&served.site, camera);
        assert_eq!(faces.len(), 6, "{faces:?}");
        faces.iter().filter(|face| face["decision"] == "known").count()
    };
    assert_eq!(known("gate-1"), 6);

    let (partition, offset) = sent[0];
    let result = served.get(&format!("/results/{partition}/{offset}"));
    let face = json!({
        "frame": { "partition": partition, "offset": offset },
        "face": result["faces"][0]["bounds"],
    });
    served.http.json("POST", "/api/v1/people/viktor/negative-samples", &face).expect(204);
    let person = served.wait("/people/viktor", |person| {
        (list(person, "negativeSamples").len() == 1).then(|| person.clone())
    });
    let negative = &list(&person, "negativeSamples")[0];
    assert_eq!(person["samples"], 1, "it is none of his pictures");
    assert!(served.is_jpeg(&negative["picture"]));
    wait_for("the host to hear of it", || {
        served.site.send(&later("probe", &man[60..61], 1));
        served.site.settled_audit();
        faces(&served.site, "probe").last().filter(|face| face["decision"] == "unknown").cloned()
    });

    served.site.send(&later("gate-2", &same(&man[60]), 10));
    assert_eq!(known("gate-2"), 0, "this face is not his");
    assert!(faces(&served.site, "gate-2").iter().all(|face| list(face, "candidates").is_empty()));
    served.site.send(&later("gate-3", &same(&man[1]), 20));
    assert_eq!(known("gate-3"), 6, "his own is");

    let sample = negative["id"].as_str().expect("an id");
    served.http.request("DELETE", &format!("/api/v1/people/viktor/samples/{sample}"), "", b"").expect(204);
    wait_for("the face to be his again", || {
        served.site.send(&later("probe", &man[60..61], 30));
        served.site.settled_audit();
        faces(&served.site, "probe").last().filter(|face| face["decision"] == "known").cloned()
    });
    let missing = served.http.json("POST", "/api/v1/people/nobody/negative-samples", &face);
    assert_eq!(missing.status, 404, "{}", missing.text());
}

#[test]
fn strangers_are_merged_split_and_forgotten_by_hand() {
    let served = Served::on(Site::start(1));
    let site = &served.site;
    let (man, woman) = (pictures::man(), pictures::clip("WolfgangLanger_Pexels.mp4"));
    site.send(&Frame::stream("gate", &man[..40]));
    site.send(&Frame::stream("lobby", &woman[..60]));
    let stranger_at = |camera: &str| {
        served.wait(&format!("/strangers?camera={camera}"), |answer| {
            let seen = list(answer, "strangers").iter().max_by_key(|one| one["frames"].as_u64())?.clone();
            (seen["frames"].as_u64() > Some(20)).then(|| seen["id"].as_str().expect("an id").to_owned())
        })
    };
    let (his, hers) = (stranger_at("gate"), stranger_at("lobby"));
    assert_ne!(his, hers);

    // By mistake.
    served.http.json("POST", &format!("/api/v1/strangers/{hers}/merge"), &json!({ "into": his })).expect(204);
    let both = served.get(&format!("/strangers/{his}"));
    assert_eq!(both["cameras"], json!(["gate", "lobby"]));
    assert_eq!(served.http.get(&format!("/api/v1/strangers/{hers}")).status, 404);
    wait_for("the host to hear of it", || {
        site.send(&later("yard", &woman[60..75], 100));
        site.settled_audit();
        strangers(site, "yard").contains(&his).then_some(())
    });

    // The two are told apart again.
    let sightings = served.get(&format!("/sightings?stranger={his}"));
    let is_hers = |sighting: &&Value| sighting["camera"] != "gate";
    let moved: Vec<&Value> =
        list(&sightings, "sightings").iter().filter(is_hers).map(|it| &it["id"]).collect();
    let path = format!("/api/v1/strangers/{his}/split");
    let all: Vec<&Value> = list(&sightings, "sightings").iter().map(|it| &it["id"]).collect();
    assert_eq!(served.http.json("POST", &path, &json!({ "sightings": all })).status, 422);
    let split = served.http.json("POST", &path, &json!({ "sightings": moved })).expect(201);
    let new = split["id"].as_str().expect("an id").to_owned();
    assert_eq!(served.get(&format!("/strangers/{his}"))["cameras"], json!(["gate"]));
    let cameras = served.get(&format!("/strangers/{new}"))["cameras"].clone();
    assert!(list(&json!({ "cameras": cameras }), "cameras").contains(&json!("lobby")), "{cameras}");
    wait_for("the host to hear of it", || {
        site.send(&later("probe", &woman[60..75], 200));
        site.settled_audit();
        strangers(site, "probe").contains(&new).then_some(())
    });
    site.send(&later("hall", &man[40..70], 300));
    site.send(&later("lobby", &woman[100..140], 300));
    site.settled_audit();
    assert_eq!(strangers(site, "hall"), [his.clone()].into());
    assert!(strangers(site, "lobby").contains(&new), "her own camera follows");
    // Another process that reads the history says the same.
    let (_serve, other) = serve(site);
    wait_for("the same strangers", || {
        let cameras =
            |id: &str| Some(other.try_get(&format!("/api/v1/strangers/{id}"))?.json()["cameras"].clone());
        (cameras(&his)? == json!(["gate", "hall"]) && cameras(&new)?.as_array()?.contains(&json!("lobby")))
            .then_some(())
    });

    let receipt = served.http.request("DELETE", &format!("/api/v1/strangers/{his}"), "", b"").expect(200);
    assert_eq!(receipt["person"], json!(his), "{receipt}");
    let file = site.file("receipt.json", receipt.to_string().as_bytes());
    let verified = site.everyframe(&["gallery", "verify", &file.to_string_lossy()]);
    // Exit status 1, because the receipt is not signed.
    for nothing in
        ["readable templates      0\n", "records of strangers    0\n", "rule state              0\n"]
    {
        assert!(verified.out.contains(nothing), "{}{}", verified.out, verified.err);
    }
    assert_eq!(served.http.get(&format!("/api/v1/strangers/{his}")).status, 404);
    assert!(list(&served.get(&format!("/sightings?stranger={his}")), "sightings").is_empty());
    let mut views: std::collections::BTreeMap<String, bool> = std::collections::BTreeMap::new();
    for record in site.read(Topic::Strangers) {
        views.insert(record.key.clone().unwrap_or_default(), record.value.is_some());
    }
    let left: Vec<_> = views.iter().filter(|(key, kept)| key.starts_with(&his) && **kept).collect();
    assert_eq!(left.len(), 1, "only that he is forgotten: {left:?}");
    wait_for("the host to hear of it", || {
        site.send(&later("yard-2", &man[..20], 400));
        site.settled_audit();
        let seen = strangers(site, "yard-2");
        (!seen.is_empty() && !seen.contains(&his)).then_some(())
    });
    served.site.send(&later("gate", &man[..20], 500));
    served.site.settled_audit();
    let events: Vec<Value> = faces(site, "gate").iter().map(|face| face["stranger"]["id"].clone()).collect();
    assert_ne!(events.last(), Some(&json!(his)), "the camera that saw him has forgotten him, too");
}

#[test]
fn a_stranger_before_a_camera_is_forgotten_whole() {
    let served = Served::on(Site::start(2));
    let site = &served.site;
    let feed = Feed::start(site, 20, man_before_two_cameras());
    let id = served.wait("/strangers", |answer| {
        let stranger = list(answer, "strangers").iter().find(|one| one["frames"].as_u64() > Some(20))?;
        stranger["id"].as_str().map(str::to_owned)
    });
    served.http.request("DELETE", &format!("/api/v1/strangers/{id}"), "", b"").expect(200);
    let is_gone = |http: &Http| {
        let stranger = http.get(&format!("/api/v1/strangers/{id}")).status;
        let visits = http.get(&format!("/api/v1/sightings?stranger={id}")).expect(200);
        assert_eq!((stranger, list(&visits, "sightings").len()), (404, 0), "{visits}");
    };
    is_gone(&served.http);
    // He is met as a new stranger, and stays forgotten as the old one.
    served.wait("/strangers", |answer| (!list(answer, "strangers").is_empty()).then_some(()));
    feed.stop();
    site.settled_audit();
    is_gone(&served.http);
    let (_serve, other) = serve(site);
    wait_for_history(&other);
    is_gone(&other);
}

#[test]
fn without_the_last_picture_a_person_is_erased_with_a_receipt() {
    let site = Site::start(1);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let served = Served::on(site);
    let samples = served.wait("/people/viktor", |person| {
        let samples = list(person, "sampleList");
        (samples.len() == 2).then(|| samples.clone())
    });
    let address =
        |sample: &Value| format!("/api/v1/people/viktor/samples/{}", sample["id"].as_str().expect("an id"));
    served.http.request("DELETE", &address(&samples[0]), "", b"").expect(204);
    let receipt = served.http.request("DELETE", &address(&samples[1]), "", b"").expect(200);
    assert_eq!((&receipt["person"], &receipt["samples"]), (&json!("viktor"), &json!(1)), "{receipt}");
    assert_eq!(served.http.get("/api/v1/people/viktor").status, 404);
}

#[test]
fn a_new_person_gets_no_id_like_a_strangers() {
    let served = Served::on(Site::start(1));
    let man = pictures::man();
    for id in ["stranger-1234567890", "..", "%2E"] {
        let path = format!("/api/v1/people/{}/samples", id.replace("..", "%2E%2E"));
        let answer = served.http.request("POST", &path, "image/jpeg", &man[0]);
        assert_eq!(answer.status, 422, "{id}: {}", answer.text());
    }
    let enrolled = served.site.everyframe(&["enrol", "stranger-1234567890", "man.jpg"]);
    assert_eq!(enrolled.code, Some(2));
    assert!(enrolled.err.contains("begins like the id of a stranger"), "{}", enrolled.err);
}

#[test]
fn muted_alerts_are_listed_but_not_open() {
    let site = Site::start(1);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let served = Served::on(site);
    let nothing = served.http.json("POST", "/api/v1/mutes", &json!({ "minutes": 5 }));
    assert_eq!(nothing.status, 422, "{}", nothing.text());
    let mute = json!({ "camera": "office", "kind": "known-person", "minutes": 5 });
    let mute = served.http.json("POST", "/api/v1/mutes", &mute).expect(201);
    let send = |camera: &str| {
        served.http.request("POST", &format!("/api/v1/frames/{camera}"), "image/jpeg", &man[5]).expect(202);
    };
    send("office");
    send("yard");
    let alerts = served.wait("/alerts", |answer| {
        (list(answer, "alerts").len() == 2).then(|| list(answer, "alerts").clone())
    });
    for alert in &alerts {
        assert_eq!(alert["muted"], alert["camera"] == "office", "{alert}");
    }
    let open = served.get("/alerts?open=true");
    assert_eq!((&open["openCount"], &list(&open, "alerts")[0]["camera"]), (&json!(1), &json!("yard")));
    assert_eq!(list(&served.get("/mutes"), "mutes").len(), 1);

    let id = mute["id"].as_str().expect("an id");
    served.http.request("DELETE", &format!("/api/v1/mutes/{id}"), "", b"").expect(204);
    assert!(list(&served.get("/mutes"), "mutes").is_empty());
    assert_eq!(served.http.request("DELETE", &format!("/api/v1/mutes/{id}"), "", b"").status, 404);
    assert_eq!(served.get("/alerts")["openCount"], 1, "what was muted stays so");
    let trail = served.site.everyframe(&["trail", "show"]).expect_success();
    for action in ["muted", "unmuted"] {
        let entry = format!("local  {action}  alerts of camera office, kind known-person");
        assert!(trail.contains(&entry), "{trail}");
    }
}
