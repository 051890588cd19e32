//! Webhooks that fail, and what becomes of the messages.

use super::{Notified, webhook};
use everyframe_tests::receiver::Request;
use everyframe_tests::{RaisedAlert, Receiver, Reply, Topic, places, wait_for};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The ways in which the server fails at the first attempt for an alert, by the alert's number.
fn failure(number: usize, elsewhere: &str) -> Reply {
    let status = |code: u16| Reply::Status(code, Vec::new());
    match number {
        0 => status(500),
        1 => Reply::Status(429, vec![("Retry-After", "2".into())]),
        2 => Reply::Status(503, vec![("Retry-After", "1".into())]),
        3 => Reply::Slow(Duration::from_secs(20)),
        4 => Reply::Cut,
        5 => Reply::CutMidway,
        6 => Reply::Garbage,
        7 => Reply::Status(307, vec![("Location", format!("http://{elsewhere}/stolen"))]),
        8 => status(401),
        9 => Reply::Never,
        10 => status(408),
        _ => status(404),
    }
}
const FAILURES: usize = 12;

fn number(request: &Request) -> usize {
    request.id().trim_start_matches("alert-").parse().unwrap_or(FAILURES)
}

#[test]
fn a_webhook_that_fails_in_ten_ways_gets_every_alert() {
    let elsewhere = Receiver::start();
    let target = elsewhere.address.clone();
    let receiver = Receiver::answering(move |request, before| match before {
        0 => failure(number(request), &target),
        _ => Reply::accept(),
    });
    let notified = Notified::start(&webhook("guard", &receiver, "timeout_s = 1"));
    let alerts: Vec<RaisedAlert> =
        (0..FAILURES).map(|at| RaisedAlert::new(&format!("alert-{at}"), &format!("camera-{at}"))).collect();
    // Few at a time: more failures in a row would be an outage, in which the channel takes its time.
    for (round, some) in alerts.chunks(4).enumerate() {
        notified.site.raise(some);
        receiver.wait("two requests for each alert", |all| {
            let mut counts = BTreeMap::new();
            all.iter().for_each(|request| *counts.entry(number(request)).or_insert(0) += 1);
            let count = 4 * round + some.len();
            (counts.len() == count && counts.values().all(|count| *count >= 2)).then_some(())
        });
    }
    let requests = receiver.requests();
    for request in &requests {
        assert_eq!(request.header("webhook-id"), request.id(), "a repeat has the same id");
        assert_eq!(request.json(), alerts[number(request)].event());
    }
    let times = |at: usize| requests.iter().filter(move |it| number(it) == at).map(|it| it.at);
    let pause = |at| times(at).nth(1).zip(times(at).next()).map(|(second, first)| second - first);
    assert!(pause(1) >= Some(2000), "Retry-After is honoured: {:?}", pause(1));
    assert!(elsewhere.requests().is_empty(), "redirects are not followed");
    receiver.expect_no_more_than(requests.len(), Duration::from_secs(3));
}

#[test]
fn a_message_that_is_refused_is_kept_as_a_dead_letter() {
    let receiver = Receiver::answering(|request, _| match request.json()["data"]["camera"].as_str() {
        Some("gate") => Reply::Status(422, Vec::new()),
        _ => Reply::accept(),
    });
    let notified = Notified::start(&webhook("guard", &receiver, ""));
    let site = &notified.site;
    let refused = RaisedAlert::new("a", "gate");
    site.raise(&[refused.clone(), RaisedAlert::new("b", "yard")]);
    let letter = wait_for("the dead letter", || {
        let key = Some("dead-letter/guard/a");
        site.read(Topic::Notifications).iter().find(|record| record.key.as_deref() == key).cloned()
    });
    let letter = letter.json();
    assert_eq!((&letter["channel"], &letter["attempts"]), (&"guard".into(), &1.into()));
    assert_eq!(letter["alerts"][0], refused.event());
    let reason = letter["reason"].as_str().expect("a reason");
    assert!(reason.contains("422") && reason.contains("words"), "{reason}");
    receiver.wait_for(2);
    receiver.expect_no_more_than(2, Duration::from_secs(2));
    let log = notified.notifier.err();
    assert!(log.contains("given up") && log.contains("422"), "{log}");
}

