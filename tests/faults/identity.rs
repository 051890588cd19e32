//! Hosts with a static name in the group.

use super::trial::{CAMERAS, Trial, four_cameras, the_man};
use everyframe_tests::{Feed, Part};
use std::collections::BTreeSet;

super::on_both! {
    a_named_host_killed_and_restarted_keeps_its_partitions: "named host killed" [ignore = "slow"] [ignore = "slow"],
    a_frozen_host_with_a_successor_ends_when_it_resumes: "named host frozen, its successor started" [ignore = "slow"] [ignore = "slow"],
}

const ASSIGNED: &str = "partition assigned";
/// Longer than any restart takes.
const SESSION_MS: u32 = 30_000;

fn host(trial: &Trial, instance: &str, log: &str) -> Part {
    let mut host = trial.site.start_host_as(instance, SESSION_MS, log);
    host.wait_for_word(ASSIGNED);
    host
}

/// The partitions that a host was assigned, from its log.
fn partitions(host: &Part) -> BTreeSet<String> {
    let log = host.err();
    log.lines()
        .filter_map(|line| line.split_once(ASSIGNED).map(|(_, partition)| partition.trim().to_owned()))
        .collect()
}

/// Starts two named hosts with two partitions each, while frames flow. The first host was alone at first and was restarted,
/// so that its log contains its final assignment.
fn two_hosts(trial: &Trial) -> (Part, Part) {
    let first = host(trial, "host-1", "first-alone");
    let mut second = host(trial, "host-2", "second");
    second.wait_for_words(ASSIGNED, 2);
    first.kill();
    let mut first = host(trial, "host-1", "first-0");
    first.wait_for_words(ASSIGNED, 2);
    (first, second)
}

fn a_named_host_killed_and_restarted_keeps_its_partitions(trial: &Trial) {
    let (mut first, second) = two_hosts(trial);
    let feed = Feed::start(&trial.site, 40, four_cameras(CAMERAS, the_man));
    let (its, log) = (partitions(&first), second.err());
    assert_eq!(its.len(), 2, "{}", first.err());
    for time in trial.times(3, 30) {
        trial.dice.sleep(0, 2000);
        first.kill();
        first = host(trial, "host-1", &format!("first-{time}"));
        first.wait_for_words(ASSIGNED, 2);
        assert_eq!(partitions(&first), its);
    }
    let since = second.err()[log.len()..].to_owned();
    assert!(!since.contains("partition"), "the other one hears nothing of it: {since}");
    trial.account(feed.stop());
}

fn a_frozen_host_with_a_successor_ends_when_it_resumes(trial: &Trial) {
    let (mut first, mut second) = two_hosts(trial);
    let feed = Feed::start(&trial.site, 40, four_cameras(CAMERAS, the_man));
    for time in trial.times(1, 10) {
        trial.dice.sleep(500, 1000);
        first.signal("STOP");
        let successor = host(trial, "host-1", &format!("first-{time}"));
        trial.dice.sleep(0, 2000);
        first.signal("CONT");
        let ended = std::mem::replace(&mut first, successor).end();
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        let last = ended.err.lines().last().unwrap_or_default();
        let said =
            "everyframe: another host has this one's name in the group ([kafka] instance) and took its place";
        assert!(last.starts_with(said), "{last}");
    }
    trial.account(feed.stop());
    assert!(first.is_running() && second.is_running(), "{}{}", first.err(), second.err());
}
