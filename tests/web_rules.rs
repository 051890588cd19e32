//! Rules over HTTP: their health and log, and what past alerts would have been with other settings.

use everyframe_tests::{
    Answer, Frame, Served, Site, Topic, list, pictures, places, rule, serve, shipped_rules, wait_for,
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const GATE: usize = 60;
const LOBBY: usize = 80;

/// A host with a known man at the gate and a strange woman in the lobby, both judged by the shipped rules.
fn with_visitors() -> Served {
    let site = Site::start(2);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let served = Served::with_rules(site, &shipped_rules("cooldown_ms = 60000"));
    let woman = pictures::clip("WolfgangLanger_Pexels.mp4");
    served.site.send(&Frame::stream("gate", &man[..GATE]));
    served.site.send(&Frame::stream("lobby", &woman[..LOBBY]));
    assert_eq!(served.site.settled_audit().0, Some(0));
    served
}

/// The status of an answer to a path below `/api/v1`.
fn status(served: &Served, path: &str) -> u16 {
    served.http.get(&format!("/api/v1{path}")).status
}

/// Asks for a replay of the last hour with these settings of one rule.
fn try_settings(served: &Served, rule: &str, settings: &Value) -> Answer {
    replay(served, &json!({ "rules": [{ "name": rule, "settings": settings }] }))
}

fn replay(served: &Served, more: &Value) -> Answer {
    let mut request = json!({ "from": now() - 3_600_000, "to": now() + 60_000 });
    for (key, value) in more.as_object().expect("an object") {
        request[key] = value.clone();
    }
    served.http.json("POST", "/api/v1/replays", &request)
}

/// Waits for the end of a replay, and returns it.
fn ended(served: &Served, started: &Answer) -> Value {
    let id = started.expect(202)["id"].as_str().expect("an id").to_owned();
    served.wait(&format!("/replays/{id}"), |replay| (replay["state"] != "running").then(|| replay.clone()))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a time")
}

/// It has time enough on a busy machine.
fn hostile(misdeed: &str) -> String {
    let settings = format!("do = \"{misdeed}\"\n\n[rules.limits]\ntime_ms = 2000");
    rule("who", "matching-policy", &places::other_rule("hostile_rule"), &settings)
}

#[test]
fn other_settings_show_which_alerts_would_differ() {
    let served = with_visitors();
    // The state changes by itself, and the trail names who looked at a picture.
    let is_left_out = |topic: Topic| [Topic::State, Topic::Trail].contains(&topic);
    let counts = || Topic::ALL.map(|topic| if is_left_out(topic) { 0 } else { served.site.count(topic) });
    let before = counts();

    let same = ended(&served, &replay(&served, &json!({})));
    assert_eq!((&same["state"], &same["progress"]), (&json!("done"), &json!(1.0)), "{same:#}");
    let alerts = &same["answer"]["alerts"];
    assert_eq!((&alerts["raised"], &alerts["gone"]), (&json!(0), &json!(0)), "{same:#}");
    assert_eq!(same["answer"]["frames"], GATE + LOBBY, "{same:#}");
    assert_eq!(same["toml"], "");

    // No alert about strangers any more.
    let quiet = json!({ "cooldown_ms": 60_000, "unknown": { "first_seen": { "enabled": false } } });
    let quiet = ended(&served, &try_settings(&served, "alerts", &quiet));
    let answer = &quiet["answer"];
    let gone = list(answer, "gone");
    assert!(!gone.is_empty() && list(answer, "raised").is_empty(), "{quiet:#}");
    let kinds = |alerts: &[Value]| alerts.iter().map(|it| it["kind"].clone()).collect::<Vec<_>>();
    assert!(kinds(gone).iter().all(|kind| kind == "first-seen"), "{quiet:#}");
    assert!(kinds(list(answer, "kept")).contains(&json!("known-person")), "{quiet:#}");
    let alert = &gone[0];
    assert_eq!((&alert["camera"], &alert["rule"]), (&json!("lobby"), &json!("alerts")));
    assert!(alert["at"].as_i64() >= Some(1_764_000_000_000) && alert["text"].as_str() > Some(""), "{alert}");
    let picture = served.http.get(alert["crop"].as_str().expect("the picture of the face"));
    assert!(picture.status == 200 && picture.body.starts_with(&[0xff, 0xd8]), "{}", picture.status);
    let lines = quiet["toml"].as_str().expect("lines");
    assert!(lines.contains("[rules.settings.unknown.first_seen]\nenabled = false"), "{lines}");

    // An alert with every frame.
    let many = ended(&served, &try_settings(&served, "alerts", &json!({ "cooldown_ms": 0 })));
    let answer = &many["answer"];
    assert!(answer["alerts"]["raised"].as_u64() >= Some(50), "{many:#}");
    assert_eq!(answer["alerts"]["gone"], 0, "{many:#}");
    assert!(list(answer, "raised").iter().all(|it| it["camera"] == "gate"), "{many:#}");
    assert!(list(answer, "keptAnswers").iter().any(|it| it["rule"] == "strangers"), "{many:#}");

    // Fewer people are known.
    let strict = ended(&served, &try_settings(&served, "who", &json!({ "min_quality": 1.0 })));
    let changed = list(&strict["answer"], "decisions");
    assert!(changed.iter().any(|it| it["before"] == "known" && it["after"] == "undecided"), "{strict:#}");
    assert!(kinds(list(&strict["answer"], "gone")).contains(&json!("known-person")), "{strict:#}");

    let at_the_gate = ended(&served, &replay(&served, &json!({ "cameras": ["gat?"] })));
    assert_eq!(at_the_gate["answer"]["frames"], GATE, "{at_the_gate:#}");
    let earlier = ended(&served, &replay(&served, &json!({ "from": 0, "to": now() - 3_600_000 })));
    assert_eq!(earlier["answer"]["frames"], 0, "{earlier:#}");

    assert_eq!(list(&served.get("/replays"), "replays").len(), 6);
    assert_eq!(counts(), before, "nothing is published");
}

#[test]
fn wrong_settings_are_refused_with_their_key() {
    let served = Served::with_rules(Site::start(1), &shipped_rules(""));
    for (request, expected) in [
        (
            json!({ "rules": [{ "name": "alerts", "settings": { "cooldown_msec": 5 } }] }),
            "settings.cooldown_msec",
        ),
        (json!({ "rules": [{ "name": "who", "settings": { "threshold": 7 } }] }), "settings.threshold"),
        (json!({ "rules": [{ "name": "nobody", "settings": {} }] }), "it has: who, strangers, alerts"),
        (json!({ "from": 5, "to": 5 }), "`from` must be before `to`"),
    ] {
        let refused = replay(&served, &request);
        let problem = refused.expect(422);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(expected)), "{problem}");
        assert!(!refused.text().contains(".toml"), "no path of a file is told: {problem}");
    }
    assert!(list(&served.get("/replays"), "replays").is_empty());
    assert_eq!(status(&served, "/replays/1"), 404);
}