#[test]
fn dead_letters_are_listed_and_sent_again() {
    static ACCEPTS: AtomicBool = AtomicBool::new(false);
    let receiver = Receiver::answering(|_, _| match ACCEPTS.load(Ordering::Relaxed) {
        true => Reply::accept(),
        false => Reply::Status(422, Vec::new()),
    });
    let notified = Notified::start(&webhook("guard", &receiver, ""));
    let site = &notified.site;
    site.raise(&[RaisedAlert::new("a/1", "gate"), RaisedAlert::new("b", "yard")]);
    let listed = |words: &[&str]| site.everyframe(words).expect_success();
    wait_for("two dead letters", || (listed(&["notify", "dead-letters"]).lines().count() == 2).then_some(()));
    assert!(listed(&["notify", "dead-letters", "guard"]).contains("  guard  a/1  alerts: 1, attempts: 1: "));
    assert_eq!(listed(&["notify", "dead-letters", "other"]), "");

    let refused = site.everyframe(&["notify", "replay", "guard"]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    assert!(
        refused.out.contains("a/1: not delivered: ") && refused.out.contains("guard: 0 of 2"),
        "{}",
        refused.out
    );
    ACCEPTS.store(true, Ordering::Relaxed);
    let one = site.everyframe(&["notify", "replay", "guard", "a/1"]).expect_success();
    assert_eq!(one, "guard: 1 of 1 delivered\n");
    let rest = listed(&["notify", "dead-letters", "guard"]);
    assert!(rest.lines().count() == 1 && rest.contains("  b  "), "{rest}");
    assert_eq!(site.everyframe(&["notify", "replay", "guard"]).expect_success(), "guard: 1 of 1 delivered\n");
    assert_eq!(listed(&["notify", "dead-letters"]), "");
    assert_eq!(site.everyframe(&["notify", "replay", "guard"]).expect_success(), "guard: 0 of 0 delivered\n");
    assert!(listed(&["notify", "status"]).contains(", 0 dead letters"));

    // Refused at first, refused again, and accepted: three times each, under one id.
    let requests = receiver.requests();
    let with_id = |id: &str| requests.iter().filter(|request| request.header("webhook-id") == id).count();
    assert_eq!((requests.len(), with_id("a/1"), with_id("b")), (6, 3, 3));
    let trail = listed(&["trail", "show"]);
    assert_eq!(trail.matches("decided  dead letters of channel guard: replay").count(), 3, "{trail}");
}

#[test]
fn a_message_is_given_up_after_the_limit() {
    let receiver = Receiver::answering(|_, _| Reply::Status(500, Vec::new()));
    let notified = Notified::start(&webhook("guard", &receiver, "give_up_after_s = 2"));
    notified.site.raise(&[RaisedAlert::new("a", "gate")]);
    let letters = wait_for("a dead letter", || {
        let records = notified.site.read(Topic::Notifications);
        records.into_iter().find(|record| record.key.as_deref() == Some("dead-letter/guard/a"))
    });
    assert!(letters.json()["attempts"].as_u64() >= Some(2), "{:?}", letters.json());
}

#[test]
fn a_channel_that_hangs_holds_up_no_other() {
    let hanging = Receiver::answering(|_, _| Reply::Never);
    let receiver = Receiver::start();
    let channels = webhook("hangs", &hanging, "timeout_s = 120") + &webhook("works", &receiver, "");
    let notified = Notified::start(&channels);
    let alerts: Vec<RaisedAlert> =
        (0..50).map(|at| RaisedAlert::new(&format!("alert-{at}"), &format!("camera-{}", at % 3))).collect();
    notified.site.raise(&alerts);
    let ids: Vec<String> = receiver.wait_for(50).iter().map(Request::id).collect();
    for camera in 0..3 {
        let of_camera = |id: &String| id.trim_start_matches("alert-").parse::<usize>().expect("a number") % 3;
        let sent: Vec<&String> = ids.iter().filter(|id| of_camera(id) == camera).collect();
        let raised: Vec<&String> =
            alerts.iter().map(|alert| &alert.id).filter(|id| of_camera(id) == camera).collect();
        assert_eq!(sent, raised, "in the order in which the camera's alerts were raised");
    }
    assert!(!hanging.requests().is_empty());
}

#[test]
fn a_camera_that_fails_holds_up_no_other() {
    let receiver = Receiver::answering(|request, _| match request.json()["data"]["camera"].as_str() {
        Some("gate") => Reply::Status(500, Vec::new()),
        _ => Reply::accept(),
    });
    let notified = Notified::start(&webhook("guard", &receiver, ""));
    notified.site.raise(&[
        RaisedAlert::new("a", "gate"),
        RaisedAlert::new("b", "yard"),
        RaisedAlert::new("c", "yard"),
    ]);
    receiver.wait("the yard's alerts", |all| all.iter().any(|it| it.id() == "c").then_some(()));
}

#[test]
fn conditions_choose_the_alerts_of_a_channel() {
    let receiver = Receiver::start();
    let lines =
        "severities = [\"critical\"]\ncameras = [\"gate-*\"]\nkinds = [\"denied-*\"]\npeople = [\"otto\"]";
    let notified = Notified::start(&webhook("guard", &receiver, lines));
    let wanted = RaisedAlert {
        severity: "critical".into(),
        kind: "denied-person".into(),
        subject: "otto".into(),
        ..RaisedAlert::new("wanted", "gate-1")
    };
    notified.site.raise(&[
        RaisedAlert { severity: "info".into(), ..wanted.clone() },
        RaisedAlert { camera: "yard".into(), ..wanted.clone() },
        RaisedAlert { kind: "loitering".into(), ..wanted.clone() },
        RaisedAlert { subject: "anna".into(), ..wanted.clone() },
        RaisedAlert { id: "last".into(), ..wanted },
    ]);
    let ids: Vec<String> = receiver.wait_for(1).iter().map(Request::id).collect();
    assert_eq!(ids, ["last"]);
}

/// Python's own HMAC, as a receiver may use it.
const VERIFY: &str = "\
import base64, hashlib, hmac, sys
key = base64.b64decode(sys.argv[1].removeprefix('whsec_'))
signed = f'{sys.argv[2]}.{sys.argv[3]}.'.encode() + open(sys.argv[4], 'rb').read()
print('v1,' + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())
";

#[test]
fn a_signed_webhook_can_be_verified() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let receiver = Receiver::start();
    let site = everyframe_tests::Site::start(1);
    site.file("secret", format!("{SECRET}\n").as_bytes());
    let channel = format!(
        "[[channels]]\nname = \"guard\"\n[channels.webhook]\nurl = \"http://{}/hook\"\nsecret = {{ file = \"secret\" }}\n\
         headers = {{ Authorization = \"Bearer abc\" }}\n",
        receiver.address
    );
    let notified = Notified::on(site, &channel);
    notified.site.raise(&[RaisedAlert::new("a", "gate")]);
    let request = receiver.wait_for(1).remove(0);
    let body = notified.site.file("body", &request.body);
    let mut python = Command::new(places::cached("python/bin/python"));
    python.args(["-c", VERIFY, SECRET, request.header("webhook-id"), request.header("webhook-timestamp")]);
    let signature = notified.site.run(python.arg(body)).expect_success();
    assert_eq!(request.header("webhook-signature"), signature.trim());
    assert_eq!(request.header("authorization"), "Bearer abc");
    assert_eq!(request.header("content-type"), "application/cloudevents+json");
    let age = request.at / 1000 - request.header("webhook-timestamp").parse::<i64>().expect("seconds");
    assert!((-2..=60).contains(&age), "{age} s");
    assert!(!notified.notifier.err().contains("MfKQ9"), "no secret in the log");
}

