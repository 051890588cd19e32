//! The sources of `everyframe camera`: the agent sends every picture of each kind of source, with the right headers.

use everyframe_tests::places::clip;
use everyframe_tests::stamped::{assert_stamped, sources, stamps};
use everyframe_tests::{Part, Site, Topic, pictures, places, wait_for};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn each_run_of_a_video_file_is_one_session() {
    let site = Site::start(2);
    let camera = || site.everyframe(&["camera", "--id", "gate", &clip("single_face.mp4")]).expect_success();
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
fn a_folder_of_pictures_is_sent_unchanged_in_name_order() {
    let site = Site::start(1);
    let man = pictures::man();
    let pictures = [
        ("C.JPEG", man[0].clone()),
        ("a2.jpg", man[1].clone()),
        ("a10.png", pictures::reencoded(&man[2], ".png")),
        ("b.webp", pictures::reencoded(&man[3], ".webp")),
    ];
    for (name, picture) in &pictures {
        site.file(&format!("pictures/{name}"), picture);
    }
    site.file("pictures/notes.txt", b"not sent");
    let said = site.everyframe(&["camera", "--id", "folder", "--rate", "20", "pictures"]).expect_success();
    assert_eq!(said, "folder: 4 frames read · 4 acknowledged\n");
    let records = site.wait_for_records(Topic::Frames, 4);
    let (sequences, times, _) = stamps(&records);
    assert_eq!(sequences, [0, 1, 2, 3]);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 50), "by the rate: {times:?}");
    for (record, (name, picture)) in records.iter().zip(&pictures) {
        assert!(record.value.as_ref() == Some(picture), "{name}");
    }
    assert_eq!(sources(&records), BTreeSet::from(["pictures".to_owned()]));
}

#[test]
fn a_bad_file_of_a_folder_is_skipped_with_a_warning() {
    let site = Site::start(1);
    let man = pictures::man();
    site.file("pictures/1.jpg", &man[0]);
    site.file("pictures/2.jpg", b"");
    site.file("pictures/3.png", b"no picture");
    site.file("pictures/4.jpg", &man[1]);
    let ended = site.everyframe(&["camera", "--id", "gate", "pictures"]);
    for reason in
        ["pictures/2.jpg: the picture has no bytes", "pictures/3.png: not a JPEG, PNG or WebP picture"]
    {
        assert_eq!(ended.err.matches(reason).count(), 1, "{}", ended.err);
    }
    assert_eq!(ended.expect_success(), "gate: 2 frames read · 2 acknowledged · 2 skipped\n");
    let records = site.wait_for_records(Topic::Frames, 2);
    assert_eq!(stamps(&records).0, [0, 1], "what is skipped is no frame");
}

#[test]
fn a_recording_without_a_stated_length_is_sent_once() {
    let site = Site::start(1);
    let man = pictures::man();
    let recording = site.file("camera.mjpeg", &man[..5].concat()).display().to_string();
    let said = site.everyframe(&["camera", "--id", "gate", &recording]).expect_success();
    assert_eq!(said, "gate: 5 frames read · 5 acknowledged\n");
    let records = site.wait_for_records(Topic::Frames, 5);
    assert_stamped(&records, "gate", 40);
    assert_eq!(sources(&records), BTreeSet::from(["recording".to_owned()]));

    let picture = site.file("one.png", &pictures::reencoded(&man[0], ".png")).display().to_string();
    let said = site.everyframe(&["camera", "--id", "still", &picture]).expect_success();
    assert_eq!(said, "still: 1 frames read · 1 acknowledged\n");
}

