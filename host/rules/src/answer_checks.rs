//! Checks a rule's answer before anything uses it.

use super::contract::Answer;
use super::error::{FailureKind, Fault};
use super::limits::presentable;
use everyframe_types::face::{Face, People};
use everyframe_types::id;
use everyframe_types::id::InvalidId;
use everyframe_types::judgement::{Alert, Decision, Stranger, StrangerEvent};
use std::collections::HashSet;

/// The longest kind of an alert, bytes.
const KIND_BYTES: usize = id::MAX_BYTES;
/// The longest id of a stranger, bytes.
const STRANGER_BYTES: usize = id::MAX_STRANGER_BYTES;
/// The longest subject of an alert, bytes.
const SUBJECT_BYTES: usize = 512;
/// The longest deduplication key of an alert, bytes: rules build it from kind, camera and subject.
const KEY_BYTES: usize = 1 << 10;
/// The longest text of an alert or reason of an undecided face, bytes. Longer ones are cut.
const TEXT_BYTES: usize = 1 << 10;
/// The most alerts that one rule may raise for one frame.
const MAX_ALERTS: usize = 100;
/// The most strangers that may be merged into one in one frame.
const MAX_MERGED: usize = 16;
/// The longest time for which a view is shared, milliseconds: a year.
const MAX_EXPIRES_IN: u64 = 366 * 24 * 3600 * 1000;
/// The longest dwell of a stranger, milliseconds: a hundred years. Catches a negative difference that was stored as unsigned.
const MAX_DWELL: u64 = 100 * 366 * 24 * 3600 * 1000;
/// Counted for the numbers of each item in an answer, bytes.
const ITEM_BYTES: usize = 32;

fn nonsense(message: String) -> Fault {
    Fault::new(FailureKind::Nonsense, message)
}

/// # Errors
///
/// The answer is larger than `limit`, bytes.
pub(super) fn check_size(answer: &Answer, limit: usize) -> Result<(), Fault> {
    let bytes: usize = match answer {
        Answer::Verdicts(verdicts) => verdicts
            .iter()
            .map(|(_, decision)| match decision {
                Decision::Known { person, .. } => ITEM_BYTES + person.len(),
                Decision::Unknown => ITEM_BYTES,
                Decision::Undecided { reason } => ITEM_BYTES + reason.len(),
            })
            .sum(),
        Answer::Strangers(strangers) => strangers
            .iter()
            .map(|(_, it)| ITEM_BYTES + it.id.len() + it.merged.iter().map(String::len).sum::<usize>())
            .sum(),
        Answer::Alerts(alerts) => alerts
            .iter()
            .map(|it| ITEM_BYTES + it.kind.len() + it.subject.len() + it.dedup_key.len() + it.text.len())
            .sum(),
    };
    if bytes > limit {
        let message = format!("answered with {bytes} bytes; `limits.output_bytes` is {limit}");
        return Err(Fault::new(FailureKind::OutputTooLarge, message));
    }
    Ok(())
}

/// Sorts the decisions into the order of the faces.
///
/// # Errors
///
/// There is not exactly one verdict for each face, or one is not valid.
pub(super) fn check_verdicts(
    verdicts: Vec<(u32, Decision)>,
    faces: &[&Face],
    people: &dyn People,
) -> Result<Vec<Decision>, Fault> {
    let mut decisions: Vec<Option<Decision>> = vec![None; faces.len()];
    for (index, mut decision) in verdicts {
        let position = faces.iter().position(|face| face.index == index);
        let slot = position.and_then(|position| decisions.get_mut(position)).ok_or_else(|| {
            nonsense(format!("returned a verdict for face {index}, but the frame has {} faces", faces.len()))
        })?;
        if slot.is_some() {
            return Err(nonsense(format!("returned two verdicts for face {index}")));
        }
        match &mut decision {
            Decision::Known { person, confidence } => {
                if !(0.0..=1.0).contains(confidence) {
                    return Err(nonsense(format!(
                        "returned confidence {confidence} for face {index}; it must be from 0 to 1"
                    )));
                }
                // The id may come from the rule's settings, where a person typed it.
                *person = id::normalise(person.trim()).into_owned();
                if people.find(person).is_none() {
                    let person = presentable(person, id::MAX_BYTES);
                    return Err(nonsense(format!(
                        "identified face {index} as \"{person}\", who is not in the gallery"
                    )));
                }
            }
            Decision::Unknown => {}
            Decision::Undecided { reason } => *reason = presentable(reason, TEXT_BYTES),
        }
        *slot = Some(decision);
    }
    let missing = faces.iter().zip(&decisions).find(|(_, decision)| decision.is_none());
    if let Some((face, _)) = missing {
        return Err(nonsense(format!("returned no verdict for face {}", face.index)));
    }
    Ok(decisions.into_iter().flatten().collect())
}

