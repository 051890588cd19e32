//! Frames that cannot be processed, and frames that retention deletes unread.

use super::trial::{CAMERAS, Trial, four_cameras, the_man};
use everyframe_tests::{Feed, Part, Topic, places, rule};
use serde_json::json;

super::on_both! {
    broken_pictures_are_dead_letters_once_whatever_dies: "host killed, every fifth picture broken" [ignore = "slow"] [ignore = "slow"],
    frames_on_which_a_rule_traps_are_parked_once: "host killed, a rule traps on every tenth frame" [ignore = "slow"] [ignore = "slow"],
    frames_deleted_while_a_host_was_stopped_are_listed: "retention overtook a stopped host" [ignore = "slow"] [ignore = "slow"],
}

/// The actions of the hostile rule on every tenth frame of the camera with that name.
const MISDEEDS: [&str; 4] = ["trap", "panic", "stack", "no-verdict"];

/// Kills the host several times. With a static name it gets its partitions back at once.
fn kill_hosts(trial: &Trial, few: usize, many: usize) -> Part {
    let host = |log: String| trial.site.start_host_as("host-1", 20_000, &log);
    let mut last = host("host-0".into());
    last.wait_for_word("partition assigned");
    for time in trial.times(few, many) {
        let before = trial.site.count(Topic::Results);
        trial.site.wait_for_records(Topic::Results, before + 20);
        trial.dice.sleep(0, 1000);
        last.kill();
        last = host(format!("host-{time}"));
    }
    last
}

/// Checks the number of distinct frames in a topic, and with exactly once that none is there twice.
fn assert_count(trial: &Trial, audit: &serde_json::Value, dead_letters: usize) {
    assert_eq!(audit["total"]["dead_letters"], dead_letters, "{audit}");
    let letters = trial.site.count(Topic::DeadLetters);
    assert!(
        letters >= dead_letters && (!trial.site.is_exactly_once() || letters == dead_letters),
        "{letters}"
    );
}

fn broken_pictures_are_dead_letters_once_whatever_dies(trial: &Trial) {
    trial.site.create_frames_topic();
    // A truncated picture, a text, and an empty record.
    let half = everyframe_tests::pictures::man().swap_remove(0);
    let broken = [half[..half.len() / 2].to_vec(), b"no picture".to_vec(), Vec::new()];
    let other = move |number: usize| (number % 5 == 4).then(|| broken[number / 5 % 3].clone());
    let feed = Feed::start(&trial.site, 40, four_cameras(CAMERAS, other));
    let _host = kill_hosts(trial, 3, 30);
    let sent = feed.stop();
    let audit = trial.account(sent);
    // The cameras take turns, so some have sent one frame more than the last camera.
    let dead = (0..4).map(|camera| ((sent + 3 - camera) / 4) / 5).sum();
    assert_count(trial, &audit, dead);
}

fn frames_on_which_a_rule_traps_are_parked_once(trial: &Trial) {
    let hostile = places::other_rule("hostile_rule");
    let rules = rule("who", "matching-policy", &hostile, "do = \"as-the-camera-says\"");
    trial.site.configure("", &rules);
    trial.site.create_frames_topic();
    let feed = Feed::start(&trial.site, 40, four_cameras(MISDEEDS, the_man));
    let _host = kill_hosts(trial, 2, 20);
    let sent = feed.stop();
    let audit = trial.account(sent);
    let dead = (0..4).map(|camera| ((sent + 3 - camera) / 4) / 10).sum();
    assert_count(trial, &audit, dead);
}

fn frames_deleted_while_a_host_was_stopped_are_listed(trial: &Trial) {
    let site = &trial.site;
    let frames: Vec<_> = four_cameras(CAMERAS, the_man).take(240).collect();
    trial.once();
    let host = site.host();
    site.send(&frames[..120]);
    trial.account(120);
    assert_eq!(host.terminate().code, Some(0));

    site.send(&frames[120..]);
    // The host has processed 30 frames of each partition. Retention deletes the first ten of the next 30.
    site.delete_before(Topic::Frames, 1, 40);
    let (code, audit) = site.audit();
    assert_eq!(code, Some(1), "{audit}");
    assert_eq!((&audit["deleted"], &audit["deleted_frames"]), (&json!(["1/30-39"]), &json!(10)), "{audit}");
    assert_eq!((&audit["total"]["missing"], &audit["total"]["waiting"]), (&json!(0), &json!(110)), "{audit}");

    let _host = site.host_called("host-restarted");
    let (_, audit) = site.settled_audit();
    let total = &audit["total"];
    assert_eq!((&total["missing"], &total["repeated"], &total["gaps"]), (&json!(0), &json!(0), &json!(0)));
    // The rest of this partition, and all frames of the others.
    assert_eq!((&total["sent"], &total["results"]), (&json!(20 + 180), &json!(20 + 180)), "{audit}");
    assert_eq!((&audit["deleted"], &audit["deleted_frames"]), (&json!(["1/30-39"]), &json!(10)), "{audit}");
}
