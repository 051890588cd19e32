//! The section "Five minutes" of docs/rules.md: runs its commands up to an alert, in each language.

use everyframe_tests::{Part, Site, pictures, places, wait_for};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The commands of the guide, without their comments.
fn guide() -> Vec<String> {
    let text = std::fs::read_to_string(places::repository("docs/rules.md")).expect("the guide");
    let (_, section) = text.split_once("\n## Five minutes").expect("the section");
    let (_, rest) = section.split_once("```sh\n").expect("commands");
    let (commands, _) = rest.split_once("```").expect("their end");
    commands.lines().map(|line| line.split("  #").next().unwrap_or_default().trim().to_owned()).collect()
}

/// A shell command for a line of the guide, in the site's folder.
fn command(site: &Site, line: &str) -> Command {
    let programs = places::binary("everyframe").parent().expect("a program lies in a folder").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command
        .args(["-c", line])
        .current_dir(site.folder())
        .stdin(Stdio::null())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("EVERYFRAME_STATE", site.folder().join("state"))
        .envs(places::component_tools())
        // As on a machine where a rule was built before, with compiled dependencies.
        .env("CARGO_TARGET_DIR", places::guests().join("new/target"))
        .env_remove("RUST_LOG");
    command
}

/// Runs the commands of the guide, and waits for the alert of the new rule.
fn follow_the_guide(language: &str) {
    // The requirements of the guide: a broker, a configuration, a picture and a clip of one man.
    let site = Site::start(1);
    site.file("viktor.jpg", &pictures::man()[0]);
    std::fs::copy(places::cached("footage/single_face.mp4"), site.folder().join("clip.mp4"))
        .expect("the clip");

    let started = Instant::now();
    let mut took = Vec::new();
    let mut running = Vec::new();
    for line in guide() {
        let (began, words) = (Instant::now(), line.replace("--lang python", &format!("--lang {language}")));
        let name = words.split_whitespace().nth(1).unwrap_or_default().to_owned();
        match words.strip_suffix('&') {
            Some(words) => {
                running.push(Part::start(
                    &name,
                    site.folder(),
                    &mut command(&site, &format!("exec {words}")),
                ));
            }
            None if name == "watch" => {
                let exec = format!("exec {words}");
                let watch = Part::start(&name, site.folder(), &mut command(&site, &exec));
                wait_for("the alert of the rule", || {
                    watch.out().contains("ALERT info: Viktor is here [my-rule]").then_some(())
                });
            }
            None => drop(site.run(&mut command(&site, &words)).expect_success()),
        }
        let command: Vec<&str> = line.trim_start_matches("everyframe ").split_whitespace().take(2).collect();
        took.push(format!("{} {:.1} s", command.join(" "), began.elapsed().as_secs_f64()));
    }
    // Not by `eprintln!`: the test harness hides the output of a test that passes.
    let total = started.elapsed().as_secs_f64();
    let line = format!("{language}: an alert after {total:.1} s: {}\n", took.join(", "));
    std::io::stderr().write_all(line.as_bytes()).expect("it can be said");
    assert_eq!(running.len(), 1, "the host was started");
    assert!(running.iter_mut().all(Part::is_running), "{}", running[0].err());
}

#[test]
fn the_guide_leads_to_an_alert_in_each_language() {
    // All languages at once, because each mostly waits for its camera.
    std::thread::scope(|scope| {
        for language in ["rust", "python", "javascript"] {
            scope.spawn(move || follow_the_guide(language));
        }
    });
}
