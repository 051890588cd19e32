//! How operators see notifications: checks, tests, status, metrics, the dashboard's API; and how `run` sends them.

use super::{Notified, webhook};
use everyframe_tests::{
    Frame, Http, RaisedAlert, Receiver, Reply, Site, free_port, pictures, serve, shipped_rules, wait_for,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn wrong_channels_are_reported_with_their_lines() {
    let site = Site::start(1);
    let channels = "[[channels]]\nname = \"guard\"\nwebhook = { url = \"http://127.0.0.1/\" }\ntext = \"{{ txt }}\"\n\n\
                    [[channels]]\nname = \"chief\"\nstdout = {}\ntitle = \"{% if %}\"\n";
    site.configure(channels, &shipped_rules(""));
    let checked = site.run(site.command(&["config", "check"]).arg(site.config()));
    assert_eq!(checked.code, Some(2), "{}", checked.out);
    for part in
        ["channels[0].text", "there is no variable `txt`", "channels[1].title", "line 1 of the template"]
    {
        assert!(checked.err.contains(part), "{part}: {}", checked.err);
    }
    let text = std::fs::read_to_string(site.config()).expect("the configuration");
    let line = text.lines().position(|line| line.starts_with("text = ")).expect("a line") + 1;
    assert!(checked.err.contains(&format!("everyframe.toml:{line}")), "{line}: {}", checked.err);
}

#[test]
fn a_test_message_says_whether_it_was_delivered() {
    let receiver = Receiver::answering(|request, _| match request.path.as_str() {
        "/hook" => Reply::accept(),
        _ => Reply::Status(403, Vec::new()),
    });
    let site = Site::start(1);
    let closed = format!(
        "[[channels]]\nname = \"closed\"\nwebhook = {{ url = \"http://{}/secret-hunter2\" }}\n",
        receiver.address
    );
    let quiet = "severities = [\"critical\"]";
    site.configure(&(webhook("guard", &receiver, quiet) + &closed), &shipped_rules(""));
    // It needs no broker.
    let test = |name: &str| site.everyframe(&["notify", "test", name, "--brokers", "127.0.0.1:1"]);
    let (works, fails, unknown) = (test("guard"), test("closed"), test("nobody"));
    assert_eq!((works.code, fails.code, unknown.code), (Some(0), Some(1), Some(2)), "{}", works.err);
    assert!(works.out.contains("guard (webhook): delivered in"), "{}", works.out);
    assert!(fails.out.contains("not delivered") && fails.out.contains("403"), "{}", fails.out);
    assert!(
        unknown.err.contains("there is no channel `nobody`; there are: guard, closed"),
        "{}",
        unknown.err
    );
    let said = [works.err, fails.out, fails.err].concat();
    assert!(!said.contains("hunter2"), "an address may be a secret: {said}");
    let event = receiver.requests()[0].json();
    assert_eq!(event["data"]["kind"], "test");
}

#[test]
fn dead_letters_are_listed_and_sent_again_over_http() {
    static ACCEPTS: AtomicBool = AtomicBool::new(false);
    let receiver = Receiver::answering(|_, _| match ACCEPTS.load(Ordering::Relaxed) {
        true => Reply::accept(),
        false => Reply::Status(422, Vec::new()),
    });
    let notified = Notified::start(&webhook("guard", &receiver, ""));
    let site = &notified.site;
    let (_server, http) = serve(site);
    let listed = |query: &str| http.get(&format!("/api/v1/undelivered{query}")).expect(200);
    assert_eq!(listed(""), json!({ "messages": [], "count": 0 }));
    site.raise(&[RaisedAlert::new("a", "gate"), RaisedAlert::new("b", "yard")]);
    let messages = wait_for("two dead letters", || {
        let list = listed("?channel=guard");
        (list["count"] == 2).then(|| list["messages"].clone())
    });
    for message in messages.as_array().expect("a list") {
        assert!(message["reason"].as_str().is_some_and(|reason| reason.contains("422")), "{message}");
        assert_eq!(
            (&message["canReplay"], &message["alerts"], &message["attempts"]),
            (&json!(true), &json!(1), &json!(1))
        );
        assert!(message["text"].is_string(), "{message}");
    }
    assert_eq!(listed("?channel=other")["count"], 0);

    let replay = |body: Value| http.json("POST", "/api/v1/undelivered/replay", &body);
    replay(json!({ "channel": "nobody", "all": true })).expect(404);
    for wrong in [
        json!({ "channel": "guard" }),
        json!({ "channel": "guard", "ids": [] }),
        json!({ "channel": "guard", "id": ["a"] }),
        json!({ "channel": "guard", "ids": ["a"], "all": true }),
        json!({ "channel": "callback/gate", "all": true }),
    ] {
        assert_eq!(replay(wrong.clone()).status, 422, "{wrong}");
    }
    let unknown = replay(json!({ "channel": "guard", "ids": ["c"] })).expect(200);
    assert_eq!((&unknown["delivered"], &unknown["failed"][0]["id"]), (&json!(0), &json!("c")));
    let refused = replay(json!({ "channel": "guard", "all": true })).expect(200);
    assert_eq!((&refused["delivered"], &refused["left"]), (&json!(0), &json!([])));
    assert_eq!(refused["failed"].as_array().map(Vec::len), Some(2), "{refused}");
    ACCEPTS.store(true, Ordering::Relaxed);
    let one = replay(json!({ "channel": "guard", "ids": ["a"] })).expect(200);
    assert_eq!(one, json!({ "delivered": 1, "failed": [], "left": [] }));
    assert_eq!(listed("")["messages"][0]["id"], "b");
    replay(json!({ "channel": "guard", "all": true })).expect(200);
    assert_eq!(listed("")["count"], 0);
    let of_guard = http.get("/api/v1/channels").expect(200)["channels"][0].clone();
    assert_eq!((&of_guard["name"], &of_guard["deadLetters"]), (&json!("guard"), &json!(0)), "{of_guard}");
    let with_id = |id: &str| receiver.requests().iter().filter(|it| it.header("webhook-id") == id).count();
    assert_eq!((with_id("a"), with_id("b")), (3, 3), "refused twice, and accepted");
    let trail = site.everyframe(&["trail", "show"]).expect_success();
    assert_eq!(trail.matches("decided  dead letters of channel guard: replay").count(), 3, "{trail}");
}

#[test]
fn the_health_of_channels_is_seen_everywhere() {
    let receiver = Receiver::start();
    let broken = Receiver::answering(|_, _| Reply::Status(500, Vec::new()));
    let site = Site::start(1);
    let (metrics, web) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let channels = webhook("guard", &receiver, "") + &webhook("chief", &broken, "");
    site.configure(&channels, &shipped_rules(""));
    let unstarted = site.everyframe(&["notify", "status"]);
    assert_eq!(
        unstarted.code,
        Some(1),
        "no topic, or nobody serves them: {}{}",
        unstarted.out,
        unstarted.err
    );

    let mut notifier = site.start_everyframe("notify", &["notify", "--metrics", &metrics]);
    notifier.wait_for_words("partition assigned", 2);
    let _server = site.start_everyframe("serve", &["serve", "--listen", &web]);
    site.raise(&[RaisedAlert::new("a", "gate"), RaisedAlert::new("b", "yard")]);
    receiver.wait_for(2);
    broken.wait_for(2);
    let of = |channels: &Value, name: &str| {
        let all = channels["channels"].as_array().expect("a list");
        all.iter().find(|channel| channel["name"] == name).cloned().expect("the channel")
    };
    let status = wait_for("the status", || {
        let status = site.everyframe(&["notify", "status", "--json"]);
        let json: Value = serde_json::from_str(&status.out).ok()?;
        (of(&json, "guard")["delivered"] == 2 && of(&json, "chief")["isFailing"] == true)
            .then_some((status.code, json))
    });
    assert_eq!(status.0, Some(1), "one channel fails");
    let (guard, chief) = (of(&status.1, "guard"), of(&status.1, "chief"));
    assert_eq!(
        (&guard["isServed"], &guard["isFailing"], &guard["kind"]),
        (&true.into(), &false.into(), &"webhook".into())
    );
    assert_eq!(chief["backlog"], 2, "{chief}");
    assert!(chief["lastError"].as_str().is_some_and(|error| error.contains("500")), "{chief}");
    let text = site.everyframe(&["notify", "status"]).out;
    assert!(text.contains("guard (webhook): works; 0 waiting, 2 delivered"), "{text}");
    assert!(text.contains("chief (webhook): fails; 2 waiting") && text.contains("last error"), "{text}");

    let shown = wait_for("the dashboard's channels", || {
        let answer = Http::new(&web).try_get("/api/v1/channels")?.json();
        (of(&answer, "chief")["state"] == "failing").then_some(answer)
    });
    assert_eq!(
        (&of(&shown, "guard")["state"], &of(&shown, "guard")["backlog"]),
        (&"working".into(), &0.into())
    );
    let metrics = Http::new(&metrics).get("/metrics").text();
    assert!(
        metrics.contains("everyframe_notifications_total{channel=\"guard\",outcome=\"delivered\"} 2"),
        "{metrics}"
    );
    assert!(
        metrics.contains("everyframe_notifications_total{channel=\"chief\",outcome=\"retried\"}"),
        "{metrics}"
    );
    assert!(
        metrics.contains("everyframe_notification_delay_seconds_count{channel=\"guard\"} 2"),
        "{metrics}"
    );
}

#[test]
fn a_host_sends_notifications_unless_told_not_to() {
    let receiver = Receiver::start();
    let site = Site::start(1);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let address = format!("127.0.0.1:{}", free_port());
    let tables = format!("[observe]\nlisten = \"{address}\"\n") + &webhook("guard", &receiver, "");
    site.configure(&tables, &shipped_rules(""));
    let mut host = site.start_everyframe("host", &["run"]);
    host.wait_for_words("partition assigned", 2);
    site.send(&Frame::stream("office", &man[..10]));
    let event = receiver.wait_for(1)[0].json();
    assert_eq!(
        (&event["data"]["kind"], &event["data"]["subject"]),
        (&"known-person".into(), &"viktor".into())
    );
    let metrics = Http::new(&address).get("/metrics").text();
    assert!(metrics.contains("everyframe_notifications_total{channel=\"guard\""), "{metrics}");
    assert_eq!(host.terminate().code, Some(0));

    let mut host = site.start_everyframe("host-silent", &["run", "--no-notify"]);
    host.wait_for_word("partition assigned");
    site.raise(&[RaisedAlert::new("b", "yard")]);
    receiver.expect_no_more_than(1, Duration::from_secs(3));
    drop(host);
    // It was not lost: the next notifier sends it.
    let mut notifier = site.start_everyframe("notify", &["notify"]);
    notifier.wait_for_word("partition assigned");
    assert_eq!(receiver.wait_for(2)[1].id(), "b");
}

#[test]
fn a_new_channel_begins_with_new_alerts() {
    let receiver = Receiver::start();
    let first = Notified::start(&webhook("guard", &receiver, ""));
    first.site.raise(&[RaisedAlert::new("old", "gate")]);
    receiver.wait_for(1);
    first.notifier.terminate();
    let late = Receiver::start();
    let channels = webhook("guard", &receiver, "") + &webhook("late", &late, "");
    let second = Notified::on(first.site, &channels);
    second.site.raise(&[RaisedAlert::new("new", "gate")]);
    assert_eq!(late.wait_for(1)[0].id(), "new");
    late.expect_no_more_than(1, Duration::from_secs(1));
    assert_eq!(receiver.wait_for(2)[1].id(), "new");
}
