//! The HTTP API on real footage: cameras, people, strangers, sightings, alerts, ledger, events.

use everyframe_tests::{
    Frame, Http, Raw, Served, Site, Topic, free_port, list, pictures, places, serve, shipped_rules, wait_for,
};
use serde_json::{Value, json};

const JPEG: &str = "image/jpeg";

#[test]
fn a_known_man_is_shown_where_he_was_seen() {
    let served = Served::start();
    let man = pictures::man();
    let sent = served.site.send(&Frame::stream("office", &man[..40]));
    served.site.settled_audit();

    let camera = served.wait("/cameras", |answer| {
        list(answer, "cameras").iter().find(|camera| camera["frames"] == 40).cloned()
    });
    assert_eq!((&camera["id"], &camera["status"]), (&json!("office"), &json!("live")));
    let face = &camera["last"]["faces"][0];
    assert_eq!(
        (&face["decision"], &face["person"], &face["name"]),
        (&json!("known"), &json!("viktor"), &json!("viktor"))
    );
    assert!(served.is_jpeg(&camera["last"]["picture"]) && served.is_jpeg(&face["crop"]));

    let sightings = served.get("/sightings?person=viktor");
    let only = &list(&sightings, "sightings")[0];
    assert_eq!(
        (list(&sightings, "sightings").len(), &only["frames"], &only["camera"]),
        (1, &json!(40), &json!("office"))
    );
    assert!(only["similarity"].as_f64() > Some(0.6) && served.is_jpeg(&only["best"]["crop"]), "{only}");
    assert!(list(&served.get("/sightings?camera=yard"), "sightings").is_empty());

    let (partition, offset) = sent[7];
    let result = served.get(&format!("/results/{partition}/{offset}"));
    assert_eq!((&result["camera"], &result["sequence"]), (&json!("office"), &json!(7)));
    assert_eq!(list(&result, "rules").len(), 3);
    let picture = served.http.get(&format!("/api/v1/frames/{partition}/{offset}/picture"));
    assert!(picture.body == man[7], "a frame without masks is shown as it was sent");
    let drawn = served.http.get(&format!("/api/v1/frames/{partition}/{offset}/picture?boxes=true&width=320"));
    assert!(drawn.status == 200 && drawn.body.len() < man[7].len());

    let person = served.get("/people/viktor");
    assert_eq!((&person["samples"], &person["lastSeen"]["camera"]), (&json!(2), &json!("office")));
    assert!(list(&person, "sampleList").iter().all(|sample| served.is_jpeg(&sample["picture"])));
    assert!(served.is_jpeg(&person["picture"]));
}

#[test]
fn a_stranger_gets_a_name_and_is_known_from_then_on() {
    let served = Served::start();
    let woman = pictures::clip("WolfgangLanger_Pexels.mp4");
    served.site.send(&Frame::stream("lobby", &woman[..60]));
    let stranger = served.wait("/strangers", |answer| {
        list(answer, "strangers").iter().find(|stranger| stranger["frames"].as_u64() > Some(20)).cloned()
    });
    assert!(served.is_jpeg(&stranger["best"]["crop"]));
    let id = stranger["id"].as_str().expect("an id");

    let named = served.http.json("POST", "/api/v1/people", &json!({ "name": "Wilma Lang", "stranger": id }));
    let person = &named.expect(201)["person"];
    assert_eq!((&person["id"], &person["name"]), (&json!("wilma-lang"), &json!("Wilma Lang")));
    assert!(served.is_jpeg(&person["picture"]));

    let again = served.http.json("POST", "/api/v1/people", &json!({ "name": "Wilma Lang", "stranger": id }));
    assert_eq!(again.status, 409, "two people may have one name: {}", again.text());

    // The past answers with her name, too.
    let past = served.get("/sightings?person=wilma-lang");
    let past = &list(&past, "sightings")[0];
    assert_eq!(
        (&past["kind"], &past["name"], &past["stranger"]),
        (&json!("stranger"), &json!("Wilma Lang"), &json!(id))
    );
    assert_eq!(served.get(&format!("/strangers/{id}"))["name"], "Wilma Lang");
    assert!(list(&served.get("/strangers?named=false"), "strangers").iter().all(|other| other["id"] != id));

    let identified = served.http.request("POST", "/api/v1/identify", JPEG, &woman[100]).expect(200);
    let faces = list(&identified, "faces");
    assert!(faces.iter().any(|face| face["person"] == "wilma-lang"), "{identified}");
    let found = served.http.request("POST", "/api/v1/search", JPEG, &woman[100]).expect(200);
    let face = list(&found, "faces").iter().find(|face| face["person"] == "wilma-lang").expect("her face");
    assert_eq!(list(face, "sightings").len(), 1);

    served.site.send(&Frame::stream("lobby-2", &woman[100..140]));
    served.wait("/sightings?person=wilma-lang", |answer| {
        list(answer, "sightings").iter().find(|sighting| sighting["kind"] == "known").cloned()
    });
    // A search has the visits of the person, and those of the stranger that she was.
    let found = served.http.request("POST", "/api/v1/search", JPEG, &woman[100]).expect(200);
    let face = list(&found, "faces").iter().find(|face| face["person"] == "wilma-lang").expect("her face");
    let similar = &list(face, "people")[0];
    assert_eq!((&similar["person"], &similar["name"]), (&json!("wilma-lang"), &json!("Wilma Lang")));
    assert!(similar["similarity"].as_f64() > Some(0.4) && similar["lastSeenAt"].is_i64(), "{similar}");
    for kind in ["known", "stranger"] {
        assert!(list(face, "sightings").iter().any(|sighting| sighting["kind"] == kind), "{kind}: {face}");
    }
}

