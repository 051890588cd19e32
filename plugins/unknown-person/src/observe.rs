//! Which stranger each unknown face is: by its track first, then by its looks, else a new one.

use crate::settings::Settings;
use crate::stranger::{Stranger, elapsed, id};
use crate::views::Views;
use everyframe_rule::{self as types, Event, Face, Frame, Host, Level, Timestamp, UnknownPersonRule};
use std::collections::BTreeMap;

/// How long a track without a sight is remembered. Trackers give up after seconds, but a face may be undecided
/// for longer in the middle of its track.
const TRACK_TTL_MS: u64 = 600_000;

impl UnknownPersonRule for Settings {
    fn observe(&self, frame: &Frame, faces: &[Face], host: &mut dyn Host) -> Vec<types::Stranger> {
        observe(self, frame, faces, host)
    }
}

fn observe(settings: &Settings, frame: &Frame, faces: &[Face], host: &mut dyn Host) -> Vec<types::Stranger> {
    let mut memory = Memory { settings, now: frame.captured_at, all: None };
    let mut named = by_track(&memory, faces, host);
    by_looks(&mut memory, faces, &mut named, host);
    by_birth(&mut memory, frame, faces, &mut named, host);
    faces.iter().zip(named).filter_map(|(face, named)| Some(memory.record(face, named?, host))).collect()
}

/// A face's stranger.
struct Named {
    id: String,
    stranger: Stranger,
    how: How,
}

#[derive(PartialEq)]
enum How {
    Track,
    Looks,
    Birth,
}

fn by_track(memory: &Memory, faces: &[Face], host: &dyn Host) -> Vec<Option<Named>> {
    let mut named: Vec<Option<Named>> = Vec::with_capacity(faces.len());
    for face in faces {
        let found =
            host.get_bytes(&track_key(face)).and_then(|id| String::from_utf8(id).ok()).and_then(|id| {
                let stranger = memory.load(&id, host)?;
                Some(Named { id, stranger, how: How::Track })
            });
        // One person is in a frame once.
        let found = found.filter(|found| !is_taken(&named, &found.id));
        named.push(found);
    }
    named
}

/// Gives the nameless faces to the strangers that they look like, the most alike first, each stranger once.
fn by_looks(memory: &mut Memory, faces: &[Face], named: &mut [Option<Named>], host: &dyn Host) {
    let same_person = memory.settings.same_person;
    let mut pairs = Vec::new();
    for (place, face) in faces.iter().enumerate() {
        if named[place].is_some() {
            continue;
        }
        let Some(embedding) = memory.trusted_embedding(face, host) else { continue };
        for (id, stranger) in memory.everybody(host) {
            let likeness = stranger.views.likeness(&embedding);
            if likeness >= same_person {
                pairs.push((likeness, place, id.clone()));
            }
        }
    }
    // Equal likenesses in the order of faces and ids, so that a replay does the same.
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, &a.2).cmp(&(b.1, &b.2))));
    for (_, place, id) in pairs {
        if named[place].is_none() && !is_taken(named, &id) {
            let stranger = memory.load(&id, host);
            named[place] = stranger.map(|stranger| Named { id, stranger, how: How::Looks });
        }
    }
}

/// Makes strangers of the faces that are new, if they are good enough and no flicker.
fn by_birth(
    memory: &mut Memory,
    frame: &Frame,
    faces: &[Face],
    named: &mut [Option<Named>],
    host: &mut dyn Host,
) {
    for (place, face) in faces.iter().enumerate() {
        let first_seen_at = face.track_started_at.min(memory.now);
        if named[place].is_some() || elapsed(first_seen_at, memory.now) < memory.settings.confirm_after_ms {
            continue;
        }
        let Some(embedding) = memory.trusted_embedding(face, host) else { continue };
        let Some(views) = Views::of(&embedding) else { continue };
        let id = id(&frame.camera, face.track, first_seen_at);
        if is_taken(named, &id) {
            continue;
        }
        // A track whose key ran out is still the stranger that it began.
        let (stranger, how) = match memory.load(&id, host) {
            Some(stranger) => (stranger, How::Track),
            None => {
                memory.make_room(named, host);
                (Stranger::new(first_seen_at, memory.now, views), How::Birth)
            }
        };
        named[place] = Some(Named { id, stranger, how });
    }
}

fn is_taken(named: &[Option<Named>], id: &str) -> bool {
    named.iter().flatten().any(|named| named.id == id)
}

