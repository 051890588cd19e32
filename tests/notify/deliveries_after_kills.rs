//! The notifier is killed at random moments: every alert is delivered at least once, in order for each camera, and repeats can be
//! recognised by their ids.

use super::webhook;
use everyframe_tests::{Dice, Part, RaisedAlert, Receiver, Reply, Site, shipped_rules, wait_for};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CAMERAS: usize = 4;

#[test]
fn a_killed_notifier_loses_no_alert() {
    kill_while_alerts_come(150, 4);
}

#[test]
#[ignore = "slow"]
fn a_notifier_killed_often_loses_none_of_a_thousand() {
    kill_while_alerts_come(1000, 40);
}

fn start(site: &Site, name: &str) -> Part {
    // A static name: the group does not wait for the session of the killed process to end.
    let text = std::fs::read_to_string(site.config()).expect("the site is configured");
    let text = text.replacen("[kafka]\n", "[kafka]\ninstance = \"notifier\"\n", 1);
    let config = site.file("static.toml", text.as_bytes());
    Part::start(name, site.folder(), site.command(&["notify"]).arg("--config").arg(config))
}

fn kill_while_alerts_come(count: usize, kills: usize) {
    let dice = Dice::new();
    eprintln!("EVERYFRAME_SEED={}", dice.seed());
    // One request in ten fails, and each takes a moment, so that some are under way at a kill.
    let random = Mutex::new(Dice::new());
    let accepted: Arc<Mutex<Vec<String>>> = Arc::default();
    let accepting = accepted.clone();
    let receiver = Receiver::answering(move |request, _| {
        let roll = random.lock().expect("no thread panicked").below(100);
        std::thread::sleep(Duration::from_millis(roll));
        if roll < 10 {
            return Reply::Status(500, Vec::new());
        }
        accepting.lock().expect("no thread panicked").push(request.id());
        Reply::accept()
    });
    let site = Site::start(1);
    site.configure(&webhook("guard", &receiver, ""), &shipped_rules(""));
    let mut notifier = start(&site, "notify-0");
    notifier.wait_for_word("partition assigned");

    let alerts: Vec<RaisedAlert> = (0..count)
        .map(|at| RaisedAlert::new(&format!("alert-{at}"), &format!("camera-{}", at % CAMERAS)))
        .collect();
    for (time, some) in alerts.chunks(count.div_ceil(kills)).enumerate() {
        site.raise(some);
        // Most are killed at work, some while they start.
        if !dice.one_in(4) {
            notifier.wait_for_word("partition assigned");
        }
        dice.sleep(0, 1500);
        notifier.kill();
        notifier = start(&site, &format!("notify-{}", time + 1));
    }
    let ids = || accepted.lock().expect("no thread panicked").clone();
    wait_for("every alert", || (BTreeSet::from_iter(ids()).len() >= count).then_some(()));
    wait_for("the backlog to be done", || {
        site.everyframe(&["notify", "status"]).out.contains(" 0 waiting").then_some(())
    });
    let (ids, requests) = (ids(), receiver.requests());
    assert!(requests.iter().all(|request| request.header("webhook-id") == request.id()));
    // The repeats have the ids of the first deliveries; without them, each camera's alerts are in order.
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    for id in &ids {
        let number: usize = id.trim_start_matches("alert-").parse().expect("a number");
        if seen.insert(number) {
            let before = last.insert(number % CAMERAS, number);
            assert!(before.is_none_or(|before| before < number), "{number} came after {before:?}");
        }
    }
    assert_eq!(seen.len(), count, "each alert at least once, and no others");
    eprintln!("{count} alerts, {kills} kills: {} delivered, {} repeats", seen.len(), ids.len() - seen.len());
}