#[test]
fn no_log_or_error_shows_the_password_of_a_camera() {
    let site = Site::start(1);
    let address = "rtsp://admin:hunter2@127.0.0.1:1/stream?token=abcdef";
    let file = site.file("address", format!("{address}\n").as_bytes()).display().to_string();
    let command = |words: &[&str]| {
        let mut command = site.command(&["camera", "--id", "gate", "--config"]);
        command.arg(site.config()).args(words).env("ADDRESS", address).env("RUST_LOG", "debug");
        site.run(&mut command)
    };
    for (words, is_seen_by_others) in [
        (&[address][..], true),
        (&["--log-json", address][..], true),
        (&["--source-env", "ADDRESS"][..], false),
        (&["--source-file", &file][..], false),
    ] {
        let mut camera = site.command(&["camera", "--id", "gate", "--config"]);
        camera.arg(site.config()).args(words).env("ADDRESS", address).env("RUST_LOG", "debug");
        let mut camera = Part::start("camera", site.folder(), &mut camera);
        camera.wait_for_word("; trying again");
        let ended = camera.terminate();
        assert!(!ended.err.contains("hunter2") && !ended.err.contains("abcdef"), "{}", ended.err);
        let expected = "rtsp://***@127.0.0.1:1/stream?token=***: nothing listens there";
        assert!(ended.err.contains(expected), "it still says which: {}", ended.err);
        assert_eq!(
            ended.err.contains("give the address by --source-env"),
            is_seen_by_others,
            "{}",
            ended.err
        );
    }
    let ended = command(&["--source-env", "NO_SUCH_NAME"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("NO_SUCH_NAME is not set"), "{}", ended.err);
    let ended = command(&["--source-file", &file, "clip.mp4"]);
    assert_eq!(ended.code, Some(2), "one of them: {}", ended.err);
    let brokers = site.everyframe(&["audit", "--brokers", "me:hunter2@127.0.0.1:9092"]);
    assert_eq!(brokers.code, Some(2), "{}", brokers.err);
    assert!(!brokers.err.contains("hunter2") && brokers.err.contains("sasl.password"), "{}", brokers.err);
}

/// A clip with wrong bytes in most of its frames. FFmpeg's decoder writes errors about them to standard error.
fn damaged_clip() -> Vec<u8> {
    let mut clip = std::fs::read(clip("single_face.mp4")).expect("the footage is there");
    let (from, to) = (clip.len() / 5, clip.len() * 4 / 5);
    for place in (from..to).step_by(500) {
        clip[place..place + 8].fill(0x5a);
    }
    clip
}

#[test]
fn output_of_libraries_is_in_the_log() {
    let site = Site::start(1);
    let recording = site.file("damaged.mp4", &damaged_clip()).display().to_string();
    let ended = site.everyframe(&["camera", "--id", "gate", "--log-json", &recording]);
    let messages: Vec<String> = ended
        .err
        .lines()
        .map(|line| {
            let line: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line} is no JSON: {error}"));
            line["fields"]["message"].as_str().expect("each line has a message").to_owned()
        })
        .collect();
    let of_decoder = messages.iter().filter(|message| message.contains("h264")).count();
    assert!((1..100).contains(&of_decoder), "some of them: {messages:?}");
    assert!(
        messages.iter().any(|message| message.contains("more lines of libraries suppressed")),
        "{messages:?}"
    );
    let said = ended.expect_success();
    assert!(said.ends_with(" damaged\n"), "damaged pictures are counted: {said}");

    let ended = site.everyframe(&["camera", "--id", "gate", &recording]);
    let of_decoder: Vec<&str> = ended.err.lines().filter(|line| line.contains("h264")).collect();
    assert!(!of_decoder.is_empty() && of_decoder.iter().all(|line| line.contains(" WARN ")), "{}", ended.err);

    // The error of the command is the last line.
    let ended = site.everyframe(&["camera", "--id", "gate", "--log-json", "absent.mp4"]);
    let last: serde_json::Value = serde_json::from_str(ended.err.lines().last().unwrap_or("")).expect("JSON");
    let message = last["fields"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("everyframe: absent.mp4: no such file"), "{}", ended.err);
}

#[test]
fn a_host_that_decodes_bad_pictures_logs_only_json() {
    let site = Site::start(1);
    let mut png = pictures::reencoded(&pictures::grey(64, 64), ".png");
    // Breaks the checksum of its data.
    let end = png.len() - 13;
    png[end] ^= 1;
    site.file("pictures/1.png", &png);
    site.file("pictures/2.jpg", &pictures::man()[0]);
    site.everyframe(&["camera", "--id", "gate", "pictures"]).expect_success();
    let mut host = site.start_everyframe("host", &["run", "--log-json"]);
    host.wait_for_word("partition assigned");
    site.settled_audit();
    let ended = host.terminate();
    for line in ended.err.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line} is no JSON");
    }
    assert!(ended.err.lines().count() > 2, "{}", ended.err);
}