#[test]
fn people_are_enrolled_renamed_merged_and_erased() {
    let served = Served::start();
    let man = pictures::man();
    let another = served.http.request("POST", "/api/v1/people/ben/samples?name=Ben", JPEG, &man[10]);
    assert_eq!(another.status, 409, "the man is enrolled as viktor: {}", another.text());
    let forced =
        served.http.request("POST", "/api/v1/people/ben/samples?name=Ben&force=true", JPEG, &man[10]);
    let forced = forced.expect(201);
    assert_eq!((&forced["person"]["name"], list(&forced, "warnings").len()), (&json!("Ben"), 1));

    served.http.json("PATCH", "/api/v1/people/ben", &json!({ "name": "Benjamin" })).expect(204);
    served.wait("/people/ben", |person| (person["name"] == "Benjamin").then_some(()));
    assert_eq!(list(&served.get("/people?query=BENJAM"), "people").len(), 1);

    served.http.json("POST", "/api/v1/people/ben/merge", &json!({ "into": "viktor" })).expect(204);
    served.wait("/people", |answer| (answer["total"] == 1).then_some(()));
    let viktor = served.wait("/people/viktor", |person| (person["samples"] == 3).then(|| person.clone()));
    let sample = list(&viktor, "sampleList")[0]["id"].as_str().expect("an id").to_owned();
    let erased = served.http.request("DELETE", &format!("/api/v1/people/viktor/samples/{sample}"), "", b"");
    assert_eq!(erased.status, 204);
    served.wait("/people/viktor", |person| (person["samples"] == 2).then_some(()));
    let receipt = served.http.request("DELETE", "/api/v1/people/viktor", "", b"").expect(200);
    assert_eq!((&receipt["person"], &receipt["samples"]), (&json!("viktor"), &json!(2)), "{receipt}");
    wait_for("the erasure", || (served.http.get("/api/v1/people/viktor").status == 404).then_some(()));
    assert_eq!(served.http.request("DELETE", "/api/v1/people/viktor", "", b"").status, 404);

    let nobody = served.http.request("POST", "/api/v1/people/anna/samples", JPEG, &pictures::grey(320, 240));
    assert!(nobody.status == 422 && nobody.text().contains("no face found"), "{}", nobody.text());
    assert_eq!(nobody.header("content-type"), "application/problem+json");
}

