//! `everyframe camera`: whatever the source, every picture gets in, and can be told from every other.

use everyframe_tests::{Part, Record, Site, Topic, pictures, places, wait_for};
use std::collections::BTreeSet;
use std::process::Command;

/// The numbers, times and sessions of a camera's frames, in order.
fn stamps(records: &[Record]) -> (Vec<u64>, Vec<i64>, BTreeSet<String>) {
    let number = |record: &Record, name: &str| record.header(name).parse::<i64>().expect("a number");
    (
        records.iter().map(|record| number(record, "everyframe-sequence").unsigned_abs()).collect(),
        records.iter().map(|record| number(record, "everyframe-captured-at")).collect(),
        records.iter().map(|record| record.header("everyframe-session").to_owned()).collect(),
    )
}

fn assert_stamped(records: &[Record], camera: &str, step_ms: i64) {
    let (sequences, times, sessions) = stamps(records);
    assert!(sequences.into_iter().eq(0..records.len() as u64), "numbered without a hole");
    assert_eq!(sessions.len(), 1, "one run is one session");
    assert!(times[0] > 1_700_000_000_000, "the clip begins now: {}", times[0]);
    for pair in times.windows(2) {
        assert!((pair[1] - pair[0] - step_ms).abs() <= 1, "a frame is {step_ms} ms after the last: {pair:?}");
    }
    for record in records {
        assert_eq!(record.key.as_deref(), Some(camera));
        assert!(record.value.as_ref().is_some_and(|value| value.starts_with(&[0xff, 0xd8, 0xff])), "a JPEG");
    }
}

fn clip(name: &str) -> String {
    places::cached("footage").join(name).display().to_string()
}

#[test]
fn a_video_file_is_sent_frame_by_frame_and_each_run_is_a_session() {
    let site = Site::start(2);
    let camera = || site.everyframe(&["camera", "--id", "gate", &clip("single_face.mp4")]).well();
    assert_eq!(camera(), "gate: 72 frames read · 72 acknowledged\n");
    let first = site.wait_for_records(Topic::Frames, 72);
    assert_eq!(
        first.iter().map(|record| record.partition).collect::<BTreeSet<_>>().len(),
        1,
        "one camera, one lane"
    );
    assert_stamped(&first, "gate", 33);

    camera();
    let both = site.wait_for_records(Topic::Frames, 144);
    assert_stamped(&both[72..], "gate", 33);
    assert_ne!(stamps(&both[..72]).2, stamps(&both[72..]).2);
    let (_, audit) = site.audit();
    assert_eq!((&audit["total"]["waiting"], &audit["total"]["gaps"]), (&144.into(), &0.into()), "{audit}");
}

#[test]
fn a_folder_of_pictures_is_sent_in_order_of_name() {
    let site = Site::start(1);
    let man = pictures::man();
    let second = site.file("pictures/b.png", &pictures::reencoded(&man[1], ".png"));
    site.file("pictures/a.jpg", &man[0]);
    site.file("pictures/C.JPEG", &man[2]);
    site.file("pictures/notes.txt", b"not sent");
    let folder = second.parent().expect("it lies in a folder").display().to_string();
    let said = site.everyframe(&["camera", "--id", "folder", "--rate", "20", &folder]).well();
    assert_eq!(said, "folder: 3 frames read · 3 acknowledged\n");
    let records = site.wait_for_records(Topic::Frames, 3);
    assert_stamped(&records, "folder", 50);
    assert!(records[0].value.as_ref() == Some(&man[2]), "a JPEG goes as it is");
    assert!(records[1].value.as_ref() == Some(&man[0]), "a JPEG goes as it is");
}

/// A web server with the footage, and its address.
fn server(site: &Site) -> (Part, String) {
    let mut server = Part::start(
        "server",
        site.folder(),
        Command::new(places::cached("python/bin/python"))
            .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(places::cached("footage"))
            .arg("0"),
    );
    let port = wait_for("the server's port", || {
        assert!(server.is_running(), "{}", server.err());
        let out = server.out();
        let (_, rest) = out.split_once(" port ")?;
        rest.split_once(' ').map(|(port, _)| port.to_owned())
    });
    (server, format!("http://127.0.0.1:{port}"))
}

#[test]
fn an_http_address_is_a_source() {
    let site = Site::start(1);
    let (_server, address) = server(&site);
    let clip = format!("{address}/WolfgangLanger_Pexels.mp4");
    let said = site.everyframe(&["camera", "--id", "stream", &clip]).well();
    assert_eq!(said, "stream: 472 frames read · 472 acknowledged\n");
    assert_stamped(&site.wait_for_records(Topic::Frames, 472), "stream", 42);
}

#[test]
fn a_source_that_gives_no_picture_is_no_success() {
    let site = Site::start(1);
    let (_server, address) = server(&site);
    // Its index is at the end, which this server cannot send first.
    let clip = format!("{address}/single_face.mp4");
    let ended = site.everyframe(&["camera", "--id", "stream", &clip]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    let expected = format!(
        "everyframe: {clip}: opens, but not one picture can be read from it; is it whole, and can its server send parts of it?"
    );
    assert_eq!(ended.err.lines().last(), Some(expected.as_str()));
}

#[test]
fn a_looped_clip_goes_on_in_one_session_until_it_is_asked_to_end() {
    let site = Site::start(1);
    let camera = site.start_everyframe(
        "camera",
        &["camera", "--id", "gate", "--loop", "--rate", "200", &clip("single_face.mp4")],
    );
    site.wait_for_records(Topic::Frames, 150);
    let ended = camera.terminate();
    let said = ended.out.clone();
    ended.well();
    let records = site.read(Topic::Frames);
    assert_stamped(&records, "gate", 5);
    let count = records.len();
    assert_eq!(said, format!("gate: {count} frames read · {count} acknowledged\n"));
}

#[test]
fn a_source_that_is_none_is_named() {
    let site = Site::start(1);
    let empty = site.file("empty/notes.txt", b"").parent().expect("a folder").display().to_string();
    let text = site.file("notes.mp4", b"no video").display().to_string();
    for (source, expected) in [
        (
            "absent.mp4",
            "absent.mp4: no such file, folder or device; give a video file, a folder of pictures, a device number, \
             or an rtsp:// or http:// address"
                .to_owned(),
        ),
        (&empty, format!("{empty}: no .jpg, .jpeg, .png or .webp in this folder")),
        (&text, format!("{text}: cannot be opened as video; is it one, and is it reachable?")),
        (
            "http://127.0.0.1:1/clip.mp4",
            "http://127.0.0.1:1/clip.mp4: cannot be opened as video; is it one, and is it reachable?".to_owned(),
        ),
    ] {
        let ended = site.everyframe(&["camera", "--id", "gate", source]);
        assert_eq!(ended.code, Some(1), "{source}: {}", ended.err);
        assert_eq!(ended.err.lines().last(), Some(format!("everyframe: {expected}").as_str()));
    }
}

#[test]
fn a_picture_that_is_none_ends_the_folder_and_is_named() {
    let site = Site::start(1);
    let bad = site.file("pictures/b.png", b"no picture");
    site.file("pictures/a.jpg", &pictures::man()[0]);
    let folder = bad.parent().expect("a folder").display().to_string();
    let ended = site.everyframe(&["camera", "--id", "gate", &folder]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains(&format!("{}: not a picture", bad.display())), "{}", ended.err);
}
