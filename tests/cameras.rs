//! Cameras as operators have them: what the topic gets when a camera changes its picture, loses packets, freezes, goes away or asks
//! for a password. Each published picture is compared with its source.

use everyframe_tests::numbered::{self, Unit, h264, hevc, motion_jpeg};
use everyframe_tests::{Record, RtspCamera, Site, Topic, WebCamera, WebPart, wait_for};
use serde_json::Value;
use std::time::Duration;

/// The frames of the topic, without notices.
fn frames(site: &Site) -> Vec<Record> {
    site.read(Topic::Frames).into_iter().filter(|record| record.value.is_some()).collect()
}

fn wait_for_frames(site: &Site, count: usize) -> Vec<Record> {
    wait_for(&format!("{count} frames"), || Some(frames(site)).filter(|frames| frames.len() >= count))
}

/// The notices of the topic: what, and whether they state an end.
fn notices(site: &Site) -> Vec<(String, bool)> {
    let records = site.read(Topic::Frames);
    let notices = records.iter().filter(|record| record.value.is_none());
    notices
        .map(|record| {
            (record.header("everyframe-notice").to_owned(), !record.header("everyframe-notice-to").is_empty())
        })
        .collect()
}

fn wait_for_notice(site: &Site, what: &str, is_over: bool) {
    wait_for(&format!("the notice {what}"), || {
        notices(site).contains(&(what.to_owned(), is_over)).then_some(())
    });
}

/// Checks each picture against its source, and that none is repeated; gives sizes and numbers.
fn checked(frames: &[Record]) -> Vec<(usize, usize, u64)> {
    checked_in(frames, false)
}

/// As [`checked`]. `is_full_range` says whether luma has the values 0 to 255, as for [`numbered::check`].
fn checked_in(frames: &[Record], is_full_range: bool) -> Vec<(usize, usize, u64)> {
    let pictures: Vec<(usize, usize, u64)> = frames
        .iter()
        .enumerate()
        .map(|(index, record)| {
            let picture = record.value.as_ref().expect("a frame");
            numbered::check(picture, is_full_range).unwrap_or_else(|error| panic!("frame {index}: {error}"))
        })
        .collect();
    for pair in pictures.windows(2) {
        assert!(pair[0].2 < pair[1].2, "each later than the one before: {pair:?}");
    }
    pictures
}

fn count(audit: &Value, column: &str) -> u64 {
    audit["total"][column].as_u64().unwrap_or_else(|| panic!("no {column}: {audit}"))
}

#[test]
fn a_stream_that_changes_size_and_format_is_followed() {
    let mut units = h264(640, 480, 0..60, "yuv420p");
    units.extend(h264(1280, 720, 60..120, "yuv420p"));
    units.extend(h264(1280, 720, 120..180, "yuv444p"));
    units.extend(h264(360, 640, 180..240, "yuv422p"));
    units.extend(h264(640, 480, 240..300, "yuv420p"));
    let sizes = [(640, 480), (1280, 720), (360, 640), (640, 480)];
    follow_to_the_end(units, false, &[], &sizes);
}

#[test]
fn a_stream_of_h265_that_changes_is_followed() {
    let mut units = hevc(640, 480, 0..60, "yuv420p");
    units.extend(hevc(640, 480, 60..120, "yuv420p10le"));
    units.extend(hevc(1280, 720, 120..180, "yuv420p"));
    units.extend(hevc(360, 640, 180..240, "yuv422p"));
    follow_to_the_end(units, false, &[], &[(640, 480), (1280, 720), (360, 640)]);
}

#[test]
fn motion_jpeg_over_rtsp_that_changes_is_followed() {
    let mut units = motion_jpeg(640, 480, 0..60);
    units.extend(motion_jpeg(1280, 720, 60..120));
    units.extend(motion_jpeg(320, 240, 120..180));
    follow_to_the_end(units, true, &[], &[(640, 480), (1280, 720), (320, 240)]);
}