#[test]
fn an_alert_comes_as_an_event_and_is_acknowledged() {
    let served = Served::start();
    let mut events = served.http.events("/api/v1/events?kinds=alert,acknowledgement,frame,sighting");
    let man = pictures::man();
    served.site.send(&Frame::stream("office", &man[..20]));
    let alert = events.wait_for("alert");
    assert_eq!(
        (&alert["kind"], &alert["subjectName"], &alert["rule"]),
        (&json!("known-person"), &json!("viktor"), &json!("alerts"))
    );
    assert!(served.is_jpeg(&alert["picture"]));

    let frame = events.wait_for("frame");
    assert_eq!((&frame["camera"], &frame["width"]), (&json!("office"), &json!(640)));
    let id = alert["id"].as_str().expect("an id").replace('/', "%2F");
    let path = format!("/api/v1/alerts/{id}/acknowledgement");
    let done = served.http.json("PUT", &path, &json!({ "comment": "He works here." })).expect(200);
    assert_eq!(
        (&done["acknowledged"]["by"], &done["acknowledged"]["comment"]),
        (&json!("local"), &json!("He works here."))
    );
    assert_eq!(events.wait_for("acknowledgement")["id"], alert["id"]);
    assert!(list(&served.get("/alerts?open=true"), "alerts").iter().all(|open| open["id"] != alert["id"]));
    // It is kept in Kafka: another process knows it.
    let (_serve, other) = serve(&served.site);
    wait_for("the same acknowledgement", || {
        let alerts = other.try_get("/api/v1/alerts")?.json();
        let found = alerts["alerts"].as_array()?.iter().find(|it| it["id"] == alert["id"])?.clone();
        (found["acknowledged"]["by"] == "local").then_some(())
    });
    let opened = served.http.request("DELETE", &path, "", b"").expect(200);
    assert_eq!(opened["acknowledged"], Value::Null);
    let trail = served.site.everyframe(&["trail", "show"]).expect_success();
    for action in ["acknowledged", "reopened"] {
        let entry = format!("local  {action}  alert {}", alert["id"].as_str().expect("an id"));
        assert!(trail.contains(&entry), "{trail}");
    }
}

#[test]
fn a_broken_stream_of_events_goes_on_where_it_broke() {
    let served = Served::start();
    let man = pictures::man();
    let mut events = served.http.events("/api/v1/events?kinds=alert,sighting");
    served.site.send(&Frame::stream("office", &man[..15]));
    events.wait_for("sighting");
    let id = events.id.clone();
    drop(events);
    served.site.send(&Frame::stream("yard", &man[..15]));
    served.wait("/sightings?camera=yard", |answer| list(answer, "sightings").first().cloned());
    let mut again = served.http.with("Last-Event-ID", &id).events("/api/v1/events?kinds=sighting");
    assert_eq!(again.wait_for("sighting")["camera"], "yard");
    let mut unknown = served.http.with("Last-Event-ID", "1-5").events("/api/v1/events");
    unknown.wait_for("reset");
}

#[test]
fn the_ledger_agrees_with_the_audit() {
    let served = Served::start();
    let man = pictures::man();
    let frames = [
        Frame::stream("office", &man[..30]),
        vec![Frame::new("yard", b"no picture"), Frame::new("yard", &man[3])],
    ];
    served.site.send(&frames.concat());
    // An agent's refusal notice is no frame.
    served.site.send_raw(
        Topic::Frames,
        &[Raw {
            key: "gate".into(),
            headers: vec![("everyframe-session", "s".into()), ("everyframe-refused", "3-5".into())],
            ..Raw::default()
        }],
    );
    let (_, audit) = served.site.settled_audit();
    assert_eq!(
        (&audit["total"]["results"], &audit["total"]["dead_letters"]),
        (&json!(31), &json!(1)),
        "{audit}"
    );
    let ledger = served.wait("/ledger", |ledger| {
        let settled = ledger["accounted"] == 32 && ledger["frames"] == 32 && ledger["waiting"] == 0;
        settled.then(|| ledger.clone())
    });
    for (key, expected) in [("processed", 31), ("parked", 1), ("lost", 0), ("repeated", 0), ("gaps", 3)] {
        assert_eq!(ledger[key], expected, "{key}: {ledger}");
    }
    let proof = served.http.request("POST", "/api/v1/ledger/audit", "", b"").expect(200);
    assert_eq!(proof["total"], audit["total"]);

    let letters = served.wait("/dead-letters?state=open", |letters| {
        (letters["openCount"] == 1 && letters["isComplete"] == true).then(|| letters.clone())
    });
    let letter = &list(&letters, "deadLetters")[0];
    assert_eq!(
        (&letter["camera"], &letter["reason"], &letters["openCount"]),
        (&json!("yard"), &json!("not-a-picture"), &json!(1))
    );
    let kept = served.http.get(letter["picture"].as_str().expect("an address"));
    assert_eq!((kept.status, kept.body.as_slice()), (200, b"no picture".as_slice()));
    let dropped =
        served.http.json("POST", "/api/v1/dead-letters/drop", &json!({ "frames": [letter["frame"]] }));
    assert_eq!(dropped.expect(200)["frames"], 1);
    assert_eq!(served.get("/dead-letters?state=open")["openCount"], 0);
}