/// Normalises the strangers' ids.
///
/// # Errors
///
/// A stranger is not one of the unknown `faces`, a face has two strangers, or one is not valid.
pub(super) fn check_strangers(
    mut strangers: Vec<(u32, Stranger)>,
    faces: &[&Face],
) -> Result<Vec<(u32, Stranger)>, Fault> {
    let mut seen = HashSet::new();
    for (index, stranger) in &mut strangers {
        if !faces.iter().any(|face| face.index == *index) {
            return Err(nonsense(format!(
                "returned a stranger for face {index}, which is not one of the unknown faces"
            )));
        }
        if !seen.insert(*index) {
            return Err(nonsense(format!("returned two strangers for face {index}")));
        }
        stranger.id = normalise_id("a stranger's id", &stranger.id, STRANGER_BYTES)?;
        if stranger.dwell > MAX_DWELL {
            return Err(nonsense(format!(
                "returned a dwell of {} ms for face {index}, longer than a hundred years",
                stranger.dwell
            )));
        }
        let visits = match stranger.event {
            Some(StrangerEvent::FirstSeen) => 1..=1,
            Some(StrangerEvent::Returned) => 2..=u32::MAX,
            Some(StrangerEvent::Loitering | StrangerEvent::Merged) | None => 1..=u32::MAX,
        };
        if !visits.contains(&stranger.visits) {
            return Err(nonsense(format!(
                "returned {} visits of face {index} with the event {:?}",
                stranger.visits, stranger.event
            )));
        }
        check_merge_and_share(*index, stranger)?;
    }
    Ok(strangers)
}

/// Normalises the ids of merged strangers.
fn check_merge_and_share(index: u32, stranger: &mut Stranger) -> Result<(), Fault> {
    let Stranger { id, event, merged, share, .. } = stranger;
    if (*event == Some(StrangerEvent::Merged)) == merged.is_empty() {
        let count = merged.len();
        return Err(nonsense(format!("merged {count} strangers for face {index} with the event {event:?}")));
    }
    if merged.len() > MAX_MERGED {
        let count = merged.len();
        return Err(nonsense(format!(
            "merged {count} strangers for face {index}; the limit is {MAX_MERGED}"
        )));
    }
    for other in merged.iter_mut() {
        *other = normalise_id("the id of a merged stranger", other, STRANGER_BYTES)?;
        if other == id {
            return Err(nonsense(format!("merged the stranger of face {index} with itself")));
        }
    }
    if !merged.is_empty() && share.is_none() {
        return Err(nonsense(format!("merged strangers for face {index} without `share`")));
    }
    if let Some(share) = share.filter(|share| !(1..=MAX_EXPIRES_IN).contains(&share.expires_in)) {
        return Err(nonsense(format!(
            "shared face {index} for {} ms; it must be from 1 to {MAX_EXPIRES_IN}",
            share.expires_in
        )));
    }
    Ok(())
}

/// Normalises the alerts, and adds the name of the rule.
///
/// # Errors
///
/// There are too many alerts, or one is not valid.
pub(super) fn check_alerts(
    alerts: Vec<Alert>,
    rule: &str,
    faces: usize,
    has_face: impl Fn(u32) -> bool,
) -> Result<Vec<Alert>, Fault> {
    if alerts.len() > MAX_ALERTS {
        return Err(nonsense(format!(
            "raised {} alerts for one frame; the limit is {MAX_ALERTS}",
            alerts.len()
        )));
    }
    let mut checked = Vec::with_capacity(alerts.len());
    for mut alert in alerts {
        alert.kind = normalise_id("an alert's kind", &alert.kind, KIND_BYTES)?;
        alert.subject = normalise_id("an alert's subject", &alert.subject, SUBJECT_BYTES)?;
        alert.dedup_key = normalise_id("an alert's dedup-key", &alert.dedup_key, KEY_BYTES)?;
        if let Some(index) = alert.face.filter(|index| !has_face(*index)) {
            return Err(nonsense(format!(
                "raised an alert about face {index}, but the frame has {faces} faces"
            )));
        }
        alert.text = presentable(&alert.text, TEXT_BYTES);
        alert.rule = rule.to_owned();
        checked.push(alert);
    }
    Ok(checked)
}