#[test]
fn a_missing_device_for_decoding_is_told_and_replaced() {
    let units = h264(640, 480, 0..100, "yuv420p");
    let log = follow_to_the_end(units, false, &["--decoder", "auto"], &[(640, 480)]);
    let has_device =
        ["/dev/dri", "/dev/nvidiactl"].map(std::path::Path::new).iter().any(|path| path.exists());
    let told = log.matches("pictures are decoded in software: cuda cannot be used: ").count();
    assert!(has_device || told == 1, "{log}");
}

/// Runs an agent until a camera has sent all pictures. They must be there, with these sizes. Gives the agent's log.
fn follow_to_the_end(
    units: Vec<Unit>,
    is_full_range: bool,
    options: &[&str],
    expected: &[(usize, usize)],
) -> String {
    let site = Site::start(1);
    let total = units.len();
    let camera = RtspCamera::start(units);
    let address = camera.address();
    // However slow this machine is, none may be left out.
    let words = [&["camera", "--id", "gate", "--when-slow", "keep"], options, &[&*address]].concat();
    let agent = site.start_everyframe("camera", &words);
    let last = total as u64 - 1;
    wait_for("the last picture", || {
        let last_frame = frames(&site).pop()?;
        (numbered::read(&last_frame.value?).ok()?.2 == last).then_some(())
    });
    let ended = agent.terminate();
    let pictures = checked_in(&frames(&site), is_full_range);
    let mut sizes: Vec<(usize, usize)> =
        pictures.iter().map(|(width, height, _)| (*width, *height)).collect();
    sizes.dedup();
    assert_eq!(sizes, expected);
    let numbers: Vec<u64> = pictures.iter().map(|(.., number)| *number).collect();
    assert!(numbers.iter().copied().eq(0..total as u64), "none is missing: {numbers:?}");
    let (_, audit) = site.audit();
    let found = ["sent", "damaged", "gaps", "missing", "repeated"].map(|column| count(&audit, column));
    assert_eq!(found, [numbers.len() as u64, 0, 0, 0, 0], "{audit}");
    ended.err
}

/// Runs an agent while one of 150 packets is lost. Returns the numbers of the published pictures, and how many were damaged.
fn lose_packets(transport: &str, units: Vec<Unit>, is_full_range: bool) -> (Vec<u64>, u64) {
    let site = Site::start(1);
    let camera = RtspCamera::start(units);
    camera.lose_one_of(150);
    let words =
        ["camera", "--id", "gate", "--when-slow", "keep", "--transport", transport, &camera.address()];
    let agent = site.start_everyframe("camera", &words);
    wait_for("some seconds", || (camera.position() > 300).then_some(()));
    let out = agent.terminate().out;
    assert!(out.contains(" damaged"), "{out}");
    let pictures = checked_in(&frames(&site), is_full_range);
    assert!(pictures.len() > 20, "the good ones are there: {}", pictures.len());
    assert!(notices(&site).contains(&("damaged".to_owned(), true)), "{:?}", notices(&site));
    let (_, audit) = site.audit();
    let damaged = count(&audit, "damaged");
    let found = ["sent", "gaps", "missing"].map(|column| count(&audit, column));
    assert_eq!(found, [pictures.len() as u64, 0, 0], "{audit}");
    assert!(out.contains(&format!("{damaged} damaged")), "{out}: {damaged}");
    (pictures.into_iter().map(|(.., number)| number).collect(), damaged)
}

#[test]
fn no_picture_damaged_by_lost_packets_is_published() {
    lose_packets("udp", h264(640, 480, 0..500, "yuv420p"), false);
}

#[test]
fn no_picture_of_h265_damaged_by_lost_packets_is_published() {
    lose_packets("udp", hevc(640, 480, 0..500, "yuv420p"), false);
}

#[test]
fn no_jpeg_damaged_by_lost_packets_is_published() {
    lose_packets("udp", motion_jpeg(640, 480, 0..500), true);
}