/// Serves the JPEG parts as an endless stream to each client. Returns the address and the number of clients so far.
fn stream_server(parts: Vec<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/stream", listener.local_addr().expect("an address"));
    let clients = Arc::new(AtomicUsize::new(0));
    let count = clients.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(mut client), parts) = (client, parts.clone()) else { return };
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = client.read(&mut request);
                let head =
                    "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
                let mut sent = client.write_all(head.as_bytes());
                for part in parts.iter().cycle() {
                    let length = part.len();
                    let head =
                        format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n");
                    sent = sent.and_then(|()| client.write_all(&[head.as_bytes(), part, b"\r\n"].concat()));
                    if sent.is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    (address, clients)
}

#[test]
fn a_bad_part_of_a_stream_does_not_break_the_connection() {
    let site = Site::start(1);
    let man = pictures::man();
    let parts =
        vec![man[0].clone(), b"no picture".to_vec(), Vec::new(), man[1].clone(), man[2][..100].to_vec()];
    let (address, clients) = stream_server(parts);
    let camera = site.start_everyframe("camera", &["camera", "--id", "gate", &address]);
    site.wait_for_records(Topic::Frames, 40);
    let ended = camera.terminate();
    assert!(!ended.err.contains("broke off"), "{}", ended.err);
    assert!(ended.err.contains("are no pictures; skipped"), "{}", ended.err);
    assert!(ended.out.contains(" skipped"), "{}", ended.out);
    ended.expect_success();
    assert_eq!(clients.load(Ordering::Relaxed), 1, "one connection");
    let records = site.read(Topic::Frames);
    assert_eq!(sources(&records), BTreeSet::from(["live".to_owned()]));
    assert!(records.iter().all(|record| record.value.as_ref().is_some_and(|value| man[..2].contains(value))));
}

/// Starts a web server with the footage, and returns its address.
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
    let said = site.everyframe(&["camera", "--id", "stream", &clip]).expect_success();
    assert_eq!(said, "stream: 472 frames read · 472 acknowledged\n");
    assert_stamped(&site.wait_for_records(Topic::Frames, 472), "stream", 42);
}

#[test]
fn a_source_without_pictures_is_an_error() {
    let site = Site::start(1);
    let (_server, address) = server(&site);
    // The index of this file is at its end, and this server does not support byte ranges.
    let clip = format!("{address}/single_face.mp4");
    let ended = site.everyframe(&["camera", "--id", "stream", &clip]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    let expected = format!(
        "everyframe: {clip}: can be opened, but no picture can be read from it; check that the file is complete and that its server can send parts of it"
    );
    assert_eq!(ended.err.lines().last(), Some(expected.as_str()));
}

#[test]
fn a_looped_clip_is_one_session() {
    let site = Site::start(1);
    let camera = site.start_everyframe(
        "camera",
        &["camera", "--id", "gate", "--loop", "--rate", "200", "--stop-wait", "60", &clip("single_face.mp4")],
    );
    site.wait_for_records(Topic::Frames, 150);
    let ended = camera.terminate();
    let said = ended.out.clone();
    ended.expect_success();
    let records = site.read(Topic::Frames);
    assert_stamped(&records, "gate", 5);
    let count = records.len();
    assert_eq!(said, format!("gate: {count} frames read · {count} acknowledged\n"));
}

#[test]
fn an_invalid_source_is_named() {
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
        (
            &empty,
            format!("{empty}: no .jpg, .jpeg, .png or .webp in this folder; give a video as a file, not its folder"),
        ),
        (&text, format!("{text}: cannot be opened as a video: this is not a video that FFmpeg can read")),
        (
            "http://127.0.0.1:1/clip.mp4",
            "http://127.0.0.1:1/clip.mp4: cannot be opened as a video: nothing listens there: the connection was refused"
                .to_owned(),
        ),
    ] {
        let ended = site.everyframe(&["camera", "--id", "gate", source]);
        assert_eq!(ended.code, Some(1), "{source}: {}", ended.err);
        assert_eq!(ended.err.lines().last(), Some(format!("everyframe: {expected}").as_str()));
    }
}
