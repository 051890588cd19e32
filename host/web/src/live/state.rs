//! All that is kept, behind one lock.

use super::alerts::{Alerts, RaisedAlert};
use super::cameras::{Camera, Cameras};
use super::dead_letters::DeadLetters;
use super::events::{EventKind, Events};
use super::ledger::Ledger;
use super::people::People;
use super::rules::RuleLog;
use super::sightings::{Best, Sighting, Sightings, StrangerEntry, Who};
use super::throughput::Throughput;
use crate::views::{
    AlertView, BestPicture, CameraStatus, CameraView, FrameView, LedgerSummary, Names as _, Place,
    RetentionView, SightingKind, SightingView, StrangerSummary,
};
use everyframe_types::event::ResultData;
use everyframe_types::machine::unix_ms;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// What is kept.
#[derive(Default)]
pub struct State {
    /// The cameras.
    pub cameras: Cameras,
    /// Sightings and strangers.
    pub sightings: Sightings,
    /// Alerts.
    pub alerts: Alerts,
    /// Frames that could not be processed.
    pub dead_letters: DeadLetters,
    /// The ledger.
    pub ledger: Ledger,
    /// The rules and models.
    pub rules: RuleLog,
    /// Frames and processor time by step.
    pub throughput: Throughput,
    /// The people.
    pub people: People,
    /// Since when results were read, Unix milliseconds.
    pub since: i64,
    /// True once the strangers topic is read: who was merged, split or forgotten.
    pub knows_strangers: bool,
    /// True once the history is read.
    pub is_complete: bool,
    /// Whether unread frames will be deleted; none before the first poll.
    pub retention: Option<Retention>,
}

/// Whether retention will delete unread frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// One sentence about the frames that will be deleted unread first; none if none will soon.
    pub danger: Option<String>,
    /// False if the brokers do not say how long they keep frames.
    pub is_known: bool,
}

/// The state and its events.
pub struct Live {
    state: RwLock<State>,
    /// The last frame of each camera that was not sent as an event yet.
    unsent: Mutex<BTreeMap<String, Arc<ResultData>>>,
    /// Wakes the thread that sends them.
    has_unsent: Condvar,
    /// What changed.
    pub events: Events,
}

impl Live {
    /// Nothing is known yet.
    pub fn new() -> Self {
        let (unsent, has_unsent) = (Mutex::default(), Condvar::new());
        Self { state: RwLock::default(), unsent, has_unsent, events: Events::new(unix_ms()) }
    }

    /// The state. Do not hold it while waiting for anything.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, to change it.
    pub fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an event. The data are made only if somebody is connected, or may connect again and want it.
    pub fn send<T: Serialize>(&self, kind: EventKind, camera: Option<&str>, data: impl FnOnce() -> T) {
        let is_wanted = self.events.has_listeners() || !matches!(kind, EventKind::Frame | EventKind::Ledger);
        if !is_wanted {
            return;
        }
        match serde_json::to_string(&data()) {
            Ok(data) => self.events.send(kind, camera.map(str::to_owned), data),
            Err(error) => tracing::error!("an event cannot be written as JSON: {error}"),
        }
    }

    /// Adds a result that was read from `place` of the results topic.
    pub fn add_result(&self, result: ResultData, place: Place, now: i64) {
        let result = Arc::new(result);
        let mut state = self.write();
        let frame = Place::from(&result.position);
        // What is read again after an error is known already.
        if state.ledger.result_of(frame) == Some(place) {
            return;
        }
        let is_complete = state.is_complete;
        // The history tells when a frame came; what comes now, comes now.
        let arrived_at = if is_complete { now } else { result.captured_at.min(now) };
        state.cameras.add_result(&result, arrived_at);
        state.ledger.add_result(frame, place, result.captured_at);
        state.alerts.add_result(&result);
        state.rules.add_result(&result);
        let began = state.sightings.add_result(&result);
        if !is_complete {
            return;
        }
        state.throughput.add(result.faces.len(), &result.timings, now);
        drop(state);
        self.send_later(&result);
        let state = self.read();
        for key in began {
            if let Some(sighting) = state.sightings.get(key) {
                self.send(EventKind::Sighting, Some(&result.camera), || state.sighting_view(sighting));
            }
        }
    }

    fn send_later(&self, result: &Arc<ResultData>) {
        if self.events.has_listeners() {
            let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
            unsent.insert(result.camera.clone(), result.clone());
            self.has_unsent.notify_one();
        }
    }

