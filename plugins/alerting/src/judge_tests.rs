//! Tests of the alert rule.

use super::*;
use everyframe_rule::testing::FakeHost;
use everyframe_rule::{Face, Identity, Rect};

/// Sunday 22 November 2026, 12:00 UTC.
const NOON: i64 = 1_795_348_800_000;

fn host() -> FakeHost {
    let mut host = FakeHost::default();
    host.enrol("p-17", "Anna Blum");
    host
}

fn judge(settings: &Settings, frame: &Frame, subjects: &[Subject], host: &mut FakeHost) -> Vec<Alert> {
    host.begin(frame, vec![]);
    settings.judge(frame, subjects, host)
}

fn frame(at: i64) -> Frame {
    Frame {
        camera: "gate-2".into(),
        session: "s".into(),
        sequence: 0,
        captured_at: at,
        width: 640,
        height: 480,
        schedules: vec![],
    }
}

fn subject(decision: Decision, stranger: Option<Stranger>) -> Subject {
    let bounds = Rect { x: 0.0, y: 0.0, width: 80.0, height: 80.0 };
    let face =
        Face { index: 3, track: 1, track_started_at: NOON, bounds, score: 0.9, quality: 0.8, zones: vec![] };
    Subject { face, decision, stranger }
}

fn known(person: &str) -> Subject {
    subject(Decision::Known(Identity { person: person.into(), confidence: 0.9 }), None)
}

fn stranger(id: &str, event: Option<Event>) -> Subject {
    let merged = if event == Some(Event::Merged) { vec!["s-8".into(), "s-9".into()] } else { vec![] };
    let (id, first_seen_at) = (id.into(), NOON);
    let stranger = Stranger { face: 3, id, event, first_seen_at, dwell: 21_400, visits: 2, merged };
    subject(Decision::Unknown, Some(stranger))
}

fn settings(json: &str) -> Settings {
    let (settings, problems) = everyframe_rule::settings::read(json);
    settings.unwrap_or_else(|| panic!("{problems:?}"))
}

fn alerts(json: &str, subjects: &[Subject]) -> Vec<Alert> {
    judge(&settings(json), &frame(NOON), subjects, &mut host())
}

fn only_alert(json: &str, subject: Subject) -> Alert {
    let mut alerts = alerts(json, &[subject]);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    alerts.remove(0)
}

#[test]
fn a_known_person_raises_an_info_alert() {
    let alert = only_alert("{}", known("woman-b"));
    assert_eq!(alert.severity, Severity::Info);
    assert_eq!(alert.kind, "known-person");
    assert_eq!(alert.subject, "woman-b");
    assert_eq!(alert.dedup_key, "known-person/gate-2/woman-b");
    assert_eq!(alert.text, "woman-b seen at gate-2");
    assert_eq!(alert.face, Some(3));
}

#[test]
fn alerts_show_the_name_of_a_person() {
    let alert = only_alert("{}", known("p-17"));
    assert_eq!(alert.text, "Anna Blum seen at gate-2");
    assert_eq!(alert.subject, "p-17");
}

#[test]
fn each_stranger_event_has_a_text() {
    for (event, severity, text) in [
        (Event::FirstSeen, Severity::Warning, "Stranger 1 seen for the first time at gate-2"),
        (Event::Returned, Severity::Info, "Stranger 1 is back at gate-2, visit 2"),
        (Event::Loitering, Severity::Warning, "Stranger 1 has stayed 21 s at gate-2"),
        (Event::Merged, Severity::Info, "Stranger 1 is also Stranger s-8, Stranger s-9"),
    ] {
        let alert = only_alert("{}", stranger("stranger-1", Some(event)));
        assert_eq!((alert.severity, alert.text.as_str()), (severity, text));
    }
}

#[test]
fn a_stranger_without_an_event_raises_nothing() {
    assert_eq!(alerts("{}", &[stranger("stranger-1", None)]), []);
}

