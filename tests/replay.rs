//! `replay` judges past frames again with other rules; `rule record` writes them as scenarios.

use everyframe_tests::{Ended, Frame, Part, Site, Topic, pictures, places, rule, shipped_rules, wait_for};
use serde_json::Value;
use std::io::Write as _;

const FRAMES: usize = 140;

/// A site whose host has judged a known man at the gate and a strange woman in the lobby.
fn judged() -> Site {
    let site = Site::start(2);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let host = site.host();
    let woman = pictures::clip("WolfgangLanger_Pexels.mp4");
    let frames = [Frame::stream("gate", &man[..60]), Frame::stream("lobby", &woman[..80])].concat();
    assert_eq!(frames.len(), FRAMES);
    site.send(&frames);
    assert_eq!(site.settled_audit().0, Some(0));
    assert_eq!(host.terminate().code, Some(0));
    site
}

fn replay(site: &Site, words: &[&str]) -> (Option<i32>, Value) {
    let ended = site.everyframe(&[&["replay", "--json"], words].concat());
    let report = serde_json::from_str(&ended.out);
    (ended.code, report.unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err)))
}

/// The shipped rules with settings for the policy and the alert rule.
fn rules(policy: &str, alerts: &str) -> String {
    rule("who", "matching-policy", &places::rule("matching_policy"), policy)
        + &rule("strangers", "unknown-person", &places::rule("unknown_person"), "")
        + &rule("alerts", "alerting", &places::rule("alerting"), alerts)
}

#[test]
fn only_other_rules_change_answers() {
    let site = judged();
    let counts = || Topic::ALL.map(|topic| if topic == Topic::State { 0 } else { site.count(topic) });
    let before = counts();
    assert!(site.count(Topic::Alerts) >= 2, "both were worth an alert");

    for words in [&[][..], &["--frames"], &["--since", "1h"], &["--until", "0s"]] {
        let (code, report) = replay(&site, words);
        assert_eq!((code, &report["changed"]), (Some(0), &false.into()), "{words:?}: {report:#}");
        assert_eq!(report["frames"], FRAMES, "{words:?}: {report:#}");
        let blind = report["blind"]["strangers"].as_u64().unwrap_or(0);
        // With `--frames`, only faces of too low quality have no embedding.
        assert!(if words == ["--frames"] { blind < 20 } else { blind >= 60 }, "{words:?}: {report:#}");
    }

    site.configure("", &rules("min_quality = 1.0", "[rules.settings.unknown.first_seen]\nenabled = false"));
    let (code, report) = replay(&site, &[]);
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!(report["alerts"]["alerts"]["gained"], 0, "{report:#}");
    assert!(report["alerts"]["alerts"]["lost"].as_u64() >= Some(2), "{report:#}");
    let lost = &report["alerts"]["alerts"]["lostExamples"][0];
    assert!(lost["frame"].as_str().is_some_and(|frame| frame.contains('/')), "{report:#}");
    let decisions = report["decisions"].as_array().expect("a list");
    let known: u64 =
        decisions.iter().filter(|it| it["before"] == "known").filter_map(|it| it["count"].as_u64()).sum();
    assert!(known >= 50, "{report:#}");
    assert_eq!(decisions[0]["examples"][0]["before"], "viktor", "{report:#}");

    // The printed report agrees.
    let Ended { code, out, .. } = site.everyframe(&["replay", "--examples", "1", "--camera", "gat?"]);
    assert_eq!(code, Some(1), "{out}");
    for expected in [
        "60 frames with ",
        "alerts of",
        "known-person viktor",
        "decisions: known → undecided: ",
        "something changed\n",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    assert!(!out.contains("lobby"), "{out}");

    // Compared with itself nothing changes; compared with the live rules something does.
    let own = site.config().display().to_string();
    assert_eq!(replay(&site, &["--baseline", &own]).0, Some(0));
    let old = site.file(
        "old.toml",
        std::fs::read_to_string(site.config()).expect("it is there").replace("1.0", "0.5").as_bytes(),
    );
    let (code, report) = replay(&site, &["--baseline", &old.display().to_string(), "--frames"]);
    assert_eq!(code, Some(1), "{report:#}");

    assert_eq!(counts(), before, "nothing is published");
}

#[test]
fn an_impossible_replay_ends_with_status_2() {
    let site = Site::start(1);
    let absent = site.everyframe(&["replay", "--since", "1h"]);
    assert_eq!(absent.code, Some(2), "no topics: {}{}", absent.out, absent.err);
    let baseline = site.everyframe(&["replay", "--baseline", "absent.toml"]);
    assert_eq!(baseline.code, Some(2), "{}", baseline.err);
    site.configure("", &shipped_rules("cooldown_msec = 5"));
    let wrong = site.everyframe(&["replay"]);
    assert!(wrong.err.contains("everyframe.toml:"), "the line is named: {}", wrong.err);
    assert_eq!(wrong.code, Some(2), "{}{}", wrong.out, wrong.err);
}

#[test]
fn a_rule_that_fails_is_reported_with_its_reason() {
    let site = judged();
    site.configure("", &rule("who", "matching-policy", &places::other_rule("hostile_rule"), "do = \"trap\""));
    let (code, report) = replay(&site, &["--camera", "gate"]);
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!(
        report["failed"]["who"]["count"], 60,
        "it is asked about every frame, the breaker or no: {report:#}"
    );
    let nowhere = site.everyframe(&["replay", "--camera", "nowhere"]);
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.out);
    assert!(nowhere.err.contains("there is no result in this window"), "{}", nowhere.err);
    let example = report["failed"]["who"]["example"].as_str().unwrap_or_default();
    assert!(example.contains("rule-trapped"), "{example}");
}

