//! Monitoring of a running host: its metrics agree with `audit`, and problems are reported.

use everyframe_tests::{
    Frame, Http, Part, Raw, Site, Topic, free_port, pictures, places, rule, shipped_rules, wait_for,
};
use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

/// The monitoring address of a host.
struct Watched {
    address: String,
}

impl Watched {
    /// Configures the site's hosts to listen at a free port. `more` are lines of `[observe]`.
    fn configure(site: &Site, more: &str, rules: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        site.configure(&format!("[observe]\nlisten = \"{address}\"\n{more}\n"), rules);
        Self { address }
    }

    /// Configures other rules, at the same address.
    fn reconfigure(site: &Site, address: &str, rules: &str) {
        site.configure(&format!("[observe]\nlisten = \"{address}\"\n"), rules);
    }

    /// Status and body of a page; `None` while nobody answers.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        Http::new(&self.address).try_get(path).map(|answer| (answer.status, answer.text()))
    }

    fn ready(&self) -> (u16, String) {
        wait_for("an answer", || self.get("/health/ready"))
    }

    fn text(&self) -> String {
        let (status, text) = wait_for("metrics", || self.get("/metrics"));
        assert_eq!(status, 200);
        assert!(text.ends_with("# EOF\n"), "{text}");
        text
    }

    /// The sum of a metric's values over all labels; `None` if there is none.
    fn sum(&self, metric: &str) -> Option<f64> {
        let text = self.text();
        let values: Vec<f64> = text.lines().filter_map(|line| value(line, metric)).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The value of a metric with exactly these labels.
    fn of(&self, metric: &str) -> Option<f64> {
        let text = self.text();
        text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok())
    }
}

fn value(line: &str, metric: &str) -> Option<f64> {
    let rest = line.strip_prefix(metric)?;
    rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse().ok()).flatten()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}

