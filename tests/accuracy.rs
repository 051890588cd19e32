//! `everyframe accuracy` on pictures of people whose names are known.

use everyframe_tests::{Site, pictures, places};
use serde_json::Value;

/// The row for a height of the face and a kind of pictures.
fn row<'a>(report: &'a Value, height: u64, kind: &str) -> &'a Value {
    let rows = report["rows"].as_array().expect("rows");
    let found = rows.iter().find(|row| row["face_height"] == height && row["kind"] == kind);
    found.unwrap_or_else(|| panic!("no row {height} {kind}: {report}"))
}

#[test]
fn three_people_are_told_apart_at_every_size() {
    let site = Site::start(1);
    let man = pictures::man();
    let woman = pictures::clip("WolfgangLanger_Pexels.mp4");
    for n in 0..6 {
        site.file(&format!("people/viktor/{n}.jpg"), &man[n * 10]);
        site.file(&format!("people/wilma/{n}.png"), &pictures::reencoded(&woman[n * 70], ".png"));
    }
    let still = std::fs::read(places::cached("stills").join("impostor_1.jpg")).expect("a still");
    site.file("people/other/1.jpg", &still);
    site.file("people/other/2.jpg", b"no picture");
    site.file("people/other/3.jpg", &pictures::grey(320, 240));

    let said = site.everyframe(&["accuracy", "people", "--track", "3", "--json"]).expect_success();
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&report["people"], &report["pictures"]), (&3.into(), &13.into()), "{report}");
    let left_out = report["left_out"].as_array().expect("a list");
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert!(left_out[0].as_str().is_some_and(|it| it.contains("other/2.jpg: not a ")), "{left_out:?}");
    assert!(left_out[1].as_str().is_some_and(|it| it.ends_with("3.jpg: no face found")), "{left_out:?}");
    for height in [112, 56, 28] {
        let single = row(&report, height, "single");
        assert_eq!((&single["eer"], &single["rank_1"]), (&0.0.into(), &100.0.into()), "{single}");
        // There are fewer than 1,000 pairs of two people.
        assert!(single["tar_at_far_1e3"].is_null(), "{single}");
    }
    // Six pictures of each of two people: 2 × 15 pairs; the rest of the 78 pairs are of two people.
    let single = row(&report, 112, "single");
    let counts = ["probes", "same_pairs", "different_pairs"].map(|count| single[count].as_u64());
    assert_eq!(counts, [Some(13), Some(30), Some(48)]);
    // Two tracks of three pictures of each, compared with the ten other pictures: three of the same person.
    let fused = row(&report, 112, "fused");
    let counts = ["probes", "same_pairs", "different_pairs"].map(|count| fused[count].as_u64());
    assert_eq!(counts, [Some(4), Some(12), Some(28)]);
    assert_eq!((&fused["eer"], &fused["rank_1"]), (&0.0.into(), &100.0.into()), "{fused}");
}

#[test]
fn a_folder_without_two_people_is_refused() {
    let site = Site::start(1);
    let man = pictures::man();
    site.file("people/viktor/1.jpg", &man[0]);
    site.file("people/viktor/2.jpg", &man[30]);
    for (folder, message) in [
        ("people", "people: pictures with a face of 1 people; at least two people are needed"),
        ("absent", "absent: No such file or directory"),
    ] {
        let ended = site.everyframe(&["accuracy", folder]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{folder}");
        assert!(ended.err.contains(message), "{folder}: {}", ended.err);
    }
}
