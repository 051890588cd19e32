//! The real lanes, restore and batch sender on an in-memory broker and a manual clock.

use super::in_memory_broker::{Call, Fault, Faults, InMemoryBroker};
use super::simulated_host::{Options, SimulatedHost, frame, next_state};
use crate::publish::NextStep;
use everyframe_kafka::Downstream;
use everyframe_telemetry::clock::Clock;
use everyframe_types::dead_letter::{DELETED, REASON};
use std::sync::atomic::Ordering;
use std::time::Duration;

const RESULTS: &str = "everyframe.results";
const STATE: &str = "everyframe.state";
const DEAD_LETTERS: &str = "everyframe.dead-letters";

fn broker(frames: i64, faults: &[(Call, Fault)]) -> InMemoryBroker {
    InMemoryBroker::new(1, frames, Faults::Scripted(faults.iter().copied().collect()))
}

/// A host that has partition 0, with its rule state restored.
fn host_with(options: &Options, broker: &InMemoryBroker) -> SimulatedHost {
    let mut host = SimulatedHost::start(1, 1, options, broker);
    host.assign(0);
    host.background.attempt(0);
    host
}

fn host(broker: &InMemoryBroker) -> SimulatedHost {
    host_with(&Options::new(100, true), broker)
}

/// Lets the workers finish all frames, in the order that `pick` gives.
fn work(host: &mut SimulatedHost, pick: usize) {
    while host.work(pick) {}
}

/// Makes so many steps of the sender.
fn send_steps(host: &mut SimulatedHost, steps: usize) {
    (0..steps).for_each(|_| assert_eq!(host.sender.step(), NextStep::Now));
}

fn has_line(host: &SimulatedHost, line: &str) -> bool {
    host.context.metrics.text().lines().any(|other| other == line)
}

#[test]
fn frames_that_vision_finishes_in_any_order_keep_theirs() {
    for pick in 0..7 {
        let broker = broker(12, &[]);
        let mut host = host(&broker);
        (0..13).for_each(|_| host.fetch(0));
        work(&mut host, pick);
        host.send();
        host.run_until_idle();
        assert_eq!(host.results(0), (0..12).collect::<Vec<_>>());
        assert_eq!(broker.lock().committed, [12]);
    }
}

#[test]
fn a_full_lane_pauses_its_partition_until_half_empty() {
    let mut options = Options { window: 16, ..Options::new(2, true) };
    options.config.intake.lane_bytes = 20_000;
    let broker = broker(100, &[]);
    let mut host = host_with(&options, &broker);
    let mut is_paused = false;
    while host.fetch_unless_paused(0, &mut is_paused) {}
    let full = host.lanes.bytes(0);
    assert!((20_000..22_100).contains(&full), "{full}");
    assert!(host.lanes.states()[0].is_paused);
    work(&mut host, 0);
    assert_eq!(host.lanes.bytes(0), full, "nothing is acknowledged yet");
    host.send();
    assert!(host.fetch_unless_paused(0, &mut is_paused));
    assert!(!host.lanes.states()[0].is_paused);
}

#[test]
fn a_batch_commits_records_and_offsets_together() {
    let broker = broker(3, &[]);
    let mut host = host(&broker);
    (0..4).for_each(|_| host.fetch(0));
    work(&mut host, 0);
    // Take, begin, send, identify, check, send the offsets.
    send_steps(&mut host, 6);
    assert_eq!((host.results(0), broker.lock().committed.clone()), (vec![], vec![0]));
    send_steps(&mut host, 1);
    while broker.lock().deliver_marker(0) {}
    assert_eq!((host.results(0), broker.lock().committed.clone()), (vec![0, 1, 2], vec![3]));
    assert!(has_line(&host, "everyframe_batch_frames_sum 3.0"));
}

#[test]
fn a_refused_result_parks_its_frame_and_the_others_pass() {
    let broker = broker(3, &[(Call::SendResult, Fault::TooLarge); 3]);
    let mut host = host(&broker);
    host.run_until_idle();
    let letters = host.readable(DEAD_LETTERS, 0);
    let reasons: Vec<&str> = letters
        .iter()
        .flat_map(|letter| letter.headers.iter().filter(|(name, _)| name == REASON))
        .map(|(_, reason)| reason.as_str())
        .collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| *reason == "result-too-large"), "{reasons:?}");
    assert_eq!(host.results(0).len() + letters.len(), 3);
    assert_eq!(broker.lock().committed, [3]);
}

