//! Tests of [`PartitionQueue`].

use super::*;
use crate::sample::test_alert;
use everyframe_config::Config;
use everyframe_types::raised_alert::RaisedAlert;

fn queue(lines: &str) -> PartitionQueue {
    let config: Config =
        toml::from_str(&format!("[[channels]]\nname = \"a\"\nstdout = {{}}\n{lines}\n")).unwrap();
    PartitionQueue::new("a", 3, Arc::new(PaceSettings::new(&config.channels[0], &config)))
}

fn record(offset: i64, camera: &str) -> AlertRecord {
    let Alert { raised, json } = test_alert("a", 0);
    let id = format!("alert-{offset}");
    let raised = RaisedAlert { id, camera: camera.into(), dedup_key: camera.into(), ..raised };
    AlertRecord {
        partition: 3,
        offset,
        recorded_at: 1000 * offset,
        alert: Some(Arc::new(Alert { raised, json })),
    }
}

fn admit(queue: &mut PartitionQueue, records: &[(i64, &str)]) {
    records.iter().for_each(|(offset, camera)| {
        queue.admit(&record(*offset, camera), true);
    });
}

fn take(queue: &mut PartitionQueue, now: i64) -> Option<String> {
    queue.take(now).map(|due| due.message.id)
}

const LATE: i64 = 1_000_000_000;

#[test]
fn a_camera_sends_one_message_after_the_other() {
    let mut queue = queue("");
    admit(&mut queue, &[(1, "gate"), (2, "gate"), (3, "yard")]);
    assert_eq!(take(&mut queue, LATE).as_deref(), Some("alert-1"));
    assert_eq!(take(&mut queue, LATE).as_deref(), Some("alert-3"), "another camera does not wait");
    assert_eq!(take(&mut queue, LATE), None);
    queue.finish("gate");
    assert_eq!(take(&mut queue, LATE).as_deref(), Some("alert-2"));
}

#[test]
fn what_is_not_done_is_not_committed() {
    let mut queue = queue("");
    assert_eq!(queue.committable(), None);
    admit(&mut queue, &[(1, "gate"), (2, "yard")]);
    queue.take(LATE);
    queue.take(LATE);
    queue.finish("yard");
    assert_eq!(queue.committable(), Some(1), "the gate's is not delivered");
    assert!(queue.bytes() > 0);
    queue.finish("gate");
    assert_eq!((queue.committable(), queue.bytes()), (Some(3), 0));
}

#[test]
fn alerts_that_are_not_wanted_are_committed() {
    let mut queue = queue("");
    assert!(!queue.admit(&record(7, "gate"), false));
    let other = AlertRecord { alert: None, ..record(8, "gate") };
    assert!(!queue.admit(&other, true));
    assert_eq!((queue.committable(), queue.next_due()), (Some(9), None));
}

#[test]
fn a_failed_message_waits_and_holds_up_only_its_camera() {
    let mut queue = queue("");
    admit(&mut queue, &[(1, "gate"), (2, "gate"), (3, "yard")]);
    queue.take(LATE);
    queue.retry("gate", LATE, LATE + 500);
    assert_eq!(take(&mut queue, LATE).as_deref(), Some("alert-3"));
    queue.finish("yard");
    assert_eq!((take(&mut queue, LATE), queue.next_due()), (None, Some(LATE + 500)));
    let again = queue.take(LATE + 500).unwrap();
    assert_eq!((again.failures, again.first_tried_at), (1, Some(LATE)));
    assert_eq!(queue.committable(), Some(1));
}

#[test]
fn a_digest_holds_the_alerts_of_its_time() {
    let mut queue = queue("digest_s = 60");
    admit(&mut queue, &[(1, "gate"), (2, "yard"), (30, "gate")]);
    assert_eq!((take(&mut queue, 60_999), queue.next_due()), (None, Some(61_000)));
    let due = queue.take(61_000).unwrap();
    assert_eq!((due.message.id.as_str(), due.message.alerts.len()), ("digest/a/3/1-30", 3));
    admit(&mut queue, &[(70, "gate")]);
    assert_eq!(queue.committable(), Some(1), "until it is delivered");
    queue.finish(&due.camera);
    assert_eq!((queue.committable(), queue.next_due()), (Some(70), Some(130_000)));
}

#[test]
fn a_digest_of_one_alert_is_that_alert() {
    let mut queue = queue("digest_s = 60");
    admit(&mut queue, &[(1, "gate")]);
    assert_eq!(take(&mut queue, LATE).as_deref(), Some("alert-1"));
}

#[test]
fn a_digest_that_is_read_again_has_the_same_id() {
    let digest = || {
        let mut queue = queue("digest_s = 60");
        admit(&mut queue, &[(1, "gate"), (2, "yard"), (3, "gate")]);
        queue.take(LATE).unwrap().message
    };
    assert_eq!(digest(), digest());
}

#[test]
fn a_digest_has_a_limit_of_alerts() {
    let mut queue = queue("digest_s = 3600");
    for offset in 0..=MAX_DIGEST as i64 {
        queue.admit(&record(offset, "gate"), true);
    }
    let mut sizes = Vec::new();
    while let Some(due) = queue.take(10 * LATE) {
        sizes.push(due.message.alerts.len());
        queue.finish(&due.camera);
    }
    assert_eq!(sizes, [MAX_DIGEST, 1]);
}

#[test]
fn an_alert_of_the_same_visit_is_left_out() {
    let mut queue = queue("visit_gap_s = 60");
    admit(&mut queue, &[(1, "gate"), (2, "gate")]);
    assert_eq!(take(&mut queue, LATE).as_deref(), Some("alert-1"));
    queue.finish("gate");
    assert_eq!((take(&mut queue, LATE), queue.committable()), (None, Some(3)));
}