#[test]
fn only_the_jpeg_that_lacks_a_packet_is_left_out() {
    let (numbers, damaged) = lose_packets("tcp", motion_jpeg(640, 480, 0..500), true);
    let left_out: Vec<u64> = numbers.windows(2).map(|pair| pair[1] - pair[0] - 1).collect();
    assert!(left_out.iter().all(|count| *count <= 1), "{numbers:?}");
    // One damaged picture may lie before the first published one, and one after the last.
    let between: u64 = left_out.iter().sum();
    assert!((between..=between + 2).contains(&damaged), "{damaged} damaged: {numbers:?}");
}

#[test]
fn a_server_that_drops_packets_damages_no_published_picture() {
    lose_packets("tcp", h264(640, 480, 0..500, "yuv420p"), false);
}

#[test]
fn damaged_pictures_can_be_published_with_a_mark() {
    let site = Site::start(1);
    let camera = RtspCamera::start(h264(640, 480, 0..500, "yuv420p"));
    camera.lose_one_of(150);
    let words = ["camera", "--id", "gate", "--transport", "udp", "--damaged", "mark", &camera.address()];
    let agent = site.start_everyframe("camera", &words);
    wait_for("a damaged frame", || {
        frames(&site).iter().any(|record| record.header("everyframe-damaged") == "1").then_some(())
    });
    agent.terminate();
    let whole: Vec<Record> =
        frames(&site).into_iter().filter(|record| record.header("everyframe-damaged").is_empty()).collect();
    checked(&whole);
}

#[test]
fn pictures_have_the_time_at_which_they_were_taken() {
    let site = Site::start(1);
    let camera = RtspCamera::start(h264(320, 240, 0..500, "yuv420p"));
    let agent = site.start_everyframe("camera", &["camera", "--id", "gate", &camera.address()]);
    wait_for_frames(&site, 50);
    // The agent stands still, and the pictures wait in the network.
    agent.signal("STOP");
    std::thread::sleep(Duration::from_secs(2));
    agent.signal("CONT");
    wait_for("some more", || (camera.position() > 250).then_some(()));
    agent.terminate();
    let frames = frames(&site);
    let numbers: Vec<i64> = checked(&frames).into_iter().map(|(.., number)| number as i64).collect();
    let times: Vec<i64> = frames
        .iter()
        .map(|record| record.header("everyframe-captured-at").parse().expect("a time"))
        .collect();
    for (number, time) in numbers.iter().zip(&times) {
        let expected = times[49] + 40 * (number - numbers[49]);
        assert!((time - expected).abs() < 500, "picture {number}: {} ms apart", time - expected);
    }
}

#[test]
fn the_rate_and_the_size_of_a_live_stream_are_limited() {
    let site = Site::start(1);
    let camera = RtspCamera::start(h264(1280, 720, 0..500, "yuv420p"));
    let words = ["camera", "--id", "gate", "--rate", "5", "--max-side", "640", &camera.address()];
    let agent = site.start_everyframe("camera", &words);
    wait_for_frames(&site, 15);
    agent.terminate();
    let read = |record: &Record| numbered::read(record.value.as_ref().expect("a frame")).expect("a number");
    let pictures: Vec<(usize, usize, u64)> = frames(&site).iter().map(read).collect();
    assert!(pictures.iter().all(|(width, height, _)| (*width, *height) == (640, 360)), "{pictures:?}");
    assert!(pictures.windows(2).all(|pair| (3..=7).contains(&(pair[1].2 - pair[0].2))), "{pictures:?}");
}

#[test]
fn a_camera_that_goes_away_is_told_and_raises_alerts() {
    let site = Site::start(1);
    let _host = site.host();
    let camera = RtspCamera::start(h264(320, 240, 0..1500, "yuv420p"));
    let words = ["camera", "--id", "gate", "--silent-after", "2", "--timeout", "2", &camera.address()];
    let agent = site.start_everyframe("camera", &words);
    wait_for_frames(&site, 20);
    camera.set_gone(true);
    wait_for_notice(&site, "away", false);
    let alerts = || {
        site.read(Topic::Alerts)
            .iter()
            .map(|alert| alert.json()["data"]["text"].to_string())
            .collect::<String>()
    };
    wait_for("the alert", || alerts().contains("camera gate sends nothing: ").then_some(()));
    camera.set_gone(false);
    wait_for_notice(&site, "away", true);
    wait_for("the other alert", || alerts().contains("camera gate is back after ").then_some(()));
    let ended = agent.terminate();
    assert!(ended.err.contains("; trying again") && ended.err.contains("connected again"), "{}", ended.err);
    checked(&frames(&site));
    let audit = wait_for("every frame to be accounted for", || {
        let (_, audit) = site.audit();
        (count(&audit, "waiting") == 0).then_some(audit)
    });
    assert!(count(&audit, "away") >= 2, "seconds: {audit}");
    assert_eq!((count(&audit, "gaps"), count(&audit, "missing")), (0, 0), "{audit}");
}

