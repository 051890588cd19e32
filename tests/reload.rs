//! Rules are replaced while frames flow, and a failing rule affects nothing else.

use everyframe_tests::{Frame, Part, Site, Topic, pictures, places, rule, shipped_rules, wait_for};

/// The hostile rule as the matching policy, with additional lines for its table.
fn policy(misdeed: &str, table: &str) -> String {
    let settings = format!("do = \"{misdeed}\"");
    let component = places::other_rule("hostile_rule");
    rule("who", "matching-policy", &component, &settings)
        .replace("\n\n[rules.settings]", &format!("\n{table}\n[rules.settings]"))
}

/// Makes the site's hosts reload their rules.
fn reload(site: &Site) -> String {
    site.run(&mut site.command(&["rule", "reload", "--config", "everyframe.toml"])).expect_success()
}

/// The rules that the newest result names.
fn judged_by(site: &Site) -> Vec<String> {
    let results = site.read(Topic::Results);
    let result = results.last().expect("a result").json();
    let rules = result["data"]["judgedBy"]["rules"].as_array();
    rules.expect("rules").iter().map(|rule| rule["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The states of a rule, from its events in the alerts topic.
fn states(site: &Site) -> Vec<String> {
    let events = site.read(Topic::Alerts).into_iter().map(|record| record.json());
    let told = events.filter(|event| event["type"] == "everyframe.rule.v1");
    told.map(|event| event["data"]["state"].as_str().unwrap_or_default().to_owned()).collect()
}

fn in_order(site: &Site, host: Part) {
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["total"]["repeated"]), (Some(0), &0.into()), "{audit}");
    let ended = host.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[test]
fn new_rules_apply_from_one_frame_to_the_next() {
    let site = Site::start(2);
    let who = rule("who", "matching-policy", &places::rule("matching_policy"), "");
    site.configure("", &who);
    let host = site.host();
    let man = pictures::man();
    site.send(&Frame::stream("gate", &man[..10]));
    site.wait_for_records(Topic::Results, 10);
    assert_eq!(judged_by(&site), ["who"]);

    // On demand: more rules, and a zone that covers the left half.
    let zone = "[[zones]]\nname = \"left\"\npolygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]\n\
                [[zones]]\nname = \"right\"\npolygon = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]\n";
    site.configure(zone, &shipped_rules(""));
    let said = reload(&site);
    assert!(said.contains("rules in force: who 0.1.0, strangers 0.1.0 (new), alerts 0.1.0 (new)"), "{said}");
    site.send(&Frame::stream("yard", &man[..10]));
    site.wait_for_records(Topic::Results, 20);
    assert_eq!(judged_by(&site), ["who", "strangers", "alerts"]);
    let faces: Vec<_> = site
        .read(Topic::Results)
        .iter()
        .flat_map(|result| result.json()["data"]["faces"].as_array().cloned().unwrap_or_default())
        .filter_map(|face| Some(face["zones"].as_array()?.len()))
        .collect();
    assert!(faces.len() >= 9 && faces.iter().all(|zones| *zones == 1), "each face is in one half: {faces:?}");

    // Automatically, when the file changes: a mask covers everything, so nobody is found any more.
    let mask = "[[masks]]\ncameras = [\"door\"]\npolygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\n";
    site.configure(mask, &who);
    wait_for("the host to see the change", || host.err().contains("alerts (gone)").then_some(()));
    site.send(&Frame::stream("door", &man[..10]));
    let results = site.wait_for_records(Topic::Results, 30);
    let of_door = results.iter().map(|result| result.json()).filter(|it| it["data"]["camera"] == "door");
    assert!(of_door.into_iter().all(|it| it["data"]["faces"] == serde_json::json!([])));
    in_order(&site, host);
}

#[test]
fn invalid_rules_change_nothing() {
    let site = Site::start(1);
    site.configure("[reload]\nwatch = false\n", &shipped_rules(""));
    let host = site.host();
    site.configure("[reload]\nwatch = false\n", &shipped_rules("cooldown_msec = 5"));
    let refused = site.run(&mut site.command(&["rule", "reload", "--config", "everyframe.toml"]));
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(
        refused.err.contains("cooldown_msec") && refused.err.starts_with("everyframe: everyframe.toml:"),
        "{}",
        refused.err
    );
    host.signal("HUP");
    wait_for("the host to refuse", || host.err().contains("the rules stay as they are").then_some(()));
    site.send(&Frame::stream("gate", &pictures::man()[..10]));
    site.wait_for_records(Topic::Results, 10);
    assert_eq!(judged_by(&site), ["who", "strangers", "alerts"]);
    in_order(&site, host);

    let nobody = site.run(&mut site.command(&["rule", "reload", "--config", "everyframe.toml"]));
    assert_eq!(nobody.code, Some(2), "the file is still wrong: {}", nobody.err);
    site.configure("", &shipped_rules(""));
    let nobody = site.run(&mut site.command(&["rule", "reload", "--config", "everyframe.toml"]));
    assert_eq!(nobody.code, Some(1), "{}", nobody.err);
    assert!(nobody.err.contains("no host on this machine runs with "), "{}", nobody.err);
}

#[test]
fn a_rule_that_keeps_failing_is_paused_with_an_event() {
    let site = Site::start(1);
    site.configure("", &policy("trap", "on_failure = \"skip\""));
    let host = site.host();
    site.send(&Frame::stream("gate", &pictures::man()[..40]));
    let results = site.wait_for_records(Topic::Results, 40);
    let reasons: Vec<String> = results
        .iter()
        .map(|result| result.json()["data"]["skipped"][0]["reason"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(reasons[..10].iter().all(|reason| reason == "rule-trapped"), "{reasons:?}");
    let not_asked = reasons.iter().filter(|reason| *reason == "rule-not-asked").count();
    assert!(not_asked >= 20, "{reasons:?}");
    wait_for("the event", || (states(&site) == ["failing"]).then_some(()));
    let watched = site.run(&mut site.command(&["config", "schema", "rule"])).expect_success();
    assert!(watched.contains("fell-back"), "{watched}");
    in_order(&site, host);
}

#[test]
fn a_changed_rule_that_fails_is_rolled_back() {
    let site = Site::start(1);
    site.configure("", &policy("behave", ""));
    let host = site.host();
    let man = pictures::man();
    site.send(&Frame::stream("gate", &man[..10]));
    site.wait_for_records(Topic::Results, 10);
    site.configure("", &policy("trap", ""));
    assert!(reload(&site).contains("rules in force"));
    site.send(&Frame::stream("yard", &man[..40]));
    wait_for("the event", || (states(&site) == ["fell-back"]).then_some(()));
    site.send(&Frame::stream("door", &man[..10]));
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    assert_eq!(audit["cameras"]["door"]["results"], 10, "{audit}");
    let parked = audit["cameras"]["yard"]["dead_letters"].as_u64();
    assert!(parked.is_some_and(|parked| parked >= 10), "{audit}");
    in_order(&site, host);
}

#[test]
fn frames_wait_for_a_rule_with_on_failure_stop() {
    let site = Site::start(1);
    site.configure("", &policy("trap", "on_failure = \"stop\""));
    let host = site.host();
    let man = pictures::man();
    site.send(&Frame::stream("gate", &man[..30]));
    wait_for("the lane to stop", || host.err().contains("frames wait for this rule").then_some(()));
    assert_eq!(site.count(Topic::Results) + site.count(Topic::DeadLetters), 0);
    site.configure("", &policy("behave", "on_failure = \"stop\""));
    reload(&site);
    site.wait_for_records(Topic::Results, 30);
    assert_eq!(site.count(Topic::DeadLetters), 0);
    in_order(&site, host);
}
