//! Sightings: one visit of one person or stranger at one camera. And the strangers. Pure.

use super::stranger_ids::StrangerIds;
use crate::views::Place;
use everyframe_gallery::{StrangerChange, StrangerRecord};
use everyframe_types::event::{FaceResult, ResultData};
use everyframe_types::face::Rect;
use everyframe_types::judgement::Decision;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Who is away for longer than this, milliseconds, comes back in another sighting.
pub const VISIT_GAP_MS: i64 = 30_000;
/// The most sightings; beyond it, the oldest are forgotten.
const MAX_SIGHTINGS: usize = 200_000;
/// The most strangers; beyond it, the one that was away longest is forgotten.
const MAX_STRANGERS: usize = 50_000;

/// Whom a sighting is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// A person of the gallery.
    Known(String),
    /// A stranger.
    Stranger(String),
}

impl Who {
    /// Who a face of a result is; none if that is not known.
    pub fn of(face: &FaceResult) -> Option<Self> {
        match (&face.decision, &face.stranger) {
            (Decision::Known { person, .. }, _) => Some(Self::Known(person.clone())),
            (_, Some(stranger)) => Some(Self::Stranger(stranger.id.clone())),
            _ => None,
        }
    }
}

/// The best picture of a face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// The frame.
    pub place: Place,
    /// Where the face is.
    pub bounds: Rect,
    /// Its quality, 0 to 1.
    pub quality: f32,
    /// When it was taken, Unix milliseconds.
    pub at: i64,
}

/// One visit.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// Made of the place of its first frame and the face's index.
    pub id: String,
    /// The camera.
    pub camera: String,
    /// Of whom.
    pub who: Who,
    /// When the first frame was taken, Unix milliseconds.
    pub from: i64,
    /// When the last frame was taken, Unix milliseconds.
    pub to: i64,
    /// Number of frames.
    pub frames: u64,
    /// The greatest similarity to a known person.
    pub similarity: Option<f32>,
    /// The best picture.
    pub best: Best,
}

/// A stranger.
#[derive(Debug, Clone, PartialEq)]
pub struct StrangerEntry {
    /// When first seen, Unix milliseconds.
    pub first_seen_at: i64,
    /// When last seen, Unix milliseconds.
    pub last_seen_at: i64,
    /// The cameras.
    pub cameras: BTreeSet<String>,
    /// Number of visits.
    pub visits: u32,
    /// Number of frames.
    pub frames: u64,
    /// The best pictures, best first, of different moments.
    pub best: Vec<Best>,
}

/// Pictures of a stranger that are kept for an enrolment.
const BEST_PICTURES: usize = 5;
/// Two kept pictures of a stranger are at least so far apart, milliseconds: neighbouring frames show the same view.
const APART_MS: i64 = 500;

/// The order of sightings: by the time of the first frame, then by their number.
pub type Key = (i64, u64);

/// Which sightings are wanted; all if empty.
#[derive(Debug, Clone, Default)]
pub struct SightingFilter {
    /// Of these people or strangers; of anybody if empty.
    pub who: Vec<Who>,
    /// At this camera.
    pub camera: Option<String>,
    /// That ended at this time or later.
    pub since: Option<i64>,
    /// That began before this time.
    pub until: Option<i64>,
    /// That come before this one.
    pub before: Option<Key>,
}

/// Which strangers are wanted; all if empty.
#[derive(Debug, Clone, Default)]
pub struct StrangerFilter {
    /// Seen at this camera.
    pub camera: Option<String>,
    /// Seen at this time or later.
    pub since: Option<i64>,
    /// Last seen before this, or at the same time with a smaller id.
    pub before: Option<(i64, String)>,
}

/// All sightings and strangers.
#[derive(Debug, Default)]
pub struct Sightings {
    all: BTreeMap<Key, Sighting>,
    /// The last sighting of each person or stranger at each camera.
    open: HashMap<(String, Who), Key>,
    next: u64,
    strangers: HashMap<String, StrangerEntry>,
    /// The present ids of strangers.
    pub ids: StrangerIds,
}

impl Sightings {
    /// Adds the faces of a result. Returns the sightings that began with it.
    pub fn add_result(&mut self, result: &ResultData) -> Vec<Key> {
        let mut began = Vec::new();
        for face in &result.faces {
            let Some(who) = self.present(Who::of(face), result) else { continue };
            let best = Best {
                place: Place::from(&result.position),
                bounds: face.bounds,
                quality: face.quality,
                at: result.captured_at,
            };
            if let (Who::Stranger(id), Some(stranger)) = (&who, &face.stranger) {
                stranger.merged.iter().for_each(|other| self.merge(other, id));
                self.add_stranger(id, result, stranger.first_seen_at, best);
            }
            let began_now = self.add_face(result, face, who.clone(), best);
            if let (Who::Stranger(id), Some(_)) = (&who, &began_now)
                && let Some(stranger) = self.strangers.get_mut(id)
            {
                stranger.visits += 1;
            }
            began.extend(began_now);
        }
        began
    }

