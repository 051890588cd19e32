//! Wrong configuration: said with file, line, key and advice, before anything starts.

use everyframe_tests::{Site, places, rule, shipped_rules};
use std::path::Path;

/// The line on which `tables` begins in a site's configuration.
const TABLES: usize = 12;

/// `run` and `config check` both refuse the file, with exit status 2 and exactly these lines.
fn assert_refused(site: &Site, expected: &[&str]) {
    for words in [&["config", "check", "everyframe.toml"][..], &["run", "--config", "everyframe.toml"]] {
        let ended = site.run(&mut site.command(words));
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{words:?}: {}", ended.err);
        assert_eq!(ended.err, format!("everyframe: {}\n", expected.join("\n")), "{words:?}");
    }
    assert_eq!(site.topics(), [""; 0], "nothing was started");
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_unknown_key_is_named_with_those_that_there_are() {
    let site = Site::start(1);
    site.configure("[intake]\nlane_byte = 1000000\n", &shipped_rules(""));
    assert_refused(&site, &[""]);
}

#[test]
fn an_unknown_table_is_named() {
    let site = Site::start(1);
    site.configure("[intakes]\nlane_bytes = 1000000\n", &shipped_rules(""));
    assert_refused(&site, &[""]);
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let site = Site::start(1);
    site.configure("[vision.detector]\nscore = \"high\"\n", &shipped_rules(""));
    assert_refused(&site, &[""]);
}

#[test]
fn thresholds_out_of_range_are_all_named() {
    let site = Site::start(1);
    site.configure(
        "[vision.detector]\nscore = 1.5\noverlap = nan\n\n[intake]\nlane_bytes = 10\n",
        &shipped_rules(""),
    );
    assert_refused(&site, &[""]);
}

#[test]
fn a_rules_own_setting_out_of_range_is_named() {
    let site = Site::start(1);
    let policy =
        rule("who", "matching-policy", &places::rule("matching_policy"), "threshold = 1.5\nmargn = 0.1");
    site.configure("", &policy);
    assert_refused(&site, &[""]);
}

#[test]
fn a_component_that_is_not_there_is_named() {
    let site = Site::start(1);
    site.configure("", &rule("who", "matching-policy", Path::new("absent.wasm"), ""));
    let path = site.folder().join("absent.wasm");
    assert_refused(&site, &[&path.display().to_string()]);
}

#[test]
fn a_component_of_another_kind_is_told_what_it_is() {
    let site = Site::start(1);
    site.configure("", &rule("who", "matching-policy", &places::rule("alerting"), ""));
    assert_refused(&site, &[""]);
}

#[test]
fn a_kind_that_is_none_is_told_those_that_there_are() {
    let site = Site::start(1);
    site.configure("", &rule("who", "matching", &places::rule("matching_policy"), ""));
    assert_refused(&site, &[""]);
}

#[test]
fn a_component_that_is_another_file_than_the_one_pinned_is_refused() {
    let site = Site::start(1);
    let policy = rule("who", "matching-policy", &places::rule("matching_policy"), "");
    site.configure("", &policy.replacen("kind", &format!("sha256 = \"{}\"\nkind", "0".repeat(64)), 1));
    assert_refused(&site, &[""]);
}

#[test]
fn rules_without_a_matching_policy_are_refused() {
    let site = Site::start(1);
    site.configure("", &rule("alerts", "alerting", &places::rule("alerting"), ""));
    assert_refused(&site, &[""]);
}

#[test]
fn a_property_on_which_delivery_rests_is_refused() {
    let site = Site::start(1);
    site.configure("", &shipped_rules(""));
    let text = std::fs::read_to_string(site.config()).expect("the configuration");
    let text = text.replace("\"heartbeat", "\"enable.auto.commit\" = \"true\"\n\"heartbeat");
    std::fs::write(site.config(), text).expect("the configuration can be written");
    assert_refused(&site, &[""]);
}

#[test]
fn broken_toml_is_placed() {
    let site = Site::start(1);
    site.configure("[intake\n", &shipped_rules(""));
    assert_refused(&site, &[""]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let site = Site::start(1);
    std::fs::remove_file(site.config()).expect("it is there");
    assert_refused(&site, &[""]);
}

#[test]
fn the_example_is_in_order_once_its_rules_are_there() {
    let site = Site::start(1);
    let example = site.run(&mut site.command(&["config", "example"])).well();
    site.file("example.toml", example.as_bytes());
    for name in ["matching_policy", "unknown_person", "alerting"] {
        let component = std::fs::read(places::rule(name)).expect("a component");
        site.file(&format!("components/{name}.wasm"), &component);
    }
    let said = site.run(&mut site.command(&["config", "check", "example.toml"])).well();
    assert!(said.ends_with("example.toml: in order\n"), "{said}");
}
