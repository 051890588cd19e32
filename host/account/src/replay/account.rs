//! What is otherwise, counted, with a few examples of each kind.

use super::faces::paired;
use everyframe_rules::RuleFailure;
use everyframe_types::judgement::{Alert, Decision, Judgement, Severity, Stranger, StrangerEvent, Subject};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// One judgement of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub struct Side<'a> {
    /// Its faces as they were decided upon.
    pub subjects: &'a [Subject],
    /// What was raised.
    pub alerts: &'a [Alert],
    /// The rules that failed and were passed over.
    pub skipped: &'a [String],
}

/// What new rules would have changed.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// True if anything is otherwise; the exit status is 1 then.
    pub changed: bool,
    /// Frames compared.
    pub frames: u64,
    /// Faces in them.
    pub faces: u64,
    /// Frames without a result to compare with: parked, or not judged yet.
    pub without_result: u64,
    /// Records of the results topic that are no results of this version.
    pub unreadable: u64,
    /// Frames that cannot be seen: with `--frames`, those that a host parks before any rule is asked.
    pub unseen: u64,
    /// By rule: its alerts.
    pub alerts: BTreeMap<String, AlertCounts>,
    /// Faces by what was decided before and what is now, where that differs.
    pub decisions: Vec<FaceCounts>,
    /// The same of strangers.
    pub strangers: Vec<FaceCounts>,
    /// By rule: frames that it would have had parked.
    pub failed: BTreeMap<String, Count>,
    /// By rule: frames on which it was passed over now and not before.
    pub skipped: BTreeMap<String, Count>,
    /// By rule: frames for which it asked for an embedding that there is not.
    pub blind: BTreeMap<String, u64>,
}

/// The alerts of one rule.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertCounts {
    /// Raised before.
    pub before: u64,
    /// Raised now.
    pub after: u64,
    /// Raised now only.
    pub gained: u64,
    /// Raised before only.
    pub lost: u64,
    /// The first of those gained.
    pub gained_examples: Vec<AlertChange>,
    /// The first of those lost.
    pub lost_examples: Vec<AlertChange>,
}

/// An alert that is gained or lost.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertChange {
    /// Partition and offset of its frame: `0/42`.
    pub frame: String,
    /// The camera's id.
    pub camera: String,
    /// When the frame was taken, Unix milliseconds.
    pub captured_at: i64,
    /// How urgent it is.
    pub severity: Severity,
    /// What happened.
    pub kind: String,
    /// Who or what it is about.
    pub subject: String,
    /// One sentence.
    pub text: String,
}

/// Faces of which one thing became another.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaceCounts {
    /// What was said before: `known`, `unknown`, `undecided`, `no face`; of strangers, what was new, or `stranger` or
    /// `no stranger`.
    pub before: String,
    /// What is said now: the same words; `another person` or `another stranger` where it is another.
    pub after: String,
    /// How many.
    pub count: u64,
    /// The first.
    pub examples: Vec<FaceChange>,
}

/// A face about which something else is said.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaceChange {
    /// Partition and offset of its frame: `0/42`.
    pub frame: String,
    /// The camera's id.
    pub camera: String,
    /// When the frame was taken, Unix milliseconds.
    pub captured_at: i64,
    /// The face's index in the result; of a face that is only found now, in the new judgement.
    pub face: u32,
    /// The person, the stranger, or the reason.
    pub before: String,
    /// The same, now.
    pub after: String,
}

/// Something that happened, and how often.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// How often.
    pub count: u64,
    /// The first of them: its frame, and what was said.
    pub example: String,
}

/// Where and when a frame was.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    place: (i32, i64),
    camera: &'a str,
    captured_at: i64,
}

/// Gathers a [`Report`] frame by frame.
#[derive(Debug, Default)]
pub struct Account {
    report: Report,
    examples: usize,
    decisions: BTreeMap<(String, String), (u64, Vec<FaceChange>)>,
    strangers: BTreeMap<(String, String), (u64, Vec<FaceChange>)>,
    /// What a stranger's old id is now, by camera: ids are the rule's own, and may all be others without any being wrong.
    ids: HashMap<(String, String), String>,
}

