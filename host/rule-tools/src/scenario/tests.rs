//! Scenarios are parsed, run in the sandbox, updated and recorded.

use super::*;
use everyframe_config::RuleKind::{Alerting, MatchingPolicy, UnknownPerson};
use everyframe_config::{Limits, RuleSettings};
use everyframe_rules::{LoadedComponent, RuleOutput, RuleRunner};
use everyframe_test_guests::Guest;
use everyframe_types::judgement::Decision;
use std::path::Path;

fn parse(kind: RuleKind, text: &str) -> Result<Scenario, String> {
    Scenario::parse(text, Path::new("s.toml"), kind)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn refused(kind: RuleKind, text: &str) -> String {
    parse(kind, text).err().unwrap_or_else(|| panic!("taken: {text}"))
}

/// Runs `f` with the guest, a matching policy.
fn with_policy<T>(guest: &Guest, f: impl FnOnce(&RuleRunner<'_>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.wasm");
    std::fs::write(&path, guest.component()).unwrap();
    // Enough time for a busy machine.
    let limits = Limits { time_ms: 2000, memory_mb: 8, ..Limits::default() };
    let rule = RuleSettings { limits, breaker: 0, ..RuleSettings::new("policy", MatchingPolicy, path) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let component =
        LoadedComponent::read(&rule, runtime.handle().clone(), None).map_err(|(_, error)| error).unwrap();
    f(&component.configure(&rule).unwrap())
}

#[test]
fn omitted_keys_have_defaults() {
    let text = "[[frames]]\nfaces = [{ known = \"a\" }, { unknown = true }]\n[[frames]]\ncamera = \"door\"\n[[frames]]\nat = \"12:00:00.5\"";
    let frames = parse(Alerting, text).unwrap().frames;
    let (first, second, third) = (&frames[0], &frames[1], &frames[2]);
    assert_eq!((first.camera.as_str(), format_time(first.at).as_str()), ("gate", "10:00:00"));
    assert_eq!((second.camera.as_str(), format_time(second.at).as_str()), ("door", "10:00:00.100"));
    assert_eq!((third.camera.as_str(), format_time(third.at).as_str()), ("door", "12:00:00.500"));
    assert_eq!((first.sequence, second.sequence, third.sequence), (1, 1, 2));
    assert_eq!((first.width, first.height, first.expect.is_none()), (1280, 720, true));
    let face = &first.subjects[1].face;
    assert_eq!((face.index, face.track.id, face.track.started_at), (1, 2, first.at));
    assert_eq!(face.detection.bounds.x, 300.0);
    assert_eq!(first.subjects[0].decision, Decision::Known { person: "a".into(), confidence: 0.9 });
}

#[test]
fn a_track_begins_with_its_first_face() {
    let frame = "[[frames]]\nfaces = [{ unknown = true }]\n";
    let text = format!("{frame}{frame}[[frames]]\n{frame}");
    let frames = parse(UnknownPerson, &text).unwrap().frames;
    let started = |at: usize| frames[at].subjects[0].face.track.started_at - frames[0].at;
    assert_eq!((started(0), started(1), started(3)), (0, 0, 300));
}

#[test]
fn times_have_a_date_or_are_on_the_monday() {
    assert_eq!(parse_time("00:00:00"), Some(MONDAY));
    assert_eq!(parse_time("2026-01-05T10:00:00Z"), parse_time("10:00:00"));
    assert_eq!(parse_time("2026-01-05T11:00:00.250+01:00"), parse_time("10:00:00.250"));
    assert_eq!(format_time(MONDAY - 1), "2026-01-04T23:59:59.999Z");
    for wrong in ["", "10", "10:00", "25:00:00", "10:00:00Z", "tomorrow", "10:00:0x"] {
        assert_eq!(parse_time(wrong), None, "{wrong}");
    }
}

#[test]
fn problems_have_file_line_and_key() {
    for (kind, text, expected) in [
        (Alerting, "[[frames]]\nfcaes = []", "s.toml:2: frames[0].fcaes: unknown field `fcaes`"),
        (Alerting, "abouts = 1\nframes = []", "s.toml:1: abouts: unknown field"),
        (Alerting, "[[frames]]\nat = \"noon\"", "s.toml:2: frames[0].at: `noon` is not a time"),
        (
            Alerting,
            "[[frames]]\nat = 5",
            "s.toml:2: frames[0].at: invalid type: integer `5`, expected a text",
        ),
        (Alerting, "frames = []", "s.toml:1: frames: there is none"),
        (Alerting, "[[frames]]\nfaces = [{}]", "s.toml:2: frames[0].faces[0]: give one of"),
        (Alerting, "[[frames]]\nfaces = [{ known = \"a\", unknown = true }]", "give one of"),
        (
            Alerting,
            "[[frames]]\nexpect = [{ sevrity = \"info\" }]",
            "s.toml:2: frames[0].expect[0].sevrity: unknown",
        ),
        (Alerting, "[[frames]]\nexpect = [{ severity = \"high\" }]", "`high` is not one of"),
        (
            Alerting,
            "[[frames]]\nfaces = [{ unknown = true, candidates = { a = 0.5 } }]",
            "only a matching policy",
        ),
        (
            MatchingPolicy,
            "[[frames]]\nfaces = [{ known = \"a\" }]\n",
            "frames[0].faces[0].known: is not valid for",
        ),
        (MatchingPolicy, "[[frames]]\nfaces = [{}]\nexpect = []", "0 entries for 1 faces"),
        (UnknownPerson, "[[frames]]\nexpect = [{ event = \"gone\" }]", "`gone` is not one of"),
        (Alerting, "[[frames]\n", "s.toml:1"),
        (Alerting, "[[frames]]\nfaces = [{ unknown = true, track = 2 }, { unknown = true }]", "has track 2"),
    ] {
        let message = refused(kind, text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn only_the_expected_fields_are_compared() {
    let text = "[[people]]\nid = \"anna\"\n[[frames]]\nfaces = [{}]\nexpect = [{ unknown = true }]\n\
                [[frames]]\nfaces = [{}, {}]\nexpect = [{ unknown = true }, { known = \"anna\" }]\n[[frames]]\n";
    let scenario = parse(MatchingPolicy, text).unwrap();
    let ran = with_policy(&Guest::default(), |rule| run_scenario(&scenario, rule));
    assert_eq!(ran.iter().map(FrameResult::is_as_expected).collect::<Vec<_>>(), [true, false, true]);
    let [difference] = ran[1].differences.as_slice() else { panic!("{ran:?}") };
    assert_eq!(difference.place, 2);
    assert_eq!(difference.expected.as_ref().unwrap().to_string(), "known = \"anna\"");
    assert_eq!(difference.got.as_ref().unwrap().to_string(), "unknown = true");
}

#[test]
fn a_frame_on_which_the_rule_fails_is_not_as_expected() {
    let scenario = parse(MatchingPolicy, "[[frames]]\n[[frames]]\n").unwrap();
    let ran = with_policy(&Guest::answering("unreachable"), |rule| run_scenario(&scenario, rule));
    assert!(ran.iter().all(|ran| ran.got.is_err() && !ran.is_as_expected()), "{ran:?}");
}

#[test]
fn an_update_changes_only_the_expectations() {
    let text = "# Head.\nabout = 'x'\n\n[[frames]]  # one\nfaces = [{}]\n# Why.\nexpect = [{ known = \"anna\" }] # so\n\n\
                # Two.\n[[frames]]\nfaces = [ {} ]\n\n[[frames]]\nexpect = []\n";
    let scenario = parse(MatchingPolicy, text).unwrap();
    let new = with_policy(&Guest::default(), |rule| {
        let ran = run_scenario(&scenario, rule);
        update_expectations(text, &scenario.frames, &ran).unwrap().unwrap()
    });
    assert_eq!(
        new,
        "# Head.\nabout = 'x'\n\n[[frames]]  # one\nfaces = [{}]\n# Why.\nexpect = [{ unknown = true }] # so\n\n\
         # Two.\n[[frames]]\nfaces = [ {} ]\nexpect = [{ unknown = true }]\n\n[[frames]]\nexpect = []\n"
    );
    let scenario = parse(MatchingPolicy, &new).unwrap();
    with_policy(&Guest::default(), |rule| {
        let ran = run_scenario(&scenario, rule);
        assert!(ran.iter().all(FrameResult::is_as_expected));
        assert_eq!(update_expectations(&new, &scenario.frames, &ran), Ok(None));
    });
}

#[test]
fn a_recording_has_the_faces_that_the_rule_got() {
    let people = "[[people]]\nid = \"ann\"\n";
    let text = format!(
        "{people}[[frames]]\ncamera = \"a \\\"b\\\"\"\nat = \"10:00:00.250\"\nschedules = [\"night\"]\nfaces = [\n\
         {{ known = \"ann\", confidence = 0.1, track = 7, track_started_at = \"09:59:00\", zones = [\"door\"] }},\n\
         {{ unknown = true, stranger = {{ id = \"s\", event = \"returned\", visits = 2 }}, quality = 0.3 }}]\n"
    );
    let original = parse(Alerting, &text).unwrap().frames;
    let alert = |face| everyframe_types::judgement::Alert {
        rule: "r".into(),
        severity: everyframe_types::judgement::Severity::Info,
        kind: "k".into(),
        subject: "s".into(),
        dedup_key: "d".into(),
        text: "a\nb".into(),
        face: Some(face),
    };
    let recorded = |kind, subjects: Vec<everyframe_types::judgement::Subject>, answer| Recording {
        about: "what \"it\" was".into(),
        kind,
        settings: toml::from_str("a = 1\n[b.c]\nd = [\"x\"]").unwrap(),
        people: vec![everyframe_types::face::Person { id: "ann".into(), name: "Ann".into(), samples: 3 }],
        camera: original[0].camera.clone(),
        frames: vec![RecordedFrame {
            at: original[0].at,
            size: (1280, 720),
            schedules: original[0].schedules.clone(),
            subjects,
            output: Some(answer),
            is_expected: true,
        }],
    };
    let all = recorded(Alerting, original[0].subjects.clone(), RuleOutput::Alerts(vec![alert(1)]));
    let again = parse(Alerting, &all.to_toml().unwrap()).unwrap();
    assert_eq!(format!("{:?}", again.frames[0].subjects), format!("{:?}", original[0].subjects));
    assert_eq!((again.frames[0].at, &again.frames[0].schedules), (original[0].at, &original[0].schedules));
    assert_eq!(again.settings, all.settings);
    assert_eq!(again.people.find("ann").map(|person| person.samples), Some(3));

    // If the rule got only the second face, that face has index 0.
    let second = recorded(Alerting, original[0].subjects[1..].to_vec(), RuleOutput::Alerts(vec![alert(1)]));
    let again = parse(Alerting, &second.to_toml().unwrap()).unwrap();
    assert!(again.frames[0].expect.as_ref().unwrap()[0].to_string().ends_with("face = 0"));

    // Embeddings are not written; a stranger has a substitute.
    let stranger = original[0].subjects[1].stranger.clone().unwrap();
    let strangers = RuleOutput::Strangers(vec![(1, stranger)]);
    let text = recorded(UnknownPerson, original[0].subjects.clone(), strangers).to_toml().unwrap();
    let again = parse(UnknownPerson, &text).unwrap();
    let embedding = |at: usize| again.frames[0].subjects[at].face.embedding.is_some();
    assert!(!embedding(0) && embedding(1), "{text}");
}
