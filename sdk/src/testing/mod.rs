//! Runs a rule natively, without WebAssembly: frame after frame, as the host would, with state, gallery and embeddings from the
//! test.
//!
//! ```
//! # use everyframe_rule::{Alert, AlertRule, Frame, Host, Rule, Severity, Subject};
//! # #[derive(Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
//! # struct Greeter {}
//! # impl Rule for Greeter { const ABOUT: &str = "Greets."; }
//! # impl AlertRule for Greeter {
//! #     fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
//! #         let greets = |who: &Subject| {
//! #             let who = who.person()?;
//! #             let is_first = host.first_in(3_600_000, who);
//! #             is_first.then(|| frame.alert(Severity::Info, "greeting", who, host.name_of(who)))
//! #         };
//! #         subjects.iter().filter_map(greets).collect()
//! #     }
//! # }
//! use everyframe_rule::testing::{Trial, known, unknown};
//!
//! let mut trial = Trial::<Greeter>::new("{}");
//! trial.host.enrol("anna", "Anna Blum");
//! assert_eq!(trial.at("10:00").judge([unknown(), known("anna")])[0].text, "Anna Blum");
//! assert_eq!(trial.at("10:59").judge([known("anna")]), [], "greeted a moment ago");
//! assert_eq!(trial.at("11:01").judge([known("anna")]).len(), 1);
//! ```
#![allow(clippy::panic, reason = "a wrong test should fail")]

mod host;
mod shown;
mod strangers;

pub use host::FakeHost;
pub use shown::{Shown, known, stranger, undecided, unknown};

use crate::export::limit;
use crate::settings::{self, Problem};
use crate::{
    Alert, AlertRule, Face, Frame, MatchingPolicy, Probe, Rule, Sighting, Subject, Timestamp,
    UnknownPersonRule, Verdict,
};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// Monday 5 January 2026, 00:00 UTC, Unix milliseconds: the day of every trial.
pub const MONDAY: Timestamp = 1_767_571_200_000;

/// Evaluates a rule on a sequence of frames.
///
/// The frames are 1280 × 720. By default the first is captured at ten o'clock, and each later one 100 ms after the one before.
/// As in a host, each frame gets a fresh instance, and each camera has its own state.
pub struct Trial<R> {
    /// State, gallery, embeddings and log.
    pub host: FakeHost,
    /// The next frame.
    pub frame: Frame,
    settings: String,
    tracks: BTreeMap<(String, u64), Timestamp>,
    rule: PhantomData<R>,
}

impl<R: Rule> Trial<R> {
    /// Makes a trial of the rule with these settings, a JSON object.
    ///
    /// # Panics
    ///
    /// If the rule refuses the settings. To test refusals, use [`problems`].
    pub fn new(settings: &str) -> Self {
        let frame = Frame {
            camera: "gate".into(),
            session: "trial".into(),
            sequence: 0,
            captured_at: time("10:00"),
            width: 1280,
            height: 720,
            schedules: Vec::new(),
        };
        let trial = Trial {
            host: FakeHost::default(),
            frame,
            settings: settings.into(),
            tracks: BTreeMap::new(),
            rule: PhantomData,
        };
        trial.instance();
        trial
    }

    /// Sets when the next frame is captured: a time of that Monday, `"18:30"` or `"18:30:01.250"`.
    pub fn at(&mut self, clock: &str) -> &mut Self {
        self.at_ms(time(clock))
    }

    /// Sets when the next frame is captured, Unix milliseconds.
    pub fn at_ms(&mut self, at: Timestamp) -> &mut Self {
        self.frame.captured_at = at;
        self
    }