#[test]
fn the_metrics_of_a_host_agree_with_the_audit() {
    let site = Site::start(2);
    let watched = Watched::configure(&site, "lag_interval_s = 1", &shipped_rules(""));
    let host = site.host();
    let man = pictures::man();
    let frames = [
        Frame::stream("gate", &man[..20]),
        Frame::stream("lobby", &man[20..30]),
        vec![Frame::new("gate", b"no picture"), Frame::new("gate", b"")],
    ]
    .concat();
    site.send(&frames);
    let (_, audit) = site.settled_audit();
    let total = |name: &str| audit["total"][name].as_f64();
    let alerts = site.count(Topic::Alerts) as f64;
    wait_for("every frame to be acknowledged", || {
        (watched.sum("everyframe_publish_delay_seconds_count") == Some(32.0)).then_some(())
    });
    assert_eq!(watched.sum("everyframe_frames_taken_in_total"), total("sent"));
    assert_eq!(watched.sum("everyframe_frames_processed_total"), total("results"));
    assert_eq!(watched.sum("everyframe_frames_parked_total"), total("dead_letters"));
    assert_eq!(watched.of("everyframe_frames_parked_total{stage=\"vision\",reason=\"empty\"}"), Some(1.0));
    let bytes: usize = frames.iter().filter_map(|frame| frame.picture.as_ref()).map(Vec::len).sum();
    assert_eq!(watched.sum("everyframe_taken_in_bytes_total"), Some(bytes as f64));
    assert_eq!(watched.sum("everyframe_faces_total"), Some(30.0), "one in each picture");
    assert!(alerts > 0.0);
    assert_eq!(watched.sum("everyframe_alerts_total"), Some(alerts));
    assert_eq!(watched.sum("everyframe_partitions_owned"), Some(2.0));
    assert_eq!(watched.sum("everyframe_batch_frames_sum"), Some(32.0));
    for stage in ["decode", "detect", "embed", "rules"] {
        let count = watched.of(&format!("everyframe_stage_cpu_seconds_count{{stage=\"{stage}\"}}"));
        assert_eq!(count, Some(30.0), "{stage}");
    }
    for rule in ["who", "strangers", "alerts"] {
        let of = |metric: &str| watched.of(&format!("everyframe_rule_{metric}{{rule=\"{rule}\"}}"));
        assert_eq!((of("calls_total"), of("call_seconds_count")), (Some(30.0), Some(30.0)), "{rule}");
        assert!(of("fuel_total") > Some(30_000.0), "{rule}: {:?}", of("fuel_total"));
        assert!(of("memory_peak_bytes") > Some(65_536.0), "{rule}");
    }
    assert!(watched.of("everyframe_rule_state_peak_bytes{rule=\"alerts\"}") > Some(0.0), "its cool-downs");
    assert_eq!(watched.sum("everyframe_rule_failures_total"), None, "none failed");
    assert_eq!(watched.of("everyframe_delivery_info{mode=\"exactly-once\"}"), Some(1.0));
    assert_eq!(watched.sum("everyframe_lane_frames"), Some(0.0), "nothing is held any more");
    assert_eq!(watched.sum("everyframe_rebalances_total").map(|count| count >= 1.0), Some(true));
    wait_for("the committed offsets", || {
        (watched.sum("everyframe_committed_offset") == Some(32.0)).then_some(())
    });
    assert_eq!(watched.sum("everyframe_lag_frames"), Some(0.0));
    assert!(!watched.text().contains("person"), "nobody's name is there");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_host_is_ready_after_joining_and_not_without_kafka() {
    let site = Site::with_a_broker(1);
    let watched = Watched::configure(&site, "away_after_s = 2", &shipped_rules(""));
    let mut host = site.start_everyframe("host", &["run"]);
    let first = watched.ready();
    assert_eq!(first, (503, "not ready: starting\n".into()));
    assert_eq!(watched.get("/health/live"), Some((200, "alive\n".into())));
    let until = |status: u16| {
        wait_for(&format!("readiness {status}"), || {
            let ready = watched.ready();
            (ready.0 == status).then_some(ready.1)
        })
    };
    assert_eq!(until(200), "ready\n");
    site.stop_broker();
    let said = until(503);
    assert!(said.starts_with("not ready: no answer from Kafka for "), "{said}");
    assert_eq!(watched.get("/health/live"), Some((200, "alive\n".into())), "it only waits");
    site.start_broker();
    until(200);
    assert!(host.is_running(), "{}", host.err());
    assert_eq!(watched.get("/nothing").map(|(status, _)| status), Some(404));
}

#[test]
fn a_host_with_stalled_frames_is_not_ready() {
    let site = Site::start(1);
    let trap = rule("who", "matching-policy", &places::other_rule("hostile_rule"), "do = \"trap\"").replacen(
        "[rules.settings]",
        "on_failure = \"stop\"\n\n[rules.settings]",
        1,
    );
    let watched = Watched::configure(&site, "", &trap);
    let host = site.host();
    let ready = || watched.get("/health/ready");
    wait_for("an idle host to be ready", || ready().filter(|(status, _)| *status == 200));
    site.send(&Frame::stream("gate", &pictures::man()[..3]));
    let stands = wait_for("the host not to be ready", || ready().filter(|(status, _)| *status == 503));
    assert!(stands.1.contains("frames wait, and none was acknowledged for"), "{stands:?}");
    Watched::reconfigure(&site, &watched.address, &shipped_rules(""));
    wait_for("the host to be ready again", || ready().filter(|(status, _)| *status == 200));
    site.wait_for_records(Topic::Results, 3);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_taken_port_is_named() {
    let site = Site::start(1);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    site.configure(&format!("[observe]\nlisten = \"{address}\"\n"), &shipped_rules(""));
    let ended = site.everyframe(&["run"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let expected = format!(
        "everyframe: cannot listen at {address}: Address already in use (os error 98); give another address in [observe] listen, or leave it out"
    );
    assert_eq!(ended.err.lines().last(), Some(expected.as_str()));
}

/// Starts `watch` from the first record.
fn wait_for_word(watcher: &mut Part, word: &str) {
    wait_for(word, || {
        assert!(watcher.is_running(), "it ended early: {}", watcher.err());
        watcher.out().contains(word).then_some(())
    });
}

fn refusal(numbers: &str) -> Raw {
    Raw {
        key: "gate".into(),
        headers: vec![("everyframe-session", "session-1".into()), ("everyframe-refused", numbers.into())],
        ..Raw::default()
    }
}

#[test]
fn missing_and_refused_frames_are_reported_at_least_once() {
    misses_frames(&Site::at_least_once(1));
}

#[test]
fn missing_and_refused_frames_are_reported_exactly_once() {
    misses_frames(&Site::start(1));
}

/// Sends a camera's frames with gaps, late, repeated and refused numbers.
fn misses_frames(site: &Site) {
    let quiet = rule("who", "matching-policy", &places::rule("matching_policy"), "");
    let watched = Watched::configure(site, "", &quiet);
    let host = site.host();
    let grey = pictures::grey(320, 240);
    let numbered = |number: u64, picture: &[u8]| Frame {
        stamp: Some(("session-1".into(), number, 1_764_000_000_000 + 100 * number as i64)),
        ..Frame::new("gate", picture)
    };
    let send = |numbers: &[u64]| {
        site.send(&numbers.iter().map(|number| numbered(*number, &grey)).collect::<Vec<_>>());
    };
    // 2 to 4 are missing at first, 3 comes late, 5 comes twice.
    send(&[0, 1, 5, 3, 5]);
    site.send_raw(Topic::Frames, &[refusal("6-8")]);
    // Refused numbers are no gap, frames without number never are one, and a broken picture can reveal a gap, too.
    send(&[9]);
    site.send(&[Frame::new("yard", &grey), Frame::new("yard", &grey), numbered(12, b"no picture")]);
    wait_for("the frames", || {
        (watched.sum("everyframe_publish_delay_seconds_count") == Some(10.0)).then_some(())
    });

    let of =
        |column: &str| watched.of(&format!("everyframe_ledger_{column}_frames_total{{camera=\"gate\"}}"));
    assert_eq!(["missing", "late", "repeated", "refused"].map(of), [5.0, 1.0, 1.0, 3.0].map(Some));
    assert_eq!(watched.sum("everyframe_frames_taken_in_total"), Some(9.0), "a refusal is no frame");
    assert_eq!(watched.sum("everyframe_ledger_missing_frames_total"), Some(5.0), "the yard misses nothing");

    let alerts = site.wait_for_records(Topic::Alerts, 3);
    let told: Vec<(String, String, String)> = alerts
        .iter()
        .map(|record| {
            let event = record.json();
            assert_eq!(
                (&event["data"]["rule"], &event["data"]["severity"]),
                (&"everyframe".into(), &"warning".into())
            );
            assert_eq!(event["data"]["dedupKey"], "gate/session-1");
            assert_eq!(record.key.as_deref(), Some("gate"));
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&event["id"]), text(&event["data"]["kind"]), text(&event["data"]["text"]))
        })
        .collect();
    let id = |offset: i64| format!("{}/0/{offset}/everyframe/0", site.name(Topic::Frames));
    let expected = [
        (id(2), "frames-missing", "3 frames of camera gate are missing: 2-4 of session session-1"),
        (
            id(5),
            "frames-refused",
            "3 frames of camera gate are missing, refused by its agent, which had no room: 6-8 of session session-1",
        ),
        (id(9), "frames-missing", "2 frames of camera gate are missing: 10-11 of session session-1"),
    ];
    assert_eq!(told, expected.map(|(id, kind, text)| (id, kind.to_owned(), text.to_owned())));
    let results = site.wait_for_records(Topic::Results, 8);
    assert_eq!(results[2].json()["data"]["alerts"], serde_json::json!([id(2)]));

    let log = host.err();
    assert_eq!(log.matches("frames are missing camera=\"gate\"").count(), 2, "{log}");
    let mut watcher = site.start_everyframe("watch", &["watch", "--from-start"]);
    wait_for_word(
        &mut watcher,
        "ALERT warning: 2 frames of camera gate are missing: 10-11 of session session-1",
    );
    // The refusal notice was committed: nothing waits, and nothing is processed again.
    let (code, audit) = wait_for("the account", || {
        let (code, audit) = site.audit();
        (audit["total"]["waiting"] == 0).then_some((code, audit))
    });
    let total = |what: &str| audit["total"][what].as_u64();
    assert_eq!((code, total("missing")), (Some(0), Some(0)), "{audit}");
    assert_eq!(
        (total("sent"), total("repeated")),
        (Some(8), Some(1)),
        "a frame that is sent twice is repeated: {audit}"
    );
    assert_eq!(host.terminate().code, Some(0));
    let next = site.host_called("host-again");
    send(&[13]);
    site.wait_for_records(Topic::Results, 9);
    assert_eq!((next.terminate().code, site.count(Topic::Alerts)), (Some(0), 3));
}

#[test]
fn the_retention_alarm_is_raised_and_ended_once() {
    let site = Site::start(1);
    // Each frame takes eight seconds, and is parked.
    let limits = "do = \"loop\"\n\n[rules.limits]\ntime_ms = 8000";
    let slow = rule("who", "matching-policy", &places::other_rule("hostile_rule"), limits);
    let watched = Watched::configure(&site, "lag_interval_s = 1", &slow);
    site.create_topics(1, &[("retention.ms", "3600000")]);
    let picture = pictures::grey(320, 240);
    let old = |_| Raw {
        timestamp: Some(now() - 40 * 60_000),
        value: Some(picture.clone()),
        key: "gate".into(),
        ..Raw::default()
    };
    site.send_raw(Topic::Frames, &[0, 1].map(old));
    let mut host = site.host();
    let alerts = site.wait_for_records(Topic::Alerts, 1);
    let (alarm, frames) = (alerts[0].json(), site.name(Topic::Frames));
    assert_eq!(alerts[0].key.as_deref(), Some("0"));
    assert_eq!(
        (&alarm["type"], &alarm["subject"]),
        (&"everyframe.retention.v1".into(), &format!("{frames}/0").into())
    );
    let data = &alarm["data"];
    assert_eq!((&data["state"], &data["partition"], &data["lag"]), (&"danger".into(), &0.into(), &2.into()));
    assert_eq!(alarm["id"], format!("{frames}/0/retention/{}", data["since"]));
    let left = data["secondsLeft"].as_f64().expect("a time");
    assert!((1100.0..1200.0).contains(&left), "{left}");
    let said = data["text"].as_str().expect("a sentence");
    assert!(said.starts_with("camera traffic on partition 0 will be deleted unread in 19 min "), "{said}");
    assert!(host.err().contains(said), "{}", host.err());
    let metric = wait_for("the metric", || watched.of("everyframe_retention_seconds_left{partition=\"0\"}"));
    assert!((1000.0..1200.0).contains(&metric), "{metric}");

    let alerts = site.wait_for_records(Topic::Alerts, 2);
    let over = alerts[1].json();
    assert_eq!((&over["data"]["state"], &over["data"]["since"]), (&"over".into(), &data["since"]));
    assert!(host.is_running(), "{}", host.err());
    let mut watcher = site.start_everyframe("watch", &["watch", "--from-start"]);
    wait_for_word(&mut watcher, said);
    wait_for_word(&mut watcher, "camera traffic on partition 0 is no longer about to be deleted unread");
}