#[test]
fn one_replay_runs_at_a_time_until_it_is_cancelled() {
    let served = Served::with_rules(Site::start(1), &hostile("behave"));
    served.site.send(&Frame::stream("gate", &pictures::man()[..70]));
    assert_eq!(served.site.settled_audit().0, Some(0));
    // Each call takes as long as a rule may.
    let slow = try_settings(&served, "who", &json!({ "do": "loop" })).expect(202);
    assert_eq!(slow["state"], "running", "{slow}");
    assert_eq!(replay(&served, &json!({})).status, 409);
    let path = format!("/replays/{}", slow["id"].as_str().expect("an id"));
    wait_for("some progress", || {
        let share = served.get(&path)["progress"].as_f64()?;
        (share > 0.0 && share < 1.0).then_some(())
    });
    let cancel = || served.http.request("DELETE", &format!("/api/v1{path}"), "", b"").status;
    assert_eq!([cancel(), cancel()], [204, 404]);
    let next = wait_for("the next replay", || {
        let started = replay(&served, &json!({}));
        (started.status != 409).then_some(started)
    });
    assert_eq!(ended(&served, &next)["answer"]["frames"], 70);

    let trapped = ended(&served, &try_settings(&served, "who", &json!({ "do": "trap" })));
    let failed = &list(&trapped["answer"], "failed")[0];
    assert_eq!((&failed["rule"], &failed["frames"]), (&json!("who"), &json!(70)), "{trapped:#}");
    // The rule that was tried is not the one in force.
    let rules = served.get("/rules");
    assert_eq!(rules["rules"][0]["usage"]["calls"], 70, "{rules}");
}

