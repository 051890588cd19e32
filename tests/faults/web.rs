//! The web server is killed while people use it.

use everyframe_tests::{Dice, Http, Site, Topic, free_port, pictures, shipped_rules, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Mutes alerts of a camera, and sends a frame. Returns what the server confirmed: the mute's id, and the frame's offset.
fn use_server(http: &Http, camera: &str, picture: &[u8]) -> (Option<String>, Option<i64>) {
    let mute = json!({ "camera": camera, "minutes": 60 }).to_string();
    let post = |path: &str, kind: &str, body: &[u8]| http.try_request("POST", path, kind, body);
    let muted = post("/api/v1/mutes", "application/json", mute.as_bytes());
    let sent = post("/api/v1/frames/gate", "image/jpeg", picture);
    let id = muted.filter(|answer| answer.status == 201).map(|answer| answer.json()["id"].take());
    let place = sent.filter(|answer| answer.status == 202).map(|answer| answer.json()["position"].take());
    (id.as_ref().and_then(Value::as_str).map(str::to_owned), place.and_then(|place| place["offset"].as_i64()))
}

#[test]
fn what_a_killed_web_server_confirmed_is_kept() {
    let site = Site::start(1);
    let mut command = site.command(&["gallery", "make-key"]);
    site.run(command.arg(site.folder().join("signing.key"))).expect_success();
    site.configure("[privacy]\nsigning_key = { file = \"signing.key\" }\n", &shipped_rules(""));
    let (dice, picture) = (Dice::new(), pictures::man().swap_remove(0));
    let address = format!("127.0.0.1:{}", free_port());
    let http = Http::new(&address);
    let start = |name: &str| site.start_everyframe(name, &["serve", "--listen", &address]);
    let (mut mutes, mut frames) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..5 {
        let server = start(&format!("serve-{round}"));
        let mut tried = 0;
        let mut try_both = || {
            tried += 1;
            let (mute, frame) = use_server(&http, &format!("camera-{round}-{tried}"), &picture);
            let is_confirmed = mute.is_some() && frame.is_some();
            mutes.extend(mute);
            frames.extend(frame);
            is_confirmed.then_some(())
        };
        wait_for("a mute and a frame", &mut try_both);
        let moment = Duration::from_millis(dice.below(1000));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(moment);
            server.kill();
        });
        while !killer.is_finished() {
            try_both();
        }
        killer.join().expect("it is killed");
    }
    let _server = start("serve-last");
    let known = |answer: &Value| -> BTreeSet<String> {
        let mutes = answer["mutes"].as_array().into_iter().flatten();
        mutes.filter_map(|mute| mute["id"].as_str().map(str::to_owned)).collect()
    };
    wait_for("all mutes that were confirmed", || {
        known(&http.try_get("/api/v1/mutes")?.json()).is_superset(&mutes).then_some(())
    });
    let stored = site.read(Topic::Frames);
    for offset in &frames {
        let frame = stored.iter().find(|frame| frame.offset == *offset).expect("the frame was confirmed");
        assert!(frame.value.as_ref() == Some(&picture), "the frame at {offset}");
    }
    // What was confirmed is on the trail, and no kill has broken the chain.
    let verified = site.everyframe(&["trail", "verify"]);
    assert!(
        verified.code == Some(0) && verified.out.contains("faults 0"),
        "{}{}",
        verified.out,
        verified.err
    );
    let entered = site.everyframe(&["trail", "show"]).expect_success().matches("local  muted  ").count();
    assert!(
        entered >= mutes.len() && mutes.len() >= 5 && frames.len() >= 5,
        "{entered} {mutes:?} {frames:?}"
    );
}
