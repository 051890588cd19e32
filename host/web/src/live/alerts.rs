//! The alerts, and who acknowledged them. Pure.

use crate::views::{Acknowledgement, Place};
use everyframe_types::event::ResultData;
use everyframe_types::face::Rect;
use everyframe_types::mute::{Mutable, Mute};
use everyframe_types::raised_alert;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The most alerts; beyond it, the oldest are forgotten.
const MAX_ALERTS: usize = 20_000;
/// The frames whose faces are kept, so that alerts can show theirs.
const MAX_FRAMES: usize = 5000;

/// An alert.
#[derive(Debug, Clone, PartialEq)]
pub struct RaisedAlert {
    /// The alert's id.
    pub id: String,
    /// The camera; for an alert about a partition, `topic/partition`.
    pub camera: String,
    /// When the frame was taken, Unix milliseconds.
    pub at: i64,
    /// The rule.
    pub rule: String,
    /// The version that the rule reported for the frames of that time; none for the host itself.
    pub rule_version: Option<String>,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// A stable name of what happened.
    pub kind: String,
    /// Who or what it is about.
    pub subject: String,
    /// One sentence.
    pub text: String,
    /// The frame; none for an alert that is not about a frame.
    pub place: Option<Place>,
    /// The face's index in the frame.
    pub face: Option<u32>,
}

impl RaisedAlert {
    /// Parses a record of the alerts topic; none if it is no event of Everyframe.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let alert = raised_alert::RaisedAlert::parse(value)?;
        Some(Self {
            id: alert.id,
            camera: alert.camera,
            at: alert.at,
            rule: alert.rule,
            rule_version: None,
            severity: alert.severity.as_str(),
            kind: alert.kind,
            subject: alert.subject,
            text: alert.text,
            place: alert.position.as_ref().map(Place::from),
            face: alert.face,
        })
    }

    /// The number of frames that never arrived, if the alert is about that.
    pub fn missing_frames(&self) -> Option<u64> {
        let is_gap = self.rule == everyframe_types::sequence_gap::HOST
            && ["frames-missing", "frames-refused"].contains(&self.kind.as_str());
        // "12 frames of camera …"
        is_gap.then(|| self.text.split(' ').next()?.parse().ok()).flatten()
    }
}

/// The order of alerts: by time, then by id.
pub type Key = (i64, String);

/// Which alerts are wanted; all if empty.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    /// Of this camera.
    pub camera: Option<String>,
    /// Of this rule.
    pub rule: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this severity.
    pub severity: Option<String>,
    /// Only those that nobody has acknowledged or muted.
    pub open: bool,
    /// That come before this one.
    pub before: Option<Key>,
}

/// All alerts.
#[derive(Debug, Default)]
pub struct Alerts {
    all: BTreeMap<Key, RaisedAlert>,
    by_id: HashMap<String, i64>,
    acknowledged: HashMap<String, Acknowledgement>,
    /// By id.
    mutes: BTreeMap<String, Mute>,
    /// The boxes of the faces of frames that raised alerts.
    faces: HashMap<Place, Vec<(u32, Rect)>>,
    /// Their order.
    frames: VecDeque<Place>,
}

impl Alerts {
    /// Adds an alert; false if it was there.
    pub fn add(&mut self, alert: RaisedAlert) -> bool {
        let key = (alert.at, alert.id.clone());
        self.by_id.insert(alert.id.clone(), alert.at);
        let is_new = self.all.insert(key, alert).is_none();
        while self.all.len() > MAX_ALERTS {
            if let Some(((_, id), _)) = self.all.pop_first() {
                self.by_id.remove(&id);
                self.acknowledged.remove(&id);
            }
        }
        is_new
    }

    /// Keeps the boxes of a result that raised alerts.
    pub fn add_result(&mut self, result: &ResultData) {
        if result.alerts.is_empty() {
            return;
        }
        let place = Place::from(&result.position);
        let faces = result.faces.iter().map(|face| (face.index, face.bounds)).collect();
        if self.faces.insert(place, faces).is_none() {
            self.frames.push_back(place);
        }
        while self.frames.len() > MAX_FRAMES {
            if let Some(oldest) = self.frames.pop_front() {
                self.faces.remove(&oldest);
            }
        }
    }

    /// Sets or removes the acknowledgement of an alert.
    pub fn acknowledge(&mut self, id: &str, acknowledgement: Option<Acknowledgement>) {
        match acknowledgement {
            Some(acknowledgement) => drop(self.acknowledged.insert(id.to_owned(), acknowledgement)),
            None => drop(self.acknowledged.remove(id)),
        }
    }

    /// Sets or removes a mute.
    pub fn mute(&mut self, id: &str, mute: Option<Mute>) {
        match mute {
            Some(mute) => {
                if let Some(((oldest, _), _)) = self.all.first_key_value() {
                    self.mutes.retain(|_, mute| mute.until > *oldest);
                }
                self.mutes.insert(id.to_owned(), mute);
            }
            None => drop(self.mutes.remove(id)),
        }
    }

    /// The mutes that are in force at `now`, Unix milliseconds, by id.
    pub fn mutes(&self, now: i64) -> impl Iterator<Item = (&str, &Mute)> {
        let mutes = self.mutes.iter().filter(move |(_, mute)| mute.until > now);
        mutes.map(|(id, mute)| (id.as_str(), mute))
    }

    /// Whether somebody has muted an alert.
    pub fn is_muted(&self, alert: &RaisedAlert) -> bool {
        let RaisedAlert { camera, rule, kind, subject, at, .. } = alert;
        let alert = Mutable { camera, rule, kind, subject, at: *at };
        self.mutes.values().any(|mute| mute.mutes(alert))
    }

