//! Mistakes in the configuration are reported with file, line, key and advice before anything starts.

use everyframe_tests::{Site, places, rule, shipped_rules};
use std::path::Path;

/// Checks that `run` and `config check` refuse the file with exit status 2 and exactly these lines.
fn assert_refused(site: &Site, expected: &[&str]) {
    for words in [&["config", "check", "everyframe.toml"][..], &["run", "--config", "everyframe.toml"]] {
        let ended = site.run(&mut site.command(words));
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{words:?}: {}", ended.err);
        assert_eq!(ended.err, format!("everyframe: {}\n", expected.join("\n")), "{words:?}");
    }
    assert_eq!(site.topics(), [""; 0], "nothing was started");
}

#[test]
fn an_unknown_key_is_named_with_the_known_ones() {
    let site = Site::start(1);
    site.configure("[intake]\nlane_byte = 1000000\n", &shipped_rules(""));
    assert_refused(
        &site,
        &[
            "everyframe.toml:13: intake.lane_byte: unknown field `lane_byte`, expected one of `lane_bytes`, `workers`, `commit_interval_ms`, `drain_timeout_ms`",
        ],
    );
}

#[test]
fn an_unknown_table_is_named() {
    let site = Site::start(1);
    site.configure("[intakes]\nlane_bytes = 1000000\n", &shipped_rules(""));
    assert_refused(
        &site,
        &[
            "everyframe.toml:12: intakes: unknown field `intakes`, expected one of `kafka`, `topics`, `intake`, `publish`, `vision`, `gallery`, `observe`, `web`, `privacy`, `reload`, `cameras`, `zones`, `masks`, `schedules`, `rules`, `channels`",
        ],
    );
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let site = Site::start(1);
    site.configure("[vision.detector]\nscore = \"high\"\n", &shipped_rules(""));
    assert_refused(
        &site,
        &["everyframe.toml:13: vision.detector.score: invalid type: string \"high\", expected a number"],
    );
}

#[test]
fn a_bad_address_and_a_reserved_rule_name_are_named() {
    let site = Site::start(1);
    let rule = rule("everyframe", "matching-policy", &places::rule("matching_policy"), "");
    site.configure("[observe]\nlisten = \"9464\"\n", &rule);
    assert_refused(
        &site,
        &[
            "everyframe.toml:13: observe.listen: `9464` is not an address; give one such as 127.0.0.1:9464",
            "everyframe.toml:16: rules[0].name: `everyframe` is the name of the host itself in alerts; give the rule another name",
        ],
    );
}

#[test]
fn all_thresholds_out_of_range_are_named() {
    let site = Site::start(1);
    site.configure(
        "[vision.detector]\nscore = 1.5\noverlap = nan\n\n[intake]\nlane_bytes = 10\n",
        &shipped_rules(""),
    );
    assert_refused(
        &site,
        &[
            "everyframe.toml:17: intake.lane_bytes: must be from 1048576 to 17179869184, is 10",
            "everyframe.toml:13: vision.detector.score: must be from 0 to 1, is 1.5",
            "everyframe.toml:14: vision.detector.overlap: must be from 0 to 1, is NaN",
        ],
    );
}

#[test]
fn a_setting_of_a_rule_out_of_range_is_named() {
    let site = Site::start(1);
    let policy =
        rule("who", "matching-policy", &places::rule("matching_policy"), "margin = 0.1\nthreshold = 1.5");
    site.configure("", &policy);
    assert_refused(
        &site,
        &["everyframe.toml:20: rules[0].settings.threshold: 1.5 is out of range: give a number from 0 to 1"],
    );
}

#[test]
fn an_unknown_setting_of_a_rule_gets_a_suggestion() {
    let site = Site::start(1);
    let policy = rule("who", "matching-policy", &places::rule("matching_policy"), "treshold = 0.5");
    site.configure("", &policy);
    assert_refused(
        &site,
        &[
            "everyframe.toml:19: rules[0].settings.treshold: there is no setting `treshold`: did you mean `threshold`?",
        ],
    );
}

#[test]
fn a_missing_component_is_named() {
    let site = Site::start(1);
    site.configure("", &rule("who", "matching-policy", Path::new("absent.wasm"), ""));
    let path = site.folder().join("absent.wasm");
    let expected = format!(
        "everyframe.toml:16: rules[0].component: cannot read {}: No such file or directory (os error 2); \
         build the rule, or correct the path",
        path.display()
    );
    assert_refused(&site, &[&expected]);
}

#[test]
fn a_component_of_another_kind_is_named_with_its_kind() {
    let site = Site::start(1);
    site.configure("", &rule("who", "matching-policy", &places::rule("alerting"), ""));
    assert_refused(
        &site,
        &[
            "everyframe.toml:15: rules[0].kind: the configuration says `matching-policy`, but the component is of the world `alerting`; write `kind = \"alerting\"`, or name another component",
        ],
    );
}