#[test]
fn slack_teams_and_templates_make_bodies_of_their_own() {
    let receiver = Receiver::start();
    let channel = |name: &str, lines: &str| {
        let address = &receiver.address;
        format!(
            "[[channels]]\nname = \"{name}\"\n[channels.webhook]\nurl = \"http://{address}/{name}\"\n{lines}\n"
        )
    };
    let channels = channel("slack", "format = \"slack\"")
        + &channel("teams", "format = \"teams\"")
        + &channel("own", "body = '{\"what\": {{ text | tojson }}, \"where\": {{ camera | tojson }}}'");
    let notified = Notified::start(&channels);
    notified.site.raise(&[RaisedAlert::new("a", "gate")]);
    let requests = receiver.wait_for(3);
    let body = |path: &str| requests.iter().find(|it| it.path == path).expect("a request").json();
    let text = "\"stranger of gate\" is loitering <here> & at gate";
    let slack = body("/slack")["text"].as_str().expect("a text").to_owned();
    assert!(slack.starts_with("*warning: loitering at gate*\n"), "{slack}");
    assert!(slack.ends_with("is loitering &lt;here&gt; &amp; at gate"), "{slack}");
    let card = &body("/teams")["attachments"][0]["content"];
    assert_eq!((&card["type"], &card["body"][1]["text"]), (&"AdaptiveCard".into(), &text.into()));
    assert_eq!((&body("/own")["what"], &body("/own")["where"]), (&text.into(), &"gate".into()));
}