#[test]
fn a_camera_that_is_silent_or_off_is_waited_for() {
    let site = Site::start(1);
    let camera = RtspCamera::start(h264(320, 240, 0..1500, "yuv420p"));
    camera.set_gone(true);
    let mut agent =
        site.start_everyframe("camera", &["camera", "--id", "gate", "--timeout", "2", &camera.address()]);
    agent.wait_for_word("; trying again");
    camera.set_gone(false);
    wait_for_frames(&site, 10);
    camera.set_silent(true);
    agent.wait_for_word("no data within the time limit");
    camera.set_silent(false);
    let before = frames(&site).len();
    wait_for_frames(&site, before + 10);
    camera.set_silent(true);
    // It ends also while it waits for the camera.
    agent.terminate().expect_success();
    assert!(notices(&site).contains(&("interrupted".to_owned(), true)), "{:?}", notices(&site));
}

#[test]
fn a_frozen_and_a_black_picture_are_told() {
    let site = Site::start(1);
    let still = |number| vec![WebPart::whole(numbered::jpeg(320, 240, number))];
    let moving: Vec<WebPart> =
        (0..40).map(|number| WebPart::whole(numbered::jpeg(320, 240, number))).collect();
    let camera = WebCamera::start(moving.clone(), Duration::from_millis(100));
    let words = ["camera", "--id", "gate", "--frozen-after", "3", "--black-after", "3", camera.address()];
    let mut agent = site.start_everyframe("camera", &words);
    wait_for_frames(&site, 20);
    assert!(notices(&site).is_empty(), "{:?}", notices(&site));
    camera.show(still(7));
    wait_for_notice(&site, "frozen", false);
    camera.show(vec![WebPart::whole(everyframe_tests::pictures::black(320, 240))]);
    wait_for_notice(&site, "black", false);
    camera.show(moving);
    wait_for_notice(&site, "frozen", true);
    wait_for_notice(&site, "black", true);
    assert!(agent.is_running());
    agent.terminate().expect_success();
}

#[test]
fn jpeg_parts_pass_unchanged_and_cut_ones_are_withheld() {
    let site = Site::start(1);
    let whole: Vec<Vec<u8>> = (0..4).map(|number| numbered::jpeg(640, 480, number)).collect();
    let parts = vec![
        WebPart::whole(whole[0].clone()),
        WebPart::half(&whole[1]),
        WebPart::whole(whole[1].clone()),
        WebPart::broken_off(&whole[2]),
        WebPart::whole(whole[2].clone()),
        WebPart::whole(whole[3].clone()),
    ];
    let camera = WebCamera::start(parts, Duration::from_millis(50));
    let agent = site.start_everyframe("camera", &["camera", "--id", "gate", camera.address()]);
    wait_for_frames(&site, 40);
    let ended = agent.terminate();
    assert!(ended.out.contains(" damaged"), "{}", ended.out);
    ended.expect_success();
    let frames = frames(&site);
    assert!(frames.iter().all(|record| record.value.as_ref().is_some_and(|value| whole.contains(value))));
    assert_eq!(camera.clients(), 1, "one connection");
    let (_, audit) = site.audit();
    assert!(count(&audit, "damaged") >= frames.len() as u64 / 2 - 2, "{audit}");
}

