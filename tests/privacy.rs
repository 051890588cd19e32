//! Encryption at rest, erasure with receipts, consent and purposes, and the trail.

use everyframe_tests::{
    Ended, Frame, Http, Part, Raw, Record, Site, Topic, pictures, shipped_rules, wait_for,
};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Makes keys of these names in the site's folder, and configures them: the first one encrypts.
pub fn configure_keys(site: &Site, names: &[&str], more: &str) {
    for name in names.iter().chain(&["signing"]) {
        let file = site.folder().join(format!("{name}.key"));
        if !file.exists() {
            let mut command = site.command(&["gallery", "make-key"]);
            site.run(command.arg(&file)).expect_success();
        }
    }
    let keys: Vec<String> = names.iter().map(|name| format!("{{ file = \"{name}.key\" }}")).collect();
    let privacy = format!(
        "[privacy]\nkeys = [{}]\nsigning_key = {{ file = \"signing.key\" }}\n{more}",
        keys.join(", ")
    );
    site.configure(&privacy, &shipped_rules(""));
}

/// The face of a new camera's frame with the man.
struct Seer<'a> {
    site: &'a Site,
    man: Vec<u8>,
    sent: usize,
}

impl<'a> Seer<'a> {
    fn new(site: &'a Site) -> Self {
        Self { site, man: pictures::man().swap_remove(0), sent: site.count(Topic::Results) }
    }

    fn face(&mut self, camera: &str) -> Value {
        self.sent += 1;
        // Another camera each time, so that no track has an earlier embedding.
        let camera = format!("{camera}-{}", self.sent);
        self.site.send(&Frame::stream(&camera, [&self.man]));
        self.site.wait_for_records(Topic::Results, self.sent)[self.sent - 1].json()["data"]["faces"][0]
            .clone()
    }

    fn decision(&mut self, camera: &str) -> String {
        self.face(camera)["decision"].as_str().expect("a decision").to_owned()
    }

    fn wait_for_decision(&mut self, camera: &str, wanted: &str) {
        wait_for(wanted, || (self.decision(camera) == wanted).then_some(()));
    }
}

pub fn enrol(site: &Site, person: &str, picture: &[u8], more: &[&str]) -> Ended {
    let file = site.file(&format!("{person}.jpg"), picture).display().to_string();
    let mut words = vec!["enrol", person, &file];
    words.extend(more);
    site.everyframe(&words)
}

fn woman() -> Vec<u8> {
    pictures::clip("WolfgangLanger_Pexels.mp4").swap_remove(0)
}

/// The last value of each key.
pub fn last_values(records: &[Record]) -> Vec<&[u8]> {
    let mut last = std::collections::BTreeMap::new();
    for record in records {
        last.insert(record.key.clone(), record.value.as_deref());
    }
    last.into_values().flatten().collect()
}

fn is_readable(value: &[u8]) -> bool {
    value.starts_with(b"{")
}

pub fn erase(site: &Site, person: &str) -> PathBuf {
    let begun = Instant::now();
    let receipt = site.everyframe(&["gallery", "erase", person]).expect_success();
    // For docs/privacy.md.
    eprintln!("{person} was erased within {:.1} s", begun.elapsed().as_secs_f64());
    site.file("receipt.json", receipt.as_bytes())
}

#[test]
fn what_is_kept_of_people_is_encrypted() {
    let site = Site::start(1);
    configure_keys(&site, &["a"], "");
    enrol(&site, "ada", &woman(), &[]).expect_success();
    let host = site.host();
    assert!(!host.err().contains("not encrypted"), "{}", host.err());
    let man = pictures::man();
    site.send(&Frame::stream("gate", &man[..30]));
    site.wait_for_records(Topic::Results, 30);
    for topic in [Topic::Gallery, Topic::Strangers, Topic::State, Topic::Keys] {
        let records = site.wait_for_records(topic, 1);
        assert!(last_values(&records).iter().all(|value| !is_readable(value)), "{topic:?}");
        let text = b"ada";
        let has_name = |record: &Record| {
            record.value.as_ref().is_some_and(|value| value.windows(3).any(|bytes| bytes == text))
        };
        assert!(topic == Topic::State || !records.iter().any(has_name), "{topic:?}");
    }
    // Another host reads all of it.
    host.terminate();
    let host = site.host_called("next");
    assert!(host.err().contains("gallery read people=1"), "{}", host.err());
    assert!(host.err().contains("strangers read strangers=1"), "{}", host.err());
}