#[test]
fn a_rule_shows_its_time_memory_and_log() {
    let served = Served::with_rules(Site::start(1), &hostile("terminal-escapes"));
    served.site.send(&Frame::stream("gate", &pictures::man()[..10]));
    assert_eq!(served.site.settled_audit().0, Some(0));
    let rule = wait_for("the rule", || {
        let rules = served.get("/rules");
        list(&rules, "rules").iter().find(|rule| rule["judged"] == 10).cloned()
    });
    let usage = &rule["usage"];
    assert_eq!((&usage["calls"], &usage["pausedCameras"]), (&json!(10), &json!(0)), "{rule}");
    assert!(
        usage["p50Ms"].as_f64() > Some(0.0) && usage["p99Ms"].as_f64() >= usage["p50Ms"].as_f64(),
        "{rule}"
    );
    assert!(usage["memoryPeak"].as_u64() > Some(10_000), "{rule}");
    assert_eq!(rule["failures"], json!([]));

    let log = served.get("/rules/who/log");
    let lines = list(&log, "lines");
    assert!(log["isAvailable"] == true && lines.len() >= 10, "{log}");
    assert_eq!(
        (&lines[0]["camera"], &lines[0]["sequence"]),
        (&json!("gate"), &json!(9)),
        "newest first: {log}"
    );
    assert!(!lines.iter().any(|line| line["message"].as_str().expect("a text").contains('\u{1b}')), "{log}");
    assert_eq!(served.get("/rules/nobody/log")["lines"], json!([]));

    // A process without rules says so.
    let (_serve, other) = serve(&served.site);
    let rule = wait_for("the rule in another process", || {
        let rules = other.try_get("/api/v1/rules")?.json();
        rules["rules"].as_array()?.iter().find(|rule| rule["judged"] == 10).cloned()
    });
    assert_eq!(rule["usage"], Value::Null);
    assert_eq!(other.get("/api/v1/rules/who/log").expect(200)["isAvailable"], false);
}

#[test]
fn failures_of_a_rule_are_counted_by_reason() {
    let served = Served::with_rules(Site::start(1), &hostile("trap"));
    served.site.send(&Frame::stream("gate", &pictures::man()[..5]));
    served.site.settled_audit();
    let rule = wait_for("the failures", || {
        let rules = served.get("/rules");
        list(&rules, "rules").iter().find(|rule| rule["parked"] == 5).cloned()
    });
    assert_eq!(rule["failures"], json!([{ "reason": "rule-trapped", "frames": 5 }]), "{rule}");
    assert_eq!((&rule["name"], &rule["lastFailure"]["camera"]), (&json!("who"), &json!("gate")), "{rule}");
}

#[test]
fn settings_come_with_the_schema_of_their_rule() {
    let served = Served::with_rules(Site::start(1), &shipped_rules("cooldown_ms = 5000\ndeny = [\"anna\"]"));
    let shown = served.get("/rules/alerts/settings");
    assert_eq!(shown["settings"], json!({ "cooldown_ms": 5000, "deny": ["anna"] }));
    assert_eq!(shown["schema"]["properties"]["cooldown_ms"]["default"], 60_000, "{shown}");
    assert_eq!((&shown["kind"], &shown["name"]), (&json!("alerting"), &json!("alerts")));
    assert_eq!(status(&served, "/rules/nobody/settings"), 404);
    // They are those of the file as it is now.
    let text = std::fs::read_to_string(served.site.config()).expect("the configuration");
    std::fs::write(served.site.config(), text.replace("5000", "7000")).expect("it can be written");
    assert_eq!(served.get("/rules/alerts/settings")["settings"]["cooldown_ms"], 7000);
}
