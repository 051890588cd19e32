//! Hosts are killed, paused, started and ended.

use super::trial::{CAMERAS, PARTITIONS, Trial, four_cameras, the_man};
use everyframe_tests::{Feed, Part, Topic, wait_for};

super::on_both! {
    a_host_killed_at_any_moment_loses_nothing: "host killed" [ignore = "slow"] [],
    hosts_that_come_and_go_lose_and_repeat_nothing: "hosts come and go" [ignore = "slow"] [ignore = "slow"],
    a_resumed_host_writes_nothing_for_lost_partitions: "host frozen" [ignore = "slow"] [ignore = "slow"],
}

const ASSIGNED: &str = "partition assigned";
const PER_SECOND: u32 = 40;

fn a_host_killed_at_any_moment_loses_nothing(trial: &Trial) {
    let site = &trial.site;
    let mut host = site.host_called("host-0");
    let feed = Feed::start(site, PER_SECOND, four_cameras(CAMERAS, the_man));
    for time in trial.times(5, 50) {
        // Most are killed at work, some while they start or wait for the partitions of the previous one.
        if !trial.dice.one_in(4) {
            host.wait_for_word(ASSIGNED);
        }
        trial.dice.sleep(0, 2500);
        host.kill();
        host = site.start_everyframe(&format!("host-{time}"), &["run"]);
    }
    trial.account(feed.stop());
}

fn hosts_that_come_and_go_lose_and_repeat_nothing(trial: &Trial) {
    let site = &trial.site;
    let first = site.host_called("host-first");
    let second = site.host_called("host-second");
    let feed = Feed::start(site, PER_SECOND, four_cameras(CAMERAS, the_man));
    for time in trial.times(3, 20) {
        let third = site.host_called(&format!("host-{time}"));
        trial.dice.sleep(500, 2000);
        if trial.dice.one_in(3) {
            third.kill();
        } else {
            let ended = third.terminate();
            assert_eq!(ended.code, Some(0), "{}", ended.err);
        }
        trial.dice.sleep(500, 2000);
    }
    assert!(first.count_in_log("partitions revoked") >= 1, "{}", first.err());
    trial.account(feed.stop());
    for host in [first, second] {
        let ended = host.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }
}

/// Waits for new results.
fn wait_for_more_results(trial: &Trial, more: usize) {
    let before = trial.site.count(Topic::Results);
    wait_for("more results", || (trial.site.count(Topic::Results) >= before + more).then_some(()));
}

fn a_resumed_host_writes_nothing_for_lost_partitions(trial: &Trial) {
    let site = &trial.site;
    let mut sleeper = site.host_called("host-0");
    let mut other: Part = site.host_called("host-other-0");
    let feed = Feed::start(site, PER_SECOND, four_cameras(CAMERAS, the_man));
    for time in trial.times(1, 10) {
        wait_for_more_results(trial, 20);
        trial.dice.sleep(0, 1000);
        let (had, others) = (sleeper.count_in_log(ASSIGNED), other.count_in_log(ASSIGNED));
        sleeper.signal("STOP");
        other.wait_for_words(ASSIGNED, others + 1);
        trial.dice.sleep(500, 2000);
        sleeper.signal("CONT");
        // It gets partitions again, and continues when it is alone.
        sleeper.wait_for_words(ASSIGNED, had + 1);
        other.kill();
        sleeper.wait_for_words(ASSIGNED, had + PARTITIONS as usize);
        wait_for_more_results(trial, 20);
        other = site.host_called(&format!("host-other-{time}"));
    }
    trial.account(feed.stop());
    assert!(sleeper.is_running(), "{}", sleeper.err());
}
