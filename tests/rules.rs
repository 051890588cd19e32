//! Hostile rules in a running host, and rules built by two tools.

use everyframe_tests::{Frame, Site, Topic, pictures, places, rule, shipped_rules};
use std::collections::BTreeMap;

/// Actions of the hostile rule, and the reason of the dead letter; `None` if the frame is processed.
const MISDEEDS: [(&str, Option<&str>); 17] = [
    ("behave", None),
    ("loop", Some("rule-timed-out")),
    ("sleep", Some("rule-timed-out")),
    ("state-flood", Some("rule-timed-out")),
    ("eat-memory", Some("rule-out-of-memory")),
    ("trap", Some("rule-trapped")),
    ("panic", Some("rule-trapped")),
    ("stack", Some("rule-trapped")),
    ("verdict-for-nobody", Some("rule-answered-nonsense")),
    ("nan-confidence", Some("rule-answered-nonsense")),
    ("duplicate-verdict", Some("rule-answered-nonsense")),
    ("no-verdict", Some("rule-answered-nonsense")),
    ("unknown-person-id", Some("rule-answered-nonsense")),
    ("huge-answer", Some("rule-output-too-large")),
    ("many-verdicts", Some("rule-output-too-large")),
    ("log-flood", None),
    ("terminal-escapes", None),
];

/// No breaker: the rule is called however often it fails.
fn hostile(settings: &str) -> String {
    let rule = rule("who", "matching-policy", &places::other_rule("hostile_rule"), settings);
    rule.replace("\n\n[rules.settings]", "\nbreaker = 0\n[rules.settings]")
}

#[test]
fn a_hostile_rule_parks_only_its_own_frames() {
    let site = Site::start(4);
    // Enough time to allocate all memory on a busy machine, so that the time limit is not reached first.
    site.configure("", &(hostile("do = \"as-the-camera-says\"") + "[rules.limits]\ntime_ms = 1000\n"));
    site.enrol("viktor", &[&pictures::man()[0]]);
    let mut host = site.host();
    let before = host.memory_from_now_on();
    let man = pictures::man();
    let cameras: Vec<Vec<Frame>> =
        MISDEEDS.iter().map(|(misdeed, _)| Frame::stream(misdeed, &man[..20])).collect();
    // In turns, so that every lane has frames of normal cameras between those of the others.
    let frames: Vec<Frame> =
        (0..20).flat_map(|at| cameras.iter().map(move |camera| camera[at].clone())).collect();
    site.send(&frames);
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    assert_eq!(audit["total"]["repeated"], 0, "the host was never restarted: {audit}");
    assert!(host.is_running(), "{}", host.err());

    let mut parked: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for letter in site.read(Topic::DeadLetters) {
        let camera = letter.key.clone().unwrap_or_default();
        assert_eq!(letter.header("everyframe-stage"), "rules", "{letter:?}");
        assert!(
            letter.value.as_ref() == Some(&man[9]) || letter.value.as_ref() == Some(&man[19]),
            "{camera}"
        );
        let message = letter.header("everyframe-message").to_owned();
        assert!(message.starts_with("rule who: "), "{camera}: {message}");
        parked.entry(camera).or_default().push((letter.header("everyframe-reason").to_owned(), message));
    }
    for (misdeed, reason) in MISDEEDS {
        let found = parked.remove(misdeed).unwrap_or_default();
        let reasons: Vec<&str> = found.iter().map(|(reason, _)| reason.as_str()).collect();
        assert_eq!(reasons, reason.map_or(vec![], |reason| vec![reason; 2]), "{misdeed}: {found:?}");
        let results = audit["cameras"][misdeed]["results"].as_u64();
        assert_eq!(results, Some(20 - reasons.len() as u64), "{misdeed}: {audit}");
    }
    let log = host.err();
    assert!(!log.contains('\u{1b}'), "a rule's words do not reach the terminal as they are");
    assert!(!log.contains("\n2026-01-01 ERROR forged"), "a rule cannot forge a line of the log");
    assert!(log.len() < 1 << 20, "{} bytes of log", log.len());
    let memory = host.peak_memory().saturating_sub(before);
    assert!(memory < 500, "the host grew by {memory} MiB");
    assert_eq!(host.terminate().code, Some(0));

    // The same broker and group with normal rules works as usual.
    site.configure("", &shipped_rules(""));
    let host = site.host_called("host-with-decent-rules");
    site.send(&Frame::stream("door", &man[..10]));
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["cameras"]["door"]["results"]), (Some(0), &10.into()), "{audit}");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_rule_that_hangs_in_configure_is_refused() {
    let site = Site::start(1);
    site.configure("", &hostile("do = \"loop-in-configure\""));
    for words in [&["config", "check", "everyframe.toml"][..], &["run", "--config", "everyframe.toml"]] {
        let refused = site.run(&mut site.command(words));
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert_eq!(
            refused.err,
            "everyframe: everyframe.toml:16: rules[0].component: the rule could not take its settings: rule who: \
             stopped after 2000 ms (it was computing); its limit is `limits.time_ms`\n"
        );
    }
}