#[test]
fn a_camera_that_sends_only_damaged_pictures_is_away() {
    let site = Site::start(1);
    let whole: Vec<Vec<u8>> = (0..40).map(|number| numbered::jpeg(320, 240, number)).collect();
    let parts: Vec<WebPart> = whole.iter().cloned().map(WebPart::whole).collect();
    let camera = WebCamera::start(parts.clone(), Duration::from_millis(100));
    let words = ["camera", "--id", "gate", "--silent-after", "3", camera.address()];
    let mut agent = site.start_everyframe("camera", &words);
    wait_for_frames(&site, 5);
    camera.show(whole.iter().map(|picture| WebPart::half(picture)).collect());
    agent.wait_for_word("damaged pictures are not sent");
    wait_for_notice(&site, "away", false);
    let reasons: Vec<String> = site
        .read(Topic::Frames)
        .iter()
        .filter(|record| record.header("everyframe-notice") == "away")
        .map(|record| record.header("everyframe-notice-reason").to_owned())
        .collect();
    assert_eq!(reasons, ["all its pictures are damaged, and are not sent"]);
    camera.show(parts);
    wait_for_notice(&site, "away", true);
    agent.terminate().expect_success();
    assert_eq!(camera.clients(), 1, "one connection");
}

#[test]
fn a_camera_with_a_password_is_read_and_its_password_never_shown() {
    let site = Site::start(1);
    let camera = RtspCamera::start(h264(320, 240, 0..1500, "yuv420p"));
    camera.ask_for("admin", "hunter2");
    let start = |password: &str, name: &str| {
        let address = camera.address_for("admin", password);
        let file = site.file(&format!("{name}.address"), address.as_bytes()).display().to_string();
        let mut command = site.command(&["camera", "--id", name, "--source-file", &file, "--config"]);
        command.arg(site.config()).env("RUST_LOG", "debug");
        everyframe_tests::Part::start(name, site.folder(), &mut command)
    };
    let mut wrong = start("hunter3", "wrong");
    wrong.wait_for_word("401: the user name or the password is wrong");
    let agent = start("hunter2", "gate");
    wait_for_frames(&site, 20);
    for ended in [agent.terminate(), wrong.terminate()] {
        assert!(!ended.err.contains("hunter"), "{}", ended.err);
        assert!(!ended.out.contains("hunter"), "{}", ended.out);
    }
    let secret = |text: &str| text.contains("hunter");
    assert!(
        !site.read(Topic::Frames).iter().any(|record| record.headers.values().any(|value| secret(value)))
    );
}

/// A zone that only cameras have that name it.
const COUNTER: &str =
    "[[zones]]\nname = \"counter\"\ncameras = []\npolygon = [[0, 0.5], [1, 0.5], [1, 1]]\n\n";

/// `[[cameras]]` with these ids, addresses and further lines.
fn configured(cameras: &[(&str, &str, &str)]) -> String {
    let table = |(id, source, more): &(&str, &str, &str)| {
        format!("[[cameras]]\nid = \"{id}\"\nsource = \"{source}\"\n{more}\n\n")
    };
    cameras.iter().map(table).collect()
}

/// The sessions of a camera, in the order of their first frame.
fn sessions(site: &Site, camera: &str) -> Vec<String> {
    let mut sessions: Vec<String> = frames(site)
        .iter()
        .filter(|record| record.key.as_deref() == Some(camera))
        .map(|record| record.header("everyframe-session").to_owned())
        .collect();
    sessions.dedup();
    sessions
}

/// The children of a process, and their arguments.
fn children(parent: u32) -> Vec<(u32, String)> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let ids = std::fs::read_to_string(path).expect("/proc lists children");
    let arguments = |id: u32| std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
    ids.split_whitespace().map(|id| id.parse().expect("an id")).map(|id| (id, arguments(id))).collect()
}