#[test]
fn an_unknown_kind_is_answered_with_the_known_ones() {
    let site = Site::start(1);
    site.configure("", &rule("who", "matching", &places::rule("matching_policy"), ""));
    assert_refused(
        &site,
        &[
            "everyframe.toml:15: rules[0].kind: unknown variant `matching`, expected one of `matching-policy`, `unknown-person`, `alerting`",
        ],
    );
}

#[test]
fn a_component_with_another_checksum_is_refused() {
    let site = Site::start(1);
    let policy = rule("who", "matching-policy", &places::rule("matching_policy"), "");
    site.configure("", &policy.replacen("kind", &format!("sha256 = \"{}\"\nkind", "0".repeat(64)), 1));
    let path = places::rule("matching_policy");
    let sha256 = site.run(std::process::Command::new("sha256sum").arg(&path)).expect_success();
    let (sha256, _) = sha256.split_once(' ').expect("a checksum");
    let expected = format!(
        "everyframe.toml:15: rules[0].sha256: {} has sha256 {sha256}, not {}; to accept the new file, set \
         `sha256 = \"{sha256}\"`",
        path.display(),
        "0".repeat(64)
    );
    assert_refused(&site, &[&expected]);
}

#[test]
fn rules_without_a_matching_policy_are_refused() {
    let site = Site::start(1);
    site.configure("", &rule("alerts", "alerting", &places::rule("alerting"), ""));
    assert_refused(&site, &["everyframe.toml:13: rules: no rule is of kind `matching-policy`; add one"]);
}

#[test]
fn a_property_on_which_delivery_depends_is_refused() {
    let site = Site::start(1);
    site.configure("", &shipped_rules(""));
    let text = std::fs::read_to_string(site.config()).expect("the configuration");
    let text = text.replace("\"heartbeat", "\"enable.auto.commit\" = \"true\"\n\"heartbeat");
    std::fs::write(site.config(), text).expect("the configuration can be written");
    assert_refused(
        &site,
        &[
            "everyframe.toml:7: kafka.consumer.enable.auto.commit: cannot be set here: delivery depends on it, or it has a key of its own",
        ],
    );
}

#[test]
fn a_property_that_librdkafka_refuses_is_refused() {
    let site = Site::start(1);
    site.configure("", &shipped_rules(""));
    let right = std::fs::read_to_string(site.config()).expect("the configuration");
    for (line, problem) in [
        (
            "\"sesion.timeout.ms\" = 6000",
            "sesion.timeout.ms: librdkafka knows no such property; did you mean `session.timeout.ms`?",
        ),
        (
            "\"max.poll.interval.ms\" = \"hunter2\"",
            "max.poll.interval.ms: librdkafka does not take this value: ",
        ),
        (
            "\"max.poll.interval.ms\" = 5000",
            "max.poll.interval.ms: librdkafka does not take these properties together: ",
        ),
    ] {
        let text = right.replace("\"heartbeat", &format!("{line}\n\"heartbeat"));
        std::fs::write(site.config(), text).expect("the configuration can be written");
        let check = site.run(&mut site.command(&["config", "check"]));
        for ended in [check, site.everyframe(&["audit"]), site.everyframe(&["run"])] {
            assert_eq!(ended.code, Some(2), "{}{}", ended.out, ended.err);
            assert!(
                ended.err.contains(&format!("everyframe.toml:7: kafka.consumer.{problem}")),
                "{}",
                ended.err
            );
            assert!(!ended.err.contains("hunter2"), "{}", ended.err);
        }
    }
}

#[test]
fn broken_toml_is_named_with_its_place() {
    let site = Site::start(1);
    site.configure("[intake\n", &shipped_rules(""));
    assert_refused(&site, &["everyframe.toml:12: unclosed table, expected `]`"]);
}

#[test]
fn a_missing_file_is_named() {
    let site = Site::start(1);
    std::fs::remove_file(site.config()).expect("it is there");
    assert_refused(
        &site,
        &[
            "everyframe.toml: cannot be read: No such file or directory (os error 2); give a configuration with --config FILE",
        ],
    );
}

#[test]
fn the_example_is_valid_if_its_rules_exist() {
    let site = Site::start(1);
    let example = site.run(&mut site.command(&["config", "example"])).expect_success();
    site.file("example.toml", example.as_bytes());
    for name in ["matching_policy", "unknown_person", "alerting"] {
        let component = std::fs::read(places::rule(name)).expect("a component");
        site.file(&format!("components/{name}.wasm"), &component);
    }
    let said = site.run(&mut site.command(&["config", "check", "example.toml"])).expect_success();
    assert!(said.ends_with("example.toml: in order\n"), "{said}");
}