#[test]
fn plain_records_are_read_and_encrypted_on_request() {
    let site = Site::start(1);
    site.enrol("viktor", &[&pictures::man()[30]]);
    assert!(last_values(&site.read(Topic::Gallery)).iter().all(|value| is_readable(value)));
    let host = site.host();
    assert_eq!(host.count_in_log("not encrypted"), 1, "{}", host.err());
    host.terminate();

    configure_keys(&site, &["a"], "");
    let host = site.host_called("next");
    assert_eq!(Seer::new(&site).decision("gate"), "known");
    let rewrapped = site.everyframe(&["gallery", "rewrap"]).expect_success();
    assert!(rewrapped.contains("samples that were not encrypted 1,"), "{rewrapped}");
    assert!(!last_values(&site.read(Topic::Gallery)).iter().any(|value| is_readable(value)));
    assert_eq!(Seer::new(&site).decision("gate"), "known");
    host.terminate();
}

#[test]
fn a_wrong_key_stops_instead_of_forgetting_people() {
    let site = Site::start(1);
    configure_keys(&site, &["a"], "");
    enrol(&site, "viktor", &pictures::man()[30], &[]).expect_success();
    let id = |ended: Ended| ended.expect_success().split(' ').next().unwrap_or_default().to_owned();
    let needed = id(site.everyframe(&["gallery", "keys"]));
    configure_keys(&site, &["b"], "");
    let has = id(site.everyframe(&["gallery", "keys"]));
    for words in [
        &["run"][..],
        &["serve", "--listen", "127.0.0.1:0"],
        &["gallery", "list"],
        &["gallery", "erase", "viktor"],
    ] {
        let ended = site.everyframe(words);
        assert_eq!(ended.code, Some(1), "{words:?}: {}", ended.err);
        let message = format!("is encrypted with key {needed}, and the configuration has {has}");
        assert!(ended.err.contains(&message), "{words:?}: {}", ended.err);
    }
    configure_keys(&site, &[], "");
    let ended = site.everyframe(&["run"]);
    assert!(ended.code == Some(1) && ended.err.contains("and no key is configured"), "{}", ended.err);
    let ended = site.everyframe(&["gallery", "list"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
}

#[test]
fn keys_are_rotated_while_a_host_runs() {
    let site = Site::start(1);
    configure_keys(&site, &["a"], "");
    enrol(&site, "viktor", &pictures::man()[30], &[]).expect_success();
    // First all hosts learn to read the new key; then it is made the first.
    configure_keys(&site, &["a", "b"], "");
    let host = site.host();
    let mut seer = Seer::new(&site);
    assert_eq!(seer.decision("gate"), "known");
    configure_keys(&site, &["b", "a"], "");
    let rewrapped = site.everyframe(&["gallery", "rewrap"]).expect_success();
    assert!(
        rewrapped.contains("keys of people 1,") && rewrapped.contains("while hosts are running"),
        "{rewrapped}"
    );
    enrol(&site, "ada", &woman(), &[]).expect_success();
    wait_for("the host to take in the person", || {
        host.err().contains("gallery changed people=2").then_some(())
    });
    assert_eq!(seer.decision("gate"), "known");
    host.terminate();
    // Without hosts, rule state is encrypted again, too.
    site.everyframe(&["gallery", "rewrap"]).expect_success();
    configure_keys(&site, &["b"], "");
    let _host = site.host_called("next");
    assert_eq!(Seer::new(&site).decision("gate"), "known");
}

#[test]
fn a_frozen_host_reads_new_keys_though_an_erasure_has_moved_them() {
    let site = Site::start(1);
    configure_keys(&site, &["a"], "");
    enrol(&site, "ada", &woman(), &[]).expect_success();
    let host = site.host();
    host.signal("STOP");
    enrol(&site, "viktor", &pictures::man()[30], &[]).expect_success();
    // It writes all keys again, and deletes what is before them.
    erase(&site, "ada");
    host.signal("CONT");
    Seer::new(&site).wait_for_decision("gate", "known");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn erasure_leaves_nothing_of_a_person() {
    let site = Site::start(1);
    configure_keys(&site, &["a"], "");
    let host = site.host();
    let man = pictures::man();
    // Before he is enrolled, he is a stranger with views and rule state.
    site.send(&Frame::stream("gate", &man[..30]));
    site.wait_for_records(Topic::Results, 30);
    site.wait_for_records(Topic::Strangers, 1);
    let seen = site.read(Topic::Results)[29].json()["data"]["faces"][0]["stranger"]["id"].clone();
    enrol(&site, "viktor", &man[40], &[]).expect_success();
    wait_for("the host to know him", || host.err().contains("gallery changed people=1").then_some(()));
    let mut seer = Seer::new(&site);
    assert_eq!(seer.decision("yard"), "known");

    let file = erase(&site, "viktor");
    let receipt: Value = serde_json::from_slice(&std::fs::read(&file).expect("a receipt")).expect("JSON");
    assert_eq!((&receipt["samples"], receipt["dataKeys"].as_array().map(Vec::len)), (&1.into(), Some(1)));
    assert!(receipt["strangers"].as_array().is_some_and(|ids| ids.contains(&seen)), "{receipt} {seen}");
    assert!(receipt["strangerRecords"].as_u64() >= Some(1), "{receipt}");
    // A host forgets him at once.
    let face = seer.face("yard");
    assert_eq!(
        (&face["decision"], face["candidates"].as_array().map(Vec::len)),
        (&"unknown".into(), Some(0))
    );
    // Nor does it take him for the stranger whom it knew, wherever he is.
    let later: Vec<Frame> = Frame::stream("gate", &man[30..60])
        .into_iter()
        .map(|mut frame| {
            frame.stamp.as_mut().expect("it is stamped").2 += 60_000;
            frame
        })
        .collect();
    let before = site.count(Topic::Results);
    site.send(&later);
    let results = site.wait_for_records(Topic::Results, before + 30);
    let strangers: Vec<Value> = results[before..]
        .iter()
        .map(|record| record.json()["data"]["faces"][0]["stranger"]["id"].clone())
        .collect();
    assert!(strangers.iter().all(|id| *id != seen), "{strangers:?}");

    let verified = site.everyframe(&["gallery", "verify", &file.to_string_lossy()]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
    assert!(verified.out.contains("signature               valid"), "{}", verified.out);
    // The keys topic begins after the destroyed key; the sealed template is in the log still, and nobody can open it.
    let key = format!("key/{}", receipt["dataKeys"][0].as_str().expect("an id"));
    let kept = site.read_again(Topic::Keys);
    let wrapped = kept.iter().filter(|record| record.key.as_deref() == Some(&key) && record.value.is_some());
    assert_eq!(wrapped.count(), 0, "the wrapped key is in the topic still");
    assert!(site.read(Topic::Gallery).iter().any(|record| record.value.is_some()));

    // A receipt that was changed proves nothing.
    let forged = receipt.to_string().replace("\"samples\":1", "\"samples\":2");
    let forged = site.file("forged.json", forged.as_bytes());
    let verified = site.everyframe(&["gallery", "verify", &forged.to_string_lossy()]);
    assert_eq!(verified.code, Some(1), "{}", verified.out);
    assert!(verified.out.contains("WRONG"), "{}", verified.out);
    // Nor does one of a person who is enrolled under another key again: the templates are other ones.
    enrol(&site, "viktor", &man[41], &[]).expect_success();
    let verified = site.everyframe(&["gallery", "verify", &file.to_string_lossy()]);
    assert!(verified.code == Some(0) && verified.out.contains("enrolled again since"), "{}", verified.out);
    // What rules have stored about that person since then outlives a restart.
    wait_for("the host to know him again", || {
        (host.count_in_log("gallery changed people=1") > 1).then_some(())
    });
    let mut seer = Seer::new(&site);
    assert_eq!(seer.decision("yard"), "known");
    host.terminate();
    let deleted = || site.read(Topic::State).iter().filter(|record| record.value.is_none()).count();
    let before = deleted();
    let _host = site.host_called("next");
    assert_eq!(seer.decision("yard"), "known");
    assert_eq!(deleted(), before);
}

#[test]
fn consent_purpose_and_expiry_hold() {
    let site = Site::start(1);
    let more = "require_consent = true\n[[privacy.purposes]]\nname = \"access\"\ncameras = [\"gate-*\"]\n";
    configure_keys(&site, &["a"], more);
    let man = pictures::man();
    let refused = enrol(&site, "viktor", &man[30], &[]);
    assert!(refused.code == Some(1) && refused.err.contains("no consent is given"), "{}", refused.err);
    let refused = enrol(&site, "viktor", &man[30], &["--consent", "form 7", "--purpose", "sales"]);
    assert!(refused.err.contains("there is no purpose `sales`"), "{}", refused.err);
    let refused = enrol(&site, "viktor", &man[30], &["--consent", "form 7", "--expires", "2020-01-01"]);
    assert!(refused.err.contains("would have ended already"), "{}", refused.err);
    assert_eq!(site.read(Topic::Gallery).len(), 0);

    let host = site.host();
    enrol(&site, "viktor", &man[30], &["--consent", "form 7", "--purpose", "access"]).expect_success();
    wait_for("the host to know him", || host.err().contains("gallery changed people=1").then_some(()));
    let list = site.everyframe(&["gallery", "list"]).expect_success();
    assert_eq!(list, "viktor  viktor  samples: 1  consent: form 7  purposes: access\n");
    let mut seer = Seer::new(&site);
    assert_eq!(seer.decision("gate"), "known");
    let face = seer.face("yard");
    assert_eq!(
        (&face["decision"], face["candidates"].as_array().map(Vec::len)),
        (&"unknown".into(), Some(0))
    );

    // Another picture, and an end for all of them.
    let soon = std::time::SystemTime::now() + Duration::from_secs(60);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let soon = chrono_text(soon);
    enrol(&site, "viktor", &man[40], &["--expires", &soon]).expect_success();
    let list = site.everyframe(&["gallery", "list"]).expect_success();
    assert!(
        list.starts_with("viktor  viktor  samples: 2  consent: form 7  purposes: access  until: "),
        "{list}"
    );
    wait_for("the enrolment to end", || host.err().contains("the person is erased").then_some(()));
    seer.wait_for_decision("gate", "unknown");
    let list = site.everyframe(&["gallery", "list"]).expect_success();
    assert!(list.starts_with("nobody is enrolled"), "{list}");
    let trail = site.everyframe(&["trail", "show"]).expect_success();
    assert!(trail.contains("host  expired  viktor"), "{trail}");
}

/// Unix seconds as RFC 3339.
fn chrono_text(seconds: u64) -> String {
    let output = std::process::Command::new("date")
        .args(["--utc", "--date", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .expect("date");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A trail with six entries, and a copy of it that `change` changed.
fn verify_changed_trail(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> (Ended, Ended) {
    let site = Site::start(1);
    configure_keys(&site, &["a"], "");
    enrol(&site, "viktor", &pictures::man()[30], &["--consent", "form 1"]).expect_success();
    enrol(&site, "ada", &woman(), &["--consent", "form 2"]).expect_success();
    site.everyframe(&["gallery", "export", "ada"]).expect_success();
    site.everyframe(&["gallery", "rewrap"]).expect_success();
    erase(&site, "viktor");
    erase(&site, "ada");
    let point = site.everyframe(&["trail", "point"]).expect_success();
    let point = site.file("point.json", point.as_bytes()).display().to_string();
    let whole = site.everyframe(&["trail", "verify", "--point", &point]);
    let mut values: Vec<Vec<u8>> =
        site.read(Topic::Trail).into_iter().filter_map(|record| record.value).collect();
    assert_eq!(values.len(), 6);
    change(&mut values);
    let text = std::fs::read_to_string(site.config()).expect("a configuration");
    let (name, copy) = (site.name(Topic::Trail), format!("{}.copy", site.name(Topic::Acknowledgements)));
    std::fs::write(site.config(), text.replace(&name, &copy)).expect("a configuration");
    site.everyframe(&["trail", "show"]).expect_success();
    let record =
        |value: &Vec<u8>| Raw { key: "2026-01-01".into(), value: Some(value.clone()), ..Raw::default() };
    site.send_raw_to(&copy, &values.iter().map(record).collect::<Vec<_>>());
    let changed = site.everyframe(&["trail", "verify", "--point", &point]);
    site.delete_named(&copy);
    (whole, changed)
}

#[test]
fn an_edit_of_the_trail_is_found() {
    let (whole, changed) = verify_changed_trail(|values| {
        let text = String::from_utf8_lossy(&values[2]).replace("\"ada\"", "\"eve\"");
        assert_ne!(text.as_bytes(), values[2]);
        values[2] = text.into_bytes();
    });
    assert_eq!(whole.code, Some(0), "{}", whole.out);
    assert_eq!(whole.out, "entries 6 (1 to 6), all signed, faults 0\n");
    assert_eq!(changed.code, Some(1), "{}", changed.out);
    assert!(changed.out.contains("entry 3 at offset 2 is not signed"), "{}", changed.out);
}

#[test]
fn a_dropped_entry_of_the_trail_is_found() {
    let (_, changed) = verify_changed_trail(|values| drop(values.remove(3)));
    assert_eq!(changed.code, Some(1), "{}", changed.out);
    assert!(changed.out.contains("does not continue entry 3"), "{}", changed.out);
    // The last one is missed because the trail's point is kept elsewhere; the first one, because it is too young.
    let (_, changed) = verify_changed_trail(|values| drop(values.pop()));
    assert!(changed.code == Some(1) && changed.out.contains("entry 6, whose hash"), "{}", changed.out);
    let (_, changed) = verify_changed_trail(|values| drop(values.remove(0)));
    assert!(changed.code == Some(1) && changed.out.contains("before their time"), "{}", changed.out);
}

#[test]
fn reordered_entries_of_the_trail_are_found() {
    let (_, changed) = verify_changed_trail(|values| values.swap(2, 3));
    assert_eq!(changed.code, Some(1), "{}", changed.out);
    assert!(changed.out.contains("does not continue entry 2"), "{}", changed.out);
}

#[test]
fn entries_of_four_writers_make_one_chain() {
    let site = Site::start(1);
    configure_keys(&site, &["a"], "");
    site.everyframe(&["trail", "show"]).expect_success();
    let mut writers: Vec<Part> = Vec::new();
    for round in 0..5 {
        for writer in 0..4 {
            writers.push(site.start_everyframe(&format!("writer-{round}-{writer}"), &["gallery", "rewrap"]));
        }
        writers.drain(..).for_each(|writer| drop(writer.end()));
    }
    let verified = site.everyframe(&["trail", "verify"]);
    assert_eq!(verified.out, "entries 20 (1 to 20), all signed, faults 0\n", "{}", verified.err);
}

#[test]
fn everything_known_about_a_person_is_exported() {
    let site = Site::start(1);
    configure_keys(&site, &["a"], "");
    enrol(&site, "viktor", &pictures::man()[30], &["--consent", "form 7"]).expect_success();
    let _host = site.host();
    assert_eq!(Seer::new(&site).decision("gate"), "known");
    let export = site.everyframe(&["gallery", "export", "viktor"]).expect_success();
    let export: Value = serde_json::from_str(&export).expect("JSON");
    let sample = &export["samples"][0];
    assert_eq!((&sample["source"], &sample["terms"]["consent"]), (&"viktor.jpg".into(), &"form 7".into()));
    assert_eq!(sample["template"].as_array().map(Vec::len), Some(128));
    assert_eq!(export["sightings"][0]["face"]["person"], "viktor", "{export}");
    assert_eq!(export["trail"][0]["action"], "enrolled");
    let nobody = site.everyframe(&["gallery", "export", "nobody"]);
    assert!(nobody.code == Some(1) && nobody.err.contains("nobody with the id"), "{}", nobody.err);
}

#[test]
fn retention_is_enforced_and_shown() {
    let site = Site::start(1);
    site.everyframe(&["gallery", "list"]).expect_success();
    let shown = |site: &Site| site.everyframe(&["gallery", "retention"]).expect_success();
    assert!(shown(&site).contains("results         168 h "), "{}", shown(&site));
    site.configure("[privacy.retention]\nresults_h = 24\nstrangers_h = 2\n", &shipped_rules(""));
    let changed = shown(&site);
    assert!(
        changed.contains("results         24 h ") && changed.contains("strangers       2 h "),
        "{changed}"
    );
    assert!(changed.contains("frames          24 h "), "{changed}");
}

/// How much the pictures that the API shows differ from the frames, where the faces are: of a man who agreed, and of a woman who did not.
/// `hide` is further settings of the table `[privacy]`.
fn hidden_by(hide: &str) -> (f64, f64) {
    let site = Site::start(1);
    configure_keys(&site, &["a"], &format!("hide_without_consent = true\n{hide}"));
    enrol(&site, "viktor", &pictures::man()[30], &["--consent", "form 7"]).expect_success();
    let _host = site.host();
    let mut served = site.start_everyframe("serve", &["serve", "--listen", "127.0.0.1:0"]);
    served.wait_for_word("dashboard at http://");
    let log = served.err();
    let address = log.split("dashboard at http://").nth(1).and_then(|rest| rest.split_whitespace().next());
    let http = Http::new(address.expect("an address"));
    site.send(&[Frame::new("gate", &pictures::man()[0]), Frame::new("gate-2", &woman())]);
    site.wait_for_records(Topic::Results, 2);
    let picture = |offset: usize| {
        let path = format!("/api/v1/frames/0/{offset}/picture");
        wait_for("the result", || Some(http.get(&path)).filter(|answer| answer.status == 200)).body
    };
    let hidden = |offset: usize| {
        let frames = site.read(Topic::Frames);
        let original = frames[offset].value.clone().expect("a picture");
        let results = site.read(Topic::Results);
        let place = |record: &&Record| record.json()["data"]["position"]["offset"] == offset;
        let result = results.iter().find(place).expect("its result").json();
        let face = result["data"]["faces"][0]["bounds"].clone();
        pictures::difference(&original, &picture(offset), &face)
    };
    let differences = (hidden(0), hidden(1));
    served.terminate();
    let trail = site.everyframe(&["trail", "show"]).expect_success();
    assert!(trail.contains("local  viewed  frame 0/0, frame 0/1"), "{trail}");
    differences
}

#[test]
fn faces_without_consent_are_painted_over() {
    let (man, woman) = hidden_by("");
    assert!(man < 10.0, "the man agreed, and is shown: {man}");
    assert!(woman > 40.0, "the woman did not, and is not: {woman}");
}

#[test]
fn faces_without_consent_can_be_blurred() {
    let (man, woman) = hidden_by("hide_by = \"blur\"\n");
    assert!(man < 10.0, "the man agreed, and is shown: {man}");
    // Of her colours, 16 are left. Whether she can be recognised by them, `a_blurred_face_cannot_be_recognised` tests.
    assert!((10.0..40.0).contains(&woman), "blurred, and not painted over: {woman}");
}

#[test]
fn the_dashboard_speaks_tls() {
    let site = Site::start(1);
    let (certificate, key) = (site.folder().join("web.crt"), site.folder().join("web.key"));
    let mut openssl = std::process::Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    site.run(&mut openssl).expect_success();
    site.configure("[web.tls]\ncertificate = \"web.crt\"\nkey = \"web.key\"\n", &shipped_rules(""));
    let mut served = site.start_everyframe("serve", &["serve", "--listen", "127.0.0.1:0"]);
    served.wait_for_word("dashboard at https://");
    let log = served.err();
    let address = log.split("dashboard at https://").nth(1).and_then(|rest| rest.split_whitespace().next());
    let address = address.expect("an address").to_owned();
    let request = format!("GET /api/v1/cameras HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    site.file("request", request.as_bytes());
    let ask =
        format!("openssl s_client -quiet -verify_return_error -connect {address} -CAfile web.crt < request");
    let mut client = std::process::Command::new("sh");
    client.args(["-c", &ask]).current_dir(site.folder());
    let answer = site.run(&mut client);
    assert!(answer.out.starts_with("HTTP/1.1 200 OK"), "{}{}", answer.out, answer.err);
    // Without TLS there is no answer.
    assert!(Http::new(&address).try_get("/api/v1/cameras").is_none());
    // A key that does not fit is refused.
    configure_keys(&site, &["a"], "");
    let text = "[web.tls]\ncertificate = \"web.crt\"\nkey = \"a.key\"\n";
    site.configure(text, &shipped_rules(""));
    let refused = site.everyframe(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(refused.code == Some(1) && refused.err.contains("a.key"), "{}", refused.err);
}