/// Normalises an id.
fn normalise_id(name: &str, text: &str, limit: usize) -> Result<String, Fault> {
    id::parse(text, limit).map_err(|fault| match fault {
        InvalidId::Forbidden(_) => nonsense(format!("{name} {fault}: {}", presentable(text, 64))),
        fault => nonsense(format!("{name} {fault}")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Enrolled, face};
    use super::*;
    use everyframe_types::judgement::{Severity, Share};

    fn known(person: &str, confidence: f32) -> Decision {
        Decision::Known { person: person.into(), confidence }
    }

    fn fault<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
        let Fault { kind, message } = result.unwrap_err();
        assert_eq!(kind, FailureKind::Nonsense);
        message
    }

    #[test]
    fn verdicts_are_sorted_into_the_order_of_the_faces() {
        let (zero, one) = (face(0), face(1));
        let verdicts = vec![(1, Decision::Unknown), (0, known("anna", 1.0))];
        let decisions = check_verdicts(verdicts, &[&zero, &one], &Enrolled(&["anna"])).unwrap();
        assert_eq!(decisions, [known("anna", 1.0), Decision::Unknown]);
    }

    #[test]
    fn verdicts_that_contradict_the_frame_are_refused() {
        let (zero, one) = (face(0), face(1));
        let check = |verdicts| fault(check_verdicts(verdicts, &[&zero, &one], &Enrolled(&["anna"])));
        let unknown = |index| (index, Decision::Unknown);
        assert!(check(vec![unknown(0)]).contains("no verdict for face 1"));
        assert!(check(vec![unknown(0), unknown(0)]).contains("two verdicts"));
        assert!(check(vec![unknown(0), unknown(1), unknown(7)]).contains("face 7"));
        assert!(check(vec![unknown(0), (1, known("nobody", 0.5))]).contains("not in the gallery"));
        for confidence in [f32::NAN, f32::INFINITY, -0.1, 1.1] {
            assert!(check(vec![unknown(0), (1, known("anna", confidence))]).contains("confidence"));
        }
    }

    #[test]
    fn strangers_that_contradict_the_frame_are_refused() {
        let (zero, one) = (face(0), face(1));
        let stranger = |id: &str| Stranger { id: id.into(), dwell: 5, visits: 1, ..Stranger::default() };
        let check = |strangers| check_strangers(strangers, &[&zero, &one]);
        assert!(check(vec![(1, stranger("s"))]).is_ok());
        assert!(fault(check(vec![(2, stranger("s"))])).contains("face 2"));
        assert!(fault(check(vec![(1, stranger("s")), (1, stranger("t"))])).contains("two strangers"));
        assert!(fault(check(vec![(1, stranger(""))])).contains("empty"));
        assert!(fault(check(vec![(1, stranger(&"s".repeat(201)))])).contains("201 bytes"));
        assert!(fault(check(vec![(1, stranger("a\nb"))])).contains("control"));
        assert!(fault(check(vec![(1, Stranger { dwell: (-1i64) as u64, ..stranger("s") })])).contains("ms"));
        assert!(fault(check(vec![(1, Stranger { visits: 0, ..stranger("s") })])).contains("0 visits"));
        let returned = Stranger { event: Some(StrangerEvent::Returned), ..stranger("s") };
        assert!(fault(check(vec![(1, returned)])).contains("1 visits"));
    }

    #[test]
    fn impossible_merges_and_shares_are_refused() {
        let zero = face(0);
        let share = |expires_in| Some(Share { view: 0, expires_in });
        let merged = |ids: &[&str]| Stranger {
            id: "s".into(),
            event: Some(StrangerEvent::Merged),
            visits: 1,
            merged: ids.iter().map(ToString::to_string).collect(),
            share: share(1000),
            ..Stranger::default()
        };
        let check = |stranger| check_strangers(vec![(0, stranger)], &[&zero]);
        let accepted = check(merged(&["e\u{301}"])).unwrap();
        assert_eq!(accepted[0].1.merged, ["\u{e9}"]);
        assert!(fault(check(merged(&[]))).contains("merged 0 strangers"));
        assert!(fault(check(Stranger { event: None, ..merged(&["t"]) })).contains("merged 1 strangers"));
        assert!(fault(check(merged(&["t"; 17]))).contains("the limit is 16"));
        assert!(fault(check(merged(&["s"]))).contains("itself"));
        assert!(fault(check(merged(&["a\nb"]))).contains("control"));
        assert!(fault(check(Stranger { share: None, ..merged(&["t"]) })).contains("without `share`"));
        for expires_in in [0, u64::MAX] {
            let shared = Stranger { share: share(expires_in), ..merged(&["t"]) };
            assert!(fault(check(shared)).contains("it must be from 1"));
        }
    }

    #[test]
    fn alerts_that_contradict_the_frame_are_refused() {
        let alert = Alert {
            rule: String::new(),
            severity: Severity::Info,
            kind: "known-person".into(),
            subject: "anna".into(),
            dedup_key: "anna".into(),
            text: "Anna\x1b[2J".into(),
            face: Some(0),
        };
        let check = |alerts| check_alerts(alerts, "door", 1, |index| index == 0);
        let checked = check(vec![alert.clone()]).unwrap();
        assert_eq!((checked[0].rule.as_str(), checked[0].text.as_str()), ("door", "Anna [2J"));
        assert!(fault(check(vec![Alert { face: Some(1), ..alert.clone() }])).contains("face 1"));
        assert!(fault(check(vec![Alert { kind: String::new(), ..alert.clone() }])).contains("kind"));
        assert!(fault(check(vec![alert; MAX_ALERTS + 1])).contains("101 alerts"));
    }

    #[test]
    fn ids_are_normalised() {
        let zero = face(0);
        let verdicts = vec![(0, known("jose\u{301} ", 1.0))];
        let decisions = check_verdicts(verdicts, &[&zero], &Enrolled(&["jos\u{e9}"])).unwrap();
        assert_eq!(decisions, [known("jos\u{e9}", 1.0)]);
        let stranger = Stranger { id: "e\u{301}".into(), visits: 1, ..Stranger::default() };
        assert_eq!(check_strangers(vec![(0, stranger)], &[&zero]).unwrap()[0].1.id, "\u{e9}");
    }

    proptest::proptest! {
        /// Rules may return any camera's id, and ids built from it.
        #[test]
        fn every_cameras_id_is_accepted_in_an_answer(key in proptest::collection::vec(proptest::prelude::any::<char>(), 0..300)) {
            let camera = everyframe_types::record::camera_id(Some(key.iter().collect::<String>().as_bytes()), 0);
            let zero = face(0);
            let id = format!("{camera}-{}-{}", i64::MIN, u64::MAX);
            for id in [&camera, &id] {
                let stranger = Stranger { id: id.clone(), visits: 1, ..Stranger::default() };
                proptest::prop_assert!(check_strangers(vec![(0, stranger)], &[&zero]).is_ok());
                let alert = Alert {
                    rule: String::new(),
                    severity: Severity::Info,
                    kind: camera.clone(),
                    subject: id.clone(),
                    dedup_key: format!("{camera}/{camera}/{id}"),
                    text: camera.clone(),
                    face: None,
                };
                proptest::prop_assert!(check_alerts(vec![alert], "rule", 1, |_| true).is_ok());
            }
        }
    }

    #[test]
    fn the_size_of_an_answer_includes_its_text() {
        let reason = Decision::Undecided { reason: "x".repeat(100) };
        let answer = Answer::Verdicts(vec![(0, reason)]);
        assert!(check_size(&answer, 132).is_ok());
        assert_eq!(check_size(&answer, 131).unwrap_err().kind, FailureKind::OutputTooLarge);
    }
}
