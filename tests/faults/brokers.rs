//! Single nodes, and all nodes, are killed or paused.

use super::trial::{CAMERAS, Trial, four_cameras, the_man};
use everyframe_tests::cluster::NODES;
use everyframe_tests::{Feed, Part, Topic, wait_for};

const PER_SECOND: u32 = 40;
/// The host's static name is part of its transactional id, by which the test finds the coordinator.
const INSTANCE: &str = "host-1";

fn host(trial: &Trial) -> Part {
    let mut host = trial.site.start_host_as(INSTANCE, 6000, "host");
    host.wait_for_word("partition assigned");
    host
}

/// Kills the node that `victim` returns. The two others must continue while it is away.
fn nodes_killed(fault: &'static str, victim: impl Fn(&Trial, usize) -> i32) {
    let Some(trial) = Trial::of_the_cluster(fault) else { return };
    let (site, cluster) = (&trial.site, trial.cluster());
    let mut host = host(&trial);
    let feed = Feed::start(site, PER_SECOND, four_cameras(CAMERAS, the_man));
    for time in trial.times(2, 15) {
        site.wait_for_records(Topic::Results, 20);
        let node = victim(&trial, time);
        trial.dice.sleep(0, 1000);
        cluster.kill(node);
        let before = site.count(Topic::Results);
        trial.dice.sleep(1000, 3000);
        wait_for("results with a node away", || (site.count(Topic::Results) > before + 40).then_some(()));
        cluster.restart(node);
        cluster.wait_until_whole();
    }
    trial.account(feed.stop());
    assert!(host.is_running(), "{}", host.err());
}

#[test]
#[ignore = "slow"]
fn a_node_killed_under_load_loses_nothing() {
    nodes_killed("node killed", |trial, _| NODES[trial.dice.below(3) as usize]);
}

#[test]
#[ignore = "slow"]
fn leaders_killed_under_load_lose_nothing() {
    nodes_killed("leader killed", |trial, time| {
        let topic = [Topic::Results, Topic::Frames, Topic::State][time % 3];
        trial.cluster().leader(&trial.site.name(topic), trial.dice.below(4) as i32)
    });
}

#[test]
#[ignore = "slow"]
fn coordinators_killed_under_load_lose_nothing() {
    nodes_killed("coordinator killed", |trial, time| match time % 2 {
        1 => trial.cluster().transaction_coordinator(&format!("{}-{INSTANCE}", trial.site.group())),
        _ => trial.cluster().group_coordinator(trial.site.group()),
    });
}

#[test]
fn a_frozen_node_loses_nothing() {
    let Some(trial) = Trial::of_the_cluster("node frozen") else { return };
    let (site, cluster) = (&trial.site, trial.cluster());
    let mut host = host(&trial);
    let feed = Feed::start(site, PER_SECOND, four_cameras(CAMERAS, the_man));
    for _ in trial.times(1, 10) {
        site.wait_for_records(Topic::Results, 20);
        let node = cluster.leader(&site.name(Topic::Results), trial.dice.below(4) as i32);
        cluster.pause(node);
        trial.dice.sleep(2000, 6000);
        cluster.resume(node);
        cluster.wait_until_whole();
    }
    trial.account(feed.stop());
    assert!(host.is_running(), "{}", host.err());
}

/// As when the network is cut: connections stay, and nobody answers on them. A named host: its request to join again, if
/// it is answered late and twice, is taken for another host's of its name.
#[test]
#[ignore = "slow"]
fn a_cluster_that_falls_silent_loses_nothing() {
    let Some(trial) = Trial::of_the_cluster("whole cluster silent") else { return };
    let (site, cluster) = (&trial.site, trial.cluster());
    let mut host = host(&trial);
    let feed = Feed::start(site, PER_SECOND, four_cameras(CAMERAS, the_man));
    for _ in trial.times(1, 3) {
        site.wait_for_records(Topic::Results, 20);
        NODES.iter().for_each(|node| cluster.pause(*node));
        std::thread::sleep(trial.seconds(10, 40));
        NODES.iter().for_each(|node| cluster.resume(*node));
        cluster.wait_until_whole();
        let before = site.count(Topic::Results);
        wait_for("results", || (site.count(Topic::Results) > before + 40).then_some(()));
    }
    trial.account(feed.stop());
    assert!(host.is_running(), "{}", host.err());
}