    /// Whom a face shows by what is known now; none if nobody, or a stranger who was forgotten.
    fn present(&self, who: Option<Who>, result: &ResultData) -> Option<Who> {
        match who? {
            Who::Stranger(id) => self.ids.present(&id, &result.camera, result.captured_at).map(Who::Stranger),
            known => Some(known),
        }
    }

    /// Applies a record of the strangers topic.
    pub fn apply(&mut self, record: StrangerRecord) {
        self.ids.add(record.clone());
        match record {
            StrangerRecord::View(_) => {}
            StrangerRecord::Merge(merge) => self.merge(&merge.stranger, &merge.merged_into),
            StrangerRecord::Change(change) => self.change(&change),
        }
    }

    /// A stranger was forgotten or split.
    fn change(&mut self, change: &StrangerChange) {
        let who = Who::Stranger(change.stranger.clone());
        let mut changed = BTreeSet::from([change.stranger.clone()]);
        let mut moved = Vec::new();
        for (key, sighting) in self.all.iter_mut().filter(|(_, sighting)| sighting.who == who) {
            let visit = change.moved.iter().find(|visit| {
                // Only the beginning counts: the visit may have gone on since somebody chose it.
                visit.camera == sighting.camera && (visit.from..=visit.to).contains(&sighting.from)
            });
            if let Some(visit) = visit {
                sighting.who = Who::Stranger(visit.stranger.clone());
                changed.insert(visit.stranger.clone());
                moved.push(((sighting.camera.clone(), sighting.who.clone()), *key));
            }
        }
        if let Some(until) = change.forgotten_until {
            self.all.retain(|_, sighting| sighting.who != who || sighting.from > until);
        }
        let all = &self.all;
        self.open.retain(|(_, who), key| all.get(key).is_some_and(|sighting| sighting.who == *who));
        self.open.extend(moved);
        for id in changed {
            match self.summed_up(&id) {
                Some(stranger) => drop(self.strangers.insert(id, stranger)),
                None => drop(self.strangers.remove(&id)),
            }
        }
    }

    /// A stranger as its sightings show it; none without any.
    fn summed_up(&self, id: &str) -> Option<StrangerEntry> {
        let who = Who::Stranger(id.to_owned());
        let of_stranger = || self.all.values().filter(|sighting| sighting.who == who);
        let mut best = Vec::new();
        of_stranger().for_each(|sighting| keep_best(&mut best, sighting.best));
        Some(StrangerEntry {
            first_seen_at: of_stranger().map(|sighting| sighting.from).min()?,
            last_seen_at: of_stranger().map(|sighting| sighting.to).max()?,
            cameras: of_stranger().map(|sighting| sighting.camera.clone()).collect(),
            visits: u32::try_from(of_stranger().count()).unwrap_or(u32::MAX),
            frames: of_stranger().map(|sighting| sighting.frames).sum(),
            best,
        })
    }

    fn add_face(&mut self, result: &ResultData, face: &FaceResult, who: Who, best: Best) -> Option<Key> {
        let at = result.captured_at;
        let similarity = match &face.decision {
            Decision::Known { person, .. } => {
                face.candidates.iter().find(|it| it.person == *person).map(|it| it.similarity)
            }
            _ => None,
        };
        let key = (result.camera.clone(), who);
        if let Some(open) = self.open.get(&key).and_then(|open| self.all.get_mut(open))
            && at.saturating_sub(open.to) <= VISIT_GAP_MS
            && open.from.saturating_sub(at) <= VISIT_GAP_MS
        {
            open.to = open.to.max(at);
            open.frames += 1;
            open.similarity = [open.similarity, similarity].into_iter().flatten().reduce(f32::max);
            if best.quality > open.best.quality {
                open.best = best;
            }
            return None;
        }
        let Place { partition, offset } = best.place;
        let (camera, who) = key.clone();
        let sighting = Sighting {
            id: format!("{partition}-{offset}-{}", face.index),
            camera,
            who,
            from: at,
            to: at,
            frames: 1,
            similarity,
            best,
        };
        self.next += 1;
        let place = (at, self.next);
        self.all.insert(place, sighting);
        self.open.insert(key, place);
        while self.all.len() > MAX_SIGHTINGS {
            if let Some((oldest, sighting)) = self.all.pop_first() {
                let key = (sighting.camera, sighting.who);
                if self.open.get(&key) == Some(&oldest) {
                    self.open.remove(&key);
                }
            }
        }
        Some(place)
    }

