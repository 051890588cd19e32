//! Rule state survives the host.

use super::trial::{Trial, id};
use everyframe_tests::{Frame, Topic, pictures};
use std::collections::{BTreeMap, BTreeSet};

super::on_both! {
    a_stranger_keeps_her_id_when_hosts_die: "host killed, a stranger in sight" [ignore = "slow"] [],
}

/// Kind and subject of the distinct alerts, in order.
fn alerts(trial: &Trial) -> Vec<(String, String)> {
    let records = trial.site.read(Topic::Alerts);
    let mut alerts = BTreeMap::new();
    for record in &records {
        let (event, id) = (record.json(), id(record));
        let text = |name: &str| event["data"][name].as_str().expect("an alert has it").to_owned();
        let at = event["data"]["position"]["offset"].as_i64().expect("an alert has a position");
        alerts.insert((at, id), (text("kind"), text("subject")));
    }
    if trial.site.is_exactly_once() {
        assert_eq!(records.len(), alerts.len(), "each once");
    }
    alerts.into_values().collect()
}

/// The ids of strangers in the results of the frames from this number on.
fn strangers(trial: &Trial, from: u64) -> BTreeSet<String> {
    let results = trial.site.read(Topic::Results).into_iter().map(|record| record.json());
    let late = results.filter(|result| result["data"]["sequence"].as_u64() >= Some(from));
    let faces = late.flat_map(|result| result["data"]["faces"].as_array().cloned().unwrap_or_default());
    faces.filter_map(|face| face["stranger"]["id"].as_str().map(str::to_owned)).collect()
}

fn a_stranger_keeps_her_id_when_hosts_die(trial: &Trial) {
    let site = &trial.site;
    let woman = pictures::clip("WolfgangLanger_Pexels.mp4");
    let mut frames: Vec<Frame> =
        Frame::stream("lobby", &woman[..210]).into_iter().map(|frame| frame.to(0)).collect();
    // The woman leaves, and returns 40 s later, 35 s after that, and 60 s after that.
    for (from, away) in [(120, 40_000), (150, 35_000), (180, 60_000)] {
        for frame in &mut frames[from..] {
            frame.stamp.as_mut().expect("it is stamped").2 += away;
        }
    }
    let send = |from: usize, to: usize| {
        site.send(&frames[from..to]);
        site.settled_audit();
    };
    let alert = |kind: &str, stranger: &String| (kind.to_owned(), stranger.clone());
    trial.once();

    let first = site.host_called("host-1");
    send(0, 60);
    let seen = alerts(trial);
    let [(kind, stranger)] = seen.as_slice() else { panic!("one alert: {seen:?}") };
    assert_eq!((kind.as_str(), strangers(trial, 0)), ("first-seen", [stranger.clone()].into()));

    // The host is killed while the next one waits: the partition moves.
    let mut second = site.host_called("host-2");
    first.kill();
    second.wait_for_words("partition assigned", 4);
    send(60, 90);
    assert_eq!(alerts(trial), seen, "she is nobody new");
    // The host ends by SIGTERM, and the next one starts afterwards.
    assert_eq!(second.terminate().code, Some(0));
    let third = site.host_called("host-3");
    send(90, 150);
    let returned = [seen.clone(), vec![alert("returned", stranger)]].concat();
    assert_eq!(alerts(trial), returned, "she comes back as who she was");

    // The third visit begins within the cool-down, in another host; the fourth begins after it.
    third.kill();
    let _fourth = site.host_called("host-4");
    send(150, 180);
    assert_eq!(alerts(trial), returned, "the cool-down holds");
    send(180, 210);
    let again = [returned, vec![alert("returned", stranger)]].concat();
    assert_eq!(alerts(trial), again, "it is over");
    assert_eq!(strangers(trial, 0), [stranger.clone()].into(), "one woman, one stranger");
    trial.account(210);
}