    /// Sets the active schedules, from the next frame on.
    pub fn during(&mut self, schedules: &[&str]) -> &mut Self {
        self.frame.schedules = schedules.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets the camera, from the next frame on.
    pub fn camera(&mut self, camera: &str) -> &mut Self {
        self.frame.camera = camera.into();
        self
    }

    fn instance(&self) -> R {
        let (rule, problems) = settings::read(&self.settings);
        rule.unwrap_or_else(|| panic!("the settings are refused: {problems:?}"))
    }

    /// Calls a fresh instance with the next frame and its faces.
    fn run<T>(&mut self, shown: &[Shown], call: impl FnOnce(R, &Frame, Vec<Face>, &mut FakeHost) -> T) -> T {
        let now = self.frame.captured_at;
        let faces = (0..).zip(shown).map(|(index, shown)| {
            let track = shown.track.unwrap_or(u64::from(index) + 1);
            let began = self.tracks.entry((self.frame.camera.clone(), track)).or_insert(now);
            shown.face(index, track, shown.track_started_at.unwrap_or(*began))
        });
        let faces = faces.collect();
        let embeddings = shown.iter().map(|shown| shown.embedding.clone()).collect();
        self.host.begin(&self.frame, embeddings);
        let answer = call(self.instance(), &self.frame, faces, &mut self.host);
        self.frame.sequence += 1;
        self.frame.captured_at = now.saturating_add(100);
        answer
    }
}

impl<R: MatchingPolicy> Trial<R> {
    /// The rule's verdicts on the next frame's faces.
    ///
    /// # Panics
    ///
    /// If there is not exactly one verdict for each face: the host would refuse all of them.
    pub fn decide(&mut self, shown: impl IntoIterator<Item = Shown>) -> Vec<Verdict> {
        let shown: Vec<Shown> = shown.into_iter().collect();
        let verdicts = self.run(&shown, |rule, frame, faces, host| {
            let probes = faces.into_iter().zip(&shown);
            let probes = probes.map(|(face, shown)| Probe { face, candidates: shown.candidates.clone() });
            rule.decide(frame, &probes.collect::<Vec<_>>(), host)
        });
        let mut faces: Vec<u32> = verdicts.iter().map(|verdict| verdict.face).collect();
        faces.sort_unstable();
        let each_once = faces.iter().copied().eq(0..shown.len() as u32);
        assert!(each_once, "not exactly one verdict for each of {} faces: {verdicts:?}", shown.len());
        verdicts
    }
}

impl<R: UnknownPersonRule> Trial<R> {
    /// The strangers that the rule identifies in the next frame, whose faces are all unknown. What it shares is known to all
    /// cameras from the next frame on.
    ///
    /// # Panics
    ///
    /// If a face has two strangers, or a stranger has no face of the frame: the host would refuse all of them.
    pub fn observe(&mut self, shown: impl IntoIterator<Item = Shown>) -> Vec<Sighting> {
        let shown: Vec<Shown> = shown.into_iter().collect();
        let sightings = self.run(&shown, |rule, frame, faces, host| rule.observe(frame, &faces, host));
        for (place, Sighting { stranger, .. }) in sightings.iter().enumerate() {
            let is_twice = sightings[..place].iter().any(|other| other.stranger.face == stranger.face);
            let is_face = (stranger.face as usize) < shown.len();
            assert!(is_face && !is_twice, "not at most one stranger for each face: {sightings:?}");
        }
        self.host.publish(&sightings);
        sightings
    }
}

impl<R: AlertRule> Trial<R> {
    /// The alerts that the rule raises for the next frame.
    ///
    /// # Panics
    ///
    /// If an alert names a face that is not in the frame: the host would refuse all of them.
    pub fn judge(&mut self, shown: impl IntoIterator<Item = Shown>) -> Vec<Alert> {
        let shown: Vec<Shown> = shown.into_iter().collect();
        let alerts = self.run(&shown, |rule, frame, faces, host| {
            let subjects: Vec<Subject> =
                faces.into_iter().zip(&shown).map(|(face, shown)| shown.subject(face)).collect();
            limit(frame, rule.judge(frame, &subjects, host))
        });
        let is_face = |face: u32| (face as usize) < shown.len();
        assert!(
            alerts.iter().all(|alert| alert.face.is_none_or(is_face)),
            "about a face that is not in the frame: {alerts:?}"
        );
        alerts
    }
}

/// The rule's warnings and errors about settings.
pub fn problems<R: Rule>(settings: &str) -> Vec<Problem> {
    settings::read::<R>(settings).1.into_iter().collect()
}

/// Parses a time of [`MONDAY`], `"18:30"` or `"18:30:01.250"`, to Unix milliseconds.
///
/// # Panics
///
/// If the text is not a time of day.
pub fn time(clock: &str) -> Timestamp {
    let mut parts = clock.splitn(3, ':').map(|part| part.parse::<f64>().ok());
    let mut part = |or: Option<f64>| parts.next().unwrap_or(or);
    let (Some(hours), Some(minutes), Some(seconds)) = (part(None), part(None), part(Some(0.0))) else {
        panic!("`{clock}` is not a time of day: write it as \"18:30\" or \"18:30:01.250\"");
    };
    MONDAY + (((hours * 60.0 + minutes) * 60.0 + seconds) * 1000.0).round() as Timestamp
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
