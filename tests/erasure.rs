//! Erasure while the person stands before cameras, and erasures that are killed.

use crate::privacy::{configure_keys, enrol, erase, last_values};
use everyframe_tests::{Dice, Feed, Frame, Site, Topic, pictures, wait_for};
use serde_json::Value;
use std::time::Duration;

/// The man, back and forth without a cut, before two cameras on two partitions.
pub fn man_before_two_cameras() -> impl Iterator<Item = Frame> + Send + 'static {
    let man = pictures::man();
    let there_and_back = 2 * man.len() - 2;
    (0u64..).flat_map(move |number| {
        let place = number as usize % there_and_back;
        let picture = man[place.min(there_and_back - place)].clone();
        (0..2).map(move |gate| Frame {
            stamp: Some(("session-1".into(), number, 1_764_000_000_000 + 100 * number as i64)),
            ..Frame::new(&format!("gate-{gate}"), &picture).to(gate)
        })
    })
}

/// Who a face was taken for in the results of a camera, one after the other, each with its track.
fn names_at(site: &Site, gate: i32) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    let camera = format!("gate-{gate}");
    let results = site.read(Topic::Results).into_iter().map(|record| record.json()["data"].take());
    for data in results.filter(|data| data["camera"] == camera.as_str()) {
        for face in data["faces"].as_array().into_iter().flatten() {
            let name = face["person"].as_str().or(face["stranger"]["id"].as_str());
            let Some(name) = name else { continue };
            let seen = (name.to_owned(), face["track"].as_str().expect("a track").to_owned());
            if names.last() != Some(&seen) {
                names.push(seen);
            }
        }
    }
    names
}

/// Waits until both cameras have the man under one and the same name, which is none of these.
fn wait_for_a_new_name(site: &Site, old: &[&str]) -> String {
    wait_for("a name at both cameras", || {
        let [(one, _), (other, _)] = [0, 1].map(|gate| names_at(site, gate).pop().unwrap_or_default());
        (one == other && !one.is_empty() && !old.contains(&one.as_str())).then_some(one)
    })
}

#[test]
fn who_is_erased_before_two_cameras_is_met_as_new() {
    let site = Site::start(2);
    configure_keys(&site, &["a"], "");
    let first = site.host_called("host-1");
    let second = site.host_called("host-2");
    let feed = Feed::start(&site, 20, man_before_two_cameras());

    // As a stranger.
    let stranger = wait_for_a_new_name(&site, &[]);
    let receipt_of_stranger = erase(&site, &stranger);
    let next = wait_for_a_new_name(&site, &[&stranger]);
    // As a known person, who was this next stranger before.
    enrol(&site, "viktor", &pictures::man()[30], &[]).expect_success();
    assert_eq!(wait_for_a_new_name(&site, &[&stranger, &next]), "viktor");
    let receipt_of_person = erase(&site, "viktor");
    let last = wait_for_a_new_name(&site, &[&stranger, &next, "viktor"]);

    // While he is still there, and afterwards.
    let receipts = [&receipt_of_stranger, &receipt_of_person];
    let verify = || {
        for file in receipts {
            let verified = site.everyframe(&["gallery", "verify", &file.to_string_lossy()]);
            assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
        }
    };
    verify();
    feed.stop();
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    verify();
    for gate in 0..2 {
        let names = names_at(&site, gate);
        let place = |name: &str| names.iter().position(|(seen, _)| seen == name).expect("it was seen");
        // Once he has a new name, no result has an old one, nor the track that had it.
        for (name, new) in [(stranger.as_str(), next.as_str()), (&next, "viktor"), ("viktor", &last)] {
            let (before, after) = names.split_at(place(new));
            assert!(after.iter().all(|(seen, _)| seen != name), "{name} is in {names:?}");
            let is_known_by_track =
                |(_, track): &(String, String)| before.iter().any(|(seen, old)| seen == name && old == track);
            assert!(new == "viktor" || !after.iter().any(is_known_by_track), "a track of {name}: {names:?}");
        }
    }
    let receipt: Value =
        serde_json::from_slice(&std::fs::read(&receipt_of_person).expect("a receipt")).expect("JSON");
    assert!(
        receipt["strangers"].as_array().is_some_and(|ids| ids.contains(&next.as_str().into())),
        "{receipt}"
    );
    for host in [first, second] {
        assert_eq!(host.terminate().code, Some(0));
    }
}

#[test]
fn an_erasure_that_is_killed_is_completed_by_the_next() {
    let site = Site::start(1);
    configure_keys(&site, &["a"], "");
    let man = pictures::man();
    let dice = Dice::new();
    for round in 0..5 {
        enrol(&site, "viktor", &man[30 + round], &[]).expect_success();
        for _ in 0..2 {
            let erasure = site.start_everyframe(&format!("erasure-{round}"), &["gallery", "erase", "viktor"]);
            std::thread::sleep(Duration::from_millis(dice.below(1500)));
            erasure.kill();
        }
        // If the killed one was done already, nobody is left.
        let last = site.everyframe(&["gallery", "erase", "viktor"]);
        assert!(last.code == Some(0) || last.err.contains("nobody with the id"), "{}", last.err);
        let list = site.everyframe(&["gallery", "list"]).expect_success();
        assert!(list.starts_with("nobody is enrolled"), "{list}");
        let left = site.read_again(Topic::Keys);
        let keys = last_values(
            &left
                .into_iter()
                .filter(|it| it.key.as_deref().is_some_and(|key| key.starts_with("key/")))
                .collect::<Vec<_>>(),
        )
        .len();
        assert_eq!(keys, 0, "round {round}");
    }
}