type Said = (String, String);

impl Account {
    /// So many examples of each kind are kept.
    pub fn new(examples: usize) -> Self {
        Self { examples, ..Self::default() }
    }

    /// What is counted as it is.
    pub fn report(&mut self) -> &mut Report {
        &mut self.report
    }

    /// Compares two judgements of the frame `past`, which may itself hold the older one.
    pub fn compare(&mut self, past: &super::Past, before: &Side<'_>, after: &Result<Judgement, RuleFailure>) {
        let at = At { place: past.place, camera: &past.camera, captured_at: past.captured_at };
        self.report.frames += 1;
        self.report.faces += before.subjects.len() as u64;
        match after {
            Ok(judgement) => {
                for rule in &judgement.blind {
                    *self.report.blind.entry(rule.clone()).or_default() += 1;
                }
                for skipped in judgement.skipped.iter().filter(|it| !before.skipped.contains(&it.rule)) {
                    let example = format!("{}: {}: {}", at.frame(), skipped.reason, skipped.message);
                    note(&mut self.report.skipped, &skipped.rule, example);
                }
                self.alerts(at, before.alerts, &judgement.alerts);
                self.faces(at, before.subjects, &judgement.subjects);
            }
            Err(failure) => {
                let example = format!("{}: {}: {}", at.frame(), failure.kind.reason(), failure.message);
                note(&mut self.report.failed, &failure.rule, example);
                self.alerts(at, before.alerts, &[]);
            }
        }
    }

    /// Alerts are the same if they are of one frame, kind, subject and key, whatever rule raised them.
    fn alerts(&mut self, at: At<'_>, before: &[Alert], after: &[Alert]) {
        let is_same =
            |a: &Alert, b: &Alert| (&a.dedup_key, &a.kind, &a.subject) == (&b.dedup_key, &b.kind, &b.subject);
        let mut lost: Vec<&Alert> = before.iter().collect();
        let mut gained = Vec::new();
        for alert in after {
            self.report.alerts.entry(alert.rule.clone()).or_default().after += 1;
            match lost.iter().position(|other| is_same(alert, other)) {
                Some(place) => drop(lost.remove(place)),
                None => gained.push(alert),
            }
        }
        for alert in before {
            self.report.alerts.entry(alert.rule.clone()).or_default().before += 1;
        }
        for alert in gained {
            let counts = self.report.alerts.entry(alert.rule.clone()).or_default();
            counts.gained += 1;
            keep(&mut counts.gained_examples, self.examples, || at.alert(alert));
        }
        for alert in lost {
            let counts = self.report.alerts.entry(alert.rule.clone()).or_default();
            counts.lost += 1;
            keep(&mut counts.lost_examples, self.examples, || at.alert(alert));
        }
    }

    fn faces(&mut self, at: At<'_>, before: &[Subject], after: &[Subject]) {
        for (before, after) in paired(before, after) {
            let face = before.or(after).map_or(0, |subject| subject.face.index);
            let said = (decided(before), decided(after));
            if said.0 != said.1 && (said.0.0 != said.1.0 || said.0.0 == KNOWN) {
                let after = if said.0.0 == said.1.0 { "another person".into() } else { said.1.0.clone() };
                let change = at.face(face, &said.0.1, &said.1.1);
                count(&mut self.decisions, (said.0.0.clone(), after), self.examples, change);
            }
            let stranger = |subject: Option<&Subject>| subject.and_then(|subject| subject.stranger.clone());
            let (before, after) = (stranger(before), stranger(after));
            let is_another = self.is_another(at.camera, before.as_ref(), after.as_ref());
            let said = (new_of(before.as_ref()), new_of(after.as_ref()));
            if said.0.0 != said.1.0 || is_another {
                let after = if said.0.0 == said.1.0 { "another stranger".into() } else { said.1.0.clone() };
                let change = at.face(face, &said.0.1, &said.1.1);
                count(&mut self.strangers, (said.0.0.clone(), after), self.examples, change);
            }
        }
    }