fn track_key(face: &Face) -> String {
    // With its beginning, for a host that starts again may number its tracks from one again.
    format!("track/{}/{}", face.track, face.track_started_at)
}

fn stranger_key(id: &str) -> String {
    format!("stranger/{id}")
}

/// The remembered strangers. They are all read when a face has to be compared, which is seldom: faces whose
/// track is known cost two reads.
struct Memory<'a> {
    settings: &'a Settings,
    now: Timestamp,
    all: Option<BTreeMap<String, Stranger>>,
}

impl Memory<'_> {
    fn load(&self, id: &str, host: &dyn Host) -> Option<Stranger> {
        let stranger = Stranger::from_bytes(&host.get_bytes(&stranger_key(id))?)?;
        (!stranger.is_forgotten(self.settings, self.now)).then_some(stranger)
    }

    fn everybody(&mut self, host: &dyn Host) -> &BTreeMap<String, Stranger> {
        let (settings, now) = (self.settings, self.now);
        self.all.get_or_insert_with(|| {
            let keys = host.keys("stranger/");
            let strangers = keys.iter().filter_map(|key| {
                let stranger = Stranger::from_bytes(&host.get_bytes(key)?)?;
                let id = key.strip_prefix("stranger/")?;
                (!stranger.is_forgotten(settings, now)).then(|| (id.to_string(), stranger))
            });
            strangers.collect()
        })
    }

    fn trusted_embedding(&self, face: &Face, host: &dyn Host) -> Option<Vec<f32>> {
        // Written so that a quality which is not a number is none to trust.
        if face.quality >= self.settings.min_quality { host.embedding(face.index) } else { None }
    }

    /// Forgets whoever was away longest until one more stranger has room.
    fn make_room(&mut self, named: &[Option<Named>], host: &mut dyn Host) {
        let limit = self.settings.max_strangers as usize;
        let born = named.iter().flatten().filter(|named| named.how == How::Birth).count();
        while self.everybody(host).len() + born + 1 > limit {
            if !self.forget_oldest(|id| is_taken(named, id), host) {
                return;
            }
        }
    }

    fn forget_oldest(&mut self, keep: impl Fn(&str) -> bool, host: &mut dyn Host) -> bool {
        let candidates = self.everybody(host).iter().filter(|(id, _)| !keep(id));
        let oldest = candidates.min_by_key(|(_, stranger)| stranger.last_seen_at).map(|(id, _)| id.clone());
        let Some(oldest) = oldest else { return false };
        host.delete(&stranger_key(&oldest));
        self.all.get_or_insert_default().remove(&oldest);
        true
    }

    /// Notes the sight, writes what is worth writing, and says what the host wants to know.
    fn record(&mut self, face: &Face, named: Named, host: &mut dyn Host) -> types::Stranger {
        let Named { id, mut stranger, how } = named;
        let is_due = how != How::Track || stranger.is_due(self.settings, self.now);
        let event = match how {
            How::Birth => Some(Event::FirstSeen),
            How::Track | How::Looks => stranger.is_seen(self.settings, face.track_started_at, self.now),
        };
        let has_learnt = stranger.views.wants_more()
            && self.trusted_embedding(face, host).is_some_and(|it| stranger.views.learn(&it));
        if is_due || has_learnt || event.is_some() {
            self.write(face, &id, &stranger, host);
        }
        types::Stranger {
            face: face.index,
            dwell: stranger.dwell(self.now),
            id,
            event,
            first_seen_at: stranger.first_seen_at,
            visits: stranger.visits,
        }
    }

    fn write(&mut self, face: &Face, id: &str, stranger: &Stranger, host: &mut dyn Host) {
        let (key, value) = (stranger_key(id), stranger.to_bytes());
        while host.set_bytes(&key, &value, Some(self.settings.forget_after_ms)).is_err() {
            // The state is full though `max_strangers` isn't reached: the operator allowed too few bytes.
            if !self.forget_oldest(|other| other == id, host) {
                host.log(
                    Level::Warn,
                    "no room to remember a stranger: allow this rule more state, or fewer strangers",
                );
                return;
            }
            host.log(
                Level::Warn,
                "no room for all strangers: the one who was away longest is forgotten; allow more state",
            );
        }
        // Without it the stranger is known by looks, so there is nothing to do if it finds no room.
        let _ = host.set_bytes(&track_key(face), id.as_bytes(), Some(TRACK_TTL_MS));
    }
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
