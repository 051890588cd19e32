//! Callbacks: the result of a frame that was sent by the HTTP API goes to the address that was given with it.

use everyframe_tests::receiver::Request;
use everyframe_tests::{
    Http, Part, Raw, Receiver, Reply, Site, Topic, free_port, pictures, shipped_rules, wait_for,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const JPEG: &str = "image/jpeg";

/// A site whose HTTP API allows callbacks to what is below `/hooks/` of a receiver.
struct Called {
    site: Site,
    http: Http,
    receiver: Receiver,
}

impl Called {
    fn new(receiver: Receiver) -> Self {
        let site = Site::start(2);
        let address = format!("127.0.0.1:{}", free_port());
        let tables = format!(
            "[web]\nlisten = \"{address}\"\n\n[[web.callbacks]]\nname = \"orders\"\nurl = \"http://{}/hooks/\"\n\
             secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
            receiver.address
        );
        site.configure(&tables, &shipped_rules(""));
        // A static name: a group does not wait for the session of a killed process to end.
        let text = std::fs::read_to_string(site.config()).expect("the site is configured");
        site.file(
            "everyframe.toml",
            text.replacen("[kafka]\n", "[kafka]\ninstance = \"only\"\n", 1).as_bytes(),
        );
        Self { http: Http::new(&address), site, receiver }
    }

    /// Starts `serve` or `run`, and waits for its API.
    fn start(&self, word: &str, name: &str) -> Part {
        let part = self.site.start_everyframe(name, &[word]);
        wait_for("the API", || self.http.try_get("/api/v1/session"));
        part
    }

    /// Sends a frame. Returns its id.
    fn send(&self, camera: &str, picture: &[u8], path: &str) -> String {
        let url = format!("http://{}{path}", self.receiver.address);
        let sent = wait_for("the callback to be taken", || {
            let answer = self.http.request("POST", &asking(camera, &url), JPEG, picture);
            // 503: the groups of a first start are not there yet.
            (answer.status != 503).then(|| answer.expect(202))
        });
        let position = &sent["position"];
        format!("{}/{}/{}", self.site.name(Topic::Frames), position["partition"], position["offset"])
    }

    fn status(&self) -> Value {
        let status = self.site.everyframe(&["notify", "status", "--json"]);
        serde_json::from_str(&status.out).expect("the status is JSON")
    }
}

/// The request that sends a frame and gives an address.
fn asking(camera: &str, url: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric();
    let coded = url.chars().map(|c| if plain(c) { c.to_string() } else { format!("%{:02X}", u32::from(c)) });
    format!("/api/v1/frames/{camera}?callback={}", coded.collect::<String>())
}

fn ids(requests: &[Request]) -> BTreeSet<String> {
    requests.iter().map(Request::id).collect()
}

#[test]
fn a_result_is_called_back_though_every_process_is_killed() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let called = Called::new(Receiver::answering(move |_, _| match up.load(Ordering::SeqCst) {
        true => Reply::accept(),
        false => Reply::Status(503, Vec::new()),
    }));
    let man = pictures::man();
    called.site.enrol("viktor", &[&man[0], &man[30]]);

    // Killed between acceptance and processing: no host runs yet.
    let serve = called.start("serve", "serve-1");
    let path = |number: usize| format!("/hooks/done?order={number}");
    let mut sent: Vec<String> = (0..6)
        .map(|number| called.send(&format!("door-{number}"), &man[5 * number], &path(number)))
        .collect();
    let broken = called.send("door-9", &man[1][..man[1].len() / 2], "/hooks/broken");
    serve.kill();

    // Killed between processing and delivery: the receiver is away.
    let host = called.start("run", "host-1");
    called.site.wait_for_records(Topic::Results, sent.len());
    called.site.wait_for_records(Topic::DeadLetters, 1);
    called.receiver.wait("an attempt", |all| (!all.is_empty()).then_some(()));
    host.kill();

    is_up.store(true, Ordering::SeqCst);
    let before = called.receiver.requests().len();
    let _serve = called.start("serve", "serve-2");
    sent.push(format!("{broken}/dead-letter"));
    let wanted: BTreeSet<String> = sent.iter().cloned().collect();
    let requests = called.receiver.wait("all callbacks", |all| {
        let delivered = &all[before..];
        (ids(delivered) == wanted).then(|| delivered.to_vec())
    });
    let results = called.site.read(Topic::Results);
    for request in &requests {
        assert_eq!(request.header("content-type"), "application/cloudevents+json");
        assert_eq!(request.header("webhook-id"), request.id());
        assert!(request.header("webhook-signature").starts_with("v1,"), "{:?}", request.headers);
        let event = request.json();
        if request.path == "/hooks/broken" {
            let data = &event["data"];
            assert_eq!(event["type"], "everyframe.dead-letter.v1");
            assert_eq!(
                (&data["camera"], &data["reason"], &data["stage"]),
                (&json!("door-9"), &json!("truncated"), &json!("vision"))
            );
            continue;
        }
        let number = sent.iter().position(|id| *id == request.id()).expect("a frame that was sent");
        assert_eq!(request.path, path(number));
        assert_eq!(event["data"]["faces"][0]["person"], "viktor", "{event}");
        assert!(results.iter().any(|result| result.json() == event), "it is the event of the results topic");
    }
    wait_for("the health of the receiver", || {
        let status = called.status();
        let orders =
            status["channels"].as_array()?.iter().find(|it| it["name"] == "callback/orders")?.clone();
        (orders["kind"] == "callback" && orders["isServed"] == true).then_some(())
    });
}