    fn is_another(&mut self, camera: &str, before: Option<&Stranger>, after: Option<&Stranger>) -> bool {
        let (Some(before), Some(after)) = (before, after) else { return false };
        let known =
            self.ids.entry((camera.to_owned(), before.id.clone())).or_insert_with(|| after.id.clone());
        *known != after.id
    }

    /// What came of it.
    pub fn ended(mut self) -> Report {
        let list = |counts: BTreeMap<Said, (u64, Vec<FaceChange>)>| {
            let counts = counts.into_iter().map(|((before, after), (count, examples))| FaceCounts {
                before,
                after,
                count,
                examples,
            });
            counts.collect::<Vec<_>>()
        };
        let report = &mut self.report;
        report.decisions = list(self.decisions);
        report.strangers = list(self.strangers);
        report.changed = report.alerts.values().any(|alerts| alerts.gained + alerts.lost > 0)
            || !report.decisions.is_empty()
            || !report.strangers.is_empty()
            || !report.failed.is_empty()
            || !report.skipped.is_empty();
        self.report
    }
}

fn keep<T>(examples: &mut Vec<T>, most: usize, example: impl FnOnce() -> T) {
    if examples.len() < most {
        examples.push(example());
    }
}

fn count(counts: &mut BTreeMap<Said, (u64, Vec<FaceChange>)>, what: Said, most: usize, change: FaceChange) {
    let (count, examples) = counts.entry(what).or_default();
    *count += 1;
    keep(examples, most, || change);
}

fn note(counts: &mut BTreeMap<String, Count>, rule: &str, example: String) {
    let counted = counts.entry(rule.to_owned()).or_insert(Count { count: 0, example });
    counted.count += 1;
}

const KNOWN: &str = "known";

/// The kind of a decision, and whom or what it names.
fn decided(subject: Option<&Subject>) -> Said {
    let (kind, what) = match subject.map(|subject| &subject.decision) {
        Some(Decision::Known { person, .. }) => (KNOWN, person.as_str()),
        Some(Decision::Unknown) => ("unknown", "unknown"),
        Some(Decision::Undecided { reason }) => ("undecided", reason.as_str()),
        None => ("no face", "no face"),
    };
    (kind.to_owned(), what.to_owned())
}

/// What is new of a stranger, and who it is.
fn new_of(stranger: Option<&Stranger>) -> Said {
    let Some(stranger) = stranger else { return ("no stranger".into(), "no stranger".into()) };
    let kind = match stranger.event {
        Some(StrangerEvent::FirstSeen) => "first seen",
        Some(StrangerEvent::Returned) => "returned",
        Some(StrangerEvent::Loitering) => "loitering",
        None => "stranger",
    };
    (kind.to_owned(), stranger.id.clone())
}