#[test]
fn a_granted_pipe_does_not_keep_a_host_from_ending() {
    let site = Site::start(1);
    let lists = site.folder().join("lists");
    let plates = lists.join("plates.txt");
    std::fs::create_dir(&lists).expect("a folder");
    std::fs::write(&plates, "AB12").expect("a file");
    let grants = "[rules.grants]\nenvironment = { REGION = \"north\" }\nfolder = \"lists\"\n";
    site.configure("", &(hostile("do = \"want-grants\"") + grants));
    let host = site.host();
    site.send(&Frame::stream("gate", &pictures::man()[..1]));
    site.wait_for_records(Topic::Results, 1);

    // From now on the file is a pipe: opening it blocks a thread of the host until somebody writes.
    std::fs::remove_file(&plates).expect("it was there");
    let made = std::process::Command::new("mkfifo").arg(&plates).status().expect("mkfifo");
    assert!(made.success());
    site.send(&Frame::stream("door", &pictures::man()[..1]));
    let letters = site.wait_for_records(Topic::DeadLetters, 1);
    assert_eq!(letters[0].header("everyframe-reason"), "rule-timed-out");
    assert_eq!(host.terminate().code, Some(0));
    let (code, audit) = site.settled_audit();
    assert_eq!((code, &audit["total"]["missing"]), (Some(0), &0.into()), "{audit}");

    let refused = site.run(&mut site.command(&["config", "check", "everyframe.toml"]));
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("plates.txt is neither a file nor a folder"), "{}", refused.err);
}

#[test]
#[ignore = "`make test-rules-component` runs it"]
fn rules_built_by_cargo_component_load() {
    let site = Site::start(1);
    let check = || site.run(&mut site.command(&["config", "check", "everyframe.toml"])).expect_success();
    let by_cargo = check();
    let rules = [
        ("who", "matching-policy", "matching_policy"),
        ("strangers", "unknown-person", "unknown_person"),
        ("alerts", "alerting", "alerting"),
    ];
    let toml = rules.map(|(name, kind, file)| rule(name, kind, &places::rule_by_cargo_component(file), ""));
    site.configure("", &toml.concat());
    let by_cargo_component = check();
    for said in [&by_cargo, &by_cargo_component] {
        for (name, kind, _) in rules {
            assert!(said.contains(&format!("{name}: {kind} 0.1.0, sha256 ")), "{said}");
        }
        assert!(said.ends_with("everyframe.toml: in order\n"), "{said}");
    }
    assert_ne!(by_cargo, by_cargo_component, "they are different files");
}

#[test]
#[ignore = "`make test-rules-component` runs it"]
fn rules_built_by_cargo_component_give_the_same_answers() {
    let site = Site::start(1);
    let component = |file| places::rule_by_cargo_component(file);
    let rules = rule("who", "matching-policy", &component("matching_policy"), "")
        + &rule("strangers", "unknown-person", &component("unknown_person"), "")
        + &rule("alerts", "alerting", &component("alerting"), "");
    site.configure("", &rules);
    let _host = site.host();
    site.send(&Frame::stream("gate", &pictures::man()[..30]));
    let results = site.wait_for_records(Topic::Results, 30);
    let last = results.last().expect("there are thirty").json();
    let face = &last["data"]["faces"][0];
    assert_eq!((&face["decision"], face["stranger"]["id"].is_string()), (&"unknown".into(), true), "{last}");
    let alerts = site.wait_for_records(Topic::Alerts, 1);
    assert_eq!(alerts[0].json()["data"]["kind"], "first-seen");
}

#[test]
fn the_example_rule_alerts_once_an_hour_after_hours() {
    let site = Site::start(1);
    let rules = shipped_rules("") + &rule("hours", "alerting", &places::other_rule("after_hours"), "");
    let alerts_of_the_rule = || {
        let alerts = site.read(Topic::Alerts).into_iter().map(|record| record.json());
        alerts.filter(|alert| alert["data"]["rule"] == "hours").collect::<Vec<_>>()
    };
    // First open at all hours, then never, so that the time of the test run does not matter.
    site.configure("[[schedules]]\nname = \"opening-hours\"\nhours = [{}]\n", &rules);
    let host = site.host();
    site.send(&Frame::stream("door", &pictures::man()[..20]));
    site.wait_for_records(Topic::Results, 20);
    assert_eq!(host.terminate().code, Some(0));
    assert_eq!(alerts_of_the_rule(), Vec::<serde_json::Value>::new());

    site.configure("", &rules);
    let _host = site.host_called("host-after-hours");
    site.send(&Frame::stream("door", &pictures::man()[..20]));
    site.wait_for_records(Topic::Results, 40);
    let alerts = alerts_of_the_rule();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["data"]["text"], "Somebody in sight at door after hours");
}