#[test]
fn frames_of_an_aborted_transaction_are_sent_again() {
    let broker =
        broker(4, &[(Call::SendResult, Fault::NotAcknowledged), (Call::SendOther, Fault::NotAcknowledged)]);
    let mut host = host(&broker);
    host.run_until_idle();
    assert_eq!(host.results(0), [0, 1, 2, 3]);
    assert_eq!(host.readable(STATE, 0).iter().filter(|record| record.value.is_some()).count(), 4);
    assert!(has_line(&host, "everyframe_batches_aborted_total 1"));
}

#[test]
fn a_commit_without_an_answer_gives_the_partition_up() {
    for (fault, committed) in [(Fault::AnswerLost, 2), (Fault::RequestLost, 0)] {
        let broker = broker(2, &[(Call::Commit, fault)]);
        let mut host = host(&broker);
        (0..3).for_each(|_| host.fetch(0));
        work(&mut host, 0);
        host.send();
        assert!(host.context.publisher.take_rejoin_request());
        while broker.lock().deliver_marker(0) {}
        assert_eq!(broker.lock().committed, [committed]);
        // Whoever reads on from the committed offset does the rest.
        host.lanes.close(&[0]);
        let mut next = SimulatedHost::start(2, 2, &Options::new(100, true), &broker);
        next.assign(0);
        next.run_until_idle();
        assert_eq!(next.results(0), [0, 1]);
    }
}

#[test]
fn rule_state_is_restored_up_to_the_committed_offset() {
    let broker = broker(3, &[]);
    let mut first = host(&broker);
    first.run_until_idle();
    // A change by a frame that is not committed: its frame comes again.
    let mut beyond = first.readable(STATE, 0).pop().unwrap();
    beyond.key = "chain/camera-0/77".into();
    beyond.headers[0].1 = "3".into();
    broker.lock().append(beyond);
    broker.lock().frames[0].1 = 5;
    let mut second = SimulatedHost::start(2, 2, &Options::new(100, true), &broker);
    second.assign(0);
    (0..3).for_each(|_| second.fetch(0));
    work(&mut second, 0);
    assert!(!second.send(), "no frame is judged before the rule state is restored");
    second.run_until_idle();
    let expected = (0..5).fold(0, next_state);
    let last = second.readable(STATE, 0).pop().unwrap();
    assert_eq!(last.key, format!("chain/camera-0/{expected}"));
    assert_eq!(second.results(0), [0, 1, 2, 3, 4]);
}

#[test]
fn rule_state_waits_for_an_open_transaction() {
    let broker = broker(2, &[]);
    let mut first = host(&broker);
    (0..3).for_each(|_| first.fetch(0));
    work(&mut first, 0);
    send_steps(&mut first, 3);
    let mut second = SimulatedHost::start(2, 2, &Options::new(100, true), &broker);
    second.assign(0);
    assert_eq!(second.background.attempt(0), Some(Duration::from_secs(1)));
    broker.lock().time_out(0);
    while broker.lock().deliver_marker(0) {}
    assert_eq!(second.background.attempt(0), None);
    second.run_until_idle();
    assert_eq!(second.results(0), [0, 1]);
}

#[test]
fn an_assignment_lost_in_mid_batch_publishes_nothing() {
    // After so many steps of the sender: taken, begun, sent, identified.
    for steps in 1..=4 {
        let broker = broker(2, &[]);
        let mut host = host(&broker);
        (0..3).for_each(|_| host.fetch(0));
        work(&mut host, 0);
        send_steps(&mut host, steps);
        host.lanes.abandon(&[0]);
        host.send();
        while broker.lock().deliver_marker(0) {}
        assert_eq!((host.results(0), broker.lock().committed.clone()), (vec![], vec![0]), "{steps}");
    }
}

#[test]
fn offsets_of_an_earlier_generation_are_refused() {
    let broker = broker(2, &[]);
    let mut host = host(&broker);
    (0..3).for_each(|_| host.fetch(0));
    work(&mut host, 0);
    send_steps(&mut host, 5);
    // The group went on without this host.
    broker.lock().evict(1);
    send_steps(&mut host, 1);
    assert!(matches!(host.sender.step(), NextStep::After(_)), "aborted");
    while broker.lock().deliver_marker(0) {}
    assert_eq!((host.results(0), broker.lock().committed.clone()), (vec![], vec![0]));
}

