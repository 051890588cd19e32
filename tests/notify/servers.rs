//! Delivery to Mosquitto, to an SMTP server and to an HTTPS server; with pictures of real frames.

use super::Notified;
use everyframe_tests::{
    Frame, Part, RaisedAlert, Receiver, Site, Topic, free_port, pictures, places, shipped_rules, wait_for,
};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// A certificate for 127.0.0.1 that signs itself, and its key.
fn certificate(site: &Site) -> (PathBuf, PathBuf) {
    let (certificate, key) = (site.folder().join("server.pem"), site.folder().join("server.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]);
    openssl
        .args(["-addext", "basicConstraints=CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out");
    site.run(openssl.arg(&certificate)).expect_success();
    (certificate, key)
}

/// A server of `tests/fixtures/receivers.py`.
fn python_server(site: &Site, kind: &str, port: u16) -> Part {
    let (certificate, key) = certificate(site);
    let mut python = Command::new(places::cached("python/bin/python"));
    python.arg(places::repository("tests/fixtures/receivers.py")).args([kind, &port.to_string()]);
    let mut server = Part::start(kind, site.folder(), python.arg(certificate).arg(key));
    server.wait_for_word("listening");
    server
}

#[test]
fn an_https_server_needs_a_certificate_that_is_trusted() {
    let site = Site::start(1);
    let port = free_port();
    let server = python_server(&site, "https", port);
    let channel = |name: &str, ca: &str| {
        format!(
            "[[channels]]\nname = \"{name}\"\nwebhook = {{ url = \"https://127.0.0.1:{port}/{name}\"{ca} }}\n"
        )
    };
    let notified = Notified::on(site, &(channel("strict", "") + &channel("own", ", ca = \"server.pem\"")));
    notified.site.raise(&[RaisedAlert::new("a", "gate")]);
    wait_for("the alert over TLS", || server.out().contains("\"a\"").then_some(()));
    wait_for("the error of the other channel", || {
        let log = notified.notifier.err();
        let line = log.lines().find(|line| line.contains("channel strict does not deliver"))?;
        line.contains("certificate").then_some(())
    });
    assert_eq!(server.out().lines().count(), 1, "{}", server.out());
}

/// A Mosquitto that knows one user, on a port.
fn mosquitto(site: &Site, port: u16, name: &str) -> Part {
    let users = site.folder().join("users");
    let mut add = Command::new("mosquitto_passwd");
    site.run(add.args(["-b", "-c"]).arg(&users).args(["everyframe", "hunter2-mqtt"])).expect_success();
    let config = format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nuser root\n",
        users.display()
    );
    let config = site.file("mosquitto.conf", config.as_bytes());
    let mut broker =
        Part::start(name, site.folder(), Command::new("/usr/sbin/mosquitto").arg("-v").arg("-c").arg(config));
    broker.wait_for_word("running");
    broker
}

/// Prints each message of a subscription: its topic, whether it is retained, and its content as text.
fn subscribe(site: &Site, port: u16, broker: &Part) -> Part {
    let mut client = Command::new("mosquitto_sub");
    client.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-u", "everyframe", "-P", "hunter2-mqtt"]);
    client.args(["-t", "#", "-q", "1", "-F", "%t %r %p"]);
    let subscriber = Part::start(&format!("subscriber-{}", broker.id()), site.folder(), &mut client);
    wait_for("the subscription", || broker.err().contains("Sending SUBACK").then_some(()));
    subscriber
}

fn mqtt_channel(port: u16, version: &str, password: &str) -> String {
    format!(
        "[[channels]]\nname = \"home\"\n[channels.mqtt]\nserver = \"127.0.0.1:{port}\"\nversion = \"{version}\"\n\
         username = \"everyframe\"\npassword = \"{password}\"\ndiscovery = \"homeassistant\"\n"
    )
}

/// The messages whose lines begin like this.
fn messages(subscriber: &Part, part: &str) -> Vec<String> {
    let out = subscriber.out();
    out.lines().filter(|line| line.starts_with(part)).map(str::to_owned).collect()
}

fn alerts_reach_home_assistant(version: &str) {
    let site = Site::start(1);
    let port = free_port();
    let broker = mosquitto(&site, port, "mosquitto");
    let subscriber = subscribe(&site, port, &broker);
    let notified = Notified::on(site, &mqtt_channel(port, version, "hunter2-mqtt"));
    let site = &notified.site;
    let known =
        RaisedAlert { kind: "known-person".into(), subject: "anna".into(), ..RaisedAlert::new("a", "gate") };
    site.raise(std::slice::from_ref(&known));
    let sent = wait_for("the alert", || messages(&subscriber, "everyframe/camera/gate/alert 0").pop());
    let event: Value = serde_json::from_str(sent.splitn(3, ' ').nth(2).unwrap_or_default()).expect("JSON");
    assert_eq!(event, known.event());
    assert_eq!(messages(&subscriber, "everyframe/person/anna/seen").len(), 1);
    let described = messages(&subscriber, "homeassistant/");
    assert_eq!(described.len(), 2, "a device for the camera and one for the person: {described:?}");

    // What was raised while the broker is away comes when it is back; devices are described again, for a broker that forgot.
    broker.kill();
    site.raise(&[RaisedAlert::new("b", "gate"), RaisedAlert::new("c", "yard")]);
    wait_for("an error", || notified.notifier.err().contains("channel home does not deliver").then_some(()));
    let broker = mosquitto(site, port, "mosquitto-again");
    let again = subscribe(site, port, &broker);
    wait_for("the other alerts", || {
        let all = messages(&again, "everyframe/camera/");
        (all.iter().any(|it| it.contains("\"b\"")) && all.iter().any(|it| it.contains("\"c\""))).then_some(())
    });
    assert!(!notified.notifier.err().contains("hunter2"), "{}", notified.notifier.err());
}

#[test]
fn alerts_reach_home_assistant_by_mqtt_5() {
    alerts_reach_home_assistant("5");
}

#[test]
fn alerts_reach_home_assistant_by_mqtt_3() {
    alerts_reach_home_assistant("3.1.1");
}

#[test]
fn a_wrong_mqtt_password_is_said_and_not_shown() {
    let site = Site::start(1);
    let port = free_port();
    let _broker = mosquitto(&site, port, "mosquitto");
    for version in ["5", "3.1.1"] {
        site.configure(&mqtt_channel(port, version, "hunter2-wrong"), &shipped_rules(""));
        let tested = site.everyframe(&["notify", "test", "home"]);
        assert_eq!(tested.code, Some(1), "{}", tested.out);
        let said = tested.out + &tested.err;
        assert!(said.contains("refuses the connection") && said.contains("may not do that"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

fn mail_channel(port: u16, to: &str) -> String {
    format!(
        "[[channels]]\nname = \"office\"\n[channels.email]\nserver = \"127.0.0.1:{port}\"\nfrom = \"Everyframe <e@example.org>\"\n\
         to = [\"{to}\"]\nusername = \"everyframe\"\npassword = {{ env = \"MAIL_PASSWORD\" }}\nca = \"server.pem\"\n"
    )
}

/// Decodes the mails that the server got: headers, text and attachments, as Python reads them.
const READ_MAIL: &str = "\
import base64, email, email.policy, json, sys
for line in open(sys.argv[1]):
    kept = json.loads(line)
    mail = email.message_from_bytes(base64.b64decode(kept['mail']), policy=email.policy.default)
    parts = [part for part in mail.walk() if not part.is_multipart()]
    print(json.dumps({
        'to': kept['to'], 'subject': mail['subject'], 'id': mail['message-id'],
        'text': parts[0].get_content(), 'types': [part.get_content_type() for part in parts],
        'picture': base64.b64encode(parts[1].get_payload(decode=True)[:3]).decode() if len(parts) > 1 else None,
    }))
";

#[test]
fn a_mail_has_the_picture_of_the_frame() {
    let site = Site::start(1);
    let port = free_port();
    let server = python_server(&site, "mail", port);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    site.configure(&mail_channel(port, "anna@example.org"), &shipped_rules(""));
    let mut command = site.command(&["run"]);
    let mut host = Part::start(
        "host",
        site.folder(),
        command.env("MAIL_PASSWORD", "hunter2-mail").arg("--config").arg(site.config()),
    );
    // Of the frames, and of the alerts.
    host.wait_for_words("partition assigned", 2);
    site.send(&Frame::stream("Büro 1", &man[..10]));
    wait_for("a mail", || (!server.out().is_empty()).then_some(()));
    let mut python = Command::new(places::cached("python/bin/python"));
    let read = site.run(python.args(["-c", READ_MAIL]).arg(site.folder().join("mail.out"))).expect_success();
    let mail: Value = serde_json::from_str(read.lines().next().expect("a mail")).expect("JSON");
    assert_eq!(mail["to"][0], "anna@example.org");
    assert_eq!(mail["subject"], "info: known-person at Büro 1");
    assert!(mail["text"].as_str().is_some_and(|text| text.contains("viktor seen at Büro 1")), "{mail}");
    assert_eq!(mail["types"], serde_json::json!(["text/plain", "image/jpeg"]));
    assert_eq!(mail["picture"], "/9j/", "the first bytes of a JPEG");
    assert!(mail["id"].as_str().is_some_and(|id| id.ends_with("@everyframe>")), "{mail}");
    assert!(!host.err().contains("hunter2"), "{}", host.err());
}

#[test]
fn a_mail_that_is_refused_is_a_dead_letter() {
    let site = Site::start(1);
    let port = free_port();
    let _server = python_server(&site, "mail", port);
    site.configure(&mail_channel(port, "nobody@example.org"), &shipped_rules(""));
    let mut command = site.command(&["notify"]);
    let mut notifier = Part::start(
        "notify",
        site.folder(),
        command.env("MAIL_PASSWORD", "hunter2-mail").arg("--config").arg(site.config()),
    );
    notifier.wait_for_word("partition assigned");
    site.raise(&[RaisedAlert::new("a", "gate")]);
    let letter = wait_for("a dead letter", || {
        let records = site.read(Topic::Notifications);
        records.into_iter().find(|record| record.key.as_deref() == Some("dead-letter/office/a"))
    });
    let reason = letter.json()["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("550") || reason.contains("nobody of this name"), "{reason}");
}

#[test]
fn a_wrong_mail_password_is_tried_again() {
    let site = Site::start(1);
    let port = free_port();
    let _server = python_server(&site, "mail", port);
    site.configure(&mail_channel(port, "anna@example.org"), &shipped_rules(""));
    let mut command = site.command(&["notify", "test", "office"]);
    let tested = site.run(command.env("MAIL_PASSWORD", "hunter2-wrong").arg("--config").arg(site.config()));
    let said = tested.out + &tested.err;
    assert_eq!(tested.code, Some(1), "{said}");
    assert!(said.contains("not delivered") && said.contains("535") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_push_message_by_ntfy_has_title_priority_and_picture() {
    let (receiver, closer) = (Receiver::start(), Receiver::start());
    let site = Site::start(1);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let channels = format!(
        "[[channels]]\nname = \"phone\"\nntfy = {{ url = \"http://{}/gate\", token = \"tk_abc\" }}\n\
         [[channels]]\nname = \"closer\"\npicture = \"face\"\nntfy = {{ url = \"http://{}/gate\" }}\n",
        receiver.address, closer.address
    );
    site.configure(&channels, &shipped_rules(""));
    let mut host = site.start_everyframe("host", &["run"]);
    host.wait_for_words("partition assigned", 3);
    site.send(&Frame::stream("office", &man[..10]));
    let request = receiver.wait_for(1).remove(0);
    assert_eq!((request.path.as_str(), request.header("title")), ("/gate", "info: known-person at office"));
    assert_eq!((request.header("priority"), request.header("authorization")), ("3", "Bearer tk_abc"));
    assert_eq!(request.header("message"), "viktor seen at office");
    assert_eq!(pictures::size(&request.body), (640, 360), "the frame");
    let (width, height) = pictures::size(&closer.wait_for(1).remove(0).body);
    assert!([width, height].iter().all(|side| (100..=240).contains(side)), "the face: {width} × {height}");
}
