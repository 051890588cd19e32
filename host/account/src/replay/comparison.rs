//! Counts the differences of two judgements, with a few examples of each kind.

use super::faces::match_faces;
use everyframe_rules::RuleFailure;
use everyframe_types::face::Rect;
use everyframe_types::judgement::{Alert, Decision, Judgement, Severity, Stranger, StrangerEvent, Subject};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// One judgement of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub struct Side<'a> {
    /// The faces with their decisions.
    pub subjects: &'a [Subject],
    /// The alerts.
    pub alerts: &'a [Alert],
    /// The rules that failed and were skipped.
    pub skipped: &'a [String],
}

/// What the new rules would have changed.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// True if there is any difference. The exit status is then 1.
    pub changed: bool,
    /// The number of compared frames.
    pub frames: u64,
    /// The number of faces in them.
    pub faces: u64,
    /// The number of frames without a result: parked, or not judged yet.
    pub without_result: u64,
    /// The number of records in the results topic that are not results of this version.
    pub unreadable: u64,
    /// With `--frames`: the number of frames that a host parks before any rule is called.
    pub unseen: u64,
    /// The alerts by rule.
    pub alerts: BTreeMap<String, AlertCounts>,
    /// Faces whose decision differs, by the decisions before and after.
    pub decisions: Vec<FaceCounts>,
    /// Faces whose stranger differs, by the strangers before and after.
    pub strangers: Vec<FaceCounts>,
    /// By rule: frames that its failure would have parked.
    pub failed: BTreeMap<String, Count>,
    /// By rule: frames on which it failed and was skipped, but not before.
    pub skipped: BTreeMap<String, Count>,
    /// By rule: the number of frames in which it requested an embedding that does not exist.
    pub blind: BTreeMap<String, u64>,
}

/// The alerts of one rule.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertCounts {
    /// The number of alerts before.
    pub before: u64,
    /// The number of alerts after.
    pub after: u64,
    /// The number of alerts only after.
    pub gained: u64,
    /// The number of alerts only before.
    pub lost: u64,
    /// The first of the gained alerts.
    pub gained_examples: Vec<AlertChange>,
    /// The first of the lost alerts.
    pub lost_examples: Vec<AlertChange>,
    /// The first of the alerts before and after.
    pub kept_examples: Vec<AlertChange>,
}

/// An alert that is gained, lost or kept.
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
    /// A stable name of what happened.
    pub kind: String,
    /// Who or what it is about.
    pub subject: String,
    /// One sentence.
    pub text: String,
    /// The face that it is about, pixels of the full-size frame; none if it is not about one face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Rect>,
}

/// Faces with the same change.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaceCounts {
    /// The decision before: `known`, `unknown`, `undecided` or `no face`. For strangers: `first seen`, `returned`, `loitering`,
    /// `stranger` or `no stranger`.
    pub before: String,
    /// The decision after, in the same terms; `another person` or `another stranger` if only the identity differs.
    pub after: String,
    /// The number of faces.
    pub count: u64,
    /// The first faces.
    pub examples: Vec<FaceChange>,
}

/// A face with a different decision.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaceChange {
    /// Partition and offset of its frame: `0/42`.
    pub frame: String,
    /// The camera's id.
    pub camera: String,
    /// When the frame was taken, Unix milliseconds.
    pub captured_at: i64,
    /// The face's index in the result; for a face that is only in the new judgement, its index there.
    pub face: u32,
    /// The person, the stranger or the reason before.
    pub before: String,
    /// The person, the stranger or the reason after.
    pub after: String,
}

/// A count, with an example.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// The number of frames.
    pub count: u64,
    /// The first frame, with the message.
    pub example: String,
}

/// A frame's place, camera and time.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    place: (i32, i64),
    camera: &'a str,
    captured_at: i64,
}

/// Builds a [`Report`] frame by frame.
#[derive(Debug, Default)]
pub struct Comparison {
    report: Report,
    examples: usize,
    decisions: BTreeMap<(String, String), (u64, Vec<FaceChange>)>,
    strangers: BTreeMap<(String, String), (u64, Vec<FaceChange>)>,
    /// The new id of a stranger by camera and old id. Ids are chosen by the rule, so all may differ without a real change.
    ids: HashMap<(String, String), String>,
}

/// The most strangers whose new ids are remembered, so that a long window does not fill the memory. Beyond it, another id is no
/// change.
const MAX_IDS: usize = 100_000;

/// The kind of a decision, and the identity or reason in it.
type DecisionText = (String, String);

impl Comparison {
    /// An empty comparison that keeps at most `examples` examples of each kind.
    pub fn new(examples: usize) -> Self {
        Self { examples, ..Self::default() }
    }

    /// The report so far, for counts that are added directly.
    pub fn report_mut(&mut self) -> &mut Report {
        &mut self.report
    }

