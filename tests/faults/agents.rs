//! Agents keep their frames while brokers are away, and after a crash.

use super::trial::Trial;
use everyframe_tests::cluster::NODES;
use everyframe_tests::{Part, Topic, places};

super::on_both! {
    an_agent_killed_in_mid_stream_leaves_no_gap: "agent killed" [] [],
}

const AWAY: &str = "broker away: frames go to the spool (";
const BACK: &str = "frames of the spool caught up";

/// Starts an agent that sends `rate` frames a second without end.
fn camera(trial: &Trial, log: &str, rate: &str) -> Part {
    let clip = places::cached("footage/single_face.mp4").display().to_string();
    let words = ["camera", "--id", "gate", "--loop", "--rate", rate, &clip];
    trial.site.start_everyframe(log, &words)
}

/// Ends the agent by SIGTERM, sends what it may have left in its spool, and returns the number of frames that both runs read.
fn end(trial: &Trial, camera: Part) -> usize {
    let said = camera.terminate().out;
    let read: usize = said.split(' ').nth(1).and_then(|count| count.parse().ok()).expect("a closing line");
    let clip = places::clip("single_face.mp4");
    let said = trial.site.everyframe(&["camera", "--id", "gate", &clip]).expect_success();
    assert_eq!(said, "gate: 72 frames read · 72 acknowledged\n");
    read + 72
}

fn an_agent_killed_in_mid_stream_leaves_no_gap(trial: &Trial) {
    let site = &trial.site;
    let _host = site.host();
    let mut agent = camera(trial, "camera-0", "40");
    for time in trial.times(3, 30) {
        let before = site.count(Topic::Frames);
        site.wait_for_records(Topic::Frames, before + 20);
        trial.dice.sleep(0, 1000);
        agent.kill();
        agent = camera(trial, &format!("camera-{time}"), "40");
    }
    let before = site.count(Topic::Frames);
    site.wait_for_records(Topic::Frames, before + 20);
    end(trial, agent);
    trial.account(site.count(Topic::Frames));
}

fn broker_away(trial: &Trial, stop: impl Fn(), start: impl Fn()) {
    let site = &trial.site;
    let mut host = site.host();
    let mut camera = camera(trial, "camera", "20");
    for time in trial.times(1, 3) {
        let before = site.count(Topic::Results);
        site.wait_for_records(Topic::Results, before + 20);
        stop();
        std::thread::sleep(trial.seconds(10, 60));
        camera.wait_for_words(AWAY, time);
        start();
        camera.wait_for_words(BACK, time);
    }
    let before = site.count(Topic::Frames);
    site.wait_for_records(Topic::Frames, before + 20);
    let read = end(trial, camera);
    trial.account(read);
    assert!(host.is_running(), "{}", host.err());
}

#[test]
fn frames_wait_in_the_spool_while_the_cluster_is_away() {
    let Some(trial) = Trial::of_the_cluster("whole cluster away") else { return };
    let cluster = trial.cluster();
    // All nodes at once, as in a power cut; `mend` restarts them.
    broker_away(&trial, || NODES.iter().for_each(|node| cluster.kill(*node)), || cluster.mend());
}

#[test]
fn frames_wait_in_the_spool_while_the_broker_is_away() {
    let Some(trial) = Trial::with_a_broker("broker away") else { return };
    broker_away(&trial, || trial.site.stop_broker(), || trial.site.start_broker());
}
