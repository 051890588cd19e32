//! The test harness behaves like the host, as far as a rule can observe.

use super::*;
use crate::{Host, Level, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts the frames with each person, for a second.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Counter {
    from: u32,
}

impl Rule for Counter {
    const ABOUT: &str = "Counts.";
}

impl AlertRule for Counter {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        let people = subjects.iter().filter_map(|subject| Some((subject, subject.person()?)));
        people
            .map(|(subject, person)| {
                let count = host.get(person).unwrap_or(self.from) + 1;
                host.set(person, &count, 1000);
                let text = format!("{} {count}", host.name_of(person));
                frame.alert(Severity::Info, "count", person, text).about(&subject.face)
            })
            .collect()
    }
}

fn texts(alerts: Vec<Alert>) -> Vec<String> {
    alerts.into_iter().map(|alert| alert.text).collect()
}

#[test]
fn state_is_kept_between_frames_until_it_expires() {
    let mut trial = Trial::<Counter>::new(r#"{"from": 10}"#);
    assert_eq!(texts(trial.at("10:00").judge([known("anna"), unknown()])), ["anna 11"]);
    assert_eq!(texts(trial.at("10:00:00.999").judge([known("anna")])), ["anna 12"]);
    assert_eq!(
        texts(trial.at("10:00:01.999").judge([known("anna")])),
        ["anna 11"],
        "expired at the full second"
    );
}

#[test]
fn each_camera_has_its_own_state() {
    let mut trial = Trial::<Counter>::new("{}");
    trial.judge([known("anna")]);
    assert_eq!(texts(trial.camera("yard").judge([known("anna")])), ["anna 1"]);
    assert_eq!(texts(trial.camera("gate").judge([known("anna")])), ["anna 2"]);
}

#[test]
fn a_visit_ends_with_an_absence_and_is_rarely_stored() {
    let mut host = FakeHost::default();
    let mut frame = Trial::<Counter>::new("{}").frame;
    let mut began = |host: &mut FakeHost, at: Timestamp| {
        frame.captured_at = at;
        host.begin(&frame, vec![]);
        (host as &mut dyn Host).visit(&frame, "anna", 1000)
    };
    for at in (0..5000).step_by(10) {
        assert_eq!(began(&mut host, at), 0);
    }
    assert!(host.writes <= 50, "{}", host.writes);
    assert_eq!(began(&mut host, 5900), 0);
    assert_eq!(began(&mut host, 7100), 7100);
}

#[test]
fn a_value_without_room_is_refused_and_logged() {
    let mut trial = Trial::<Counter>::new("{}");
    trial.host.capacity = 4;
    trial.judge([known("anna")]);
    assert_eq!(texts(trial.judge([known("anna")])), ["anna 1"]);
    let logged = trial.host.logged.borrow();
    assert!(matches!(&logged[0], (Level::Warn, line) if line.contains("4 bytes of state")), "{logged:?}");
}

#[test]
fn state_of_another_type_is_ignored() {
    let mut trial = Trial::<Counter>::new("{}");
    trial.judge([known("anna")]);
    trial.host.overwrite_all(b"\xff");
    assert_eq!(texts(trial.judge([known("anna")])), ["anna 1"]);
}

#[test]
fn an_alert_names_its_camera_subject_and_face() {
    let mut trial = Trial::<Counter>::new("{}");
    trial.host.enrol("anna", "Anna Blum");
    let alerts = trial.judge([undecided("too small"), known("anna")]);
    assert_eq!((alerts[0].dedup_key.as_str(), alerts[0].face), ("count/gate/anna", Some(1)));
    assert_eq!(alerts[0].text, "Anna Blum 1");
}

#[test]
#[should_panic(expected = "did you mean `from`?")]
fn refused_settings_fail_the_test() {
    Trial::<Counter>::new(r#"{"form": 1}"#);
}

/// Returns one verdict, whatever the faces.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
struct OneVerdict {}

impl Rule for OneVerdict {
    const ABOUT: &str = "Is wrong.";
}

impl MatchingPolicy for OneVerdict {
    fn decide(&self, _: &Frame, _: &[Probe], _: &mut dyn Host) -> Vec<Verdict> {
        vec![Verdict { face: 0, decision: crate::Decision::Unknown }]
    }
}

#[test]
fn one_verdict_for_one_face_is_accepted() {
    assert_eq!(Trial::<OneVerdict>::new("{}").decide([unknown()]).len(), 1);
}

#[test]
#[should_panic(expected = "not exactly one verdict for each of 2 faces")]
fn refused_verdicts_fail_the_test() {
    Trial::<OneVerdict>::new("{}").decide([unknown(), unknown()]);
}

#[test]
fn times_are_on_the_monday() {
    assert_eq!(time("00:00"), MONDAY);
    assert_eq!(time("18:30:01.250") - MONDAY, ((18 * 60 + 30) * 60 + 1) * 1000 + 250);
}