    /// Compares two judgements of the frame `past`, and counts the differences.
    pub fn compare(
        &mut self,
        past: &super::stored::Past,
        before: &Side<'_>,
        after: &Result<Judgement, RuleFailure>,
    ) {
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
                    count_rule(&mut self.report.skipped, &skipped.rule, example);
                }
                self.compare_alerts(at, before, &judgement.subjects, &judgement.alerts);
                self.compare_faces(at, before.subjects, &judgement.subjects);
            }
            Err(failure) => {
                let example = format!("{}: {}: {}", at.frame(), failure.kind.reason(), failure.message);
                count_rule(&mut self.report.failed, &failure.rule, example);
                self.compare_alerts(at, before, &[], &[]);
            }
        }
    }

    /// Compares alerts. Alerts of a frame are the same if kind, subject and key are equal, whichever rule raised them.
    fn compare_alerts(&mut self, at: At<'_>, before: &Side<'_>, subjects: &[Subject], after: &[Alert]) {
        let is_same =
            |a: &Alert, b: &Alert| (&a.dedup_key, &a.kind, &a.subject) == (&b.dedup_key, &b.kind, &b.subject);
        let most = self.examples;
        let mut lost: Vec<&Alert> = before.alerts.iter().collect();
        for alert in after {
            let counts = self.report.alerts.entry(alert.rule.clone()).or_default();
            counts.after += 1;
            let same = lost.iter().position(|other| is_same(alert, other));
            if let Some(place) = same {
                lost.remove(place);
                keep(&mut counts.kept_examples, most, || at.alert(alert, subjects));
            } else {
                counts.gained += 1;
                keep(&mut counts.gained_examples, most, || at.alert(alert, subjects));
            }
        }
        for alert in before.alerts {
            self.report.alerts.entry(alert.rule.clone()).or_default().before += 1;
        }
        for alert in lost {
            let counts = self.report.alerts.entry(alert.rule.clone()).or_default();
            counts.lost += 1;
            keep(&mut counts.lost_examples, most, || at.alert(alert, before.subjects));
        }
    }

    fn compare_faces(&mut self, at: At<'_>, before: &[Subject], after: &[Subject]) {
        for (before, after) in match_faces(before, after) {
            let face = before.or(after).map_or(0, |subject| subject.face.index);
            let texts = (decision_text(before), decision_text(after));
            if texts.0 != texts.1 && (texts.0.0 != texts.1.0 || texts.0.0 == KNOWN) {
                let after = if texts.0.0 == texts.1.0 { "another person".into() } else { texts.1.0.clone() };
                let change = at.face(face, &texts.0.1, &texts.1.1);
                count(&mut self.decisions, (texts.0.0.clone(), after), self.examples, change);
            }
            let stranger = |subject: Option<&Subject>| subject.and_then(|subject| subject.stranger.clone());
            let (before, after) = (stranger(before), stranger(after));
            let is_another = self.is_another(at.camera, before.as_ref(), after.as_ref());
            let texts = (stranger_text(before.as_ref()), stranger_text(after.as_ref()));
            if texts.0.0 != texts.1.0 || is_another {
                let after =
                    if texts.0.0 == texts.1.0 { "another stranger".into() } else { texts.1.0.clone() };
                let change = at.face(face, &texts.0.1, &texts.1.1);
                count(&mut self.strangers, (texts.0.0.clone(), after), self.examples, change);
            }
        }
    }

    fn is_another(&mut self, camera: &str, before: Option<&Stranger>, after: Option<&Stranger>) -> bool {
        let (Some(before), Some(after)) = (before, after) else { return false };
        let old = (camera.to_owned(), before.id.clone());
        if self.ids.len() >= MAX_IDS && !self.ids.contains_key(&old) {
            return false;
        }
        *self.ids.entry(old).or_insert_with(|| after.id.clone()) != after.id
    }

    /// Finishes the report.
    pub fn finish(mut self) -> Report {
        let list = |counts: BTreeMap<DecisionText, (u64, Vec<FaceChange>)>| {
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

fn count(
    counts: &mut BTreeMap<DecisionText, (u64, Vec<FaceChange>)>,
    what: DecisionText,
    most: usize,
    change: FaceChange,
) {
    let (count, examples) = counts.entry(what).or_default();
    *count += 1;
    keep(examples, most, || change);
}

fn count_rule(counts: &mut BTreeMap<String, Count>, rule: &str, example: String) {
    let counted = counts.entry(rule.to_owned()).or_insert(Count { count: 0, example });
    counted.count += 1;
}

const KNOWN: &str = "known";

/// The kind of a decision, and the person or reason in it.
fn decision_text(subject: Option<&Subject>) -> DecisionText {
    let (kind, what) = match subject.map(|subject| &subject.decision) {
        Some(Decision::Known { person, .. }) => (KNOWN, person.as_str()),
        Some(Decision::Unknown) => ("unknown", "unknown"),
        Some(Decision::Undecided { reason }) => ("undecided", reason.as_str()),
        None => ("no face", "no face"),
    };
    (kind.to_owned(), what.to_owned())
}

/// What is new about a stranger, and its id.
fn stranger_text(stranger: Option<&Stranger>) -> DecisionText {
    let Some(stranger) = stranger else { return ("no stranger".into(), "no stranger".into()) };
    let kind = match stranger.event {
        Some(StrangerEvent::FirstSeen) => "first seen",
        Some(StrangerEvent::Returned) => "returned",
        Some(StrangerEvent::Loitering) => "loitering",
        Some(StrangerEvent::Merged) => "merged",
        None => "stranger",
    };
    (kind.to_owned(), stranger.id.clone())
}

impl At<'_> {
    fn frame(&self) -> String {
        format!("{}/{}", self.place.0, self.place.1)
    }

    /// `subjects` are the faces of the judgement that raised the alert.
    fn alert(&self, alert: &Alert, subjects: &[Subject]) -> AlertChange {
        let face = subjects.iter().find(|subject| Some(subject.face.index) == alert.face);
        AlertChange {
            frame: self.frame(),
            camera: self.camera.to_owned(),
            captured_at: self.captured_at,
            severity: alert.severity,
            kind: alert.kind.clone(),
            subject: alert.subject.clone(),
            text: alert.text.clone(),
            bounds: face.map(|subject| subject.face.detection.bounds),
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
    use super::super::stored::Past;
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
        let mut comparison = Comparison::new(1);
        let side = Side { subjects: before.0, alerts: before.1, skipped: &[] };
        comparison.compare(&past(), &side, &Ok(after));
        comparison.finish()
    }

    #[test]
    fn another_name_of_a_rule_is_no_change() {
        let after = Judgement { alerts: vec![alert("new", "ann")], ..Judgement::default() };
        let report = compared((&[], &[alert("old", "ann")]), after);
        assert!(!report.changed);
        assert_eq!((report.alerts["old"].before, report.alerts["new"].after), (1, 1));
    }

    #[test]
    fn alerts_are_lost_and_gained_by_rule() {
        let alerts = vec![alert("new", "bob"), alert("new", "bob"), alert("new", "cy")];
        let report = compared(
            (&[], &[alert("old", "ann"), alert("old", "bob")]),
            Judgement { alerts, ..Judgement::default() },
        );
        assert!(report.changed);
        assert_eq!((report.alerts["old"].lost, report.alerts["new"].gained), (1, 2));
        assert_eq!(report.alerts["new"].gained_examples.len(), 1);
        assert_eq!(report.alerts["old"].lost_examples[0].subject, "ann");
        assert_eq!(report.alerts["new"].kept_examples[0].subject, "bob");
    }

    #[test]
    fn an_alert_names_the_box_of_its_face() {
        let about = Alert { face: Some(1), ..alert("new", "ann") };
        let subjects = vec![subject(0, known("bob")), subject(1, known("ann"))];
        let report =
            compared((&[], &[]), Judgement { alerts: vec![about], subjects, ..Judgement::default() });
        let bounds = report.alerts["new"].gained_examples[0].bounds;
        assert_eq!(bounds.map(|bounds| bounds.x), Some(100.0));
    }

    #[test]
    fn faces_are_matched_by_place_and_counted_by_kind() {
        let before = [subject(0, known("ann")), subject(1, known("bob")), subject(2, Decision::Unknown)];
        let after =
            vec![subject(2, Decision::Unknown), subject(0, known("cy")), subject(3, Decision::Unknown)];
        let report = compared((&before, &[]), Judgement { subjects: after, ..Judgement::default() });
        let counted: Vec<_> =
            report.decisions.iter().map(|it| (it.before.as_str(), it.after.as_str(), it.count)).collect();
        assert_eq!(
            counted,
            [("known", "another person", 1), ("known", "no face", 1), ("no face", "unknown", 1)]
        );
        assert_eq!(report.decisions[0].examples[0].after, "cy");
    }

    #[test]
    fn another_stranger_is_a_change_and_a_reason_is_not() {
        let undecided = |reason: &str| Decision::Undecided { reason: reason.into() };
        let report = compared(
            (&[subject(0, undecided("a"))], &[]),
            Judgement { subjects: vec![subject(0, undecided("b"))], ..Judgement::default() },
        );
        assert!(!report.changed);
        let stranger = |id: &str| {
            let stranger = Stranger { id: id.into(), visits: 1, ..Stranger::default() };
            vec![Subject { stranger: Some(stranger), ..subject(0, Decision::Unknown) }]
        };
        let mut comparison = Comparison::new(1);
        for (before, after) in [("a", "x"), ("a", "x"), ("b", "y"), ("a", "y")] {
            let side = Side { subjects: &stranger(before), ..Side::default() };
            let after = Judgement { subjects: stranger(after), ..Judgement::default() };
            comparison.compare(&past(), &side, &Ok(after));
        }
        let report = comparison.finish();
        assert_eq!((report.strangers.len(), report.strangers[0].count), (1, 1));
        assert_eq!(report.strangers[0].after, "another stranger");
    }
}