#[test]
fn without_transactions_an_offset_waits_for_all_records() {
    let broker = broker(2, &[(Call::SendOther, Fault::NotAcknowledged)]);
    let mut host = host_with(&Options::new(100, false), &broker);
    (0..3).for_each(|_| host.fetch(0));
    work(&mut host, 0);
    send_steps(&mut host, 1);
    assert!(matches!(host.sender.step(), NextStep::After(_)), "one record failed");
    assert_eq!((host.lanes.committable(), host.results(0)), (vec![], vec![0, 1]));
    host.send();
    assert_eq!(host.lanes.committable(), [(0, 2)]);
    assert_eq!(host.results(0), [0, 1], "acknowledged records are not sent again");
}

#[test]
fn a_batch_waits_for_its_interval_unless_it_is_full() {
    let mut options = Options::new(2, true);
    options.config.publish.interval_ms = 500;
    let broker = broker(3, &[]);
    let mut host = host_with(&options, &broker);
    (0..2).for_each(|_| host.fetch(0));
    work(&mut host, 0);
    assert!(!host.send());
    host.clock.advance(Duration::from_millis(499));
    assert!(!host.send());
    host.clock.advance(Duration::from_millis(1));
    assert!(host.send());
    (0..2).for_each(|_| host.fetch(0));
    work(&mut host, 0);
    assert!(host.send(), "two frames are a full batch");
    while broker.lock().deliver_marker(0) {}
    assert_eq!(host.results(0), [0, 1, 2]);
}

#[test]
fn closing_waits_for_begun_frames_until_the_timeout() {
    let broker = broker(2, &[]);
    let mut host = host(&broker);
    (0..3).for_each(|_| host.fetch(0));
    let began = host.clock.now();
    assert_eq!(host.lanes.close(&[0]), []);
    let waited = host.clock.elapsed_since(began);
    assert!(waited >= Duration::from_secs(20) && waited < Duration::from_secs(21), "{waited:?}");
    work(&mut host, 0);
    host.send();
    assert_eq!(host.results(0), [0; 0]);

    let began = host.clock.now();
    host.lanes.open(&[0]);
    host.background.attempt(0);
    assert_eq!(host.lanes.close(&[0]), []);
    assert_eq!(host.clock.elapsed_since(began), Duration::ZERO, "nothing was begun");
}

#[test]
fn frames_wait_for_a_failing_rule_and_pass_when_it_answers() {
    let broker = broker(3, &[]);
    let mut host = host(&broker);
    host.judge.is_failing.store(true, Ordering::Relaxed);
    (0..4).for_each(|_| host.fetch(0));
    work(&mut host, 0);
    assert!(!host.send());
    assert!(host.background.attempt(0).is_some(), "the pause is not over");
    host.clock.advance(Duration::from_secs(1));
    host.background.attempt(0);
    assert!(!host.send(), "the rule failed again");
    host.judge.is_failing.store(false, Ordering::Relaxed);
    host.clock.advance(Duration::from_secs(2));
    host.run_until_idle();
    assert_eq!(host.results(0), [0, 1, 2]);
}

#[test]
fn frames_deleted_unread_are_recorded() {
    let broker = broker(9, &[]);
    broker.lock().frames[0].0 = 4;
    broker.lock().committed[0] = 1;
    let mut host = host(&broker);
    host.run_until_idle();
    // The second gap, between two records.
    broker.lock().frames[0] = (12, 13);
    host.lanes.admit(frame(0, 12));
    host.run_until_idle();
    let letters = host.readable(DEAD_LETTERS, 0);
    let deleted: Vec<&str> = letters
        .iter()
        .flat_map(|letter| letter.headers.iter().filter(|(name, _)| name == DELETED))
        .map(|(_, range)| range.as_str())
        .collect();
    assert_eq!(deleted, ["1-3", "9-11"]);
    assert_eq!(host.results(0), [4, 5, 6, 7, 8, 12]);
    assert!(has_line(&host, "everyframe_frames_deleted_unread_total 6"));
    assert!(host.readable(RESULTS, 0).iter().all(|result| result.value.is_some()));
}
