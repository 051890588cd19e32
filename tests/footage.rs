//! The footage, with known answers for each frame, through the whole of Everyframe.

use everyframe_tests::{Record, Site, Topic, pictures, places};
use serde_json::Value;
use std::collections::BTreeSet;

/// Camera, clip, frames in it, frames with a face (counted by eye and by three detectors).
const CLIPS: [(&str, &str, usize, usize); 5] = [
    ("office", "single_face.mp4", 72, 72),
    ("lobby", "WolfgangLanger_Pexels.mp4", 472, 472),
    ("gate-1", "face_noface.mov", 169, 72),
    ("gate-2", "noface_face.mov", 169, 72),
    ("yard", "no_face.mp4", 95, 0),
];
/// The cameras that see the man. He is enrolled from the clip of the first.
const MANS: [&str; 3] = ["office", "gate-1", "gate-2"];

fn of<'a>(results: &'a [Value], camera: &'a str) -> impl Iterator<Item = &'a Value> {
    results.iter().map(|result| &result["data"]).filter(move |data| data["camera"] == camera)
}

fn faces(data: &Value) -> &[Value] {
    data["faces"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn every_frame_of_the_footage_gets_the_right_answer() {
    let site = Site::start(4);
    let man = pictures::man();
    site.enrol("viktor", &man.iter().step_by(12).collect::<Vec<_>>());
    let host = site.host();
    for (camera, clip, frames, _) in CLIPS {
        let path = places::cached("footage").join(clip);
        let said = site.everyframe(&["camera", "--id", camera, &path.to_string_lossy()]).expect_success();
        assert_eq!(said, format!("{camera}: {frames} frames read · {frames} acknowledged\n"));
    }
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    let total = &audit["total"];
    for (count, expected) in
        [("sent", 977), ("results", 977), ("dead_letters", 0), ("missing", 0), ("repeated", 0), ("gaps", 0)]
    {
        assert_eq!(total[count], expected, "{count} in {audit}");
    }

    let records = site.wait_for_records(Topic::Results, 977);
    let results: Vec<Value> = records.iter().map(Record::json).collect();
    let ids: BTreeSet<_> = results.iter().map(|result| result["id"].to_string()).collect();
    assert_eq!((records.len(), ids.len()), (977, 977), "one result for each frame");
    for (camera, _, frames, with_face) in CLIPS {
        let sequences: Vec<_> = of(&results, camera).map(|data| data["sequence"].as_u64()).collect();
        assert!(sequences.into_iter().eq((0..frames as u64).map(Some)), "{camera}: every frame, in order");
        assert_eq!(
            of(&results, camera).filter(|data| !faces(data).is_empty()).count(),
            with_face,
            "{camera}"
        );
    }

    for camera in MANS {
        for data in of(&results, camera).filter(|data| !faces(data).is_empty()) {
            let known =
                faces(data).iter().any(|face| face["decision"] == "known" && face["person"] == "viktor");
            assert!(known, "{camera}, frame {}: {:?}", data["sequence"], faces(data));
        }
    }
    let strangers: Vec<&Value> = of(&results, "lobby").flat_map(faces).collect();
    assert!(strangers.iter().all(|face| face["decision"] != "known"), "the woman is nobody of the gallery");
    let ids: BTreeSet<_> = strangers.iter().filter_map(|face| face["stranger"]["id"].as_str()).collect();
    assert_eq!(ids.len(), 1, "the woman is one stranger: {ids:?}");
    for camera in MANS {
        let strangers =
            of(&results, camera).flat_map(faces).filter(|face| face["stranger"]["id"].is_string());
        assert_eq!(strangers.count(), 0, "{camera}: the man is no stranger");
    }

    let alerts: Vec<Value> = site.read(Topic::Alerts).iter().map(Record::json).collect();
    let about = |camera: &str, kind: &str, subject: &str| {
        let alerts = alerts.iter().map(|alert| &alert["data"]);
        alerts
            .filter(|data| data["camera"] == camera && data["kind"] == kind && data["subject"] == subject)
            .count()
    };
    for camera in MANS {
        assert_eq!(about(camera, "known-person", "viktor"), 1, "{camera}: once in the cool-down");
    }
    let stranger = ids.first().expect("one stranger");
    assert_eq!(about("lobby", "first-seen", stranger), 1, "{alerts:?}");
    assert_eq!(host.terminate().code, Some(0));
}
