//! The tools for rule authors: from a new project to a tested component, without Kafka.

use everyframe_tests::{Ended, places};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder in which commands run.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("everyframe-test-").tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), text).expect("a file can be written");
        self.path(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    /// Runs `everyframe rule` with these arguments.
    fn rule(&self, words: &[&str]) -> Ended {
        run(Command::new(places::binary("everyframe")).arg("rule").args(words).current_dir(self.0.path()))
    }
}

fn run(command: &mut Command) -> Ended {
    let output = command.env_remove("RUST_LOG").stdin(Stdio::null()).output().expect("it can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn alerting() -> String {
    shown(&places::rule("alerting"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const SCENARIO: &str = r#"about = "Viktor is told once a visit"

[settings]
cooldown_ms = 60000

[[people]]
id = "viktor"
name = "Viktor"

# He comes.
[[frames]]
at = "10:00:00"
faces = [{ known = "viktor" }]
expect = [{ kind = "known-person", subject = "viktor", severity = "info" }]

[[frames]]
at = "10:00:30"
faces = [{ known = "viktor" }]
expect = []  # still there

[[frames]]
at = "10:02:00"
faces = [{ known = "viktor" }]
expect = [{ kind = "known-person" }]
"#;

#[test]
fn inspect_describes_a_component() {
    let desk = Desk::new();
    let said = desk.rule(&["inspect", &alerting()]).expect_success();
    for expected in [
        "alerting 0.1.0\n",
        "kind      alerting\n",
        "contract  everyframe:rules@0.2.0\n",
        "cooldown_ms",
        "whole number",
        "people.NAME.severity",
        "wasi:",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    for (path, kind) in [
        (places::rule("matching_policy"), "matching-policy"),
        (places::rule("unknown_person"), "unknown-person"),
        (places::other_rule("after_hours"), "alerting"),
    ] {
        let said = json(&desk.rule(&["inspect", &shown(&path), "--json"]).expect_success());
        assert_eq!((&said["kind"], &said["contract"]), (&kind.into(), &"0.2.0".into()), "{said}");
        assert_eq!(said["sha256"].as_str().map(str::len), Some(64), "{said}");
        assert!(said["settings"].as_array().is_some_and(|settings| !settings.is_empty()), "{said}");
    }
}

#[test]
fn check_prints_every_problem_with_its_place() {
    let desk = Desk::new();
    let component = alerting();
    assert!(desk.rule(&["check", &component]).expect_success().ends_with("in order\n"));

    let other = desk.rule(&["check", &component, "--kind", "matching-policy"]);
    assert_eq!(other.code, Some(1), "{}", other.err);
    assert!(other.out.contains("problem  kind: "), "{}", other.out);

    desk.file("settings.toml", "# Ours.\ncooldown_ms = 5\nutc_offset_minutes = 60\n");
    let wrong = desk.rule(&["check", &component, "--settings", "settings.toml"]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.err);
    assert!(wrong.out.contains("problem  settings.toml:3: utc_offset_minutes: "), "{}", wrong.out);

    desk.file("settings.toml", "cooldown_ms = ");
    let broken = desk.rule(&["check", &component, "--settings", "settings.toml"]);
    assert_eq!(broken.code, Some(2), "{}", broken.out);
    assert!(broken.err.starts_with("everyframe: settings.toml:1: "), "{}", broken.err);

    let config = everyframe_tests::shipped_rules("cooldown_msec = 5");
    desk.file("everyframe.toml", &config);
    let line = config.lines().position(|line| line.starts_with("cooldown_msec")).expect("it is there") + 1;
    let words = ["check", &component, "--config", "everyframe.toml", "--json"];
    let ended = desk.rule(&words);
    let said = json(&ended.out);
    assert_eq!((ended.code, &said["ok"]), (Some(1), &false.into()), "{said}");
    assert_eq!(said["problems"][0]["line"], line, "{said}");
    assert_eq!(said["problems"][0]["key"], "rules[2].settings.cooldown_msec", "{said}");

    let ended = desk.rule(&["check", &component, "--config", "everyframe.toml", "--rule", "nobody"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.err.contains("no rule is called `nobody`") && ended.err.contains("strangers"),
        "{}",
        ended.err
    );
}

#[test]
fn a_scenario_runs_in_the_sandbox() {
    let desk = Desk::new();
    desk.file("good.toml", SCENARIO);
    let said = desk.rule(&["test", &alerting(), "good.toml"]).expect_success();
    assert_eq!(said, "good.toml: as expected, 3 frames, 3 with an `expect`: Viktor is told once a visit\n");

    desk.file(
        "bad.toml",
        SCENARIO.replace("\"info\"", "\"critical\"").replace("expect = []", "expect = [{}]"),
    );
    let ended = desk.rule(&["test", &alerting(), "good.toml", "bad.toml"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    for expected in [
        "good.toml: as expected",
        "bad.toml: 2 of 3 frames not as expected: Viktor is told once a visit\n",
        "  frame 1, gate at 10:00:00 (bad.toml:11)\n",
        "    answer 1  expected { severity = \"critical\", kind = \"known-person\", subject = \"viktor\" }\n",
        "got      { severity = \"info\", kind = \"known-person\", subject = \"viktor\"",
        "  frame 2, gate at 10:00:30 (bad.toml:16)\n",
        "got      nothing\n",
    ] {
        assert!(ended.out.contains(expected), "{expected}: {}", ended.out);
    }

    let said = desk.rule(&["test", &alerting(), "bad.toml", "--update"]).expect_success();
    assert_eq!(said, "bad.toml: written: Viktor is told once a visit\n");
    let updated = desk.text("bad.toml");
    assert!(
        updated.contains("# He comes.\n") && updated.contains("expect = []  # still there\n"),
        "{updated}"
    );
    desk.rule(&["test", &alerting(), "bad.toml"]).expect_success();
    let said = desk.rule(&["test", &alerting(), "bad.toml", "--update"]).expect_success();
    assert!(said.starts_with("bad.toml: nothing to write"), "{said}");
    assert_eq!(desk.text("bad.toml"), updated);
}

#[test]
fn a_rule_that_fails_or_refuses_its_settings_does_not_pass() {
    let desk = Desk::new();
    let hostile = shown(&places::other_rule("hostile_rule"));
    desk.file("loop.toml", "[settings]\ndo = \"loop\"\n[[frames]]\nfaces = [{}]\n");
    let ended = desk.rule(&["test", &hostile, "loop.toml"]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);

    desk.file("refused.toml", "[settings]\ncooldown_msec = 5\n[[frames]]\n");
    let ended = desk.rule(&["test", &alerting(), "refused.toml"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.out.starts_with("refused.toml: settings.cooldown_msec: "), "{}", ended.out);
}

#[test]
fn a_rule_gets_only_granted_variables_and_folders() {
    let desk = Desk::new();
    let hostile = shown(&places::other_rule("hostile_rule"));
    let rule = format!(
        "[[rules]]\nname = \"who\"\nkind = \"matching-policy\"\ncomponent = \"{hostile}\"\n\n[rules.settings]\ndo = \"want-grants\"\n"
    );
    let grants = "\n[rules.grants]\nfolder = \"lists\"\nenvironment = { REGION = { file = \"region\" } }\n";
    let check = || desk.rule(&["check", &hostile, "--config", "everyframe.toml"]);

    desk.file("everyframe.toml", &rule);
    let ended = check();
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("everyframe.toml:7: rules[0].settings.do: no REGION"), "{}", ended.out);

    desk.file("everyframe.toml", rule + grants);
    desk.file("region", "north\n");
    desk.file("secret", "secret");
    let ended = check();
    assert_eq!(ended.code, Some(2), "{}{}", ended.out, ended.err);
    assert!(ended.err.contains("everyframe.toml:10: rules[0].grants.folder: "), "{}", ended.err);
    assert!(ended.err.contains("lists does not exist"), "{}", ended.err);

    std::fs::create_dir(desk.path("lists")).expect("a folder");
    std::fs::write(desk.path("lists").join("plates.txt"), "AB12").expect("a file");
    let said = check().expect_success();
    assert!(said.ends_with(": in order\n"), "{said}");
}

#[test]
fn bench_prints_time_and_memory() {
    let desk = Desk::new();
    desk.file("scenario.toml", SCENARIO);
    let said =
        desk.rule(&["bench", &alerting(), "scenario.toml", "--calls", "200", "--json"]).expect_success();
    let figures: Vec<Value> = said.lines().map(json).collect();
    let whats: Vec<&str> = figures.iter().filter_map(|it| it["what"].as_str()).collect();
    let both = ["one face, fresh", "scenario.toml, fresh", "one face, reused", "scenario.toml, reused"];
    assert_eq!(whats, both);
    for figures in &figures {
        let number = |key: &str| figures[key].as_f64().unwrap_or_default();
        assert_eq!(figures["calls"], 200);
        assert!(number("p50Us") > 0.0 && number("p99Us") >= number("p50Us"), "{figures}");
        assert!(number("p50Fuel") > 1000.0 && number("memoryBytes") >= 65_536.0, "{figures}");
    }
    for name in ["matching_policy", "unknown_person"] {
        let said = desk.rule(&["bench", &shown(&places::rule(name)), "--calls", "20"]).expect_success();
        assert!(said.contains("one face") && said.contains("p99"), "{said}");
    }
}

#[test]
fn wrong_input_is_named_and_ends_with_status_2() {
    let desk = Desk::new();
    let whole = std::fs::read(places::rule("alerting")).expect("a component");
    desk.file("truncated.wasm", &whole[..whole.len() / 2]);
    desk.file("module.wasm", [0, b'a', b's', b'm', 1, 0, 0, 0]);
    desk.file("good.toml", SCENARIO);
    desk.file("typo.toml", SCENARIO.replace("known-person\", subject", "known-person\", sbuject"));
    desk.file("keys.toml", SCENARIO.replace("faces", "fcaes"));
    for (words, expected) in [
        (&["inspect", "absent.wasm"][..], "cannot read absent.wasm"),
        (&["inspect", "module.wasm"], "module.wasm is a core module: build it as a component"),
        (&["check", "truncated.wasm"], "truncated.wasm is damaged"),
        (&["test", "good.toml", "good.toml"], "good.toml is not a WebAssembly component"),
        (&["test", &alerting(), "absent.toml"], "absent.toml: cannot be read"),
        (
            &["test", &alerting(), "typo.toml"],
            "typo.toml:14: frames[0].expect[0].sbuject: unknown field `sbuject`",
        ),
        (&["test", &alerting(), "keys.toml"], "keys.toml:13: frames[0].fcaes: unknown field `fcaes`"),
        (&["bench", &alerting(), "keys.toml"], "keys.toml:13: "),
        (&["test", &alerting()], "required"),
        (&["new", "Bad_Name", "--kind", "alerting"], "`Bad_Name` cannot be a rule's name"),
        (&["new", "fine", "--kind", "matching"], "matching-policy"),
    ] {
        let ended = desk.rule(words);
        assert_eq!(ended.code, Some(2), "{words:?}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(expected), "{words:?}: {}", ended.err);
    }
}

/// Creates a project of each kind in a language, builds it, and runs its scenario.
fn new_projects_build_and_pass(language: &str) {
    let desk = Desk::new();
    // Uses the build folder of earlier runs, so that only changes of the templates are compiled.
    let kept = places::guests().join("new");
    for (name, kind) in
        [("a-greeter", "alerting"), ("who-is-it", "matching-policy"), ("stayers", "unknown-person")]
    {
        let name = format!("{name}-in-{language}");
        desk.rule(&["new", &name, "--kind", kind, "--lang", language]).expect_success();
        let again = desk.rule(&["new", &name, "--kind", kind, "--lang", language]);
        assert_eq!(again.code, Some(2));
        assert!(again.err.contains("there already, and not empty"), "{}", again.err);

        let mirror = places::repository("scripts/mirror.sh").canonicalize().expect("a script");
        run(Command::new(mirror).arg(&kept).arg(&name).current_dir(desk.0.path())).expect_success();
        // One target folder, so that the dependencies are compiled once. The toolchain is the repository's.
        let mut make = Command::new("make");
        make.current_dir(kept.join(&name)).env("CARGO_TARGET_DIR", kept.join("target"));
        run(make.envs(places::component_tools())).expect_success();
        let component = kept.join(&name).join(format!("{name}.wasm"));
        let said =
            desk.rule(&["test", &shown(&component), &format!("{name}/scenario.toml")]).expect_success();
        assert!(said.contains("as expected"), "{said}");
    }
}

#[test]
fn new_projects_in_rust_build_and_pass_their_scenarios() {
    new_projects_build_and_pass("rust");
}

#[test]
fn new_projects_in_python_build_and_pass_their_scenarios() {
    new_projects_build_and_pass("python");
}

#[test]
fn new_projects_in_javascript_build_and_pass_their_scenarios() {
    new_projects_build_and_pass("javascript");
}

/// The names and scenarios of the examples in a folder.
fn examples(folder: &str) -> Vec<(String, PathBuf)> {
    let folders = std::fs::read_dir(places::repository(folder)).expect("the examples");
    let paths = folders.map(|entry| entry.expect("an entry").path());
    let named =
        paths.map(|path| (shown(Path::new(path.file_name().expect("a name"))), path.join("scenario.toml")));
    named.filter(|(_, scenario)| scenario.exists()).collect()
}

#[test]
fn every_example_answers_as_its_scenario_says() {
    let desk = Desk::new();
    let examples = examples("examples/rules");
    assert!(examples.len() >= 11, "{examples:?}");
    for (name, scenario) in examples {
        let component = places::other_rule(&name.replace('-', "_"));
        let said = desk.rule(&["test", &shown(&component), &shown(&scenario)]).expect_success();
        assert!(said.contains(": as expected, "), "{said}");
    }
}

/// Checks the answers of the examples in Python and JavaScript, and that they refuse unknown settings.
fn scripted_examples_answer(language: &str) {
    let desk = Desk::new();
    desk.file("typo.toml", "[settings]\nunheard_of = 5\n[[frames]]\n");
    let examples = examples("examples/scripted-rules");
    assert_eq!(examples.len(), 3, "{examples:?}");
    for (name, scenario) in examples {
        let component = places::other_rule(&format!("{language}/{name}"));
        // One call: a Python rule takes seconds to load.
        let ended = desk.rule(&["test", &shown(&component), &shown(&scenario), "typo.toml"]);
        let lines: Vec<&str> = ended.out.lines().collect();
        assert_eq!((ended.code, lines.len()), (Some(1), 2), "{}{}", ended.out, ended.err);
        assert!(lines[0].contains(": as expected, "), "{}", ended.out);
        assert!(
            lines[1].starts_with("typo.toml: settings.unheard_of: there is no such setting"),
            "{}",
            ended.out
        );
    }
}

#[test]
fn wrong_times_do_not_affect_a_stranger() {
    let desk = Desk::new();
    let scenario = places::repository("plugins/unknown-person/wrong-clock.toml");
    desk.rule(&["test", &shown(&places::rule("unknown_person")), &shown(&scenario)]).expect_success();
}

#[test]
fn every_example_in_python_answers_as_its_scenario_says() {
    scripted_examples_answer("python");
}

#[test]
fn every_example_in_javascript_answers_as_its_scenario_says() {
    scripted_examples_answer("javascript");
}