#[test]
fn a_recorded_scenario_passes_with_the_same_rule() {
    let site = judged();
    let test = |component: &str, scenario: &str| {
        let mut command =
            site.command(&["rule", "test", &places::rule(component).display().to_string(), scenario]);
        site.run(&mut command).expect_success()
    };
    for (kind, camera, component, words) in [
        (
            "alerting",
            "gate",
            "alerting",
            &["known = \"viktor\"", "kind = \"known-person\"", "name = \"viktor\""][..],
        ),
        (
            "alerting",
            "lobby",
            "alerting",
            &["unknown = true", "event = \"first-seen\"", "kind = \"first-seen\""],
        ),
        ("matching-policy", "gate", "matching_policy", &["candidates = {", "known = \"viktor\""]),
        ("matching-policy", "lobby", "matching_policy", &["unknown = true"]),
        ("unknown-person", "lobby", "unknown_person", &["embedding = [", "event = \"first-seen\""]),
    ] {
        let name = format!("{kind}-{camera}.toml");
        let said = site
            .everyframe(&["rule", "record", "--kind", kind, "--camera", camera, "--output", &name])
            .expect_success();
        let frames = if camera == "gate" { 60 } else { 80 };
        assert!(said.starts_with(&format!("{name}: {frames} frames, {frames} with an `expect`")), "{said}");
        let text = std::fs::read_to_string(site.folder().join(&name)).expect("it is written");
        for expected in words {
            assert!(text.contains(expected), "{kind} {camera}: {expected}: {}", &text[..3000]);
        }
        let said = test(component, &name);
        assert!(said.contains(&format!("as expected, {frames} frames, {frames} with")), "{said}");
    }

    // Only the last frames: the live rule had raised the alert before, and the scenario starts with empty state.
    let words = [
        "rule",
        "record",
        "--rule",
        "alerts",
        "--camera",
        "gate",
        "--frames-number",
        "10",
        "--output",
        "last.toml",
    ];
    let said = site.everyframe(&words).expect_success();
    assert!(said.starts_with("last.toml: 10 frames, 9 with an `expect`"), "{said}");
    let text = std::fs::read_to_string(site.folder().join("last.toml")).expect("it is written");
    assert!(text.contains("# the rule had state from earlier frames"), "{text}");
    test("alerting", "last.toml");

    for (words, expected) in [
        (&words[..], "last.toml is there already"),
        (
            &["rule", "record", "--kind", "alerting", "--camera", "nowhere", "--output", "x.toml"],
            "no results of camera nowhere",
        ),
        (
            &["rule", "record", "--rule", "nobody", "--camera", "gate", "--output", "x.toml"],
            "no rule is called `nobody`",
        ),
    ] {
        let ended = site.everyframe(words);
        assert_eq!(ended.code, Some(2), "{}", ended.out);
        assert!(ended.err.contains(expected), "{}", ended.err);
    }
}

#[test]
fn log_lines_of_rules_are_found_in_the_log_of_a_host() {
    let site = Site::start(1);
    let chatty =
        rule("chatty", "matching-policy", &places::other_rule("hostile_rule"), "do = \"terminal-escapes\"");
    site.configure("", &chatty);
    let man = pictures::man();
    for (name, words) in [("text", &["run"][..]), ("json", &["run", "--log-json"])] {
        let mut host = site.start_everyframe(name, words);
        host.wait_for_word("partition assigned");
        site.send(&Frame::stream("gate", &man[..10]));
        assert_eq!(site.settled_audit().0, Some(0));
        assert_eq!(host.terminate().code, Some(0));
    }
    let logs = |words: &[&str]| {
        let said = site.run(&mut site.command(&[&["rule", "logs"], words].concat())).expect_success();
        assert!(!said.contains('\u{1b}'), "{said}");
        said
    };
    let (text, json) = (logs(&["text.err"]), logs(&["json.err"]));
    assert!(text.lines().count() >= 10, "{text}");
    assert_eq!(text.lines().count(), json.lines().count(), "{text}{json}");
    let line = text.lines().next().expect("a line");
    assert!(line.contains("  chatty  gate  "), "{line}");
    assert_eq!(logs(&["text.err", "--rule", "chatty", "--camera", "g*"]), text);
    for nothing in [&["text.err", "--rule", "other"][..], &["json.err", "--camera", "yard"]] {
        assert_eq!(logs(nothing), "");
    }
    let object: Value =
        serde_json::from_str(logs(&["json.err", "--json"]).lines().next().expect("a line")).expect("JSON");
    assert_eq!((&object["rule"], &object["camera"]), (&"chatty".into(), &"gate".into()), "{object}");
    assert_eq!(site.run(&mut site.command(&["rule", "logs", "absent.log"])).code, Some(2));

    // The file grows, and is replaced.
    let log = site.file("growing.log", text_line("first").as_bytes());
    let mut command = site.command(&["rule", "logs", "growing.log", "--follow"]);
    let mut follower = Part::start("follower", site.folder(), &mut command);
    wait_for("the first line", || follower.out().contains("first").then_some(()));
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).expect("the log");
    file.write_all(text_line("second").as_bytes()).expect("it can be written");
    wait_for("the second line", || follower.out().contains("second").then_some(()));
    std::fs::rename(&log, site.folder().join("growing.log.1")).expect("it can be renamed");
    site.file("growing.log", text_line("third").as_bytes());
    wait_for("the new file's line", || follower.out().contains("third").then_some(()));
    assert!(follower.is_running());
    follower.kill();
}

fn text_line(message: &str) -> String {
    format!("2026-11-24T10:00:00.000000Z  INFO {message} rule=mine camera=gate session=s sequence=1\n")
}