#[test]
fn undecided_and_unnamed_faces_raise_nothing() {
    let undecided = Decision::Undecided("too small".into());
    let odd = Subject { decision: undecided.clone(), ..stranger("stranger-1", Some(Event::FirstSeen)) };
    assert_eq!(alerts("{}", &[subject(undecided, None), odd, subject(Decision::Unknown, None)]), []);
}

#[test]
fn an_empty_frame_raises_nothing() {
    assert_eq!(alerts("{}", &[]), []);
}

#[test]
fn disabled_alerts_are_not_raised() {
    assert_eq!(alerts(r#"{"known": {"enabled": false}}"#, &[known("anna")]), []);
    let returned = stranger("stranger-1", Some(Event::Returned));
    assert_eq!(alerts(r#"{"unknown": {"returned": {"enabled": false}}}"#, &[returned]), []);
}

#[test]
fn the_deny_list_overrides_disabled_known_people() {
    let json = r#"{"deny": ["ben"], "known": {"enabled": false}}"#;
    let alert = only_alert(json, known("ben"));
    assert_eq!((alert.kind.as_str(), alert.severity), ("denied-person", Severity::Critical));
    assert_eq!(alert.text, "ben, who is on the deny list, seen at gate-2");
}

#[test]
fn a_denied_stranger_is_critical_without_an_event() {
    let alert = only_alert(r#"{"deny": ["stranger-1"]}"#, stranger("stranger-1", None));
    assert_eq!((alert.kind.as_str(), alert.severity), ("denied-person", Severity::Critical));
}

#[test]
fn a_stranger_merged_with_a_denied_one_is_denied() {
    let alert = only_alert(r#"{"deny": ["s-9"]}"#, stranger("stranger-1", Some(Event::Merged)));
    assert_eq!((alert.kind.as_str(), alert.subject.as_str()), ("denied-person", "stranger-1"));
}

#[test]
fn the_allow_list_never_raises_an_alert() {
    let json = r#"{"allow": ["anna", "stranger-1"], "people": {"anna": {"severity": "critical"}}}"#;
    assert_eq!(alerts(json, &[known("anna"), stranger("stranger-1", Some(Event::Loitering))]), []);
    assert_eq!(alerts(json, &[known("ben")]).len(), 1);
}

#[test]
fn settings_of_one_person_override_the_others() {
    let json = r#"{"people": {"anna": {"severity": "critical"}}}"#;
    assert_eq!(only_alert(json, known("anna")).severity, Severity::Critical);
}

#[test]
fn sightings_do_not_extend_the_cool_down() {
    let (settings, mut host) = (settings(r#"{"cooldown_ms": 60000}"#), host());
    let heard: Vec<i64> = (0..130)
        .filter(|second| {
            !judge(&settings, &frame(NOON + second * 1000), &[known("anna")], &mut host).is_empty()
        })
        .collect();
    assert_eq!(heard, [0, 60, 120]);
}

#[test]
fn each_person_and_kind_has_its_own_cool_down() {
    let (settings, mut host) = (Settings::default(), host());
    let mut heard =
        |at: i64, subject: Subject| judge(&settings, &frame(NOON + at), &[subject], &mut host).len();
    assert_eq!(heard(0, known("anna")), 1);
    assert_eq!(heard(1000, known("ben")), 1);
    assert_eq!(heard(2000, known("anna")), 0);
    assert_eq!(heard(3000, stranger("stranger-1", Some(Event::FirstSeen))), 1);
    assert_eq!(
        heard(24_000, stranger("stranger-1", Some(Event::Loitering))),
        1,
        "it is worse than first seen"
    );
}

#[test]
fn a_clock_set_back_does_not_silence_a_camera() {
    let (settings, mut host) = (Settings::default(), host());
    let mut heard = |at: i64| judge(&settings, &frame(at), &[known("anna")], &mut host).len();
    assert_eq!(heard(NOON), 1);
    assert_eq!(heard(NOON - 1000), 0);
    assert_eq!(heard(NOON - 3_600_000), 1);
    assert_eq!(heard(i64::MIN), 1);
}

#[test]
fn two_faces_of_one_person_raise_one_alert() {
    for json in ["{}", r#"{"cooldown_ms": 0}"#] {
        assert_eq!(alerts(json, &[known("anna"), known("anna"), known("ben")]).len(), 2, "{json}");
    }
}

#[test]
fn without_a_cool_down_every_frame_raises_an_alert() {
    let (settings, mut host) = (settings(r#"{"cooldown_ms": 0}"#), host());
    for at in [NOON, NOON, NOON + 1] {
        assert_eq!(judge(&settings, &frame(at), &[known("anna")], &mut host).len(), 1);
    }
    assert!(host.keys("").is_empty());
}

#[test]
fn a_long_id_has_its_own_cool_down() {
    let (settings, mut host) = (Settings::default(), host());
    let long = |last: char| known(&format!("{}{last}", "ä".repeat(300)));
    assert_eq!(judge(&settings, &frame(NOON), &[long('a'), long('b')], &mut host).len(), 2);
    assert_eq!(judge(&settings, &frame(NOON + 1), &[long('a'), long('b')], &mut host).len(), 0);
}

#[test]
fn durations_are_formatted_for_people() {
    let said: Vec<String> = [0, 999, 119_999, 120_000, 7_199_000, 7_200_000].into_iter().map(span).collect();
    assert_eq!(said, ["0 s", "0 s", "119 s", "2 min", "119 min", "2 h"]);
}

#[test]
fn a_crowd_raises_one_summary_alert() {
    for (count, alerts) in [(0, 0), (1, 1), (99, 99), (100, 100), (101, 1), (500, 1), (1000, 1)] {
        let (settings, mut host) = (Settings::default(), host());
        let crowd: Vec<Subject> =
            (0..count).map(|n| stranger(&format!("stranger-{n}"), Some(Event::FirstSeen))).collect();
        let heard = judge(&settings, &frame(NOON), &crowd, &mut host);
        assert_eq!(heard.len(), alerts, "{count}");
        if alerts == 1 && count > 1 {
            assert_eq!(heard[0].text, format!("{count} strangers at once seen for the first time at gate-2"));
        }
        assert_eq!(judge(&settings, &frame(NOON + 1000), &crowd, &mut host), []);
    }
}

#[test]
fn denied_people_are_listed_while_there_is_room() {
    let names: Vec<String> = (0..400).map(|n| format!("person-{n:03}")).collect();
    let mut crowd: Vec<Subject> = names.iter().map(|name| known(name)).collect();
    crowd.push(known("p-17"));
    let heard = alerts(r#"{"deny": ["p-17"]}"#, &crowd);
    let texts: Vec<&str> = heard.iter().map(|alert| alert.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "Anna Blum, who is on the deny list, seen at gate-2",
            "400 people at once seen at gate-2: person-000, person-001, person-002 and 397 more",
        ]
    );
    let denied = format!(r#"{{"deny": {:?}}}"#, names);
    assert!(alerts(&denied, &crowd).iter().any(|alert| alert.severity == Severity::Critical
        && alert.text.starts_with("400 people at once who are on the deny list")));
}

#[test]
fn one_wrong_time_does_not_silence_a_camera() {
    for wrong in [NOON + 86_400_000, NOON - 86_400_000, i64::MAX, i64::MIN, NOON * 1000, NOON / 1000] {
        let (settings, mut host) = (Settings::default(), host());
        let mut heard = |at: i64, who: &str| judge(&settings, &frame(at), &[known(who)], &mut host).len();
        assert_eq!(heard(NOON, "anna"), 1);
        heard(wrong, "anna");
        heard(wrong, "ben");
        assert_eq!(heard(NOON + 1000, "ben"), 1, "{wrong}");
        assert_eq!(heard(NOON + 62_000, "anna"), 1, "{wrong}");
    }
}