impl At<'_> {
    fn frame(&self) -> String {
        format!("{}/{}", self.place.0, self.place.1)
    }

    fn alert(&self, alert: &Alert) -> AlertChange {
        AlertChange {
            frame: self.frame(),
            camera: self.camera.to_owned(),
            captured_at: self.captured_at,
            severity: alert.severity,
            kind: alert.kind.clone(),
            subject: alert.subject.clone(),
            text: alert.text.clone(),
        }
    }

    fn face(&self, face: u32, before: &str, after: &str) -> FaceChange {
        let (before, after) = (before.to_owned(), after.to_owned());
        let (frame, camera) = (self.frame(), self.camera.to_owned());
        FaceChange { frame, camera, captured_at: self.captured_at, face, before, after }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Past;
    use super::*;
    use everyframe_types::face::{Detection, Face, Point, Rect, Track};

    fn subject(index: u32, decision: Decision) -> Subject {
        let bounds = Rect { x: 100.0 * index as f32, y: 0.0, width: 50.0, height: 50.0 };
        let detection = Detection { bounds, landmarks: [Point::default(); 5], score: 0.9 };
        let (track, candidates) = (Track { id: 1, started_at: 0 }, Vec::new());
        let face =
            Face { index, detection, quality: 0.8, track, embedding: None, candidates, zones: Vec::new() };
        Subject { face, decision, stranger: None }
    }

    fn known(person: &str) -> Decision {
        Decision::Known { person: person.into(), confidence: 0.9 }
    }

    fn alert(rule: &str, subject: &str) -> Alert {
        let (kind, dedup_key) = ("known-person".to_owned(), subject.to_owned());
        let (severity, text) = (Severity::Info, String::new());
        Alert { rule: rule.into(), severity, kind, subject: subject.into(), dedup_key, text, face: None }
    }

    fn past() -> Past {
        Past {
            place: (0, 7),
            camera: "gate".into(),
            session: "s".into(),
            sequence: 0,
            captured_at: 0,
            size: (640, 480),
            subjects: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn compared(before: (&[Subject], &[Alert]), after: Judgement) -> Report {
        let mut account = Account::new(1);
        let side = Side { subjects: before.0, alerts: before.1, skipped: &[] };
        account.compare(&past(), &side, &Ok(after));
        account.ended()
    }

    #[test]
    fn another_name_of_a_rule_is_no_change() {
        let after = Judgement { alerts: vec![alert("new", "ann")], ..Judgement::default() };
        let report = compared((&[], &[alert("old", "ann")]), after);
        assert!(!report.changed);
        assert_eq!((report.alerts["old"].before, report.alerts["new"].after), (1, 1));
    }

    #[test]
    fn alerts_are_lost_by_the_rule_that_raised_them_and_gained_by_the_one_that_does() {
        let alerts = vec![alert("new", "bob"), alert("new", "bob"), alert("new", "cy")];
        let report = compared(
            (&[], &[alert("old", "ann"), alert("old", "bob")]),
            Judgement { alerts, ..Judgement::default() },
        );
        assert!(report.changed);
        assert_eq!((report.alerts["old"].lost, report.alerts["new"].gained), (1, 2));
        assert_eq!(report.alerts["new"].gained_examples.len(), 1);
        assert_eq!(report.alerts["old"].lost_examples[0].subject, "ann");
    }

    #[test]
    fn decisions_are_told_by_kind_and_faces_by_place() {
        let before = [subject(0, known("ann")), subject(1, known("bob")), subject(2, Decision::Unknown)];
        let after =
            vec![subject(2, Decision::Unknown), subject(0, known("cy")), subject(3, Decision::Unknown)];
        let report = compared((&before, &[]), Judgement { subjects: after, ..Judgement::default() });
        let told: Vec<_> =
            report.decisions.iter().map(|it| (it.before.as_str(), it.after.as_str(), it.count)).collect();
        assert_eq!(
            told,
            [("known", "another person", 1), ("known", "no face", 1), ("no face", "unknown", 1)]
        );
        assert_eq!(report.decisions[0].examples[0].after, "cy");
    }

    #[test]
    fn another_reason_is_no_change_and_another_stranger_is_one() {
        let undecided = |reason: &str| Decision::Undecided { reason: reason.into() };
        let report = compared(
            (&[subject(0, undecided("a"))], &[]),
            Judgement { subjects: vec![subject(0, undecided("b"))], ..Judgement::default() },
        );
        assert!(!report.changed);
        let stranger = |id: &str| {
            let stranger = Stranger { id: id.into(), event: None, first_seen_at: 0, dwell: 0, visits: 1 };
            vec![Subject { stranger: Some(stranger), ..subject(0, Decision::Unknown) }]
        };
        let mut account = Account::new(1);
        for (before, after) in [("a", "x"), ("a", "x"), ("b", "y"), ("a", "y")] {
            let side = Side { subjects: &stranger(before), ..Side::default() };
            let after = Judgement { subjects: stranger(after), ..Judgement::default() };
            account.compare(&past(), &side, &Ok(after));
        }
        let report = account.ended();
        assert_eq!((report.strangers.len(), report.strangers[0].count), (1, 1));
        assert_eq!(report.strangers[0].after, "another stranger");
    }
}