    /// Waits until there are frames to send. False if none came within `timeout`.
    pub fn wait_for_frames(&self, timeout: Duration) -> bool {
        let unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.has_unsent.wait_timeout_while(unsent, timeout, |unsent| unsent.is_empty());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Sends the last frame of each camera that has a new one. All browsers then show the same frames, so that each picture is read
    /// once.
    pub fn send_frames(&self) {
        let unsent = std::mem::take(&mut *self.unsent.lock().unwrap_or_else(PoisonError::into_inner));
        let state = self.read();
        for (camera, result) in unsent {
            self.send(EventKind::Frame, Some(&camera), || FrameView::new(&result, &state.people));
        }
    }

    /// Shows a frame while the history is still being read.
    pub fn preview(&self, result: ResultData, now: i64) {
        let result = Arc::new(result);
        self.write().cameras.preview(&result, now);
        self.send_later(&result);
    }

    /// Adds an alert.
    pub fn add_alert(&self, mut alert: RaisedAlert) {
        let mut state = self.write();
        alert.rule_version = state.rules.version_of(&alert.rule);
        let id = alert.id.clone();
        let (rule, gap) = (alert.rule.clone(), alert.missing_frames());
        let (camera, place) = (alert.camera.clone(), alert.place);
        let is_notice = alert.kind == "frames-refused";
        if !state.alerts.add(alert) {
            return;
        }
        state.rules.add_alert(&rule);
        if let Some(count) = gap {
            state.cameras.add_gap(&camera, count);
        }
        if let Some(place) = place.filter(|_| is_notice && gap.is_some()) {
            state.ledger.add_no_frame(place);
        }
        let is_complete = state.is_complete;
        drop(state);
        let state = self.read();
        if let Some(alert) = state.alerts.get(&id).filter(|_| is_complete) {
            self.send(EventKind::Alert, Some(&camera), || state.alert_view(alert));
        }
    }
}

impl State {
    /// The view of a camera.
    pub fn camera_view(&self, id: &str, camera: &Camera, now: i64) -> CameraView {
        let is_silent = camera.is_silent(now);
        CameraView {
            id: id.to_owned(),
            status: if is_silent { CameraStatus::Silent } else { CameraStatus::Live },
            last_seen_at: camera.last_seen_at,
            frames_per_second: camera.frames_per_second(now),
            frames: camera.frames,
            faces: camera.faces,
            gaps: camera.gaps,
            parked: camera.parked,
            last: camera.last.as_ref().map(|result| FrameView::new(result, &self.people)),
        }
    }

    /// The view of a sighting.
    pub fn sighting_view(&self, sighting: &Sighting) -> SightingView {
        let (kind, person, stranger) = match &sighting.who {
            Who::Known(person) => (SightingKind::Known, Some(person.clone()), None),
            Who::Stranger(id) => (SightingKind::Stranger, self.people.person_of(id), Some(id.clone())),
        };
        SightingView {
            id: sighting.id.clone(),
            camera: sighting.camera.clone(),
            kind,
            name: person.as_deref().map(|person| self.name_of(person)),
            person,
            stranger,
            from: sighting.from,
            to: sighting.to,
            frames: sighting.frames,
            similarity: sighting.similarity,
            best: best_picture(&sighting.best),
        }
    }

    /// The view of a stranger; none without any picture.
    pub fn stranger_summary(&self, id: &str, stranger: &StrangerEntry) -> Option<StrangerSummary> {
        let person = self.people.person_of(id);
        Some(StrangerSummary {
            id: id.to_owned(),
            first_seen_at: stranger.first_seen_at,
            last_seen_at: stranger.last_seen_at,
            cameras: stranger.cameras.iter().cloned().collect(),
            visits: stranger.visits,
            frames: stranger.frames,
            best: best_picture(stranger.best.first()?),
            name: person.as_deref().map(|person| self.name_of(person)),
            person,
        })
    }

    /// The view of an alert.
    pub fn alert_view(&self, alert: &RaisedAlert) -> AlertView {
        let bounds = self.alerts.bounds(alert).map(crate::views::Bounds::from);
        let subject_name = self.people.name(&alert.subject).or_else(|| {
            let person = self.people.person_of(&alert.subject)?;
            self.people.name(&person)
        });
        AlertView {
            id: alert.id.clone(),
            camera: alert.camera.clone(),
            at: alert.at,
            rule: alert.rule.clone(),
            rule_version: alert.rule_version.clone(),
            severity: alert.severity.to_owned(),
            kind: alert.kind.clone(),
            subject: alert.subject.clone(),
            subject_name,
            text: alert.text.clone(),
            position: alert.place,
            picture: alert.place.map(Place::picture),
            crop: alert.place.zip(bounds).map(|(place, bounds)| place.crop(&bounds)),
            bounds,
            acknowledged: self.alerts.acknowledgement(&alert.id).cloned(),
            muted: self.alerts.is_muted(alert),
        }
    }

    /// The counts of the ledger.
    pub fn ledger_summary(&self, now: i64) -> LedgerSummary {
        let counts = self.ledger.counts();
        // A partition whose frames are all processed is not behind, however long ago the last one came.
        let behind = counts.partitions.iter().filter(|it| it.waiting > 0 && it.last_frame_at > 0);
        let oldest_wait = behind.map(|it| now.saturating_sub(it.last_frame_at)).max();
        LedgerSummary {
            frames: counts.frames,
            accounted: counts.accounted,
            processed: counts.processed,
            parked: counts.parked,
            deleted: counts.deleted,
            waiting: counts.waiting,
            lost: counts.lost,
            repeated: counts.repeated,
            gaps: self.cameras.iter().map(|(_, camera)| camera.gaps).sum(),
            behind_ms: oldest_wait.unwrap_or(0).max(0),
            since: self.since,
            is_complete: self.is_complete,
            retention: match &self.retention {
                None => RetentionView { state: "unknown".into(), text: String::new() },
                Some(Retention { danger: Some(text), .. }) => {
                    RetentionView { state: "danger".into(), text: text.clone() }
                }
                Some(Retention { is_known: true, .. }) => {
                    RetentionView { state: "ok".into(), text: String::new() }
                }
                Some(_) => RetentionView { state: "unknown".into(), text: String::new() },
            },
        }
    }

    /// The name of a person; the id if nobody has it.
    pub fn name_of(&self, person: &str) -> String {
        self.people.name(person).unwrap_or_else(|| person.to_owned())
    }
}

fn best_picture(best: &Best) -> BestPicture {
    let bounds = best.bounds.into();
    BestPicture {
        position: best.place,
        bounds,
        quality: best.quality,
        crop: best.place.crop(&bounds),
        picture: best.place.picture(),
    }
}