#[test]
fn a_sent_picture_gets_its_result_later() {
    let served = Served::start();
    let man = pictures::man();
    let sent = served.http.request("POST", "/api/v1/frames/door%201", JPEG, &man[5]).expect(202);
    let address = sent["result"].as_str().expect("an address");
    let result = wait_for("the result", || {
        let answer = served.http.get(address);
        assert!([200, 202].contains(&answer.status), "{}", answer.text());
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!((&result["camera"], &result["faces"][0]["person"]), (&json!("door 1"), &json!("viktor")));
    let refused = served.http.request("POST", "/api/v1/frames/door", JPEG, b"no picture");
    assert_eq!(refused.status, 422, "{}", refused.text());
}

#[test]
fn system_and_rules_are_shown() {
    let served = Served::start();
    served.site.send(&Frame::stream("office", &pictures::man()[..20]));
    served.site.settled_audit();
    let rules = served.wait("/rules", |answer| (list(answer, "rules").len() == 3).then(|| answer.clone()));
    let rule =
        |name: &str| list(&rules, "rules").iter().find(|rule| rule["name"] == name).cloned().expect(name);
    assert_eq!((&rule("who")["kind"], &rule("who")["judged"]), (&json!("matching-policy"), &json!(20)));
    assert_eq!(rule("alerts")["kind"], "alerting");
    let system = served.get("/system");
    assert_eq!((list(&system, "hosts").len(), list(&system, "models").len()), (1, 2), "{system}");
    assert_eq!(list(&system, "partitions").len(), 2);
}

#[test]
fn masked_parts_are_not_shown() {
    let site = Site::start(1);
    let address = format!("127.0.0.1:{}", free_port());
    let mask =
        "[[masks]]\ncameras = [\"office\"]\npolygon = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]\n";
    site.configure(&format!("[web]\nlisten = \"{address}\"\n{mask}"), &shipped_rules(""));
    let man = pictures::man();
    let _host = site.host();
    let sent = site.send(&Frame::stream("office", &man[..1]));
    let picture = Http::new(&address).get(&format!("/api/v1/frames/{}/{}/picture", sent[0].0, sent[0].1));
    assert_eq!(picture.status, 200, "{}", picture.text());
    let face = json!({
        "frame": { "partition": sent[0].0, "offset": sent[0].1 },
        "face": { "x": 200.0, "y": 60.0, "width": 160.0, "height": 220.0 },
    });
    let enrolled = Http::new(&address).json("POST", "/api/v1/people/viktor/samples", &face);
    assert_eq!(enrolled.status, 422, "nobody is enrolled from a masked part: {}", enrolled.text());
    // A picture of one colour takes a fraction of the bytes.
    assert!(picture.body.len() < man[0].len() / 4, "{} of {} bytes", picture.body.len(), man[0].len());
}

#[test]
fn the_description_of_the_api_names_every_path() {
    let served = Served::on(Site::start(1));
    let description = served.http.get("/api/openapi.json").expect(200);
    assert_eq!(description["openapi"], "3.1.0");
    let paths = description["paths"].as_object().expect("paths");
    for path in ["/api/v1/identify", "/api/v1/people/{id}", "/api/v1/events", "/api/v1/ledger/audit"] {
        assert!(paths.contains_key(path), "{path}: {:?}", paths.keys());
    }
    let page = places::repository("docs/openapi.json");
    if std::env::var_os("EVERYFRAME_UPDATE").is_some() {
        let text = serde_json::to_string_pretty(&description).expect("JSON") + "\n";
        std::fs::write(&page, text).expect("the description can be written");
    }
    let published: Value =
        serde_json::from_slice(&std::fs::read(&page).unwrap_or_default()).unwrap_or_default();
    assert_eq!(
        published, description,
        "docs/openapi.json is out of date; EVERYFRAME_UPDATE=1 writes it anew"
    );
}
