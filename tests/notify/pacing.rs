//! Digests, visits, limits and escalation, also across a crash of the notifier.

use super::{Notified, webhook};
use everyframe_tests::receiver::Request;
use everyframe_tests::{RaisedAlert, Receiver};
use std::time::Duration;

fn alerts(prefix: &str, count: usize, camera: &str) -> Vec<RaisedAlert> {
    (0..count).map(|at| RaisedAlert::new(&format!("{prefix}-{at}"), camera)).collect()
}

impl Notified {
    /// Kills the notifier, and starts it again.
    fn crash_and_restart(self) -> Self {
        self.notifier.kill();
        let mut notifier = self.site.start_everyframe("notify-again", &["notify"]);
        notifier.wait_for_word("partition assigned");
        Self { site: self.site, notifier }
    }
}

#[test]
fn a_digest_survives_a_crash_of_the_notifier() {
    let receiver = Receiver::start();
    let notified = Notified::start(&webhook("guard", &receiver, "digest_s = 15\ntext = \"{{ summary }}\""));
    notified.site.raise(&alerts("first", 3, "gate"));
    std::thread::sleep(Duration::from_secs(1));
    let notified = notified.crash_and_restart();
    notified.site.raise(&alerts("second", 2, "yard"));
    let requests = receiver.wait("five alerts", |all| {
        let sum: u64 = all.iter().filter_map(|it| it.json()["data"]["count"].as_u64()).sum();
        (sum >= 5).then(|| all.to_vec())
    });
    let digest = requests[0].json();
    assert_eq!(digest["type"], "everyframe.digest.v1");
    assert!(digest["data"]["count"].as_u64() >= Some(3), "{digest}");
    let ids: Vec<String> = requests
        .iter()
        .flat_map(|it| it.json()["data"]["alerts"].as_array().cloned().unwrap_or_default())
        .map(|alert| alert["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(ids, ["first-0", "first-1", "first-2", "second-0", "second-1"]);
    drop(notified);
}

#[test]
fn one_message_for_a_visit_also_after_a_crash() {
    let receiver = Receiver::start();
    let notified = Notified::start(&webhook("guard", &receiver, "visit_gap_s = 600"));
    notified.site.raise(&alerts("a", 5, "gate"));
    receiver.wait_for(1);
    // Longer than offsets take to be committed: the alerts of the visit are not read again as new ones.
    std::thread::sleep(Duration::from_secs(2));
    let notified = notified.crash_and_restart();
    notified.site.raise(&alerts("b", 3, "gate"));
    notified.site.raise(&[RaisedAlert::new("c", "yard")]);
    let ids: Vec<String> = receiver.wait_for(2).iter().map(Request::id).collect();
    assert_eq!(ids, ["a-0", "c"]);
    receiver.expect_no_more_than(2, Duration::from_secs(2));
    drop(notified);
}

#[test]
fn what_is_over_the_limit_comes_as_one_message() {
    let receiver = Receiver::start();
    let lines = "rate_limit = { messages = 2, per_s = 5 }";
    let notified = Notified::start(&webhook("guard", &receiver, lines));
    notified.site.raise(&alerts("a", 7, "gate"));
    let requests = receiver.wait_for(3);
    let ids: Vec<String> = requests.iter().take(2).map(Request::id).collect();
    assert_eq!(ids, ["a-0", "a-1"]);
    let rest = requests[2].json();
    assert_eq!((&rest["type"], &rest["data"]["count"]), (&"everyframe.digest.v1".into(), &5.into()));
    receiver.expect_no_more_than(3, Duration::from_secs(2));
    drop(notified);
}

#[test]
fn only_alerts_that_nobody_acknowledges_are_escalated() {
    let receiver = Receiver::start();
    let notified = Notified::start(&webhook("chief", &receiver, "escalate_after_s = 6"));
    let site = &notified.site;
    site.raise(&[RaisedAlert::new("seen-to", "gate"), RaisedAlert::new("forgotten", "yard")]);
    site.acknowledge("seen-to");
    let request = receiver.wait_for(1).remove(0);
    assert_eq!(request.id(), "forgotten");
    receiver.expect_no_more_than(1, Duration::from_secs(3));
}

#[test]
fn muted_alerts_are_not_sent() {
    let receiver = Receiver::start();
    let notified = Notified::start(&webhook("guard", &receiver, ""));
    notified.site.mute("gate");
    // Mutes come by another topic than alerts.
    std::thread::sleep(Duration::from_secs(2));
    notified.site.raise(&[RaisedAlert::new("muted", "gate"), RaisedAlert::new("other", "yard")]);
    assert_eq!(receiver.wait_for(1)[0].id(), "other");
    receiver.expect_no_more_than(1, Duration::from_secs(2));
}