    fn add_stranger(&mut self, id: &str, result: &ResultData, first_seen_at: i64, best: Best) {
        let at = result.captured_at;
        if !self.strangers.contains_key(id) {
            if self.strangers.len() >= MAX_STRANGERS {
                let oldest = self.strangers.iter().min_by_key(|(_, stranger)| stranger.last_seen_at);
                let oldest = oldest.map(|(id, _)| id.clone());
                oldest.and_then(|oldest| self.forget(&oldest));
            }
            let stranger = StrangerEntry {
                first_seen_at,
                last_seen_at: at,
                cameras: BTreeSet::new(),
                visits: 0,
                frames: 0,
                best: Vec::new(),
            };
            self.strangers.insert(id.to_owned(), stranger);
        }
        let Some(stranger) = self.strangers.get_mut(id) else { return };
        stranger.first_seen_at = stranger.first_seen_at.min(first_seen_at);
        stranger.last_seen_at = stranger.last_seen_at.max(at);
        stranger.frames += 1;
        if !stranger.cameras.contains(&result.camera) {
            stranger.cameras.insert(result.camera.clone());
        }
        keep_best(&mut stranger.best, best);
    }

    /// Forgets a stranger and its sightings.
    fn forget(&mut self, id: &str) -> Option<StrangerEntry> {
        let stranger = self.strangers.remove(id)?;
        let who = Who::Stranger(id.to_owned());
        self.all.retain(|_, sighting| sighting.who != who);
        self.open.retain(|(_, open), _| *open != who);
        Some(stranger)
    }

    /// Two strangers proved to be one: what was known of `other` is known of `id`.
    fn merge(&mut self, other: &str, id: &str) {
        if other == id {
            return;
        }
        let (from, into) = (Who::Stranger(other.to_owned()), Who::Stranger(id.to_owned()));
        self.all.values_mut().filter(|sighting| sighting.who == from).for_each(|it| it.who = into.clone());
        let open: Vec<_> = self.open.extract_if(|(_, who), _| *who == from).collect();
        for ((camera, _), key) in open {
            let place = self.open.entry((camera, into.clone())).or_insert(key);
            *place = (*place).max(key);
        }
        let Some(old) = self.strangers.remove(other) else { return };
        match self.strangers.get_mut(id) {
            None => drop(self.strangers.insert(id.to_owned(), old)),
            Some(stranger) => {
                stranger.first_seen_at = stranger.first_seen_at.min(old.first_seen_at);
                stranger.last_seen_at = stranger.last_seen_at.max(old.last_seen_at);
                stranger.cameras.extend(old.cameras);
                stranger.frames += old.frames;
                old.best.into_iter().for_each(|best| keep_best(&mut stranger.best, best));
            }
        }
    }

    /// The sightings that pass the filter, newest first.
    pub fn find<'a>(&'a self, filter: &'a SightingFilter) -> impl Iterator<Item = (Key, &'a Sighting)> {
        let end = filter.before.unwrap_or((i64::MAX, u64::MAX));
        self.all.range(..end).rev().map(|(key, sighting)| (*key, sighting)).filter(|(_, sighting)| {
            (filter.who.is_empty() || filter.who.contains(&sighting.who))
                && filter.camera.as_ref().is_none_or(|camera| *camera == sighting.camera)
                && filter.since.is_none_or(|since| sighting.to >= since)
                && filter.until.is_none_or(|until| sighting.from < until)
        })
    }

    /// One sighting.
    pub fn get(&self, key: Key) -> Option<&Sighting> {
        self.all.get(&key)
    }

    /// The last sighting of a person at any camera.
    pub fn last_of(&self, who: &Who) -> Option<&Sighting> {
        self.all.values().rev().find(|sighting| sighting.who == *who)
    }

    /// A stranger.
    pub fn stranger(&self, id: &str) -> Option<&StrangerEntry> {
        self.strangers.get(id)
    }

    /// The strangers that pass the filter, the last seen first.
    pub fn strangers(&self, filter: &StrangerFilter) -> Vec<(&str, &StrangerEntry)> {
        let mut found: Vec<(&str, &StrangerEntry)> = self
            .strangers
            .iter()
            .filter(|(id, stranger)| {
                filter.camera.as_ref().is_none_or(|camera| stranger.cameras.contains(camera))
                    && filter.since.is_none_or(|since| stranger.last_seen_at >= since)
                    && filter
                        .before
                        .as_ref()
                        .is_none_or(|(at, before)| (stranger.last_seen_at, *id) < (*at, before))
            })
            .map(|(id, stranger)| (id.as_str(), stranger))
            .collect();
        found.sort_unstable_by(|a, b| (b.1.last_seen_at, b.0).cmp(&(a.1.last_seen_at, a.0)));
        found
    }
}

/// Keeps the best pictures of different moments, best first.
fn keep_best(kept: &mut Vec<Best>, new: Best) {
    let close = kept.iter().position(|best| best.at.abs_diff(new.at) < APART_MS.unsigned_abs());
    match close {
        Some(place) if kept[place].quality >= new.quality => return,
        Some(place) => drop(kept.remove(place)),
        None if kept.len() < BEST_PICTURES => {}
        None if kept.last().is_some_and(|worst| worst.quality >= new.quality) => return,
        None => drop(kept.pop()),
    }
    let place = kept.partition_point(|best| best.quality >= new.quality);
    kept.insert(place, new);
}

#[cfg(test)]
#[path = "sightings_tests.rs"]
mod tests;
