//! No frame is lost when a process dies, and `audit` confirms it; with transactions and without.

use everyframe_tests::{Frame, Part, Record, Site, Topic, pictures, shipped_rules, wait_for};
use std::collections::{BTreeMap, BTreeSet};

/// Defines each test twice, with transactions and without, on a site with this number of partitions.
macro_rules! both_ways {
    ($($test:ident: $partitions:literal,)*) => {
        mod at_least_once {
            $(#[test]
            fn $test() {
                super::$test(super::Site::at_least_once($partitions));
            })*
        }

        mod exactly_once {
            $(#[test]
            fn $test() {
                super::$test(super::Site::start($partitions));
            })*
        }
    };
}

both_ways! {
    a_killed_host_redelivers_its_unfinished_frames: 4,
    a_restart_after_a_clean_end_repeats_nothing: 4,
    hosts_of_one_group_share_and_take_over_partitions: 4,
    frames_of_a_small_lane_come_out_in_order: 1,
    a_frame_that_the_group_skipped_is_missing: 1,
}

/// Frames of four cameras, each on its own partition, `rounds` × 72 frames each.
fn four_cameras(rounds: usize) -> Vec<Frame> {
    let man = pictures::man();
    let pictures: Vec<&Vec<u8>> = (0..rounds).flat_map(|_| &man).collect();
    let camera = |number: i32| {
        let frames = Frame::stream(&format!("camera-{number}"), pictures.iter().copied());
        frames.into_iter().map(move |frame| frame.to(number))
    };
    let cameras: Vec<Vec<Frame>> = (0..4).map(|number| camera(number).collect()).collect();
    // The cameras take turns.
    (0..pictures.len()).flat_map(|at| cameras.iter().map(move |camera| camera[at].clone())).collect()
}

fn distinct_ids(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|record| record.json()["id"].to_string()).collect()
}

fn commit_every(milliseconds: u32) -> String {
    format!("[intake]\ncommit_interval_ms = {milliseconds}\n")
}

fn a_killed_host_redelivers_its_unfinished_frames(site: Site) {
    // Batches are so rare that nothing is committed when the host is killed.
    site.configure(&commit_every(60_000), &shipped_rules(""));
    let host = site.host();
    let frames = four_cameras(2);
    site.send(&frames);
    site.wait_for_records(Topic::Results, 20);
    host.kill();
    let before = site.read(Topic::Results);
    assert!(before.len() < frames.len(), "it was killed in mid-stream");

    let _host = site.host_called("host-restarted");
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    assert_eq!((&audit["total"]["sent"], &audit["total"]["results"]), (&576.into(), &576.into()), "{audit}");
    assert_eq!(audit["total"]["missing"], 0, "{audit}");
    let after = site.read(Topic::Results);
    assert_eq!(distinct_ids(&after).len(), frames.len(), "a repeat has the id of what it repeats");
    let repeated = after.len() - frames.len();
    if site.is_exactly_once() {
        assert_eq!(repeated, 0, "{audit}");
    } else {
        assert!(repeated >= before.len(), "{repeated} frames were done again, {} had to", before.len());
    }
    assert_eq!(audit["total"]["repeated"], repeated, "{audit}");

    // Both results of a frame are the same, so it does not matter which one a reader keeps.
    let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in after {
        let event = record.json();
        let faces = event["data"]["faces"].as_array().expect("a list of faces").iter();
        let answer: Vec<String> =
            faces.map(|face| format!("{} {}", face["decision"], face["bounds"])).collect();
        let said = answers.entry(event["id"].to_string()).or_insert_with(|| answer.clone());
        assert_eq!(*said, answer, "{}", event["id"]);
    }
}

fn a_restart_after_a_clean_end_repeats_nothing(site: Site) {
    site.configure(&commit_every(60_000), &shipped_rules(""));
    let host = site.host();
    let frames = four_cameras(3);
    site.send(&frames);
    site.wait_for_records(Topic::Results, 20);
    let ended = host.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let done = site.read(Topic::Results).len();
    assert!(done < frames.len(), "it ended in mid-stream");
    let (code, audit) = site.audit();
    assert_eq!(code, Some(0), "what waits is not lost: {audit}");
    assert_eq!(
        (&audit["total"]["missing"], &audit["total"]["waiting"]),
        (&0.into(), &(frames.len() - done).into())
    );

    let _host = site.host_called("host-restarted");
    let (_, audit) = site.settled_audit();
    assert_eq!(audit["total"]["results"], frames.len(), "{audit}");
    assert_eq!(audit["total"]["repeated"], 0, "{audit}");
}

