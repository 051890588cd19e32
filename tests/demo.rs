//! `everyframe demo`.

use everyframe_tests::places;
use std::process::{Command, Stdio};

#[test]
fn the_demo_shows_people_and_alerts_and_loses_no_frame() {
    let plugins = places::rule("alerting").parent().expect("a component lies in a folder").to_owned();
    let demo = Command::new(places::binary("everyframe"))
        .args(["demo", "--seconds", "8"])
        .env("EVERYFRAME_PLUGINS", plugins)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("the demo can be started");
    let (out, err) = (String::from_utf8_lossy(&demo.stdout), String::from_utf8_lossy(&demo.stderr));
    assert_eq!(demo.status.code(), Some(0), "{out}\n{err}");
    for said in
        ["viktor recognised", "is new here", "ALERT info: viktor seen at gate-1", "ALERT warning: Stranger"]
    {
        assert!(out.contains(said), "{said}: {out}");
    }
    let last = out.lines().last().unwrap_or_default();
    let number = |name: &str| {
        let words: Vec<&str> = last.split_whitespace().collect();
        words.iter().position(|word| *word == name).and_then(|at| words[at + 1].parse::<u64>().ok())
    };
    let frames = number("frames").unwrap_or_default();
    assert!(frames > 200, "four cameras at 10 frames a second for 8 s: {last}");
    assert_eq!(
        (number("processed"), number("lost"), number("repeated")),
        (Some(frames), Some(0), Some(0)),
        "{last}"
    );
    assert!(!err.contains("WARN") && !err.contains("ERROR"), "{err}");
}
