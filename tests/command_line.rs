//! The output of commands to pipes, files and full disks.

use everyframe_tests::{Raw, Site, Topic, pictures, places, wait_for};
use serde_json::json;
use std::fs::File;
use std::process::{Command, Output, Stdio};

/// Runs a command with this standard output, and waits for its end.
fn print_to(stdout: impl Into<Stdio>, words: &[&str]) -> Output {
    let mut command = Command::new(places::binary("everyframe"));
    command.args(words).stdin(Stdio::null()).stdout(stdout).output().expect("the command starts")
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let rule = places::rule("alerting");
    let rule = rule.to_str().expect("a path of UTF-8");
    for words in [
        &["config", "schema"][..],
        &["config", "example"],
        &["plan", "--cameras", "100", "--fps", "10", "--frame-kb", "80", "--seconds-per-frame", "0.02"],
        &["rule", "inspect", rule],
        &["rule", "check", rule],
        &["--help"],
    ] {
        // Nobody reads the pipe, as after the end of `| head -1`.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = print_to(writer, words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), error.as_ref()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full").expect("Linux has /dev/full");
    let output = print_to(full, &["config", "schema"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("everyframe: cannot write to standard output: No space left"), "{error}");
}

/// The result of a frame with one known person.
fn result() -> Raw {
    let face = json!({
        "index": 0, "bounds": { "x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0 }, "score": 1.0, "quality": 1.0,
        "track": "1", "trackStartedAt": 0, "decision": "known", "person": "ann", "confidence": 1.0, "candidates": [],
    });
    let data = json!({
        "camera": "gate", "session": "s", "sequence": 0, "capturedAt": 0,
        "position": { "topic": "frames", "partition": 0, "offset": 0 }, "width": 1, "height": 1, "faces": [face],
        "alerts": [], "timings": { "decodeMs": 0.0, "detectMs": 0.0, "embedMs": 0.0, "rulesMs": 0.0 },
        "judgedBy": { "models": [], "rules": [] },
    });
    let event = json!({
        "specversion": "1.0", "id": "frames/0/0", "source": "everyframe", "type": "everyframe.result.v1",
        "subject": "gate", "time": "", "datacontenttype": "application/json", "data": data,
    });
    Raw { key: "gate".into(), value: Some(event.to_string().into_bytes()), ..Raw::default() }
}

#[test]
fn watch_writes_to_a_file_at_once_and_counts_at_its_end() {
    let site = Site::start(1);
    // An agent creates the topics.
    let picture = site.file("a.jpg", &pictures::grey(64, 64));
    site.everyframe(&["camera", "--id", "gate", picture.to_str().expect("a path of UTF-8")]).expect_success();
    let mut quiet = site.start_everyframe("quiet", &["watch"]);
    let mut watch = site.start_everyframe("watch", &["watch", "--from-start"]);
    let mut json = site.start_everyframe("json", &["watch", "--from-start", "--json"]);
    for part in [&mut quiet, &mut watch, &mut json] {
        part.wait_for_word("watching ");
    }
    let ended = quiet.terminate();
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{}", ended.err);
    assert!(ended.err.contains("results 0 · alerts 0 · dead letters 0"), "{}", ended.err);

    site.send_raw(Topic::Results, &[result()]);
    wait_for("the line of the person", || watch.out().contains("ann recognised").then_some(()));
    let ended = watch.terminate();
    assert!(ended.out.ends_with("more frames 1 · faces 1 · alerts 0 · parked 0\n"), "{}", ended.out);
    assert!(ended.err.contains("results 1 · alerts 0 · dead letters 0"), "{}", ended.err);

    wait_for("the line of JSON", || json.out().ends_with('\n').then_some(()));
    let ended = json.terminate();
    assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
    assert!(ended.err.contains("results 1 · alerts 0 · dead letters 0"), "{}", ended.err);
}