#[test]
fn configured_cameras_run_and_a_change_concerns_only_its_camera() {
    let site = Site::start(1);
    let (numbers, rules) = (0..40, everyframe_tests::shipped_rules(""));
    let parts: Vec<WebPart> =
        numbers.map(|number| WebPart::whole(numbered::jpeg(320, 240, number))).collect();
    let gate = WebCamera::start(parts.clone(), Duration::from_millis(100));
    let yard = WebCamera::start(parts, Duration::from_millis(100));
    let secret = site.file("secret", b"hunter2\n").display().to_string();
    let gate_address = gate.address().replace("//", "//admin@");
    let password = format!("password = {{ file = \"{secret}\" }}");
    let all = |gate_more: &str, yard_more: &str| {
        let gate_more = format!("{password}\n{gate_more}");
        let cameras = [("gate", gate_address.as_str(), &*gate_more), ("yard", yard.address(), yard_more)];
        site.configure(&format!("{COUNTER}{}", configured(&cameras)), &rules);
    };
    all("", "");
    let mut run = site.start_everyframe("cameras", &["cameras", "run", "--spool", "spool"]);
    let came = |camera: &str, count| {
        wait_for(camera, || (sessions(&site, camera).len() >= count).then_some(()));
    };
    came("gate", 1);
    came("yard", 1);
    let listed = wait_for("both to be fine", || {
        let listed = site.everyframe(&["cameras", "list", "--spool", "spool"]);
        (listed.code == Some(0)).then_some(listed.out)
    });
    assert!(
        listed.contains("gate") && listed.contains("320 × 240") && listed.contains("JPEG parts"),
        "{listed}"
    );
    let agents = children(run.id());
    assert_eq!(agents.len(), 2, "{agents:?}");
    assert!(agents.iter().all(|(_, arguments)| !arguments.contains("hunter2")), "{agents:?}");

    // Another setting of one; the zones of the other do not concern its agent.
    all("zones = [\"counter\"]", "max_fps = 5.0");
    came("yard", 2);
    assert_eq!(sessions(&site, "gate").len(), 1, "it went on");

    // A crash of the other.
    let (id, _) = children(run.id())
        .into_iter()
        .find(|(_, arguments)| arguments.contains("gate"))
        .expect("the agent of the gate");
    let killed = std::process::Command::new("kill").args(["-KILL", &id.to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    run.wait_for_word("its agent ended");
    came("gate", 2);
    assert_eq!(sessions(&site, "yard").len(), 2, "it went on");

    // One is removed.
    site.configure(&configured(&[("yard", yard.address(), "max_fps = 5.0")]), &rules);
    wait_for("the end of the gate's agent", || (children(run.id()).len() == 1).then_some(()));
    let ended = run.terminate();
    assert!(!ended.err.contains("hunter2"), "{}", ended.err);
    ended.expect_success();
}

#[test]
fn a_check_says_what_is_there() {
    let site = Site::start(1);
    let camera = RtspCamera::start(h264(320, 240, 0..1500, "yuv420p"));
    camera.ask_for("admin", "hunter2");
    let check = |address: &str| site.everyframe(&["cameras", "check", "--out", "picture.jpg", address]);
    let said = check(&camera.address_for("admin", "hunter2")).expect_success();
    assert!(
        said.contains(": H.264 320 × 240, ") && said.ends_with(" fps; one picture saved to picture.jpg\n"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    let picture = std::fs::read(site.folder().join("picture.jpg")).expect("the picture is there");
    numbered::check(&picture, false).expect("it is the camera's");
    for (address, expected) in [
        (camera.address_for("admin", "wrong"), "401: the user name or the password is wrong"),
        ("rtsp://127.0.0.1:1/live".to_owned(), "nothing listens there"),
        ("absent.mp4".to_owned(), "no such file, folder or device"),
    ] {
        let ended = check(&address);
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        assert!(ended.err.contains(expected), "{}", ended.err);
    }
}

#[test]
fn an_expected_camera_of_which_nothing_is_heard_raises_an_event() {
    let site = Site::start(3);
    let table = configured(&[("absent", "rtsp://127.0.0.1:1/live", "silent_after_s = 2.0")]);
    site.configure(&table, &everyframe_tests::shipped_rules(""));
    let _host = site.host();
    let events = || {
        let alerts = site.read(Topic::Alerts);
        let events = alerts.iter().map(Record::json).filter(|event| event["type"] == "everyframe.camera.v1");
        events.map(|event| (event["subject"].clone(), event["data"]["state"].clone())).collect::<Vec<_>>()
    };
    wait_for("the event", || events().contains(&("absent".into(), "silent".into())).then_some(()));
    let picture = site.file("one.jpg", &numbered::jpeg(320, 240, 1)).display().to_string();
    site.everyframe(&["camera", "--id", "absent", &picture]).expect_success();
    wait_for("the other event", || events().contains(&("absent".into(), "back".into())).then_some(()));
    let (_, audit) = site.audit();
    assert_eq!(audit["cameras"]["absent"]["sent"], 1, "{audit}");
}

#[test]
fn pictures_keep_their_levels_in_every_pixel_format() {
    let site = Site::start(1);
    for (count, format) in (1..).zip(["yuv420p", "nv12", "yuv420p10le", "yuv422p10le", "yuv444p"]) {
        let clip = site.file(format, &numbered::recording(320, 240, 0..10, format)).display().to_string();
        site.everyframe(&["camera", "--id", format, &clip]).expect_success();
        let frames = wait_for_frames(&site, 10 * count);
        for (number, record) in (0..).zip(&frames[10 * (count - 1)..]) {
            let checked = numbered::check(record.value.as_ref().expect("a frame"), false);
            assert_eq!(checked, Ok((320, 240, number)), "{format}");
        }
    }
}

/// Writes a file of the pictures `numbers`. FFmpeg chooses the container by the name, and gets these arguments.
fn muxed(site: &Site, numbers: std::ops::Range<u64>, arguments: &[&str], name: &str) -> std::path::PathBuf {
    let units = h264(320, 240, numbers, "yuv420p");
    let nals = units.iter().flat_map(|unit| &unit.nals);
    let stream: Vec<u8> = nals.flat_map(|nal| [&[0, 0, 0, 1], nal.as_slice()].concat()).collect();
    let raw = site.file("raw.h264", &stream);
    let clip = site.folder().join(name);
    let muxed = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-r", "25", "-i"])
        .arg(&raw)
        .args(["-c", "copy"])
        .args(arguments)
        .arg(&clip)
        .status();
    assert!(muxed.is_ok_and(|status| status.success()));
    clip
}

#[test]
fn a_file_that_was_joined_of_parts_loses_no_whole_part() {
    let site = Site::start(1);
    let read = |path| std::fs::read(path).expect("FFmpeg wrote it");
    let first = read(muxed(&site, 0..40, &[], "first.ts"));
    let second = read(muxed(&site, 40..80, &["-output_ts_offset", "1000"], "second.ts"));
    // The times of the third part are those of the first.
    let clip = site.file("joined.ts", &[&first[..], &second, &first].concat()).display().to_string();
    let ended = site.everyframe(&["camera", "--id", "joined", &clip]);
    assert!(ended.err.contains("damaged pictures are not sent"), "{}", ended.err);
    ended.expect_success();
    let whole = |record: &Record| numbered::check(record.value.as_ref().expect("a frame"), false);
    let frames = wait_for_frames(&site, 100);
    let numbers: Vec<u64> = frames.iter().map(|record| whole(record).expect("a whole picture").2).collect();
    assert!(numbers.contains(&40) && numbers.ends_with(&(0..40).collect::<Vec<_>>()), "{numbers:?}");
}

#[test]
fn a_rotated_recording_is_turned_upright() {
    let site = Site::start(1);
    let clip = muxed(&site, 0..10, &["-metadata:s:v:0", "rotate=90"], "phone.mp4").display().to_string();
    site.everyframe(&["camera", "--id", "phone", &clip]).expect_success();
    let frames = wait_for_frames(&site, 10);
    for (number, record) in (0..).zip(&frames) {
        // FFmpeg 5.1 writes a matrix that turns counterclockwise, as `ffprobe` shows.
        let taken = everyframe_tests::pictures::turned_clockwise(record.value.as_ref().expect("a frame"));
        assert_eq!(numbered::check(&taken, false), Ok((320, 240, number)));
    }
}
