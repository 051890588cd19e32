//! Bad frames are parked with the reason, and the lane continues.

use everyframe_tests::{Frame, Site, Topic, pictures, shipped_rules, vision_by, wait_for};

/// A complete PNG whose header states 20,000 × 20,000 pixels.
fn huge_png() -> Vec<u8> {
    let mut png = pictures::reencoded(&pictures::grey(8, 8), ".png");
    png[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
    png
}

/// A name, the bytes, and the reason of the dead letter; `None` if the frame is processed.
type Case = (&'static str, Option<Vec<u8>>, Option<&'static str>);

#[test]
fn a_bad_frame_is_parked_and_its_neighbours_are_processed() {
    let man = pictures::man();
    let noise = pictures::noise(2600, 2000);
    assert!((4_500_000..8_000_000).contains(&noise.len()), "{} bytes", noise.len());
    let mut huge_jpeg = man[0].clone();
    let header = huge_jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a baseline JPEG");
    huge_jpeg[header + 5..header + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);

    let picture = |bytes: &[u8]| Some(bytes.to_vec());
    let cases: Vec<Case> = vec![
        ("empty", picture(b""), Some("empty")),
        ("tombstone", None, Some("empty")),
        ("truncated", picture(&man[1][..man[1].len() / 2]), Some("truncated")),
        ("first byte only", picture(&man[1][..1]), Some("truncated")),
        ("text", picture(b"I am no picture"), Some("not-a-picture")),
        (
            "half a colour",
            picture(include_bytes!("fixtures/pictures/png-half-a-colour.png")),
            Some("undecodable"),
        ),
        ("huge PNG", picture(&huge_png()), Some("too-large")),
        ("huge JPEG", picture(&huge_jpeg), Some("too-large")),
        ("1 x 1", picture(&pictures::grey(1, 1)), None),
        ("1 x 4000", picture(&pictures::grey(1, 4000)), None),
        ("noise", picture(&noise), None),
    ];
    let frame = |picture| Frame { camera: Some("gate".into()), picture, ..Frame::default() };
    let mut frames = vec![frame(picture(&man[0]))];
    for (_, poison, _) in &cases {
        frames.push(frame(poison.clone()));
        frames.push(frame(picture(&man[0])));
    }
    /// Frames sent before the others.
    const FIRST: usize = 1;
    let site = Site::start(1);
    let host = site.host();
    // The largest picture comes first, so that the models' runtime has already allocated its memory.
    site.send(&[frame(picture(&noise))]);
    site.wait_for_records(Topic::Results, 1);
    let before = host.memory_from_now_on();
    site.send(&frames);
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");

    let parked: Vec<usize> = (0..cases.len()).filter(|case| cases[*case].2.is_some()).collect();
    let dead_letters = site.read(Topic::DeadLetters);
    assert_eq!(dead_letters.len(), parked.len(), "{dead_letters:?}");
    for (letter, case) in dead_letters.iter().zip(&parked) {
        let (name, poison, reason) = &cases[*case];
        assert_eq!(letter.header("everyframe-reason"), reason.unwrap_or_default(), "{name}");
        assert_eq!(letter.header("everyframe-stage"), "vision", "{name}");
        assert!(!letter.header("everyframe-message").is_empty(), "{name}");
        assert_eq!(letter.header("everyframe-topic"), site.name(Topic::Frames), "{name}");
        assert_eq!(letter.header("everyframe-partition"), "0", "{name}");
        assert_eq!(letter.header("everyframe-offset"), (FIRST + 1 + 2 * case).to_string(), "{name}");
        assert_eq!(letter.key.as_deref(), Some("gate"), "{name}");
        let (found, sent) = (letter.value.clone().unwrap_or_default(), poison.clone().unwrap_or_default());
        assert!(found == sent, "{name}: the bytes are those that were sent");
    }
    let is_parked = |offset: &i64| parked.iter().any(|case| (FIRST + 1 + 2 * case) as i64 == *offset);
    let results = site.read(Topic::Results);
    let offsets = results.iter().map(|record| record.json()["data"]["position"]["offset"].as_i64());
    assert!(offsets.eq((0..(FIRST + frames.len()) as i64).filter(|offset| !is_parked(offset)).map(Some)));
    for record in &results[FIRST..] {
        let data = &record.json()["data"];
        let faces = data["faces"].as_array().map(Vec::len);
        if data["position"]["offset"].as_i64().is_some_and(|offset| offset % 2 == FIRST as i64 % 2) {
            assert_eq!(faces, Some(1), "the man is seen all the same: {data}");
        }
    }
    let memory = host.peak_memory().saturating_sub(before);
    assert!(memory < 300, "the host grew by {memory} MiB; a picture of 20,000 x 20,000 pixels has 1,145");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn memory_does_not_grow_with_the_backlog() {
    const SHORT: usize = 6;
    const LONG: usize = 30;
    let noise = pictures::noise(2600, 2000);
    let difference = ((LONG - SHORT) * noise.len()) >> 20;
    assert!(difference > 100, "{difference} MiB");
    // The memory of a model's runtime for frames of this size differs by hundreds of MiB between providers.
    for provider in ["cpu", "openvino", "openvino-bf16"] {
        let site = Site::start(1);
        let tables = format!("[intake]\nlane_bytes = 8388608\n\n{}", vision_by(provider));
        site.configure(&tables, &shipped_rules(""));
        let host = site.host();
        let mut sent = 0;
        let mut peak_after = |count: usize| {
            host.memory_from_now_on();
            site.send(&vec![Frame::new("gate", &noise); count]);
            sent += count;
            site.wait_for_records(Topic::Results, sent);
            host.peak_memory()
        };
        // The runtime allocates its memory at the first frames of a size.
        peak_after(SHORT);
        let (short, long) = (peak_after(SHORT), peak_after(LONG));
        assert!(long < short + 40, "{provider}: {short} MiB with {SHORT} frames, {long} MiB with {LONG}");
        assert_eq!(host.terminate().code, Some(0));
    }
}

#[test]
fn a_partition_that_parks_everything_stops() {
    let site = Site::start(2);
    site.create_frames_topic();
    let broken: Vec<Frame> = (0..300).map(|_| Frame::new("broken", b"no picture").to(0)).collect();
    let grey = pictures::grey(64, 64);
    let whole: Vec<Frame> = (0..20).map(|_| Frame::new("whole", &grey).to(1)).collect();
    site.send(&broken);
    site.send(&whole);
    let host = site.host();
    wait_for("the partition to stop", || {
        host.err().contains("stopped: too many of its last frames").then_some(())
    });
    site.wait_for_records(Topic::Results, 20);
    let ended = host.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let (code, audit) = site.audit();
    assert_eq!(code, Some(0), "what waits is not lost: {audit}");
    assert_eq!(audit["total"]["dead_letters"], 200, "{audit}");
    assert_eq!(
        (&audit["total"]["waiting"], &audit["total"]["results"]),
        (&100.into(), &20.into()),
        "{audit}"
    );
}

#[test]
fn dead_letters_can_be_filtered_and_saved() {
    let site = Site::start(1);
    let _host = site.host();
    site.send(&[
        Frame::new("gate", b"I am no picture"),
        Frame::new("gate", b""),
        Frame::new("yard", b"neither am I"),
        Frame::new("yard", &pictures::grey(64, 64)),
    ]);
    site.settled_audit();
    let list = |words: &[&str]| {
        let words = [&["dead-letters", "list"], words].concat();
        site.everyframe(&words).expect_success()
    };
    let all = list(&[]);
    assert!(
        all.contains("  gate  0/0  15 bytes  not-a-picture: ") && all.ends_with("dead letters: 3\n"),
        "{all}"
    );
    assert!(list(&["--reason", "empty"]).ends_with("dead letters: 1\n"));
    let letter = list(&["--camera", "yard", "--json", "--save", "parked"]);
    assert!(letter.contains(r#""offset":2"#) && letter.lines().count() == 1, "{letter}");
    let saved = std::fs::read_dir(site.folder().join("parked")).expect("a folder").flatten();
    let saved: Vec<_> = saved.map(|file| std::fs::read(file.path()).expect("a file")).collect();
    assert_eq!(saved, [b"neither am I"]);
}