#[test]
fn only_a_listed_address_is_called_back() {
    let elsewhere = Receiver::start();
    let target = format!("http://{}/stolen", elsewhere.address);
    let called = Called::new(Receiver::answering(move |request, _| match request.path.as_str() {
        "/hooks/moved" => Reply::Status(307, vec![("Location", target.clone())]),
        "/hooks/refused" => Reply::Status(422, Vec::new()),
        _ => Reply::accept(),
    }));
    let _host = called.start("run", "host");
    let man = pictures::man();
    let here = &called.receiver.address;
    for url in [
        format!("http://{}/hooks/a", elsewhere.address),
        format!("http://{here}/other"),
        format!("http://{here}/hooks/../other"),
        format!("http://{here}/hooks/%2e%2e/other"),
        format!("http://{here}@{}/hooks/a", elsewhere.address),
        format!("https://{here}/hooks/a"),
        format!("http://{here}/hooks/{}", "a".repeat(3000)),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ] {
        let answer = called.http.request("POST", &asking("door", &url), JPEG, &man[0]);
        assert_eq!(answer.status, 422, "{url}: {}", answer.text());
        assert!(answer.text().contains("[[web.callbacks]]"), "{}", answer.text());
    }
    // Another producer can write the header itself.
    let forged = |url: String| Raw {
        key: "door".into(),
        value: Some(man[0].clone()),
        headers: vec![("everyframe-callback", url)],
        ..Raw::default()
    };
    let bad = [format!("http://{}/hooks/a", elsewhere.address), format!("http://{here}/other")];
    called.site.send_raw(Topic::Frames, &bad.map(forged));
    let moved = called.send("door", &man[2], "/hooks/moved");
    let refused = called.send("door", &man[3], "/hooks/refused");
    let taken = called.send("door", &man[4], "/hooks/taken");
    let requests = called.receiver.wait("the callbacks", |all| {
        ids(all)
            .is_superset(&BTreeSet::from([moved.clone(), refused.clone(), taken.clone()]))
            .then(|| all.to_vec())
    });
    assert!(requests.iter().all(|request| request.path.starts_with("/hooks/")), "{requests:?}");
    assert!(elsewhere.requests().is_empty(), "no address that is not listed, and no redirect");
    let letter = wait_for("what was refused", || {
        let key = format!("dead-letter/callback/orders/{refused}");
        let records = called.site.read(Topic::Notifications);
        records.into_iter().find(|record| record.key.as_deref() == Some(key.as_str()))
    });
    assert!(letter.json()["reason"].as_str().expect("a reason").contains("422"), "{}", letter.json());
    let listed = called.site.everyframe(&["notify", "dead-letters", "callback/orders"]);
    assert!(listed.out.contains(&format!("  {refused}  no copy, attempts: 1: ")), "{listed:?}");
    let replayed = called.site.everyframe(&["notify", "replay", "callback/orders"]);
    assert_eq!(replayed.code, Some(2), "{replayed:?}");
    assert!(replayed.err.contains("/api/v1/results/"), "{replayed:?}");
}

#[test]
fn without_a_list_no_callback_is_taken() {
    let site = Site::start(1);
    let address = format!("127.0.0.1:{}", free_port());
    site.configure(&format!("[web]\nlisten = \"{address}\"\n"), &shipped_rules(""));
    let _serve = site.start_everyframe("serve", &["serve"]);
    let http = Http::new(&address);
    wait_for("the API", || http.try_get("/api/v1/session"));
    let picture = &pictures::man()[0];
    let answer = http.request("POST", &asking("door", "http://127.0.0.1:1/"), JPEG, picture);
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("[[web.callbacks]]"), "{}", answer.text());
    assert_eq!(http.request("POST", "/api/v1/frames/door", JPEG, picture).status, 202);
}