    fn is_open(&self, alert: &RaisedAlert) -> bool {
        !self.acknowledged.contains_key(&alert.id) && !self.is_muted(alert)
    }

    /// Forgets acknowledgements of alerts that are not known: they are older than the history.
    pub fn forget_unknown(&mut self) {
        self.acknowledged.retain(|id, _| self.by_id.contains_key(id));
    }

    /// An alert.
    pub fn get(&self, id: &str) -> Option<&RaisedAlert> {
        self.all.get(&(*self.by_id.get(id)?, id.to_owned()))
    }

    /// Who acknowledged an alert.
    pub fn acknowledgement(&self, id: &str) -> Option<&Acknowledgement> {
        self.acknowledged.get(id)
    }

    /// Where the face of an alert is.
    pub fn bounds(&self, alert: &RaisedAlert) -> Option<Rect> {
        let faces = self.faces.get(&alert.place?)?;
        faces.iter().find(|(index, _)| Some(*index) == alert.face).map(|(_, bounds)| *bounds)
    }

    /// The alerts that pass the filter, newest first.
    pub fn find<'a>(&'a self, filter: &'a AlertFilter) -> impl Iterator<Item = (&'a Key, &'a RaisedAlert)> {
        let end = filter.before.clone().map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.all.range((std::ops::Bound::Unbounded, end)).rev().filter(|(_, alert)| {
            let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|it| it == value);
            is(&filter.camera, &alert.camera)
                && is(&filter.rule, &alert.rule)
                && is(&filter.kind, &alert.kind)
                && is(&filter.severity, alert.severity)
                && (!filter.open || self.is_open(alert))
        })
    }

    /// The number of alerts that nobody has acknowledged or muted.
    pub fn open_count(&self) -> usize {
        if self.mutes.is_empty() {
            let closed = self.acknowledged.keys().filter(|id| self.by_id.contains_key(*id)).count();
            return self.all.len() - closed;
        }
        self.all.values().filter(|alert| self.is_open(alert)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(id: &str, at: i64) -> RaisedAlert {
        RaisedAlert {
            id: id.into(),
            camera: "gate".into(),
            at,
            rule: "alerts".into(),
            rule_version: None,
            severity: "info",
            kind: "known-person".into(),
            subject: "anna".into(),
            text: "Anna is here.".into(),
            place: None,
            face: None,
        }
    }

    fn ids(alerts: &Alerts, filter: &AlertFilter) -> Vec<String> {
        alerts.find(filter).map(|(_, alert)| alert.id.clone()).collect()
    }

    #[test]
    fn alerts_come_newest_first_in_pages() {
        let mut alerts = Alerts::default();
        for (id, at) in [("a", 1), ("b", 3), ("c", 2)] {
            assert!(alerts.add(alert(id, at)));
        }
        assert!(!alerts.add(alert("a", 1)), "an alert that is delivered twice counts once");
        assert_eq!(ids(&alerts, &AlertFilter::default()), ["b", "c", "a"]);
        let rest = AlertFilter { before: Some((2, "c".into())), ..AlertFilter::default() };
        assert_eq!(ids(&alerts, &rest), ["a"]);
        let others = AlertFilter { camera: Some("yard".into()), ..AlertFilter::default() };
        assert!(ids(&alerts, &others).is_empty());
    }

    #[test]
    fn an_acknowledged_alert_is_not_open() {
        let mut alerts = Alerts::default();
        alerts.add(alert("a", 1));
        alerts.add(alert("b", 2));
        let acknowledgement = Acknowledgement { by: "max".into(), at: 5, comment: String::new() };
        alerts.acknowledge("a", Some(acknowledgement.clone()));
        alerts.acknowledge("gone", Some(acknowledgement));
        let open = AlertFilter { open: true, ..AlertFilter::default() };
        assert_eq!((ids(&alerts, &open), alerts.open_count()), (vec!["b".into()], 1));
        alerts.forget_unknown();
        assert_eq!(alerts.acknowledged.len(), 1);
        alerts.acknowledge("a", None);
        assert_eq!(alerts.open_count(), 2);
    }

    #[test]
    fn a_muted_alert_is_not_open() {
        let mut alerts = Alerts::default();
        alerts.add(alert("a", 5));
        alerts.add(alert("b", 15));
        let mute = Mute {
            camera: Some("gate".into()),
            rule: None,
            kind: None,
            subject: None,
            from: 10,
            until: 20,
            by: "max".into(),
        };
        alerts.mute("1", Some(mute));
        let open = AlertFilter { open: true, ..AlertFilter::default() };
        assert_eq!((ids(&alerts, &open), alerts.open_count()), (vec!["a".into()], 1));
        assert_eq!((alerts.mutes(19).count(), alerts.mutes(20).count()), (1, 0));
        alerts.mute("1", None);
        assert_eq!(alerts.open_count(), 2);
    }

    #[test]
    fn a_gap_says_how_many_frames_are_missing() {
        let gap = everyframe_types::sequence_gap::SequenceGap::Missing(vec![3..=14]).alert("gate", "s");
        let gap = RaisedAlert { rule: gap.rule, kind: gap.kind, text: gap.text, ..alert("a", 1) };
        assert_eq!(gap.missing_frames(), Some(12));
        assert_eq!(alert("a", 1).missing_frames(), None);
    }

    #[test]
    fn the_number_of_alerts_is_bounded() {
        let mut alerts = Alerts::default();
        (0..MAX_ALERTS as i64 + 5).for_each(|at| assert!(alerts.add(alert(&at.to_string(), at))));
        assert_eq!(alerts.all.len(), MAX_ALERTS);
        assert!(alerts.get("0").is_none() && alerts.get("5").is_some());
    }
}