/// Commits early and sends late: a host that commits unacknowledged records would lose them when it is killed. It embeds every face of
/// every frame, so that it is killed in mid-stream.
const HASTY: &str = "[intake]\ncommit_interval_ms = 10\n\n[kafka.producer]\n\"linger.ms\" = \"300\"\n\n\
                     [vision.detector]\nfull_search_every = 1\n\n[vision.embedder]\nevery_face = true\n";

fn hosts_of_one_group_share_and_take_over_partitions(site: Site) {
    site.configure(HASTY, &shipped_rules(""));
    let first = site.host_called("host-1");
    let second = site.host_called("host-2");
    let share = |host: &Part| host.err().matches("partition assigned").count();
    // The first host had all four partitions, and gave up two of them.
    wait_for("the partitions to be shared", || (share(&second) == 2).then_some(()));
    let frames = four_cameras(3);
    site.send(&frames);
    site.wait_for_records(Topic::Results, 100);
    first.kill();
    let third = site.host_called("host-3");
    site.wait_for_records(Topic::Results, 500);
    second.kill();
    assert!(site.read(Topic::Results).len() < frames.len(), "they were killed in mid-stream");

    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    assert_eq!((&audit["total"]["results"], &audit["total"]["missing"]), (&864.into(), &0.into()), "{audit}");
    assert!(!site.is_exactly_once() || audit["total"]["repeated"] == 0, "{audit}");
    wait_for("the last host to be given all partitions", || (share(&third) >= 4).then_some(()));
    assert_eq!(distinct_ids(&site.read(Topic::Results)).len(), frames.len());
}

fn frames_of_a_small_lane_come_out_in_order(site: Site) {
    site.create_frames_topic();
    site.configure("[intake]\nlane_bytes = 1048576\nworkers = 3\n", &shipped_rules(""));
    let man = pictures::man();
    let nobody = pictures::grey(64, 64);
    // Slow frames, fast frames and broken frames of several cameras.
    let frames: Vec<Frame> = (0..360usize)
        .map(|number| match number % 5 {
            0 | 1 => Frame::new("slow", &man[number % man.len()]),
            2 => Frame::new("quick", &nobody),
            3 => Frame::new("broken", b"no picture"),
            _ => Frame::new("other", &man[(number + 7) % man.len()]),
        })
        .collect();
    let bytes: usize = frames.iter().filter_map(|frame| frame.picture.as_ref()).map(Vec::len).sum();
    assert!(bytes > 8 << 20, "{bytes} bytes are many lanes full");
    site.send(&frames);
    let _host = site.host();
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    let offsets = |topic| site.read(topic).iter().map(offset_of).collect::<Vec<i64>>();
    let is_broken = |offset: &i64| offset % 5 == 3;
    assert!(offsets(Topic::Results).into_iter().eq((0..360).filter(|offset| !is_broken(offset))));
    assert!(offsets(Topic::DeadLetters).into_iter().eq((0..360).filter(is_broken)));
}

/// The offset of the frame that a result or a dead letter is about.
fn offset_of(record: &Record) -> i64 {
    match record.header("everyframe-offset").parse() {
        Ok(offset) => offset,
        Err(_) => record.json()["data"]["position"]["offset"].as_i64().expect("a result has a position"),
    }
}

fn a_frame_that_the_group_skipped_is_missing(site: Site) {
    let host = site.host();
    let man = pictures::man();
    site.send(&Frame::stream("gate", &man[..10]));
    site.settled_audit();
    host.terminate().code.expect("it ended in good order");

    // Three more frames; then the group is moved past the first two of them.
    let mut later = Frame::stream("gate", &man[..13]).split_off(10);
    // Frame 12 of the agent's session never reached the topic.
    later[2].stamp.as_mut().expect("it is stamped").1 = 13;
    site.send(&later);
    site.commit(0, 12);
    let _host = site.host_called("host-restarted");
    let (code, audit) = wait_for("the last frame's result", || {
        let (code, audit) = site.audit();
        (audit["total"]["waiting"] == 0).then_some((code, audit))
    });
    assert_eq!(code, Some(1), "{audit}");
    assert_eq!((&audit["total"]["sent"], &audit["total"]["results"]), (&13.into(), &11.into()), "{audit}");
    assert_eq!((&audit["total"]["missing"], &audit["total"]["gaps"]), (&2.into(), &1.into()), "{audit}");
    assert_eq!(audit["missing"]["gate"], serde_json::json!(["0/10-11"]));

    let table = site.everyframe(&["audit"]);
    assert_eq!(table.code, Some(1));
    assert_eq!(
        table.out,
        "camera  sent  results  dead letters  missing  waiting  repeated  gaps  late  refused  away  damaged\n\
         gate      13       11             0        2        0         0     1     0        0     0        0\n\
         missing from gate (partition/offsets): 0/10-11\n\
         gaps of gate (session/numbers): session-1/12\n"
    );
}
