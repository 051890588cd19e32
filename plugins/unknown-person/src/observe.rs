//! Assigns each unknown face to a stranger: first by its track, then by its embedding, else a new stranger.

use crate::settings::Settings;
use crate::stranger::{Stranger, elapsed, id};
use crate::views::Views;
use everyframe_rule::{self as types, Event, Face, Frame, Host, Level, Timestamp, UnknownPersonRule};
use std::collections::{BTreeMap, BTreeSet};

/// How long a track that is not seen is remembered. Trackers end a track after seconds, but a face may be undecided for
/// longer in the middle of its track.
const TRACK_TTL_MS: u64 = 600_000;

impl UnknownPersonRule for Settings {
    fn observe(&self, frame: &Frame, faces: &[Face], host: &mut dyn Host) -> Vec<types::Stranger> {
        observe(self, frame, faces, host)
    }
}

fn observe(settings: &Settings, frame: &Frame, faces: &[Face], host: &mut dyn Host) -> Vec<types::Stranger> {
    let mut memory = Memory {
        settings,
        now: frame.captured_at,
        all: None,
        taken: BTreeSet::new(),
        born: 0,
        is_full: false,
    };
    let mut named = by_track(&mut memory, faces, host);
    let postponed = by_looks(&mut memory, faces, &mut named, host);
    by_birth(&mut memory, frame, faces, &mut named, &postponed, host);
    faces.iter().zip(named).filter_map(|(face, named)| Some(memory.record(face, named?, host))).collect()
}

/// The maximum number of comparisons with remembered views in one frame, so that a crowd of a thousand stays within the
/// rule's time limit. The other faces get no id yet; they are compared in a later frame.
const MAX_COMPARISONS: usize = 40_000;

/// The stranger of a face.
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

fn by_track(memory: &mut Memory, faces: &[Face], host: &dyn Host) -> Vec<Option<Named>> {
    let mut named: Vec<Option<Named>> = Vec::with_capacity(faces.len());
    for face in faces {
        let id = host.get_bytes(&track_key(face)).and_then(|id| String::from_utf8(id).ok());
        // One person appears only once in a frame.
        let id = id.filter(|id| !memory.taken.contains(id));
        named.push(id.and_then(|id| {
            let stranger = memory.load(&id, host)?;
            memory.taken.insert(id.clone());
            Some(Named { id, stranger, how: How::Track })
        }));
    }
    named
}

/// Assigns faces without a stranger to the most similar strangers, highest similarity first, each stranger once. Returns
/// the faces that were not compared because there were too many.
fn by_looks(
    memory: &mut Memory,
    faces: &[Face],
    named: &mut [Option<Named>],
    host: &dyn Host,
) -> BTreeSet<usize> {
    let (same_person, now) = (memory.settings.same_person, memory.now);
    let mut nameless: Vec<usize> = (0..faces.len()).filter(|place| named[*place].is_none()).collect();
    if nameless.is_empty() {
        return BTreeSet::new();
    }
    // Best quality first. Equal ones keep their order, so that a replay gives the same answers.
    nameless.sort_by(|a, b| faces[*b].quality.total_cmp(&faces[*a].quality).then(a.cmp(b)));
    let mut room = MAX_COMPARISONS;
    let (mut pairs, mut postponed) = (Vec::new(), BTreeSet::new());
    for place in nameless {
        let Some(embedding) = memory.trusted_embedding(&faces[place], host) else { continue };
        let views: usize = memory.everybody(host).values().map(|stranger| stranger.views.count()).sum();
        // At least one face is compared.
        if views > room && room < MAX_COMPARISONS {
            postponed.insert(place);
            continue;
        }
        room = room.saturating_sub(views);
        for (id, stranger) in memory.everybody(host) {
            let likeness = stranger.views.likeness(&embedding);
            if likeness >= same_person {
                pairs.push((stranger.is_ahead(now), likeness, place, id.clone()));
            }
        }
    }
    // Equal similarities are ordered by face and id, so that a replay gives the same answers. A stranger last seen in the
    // future comes last: a wrong clock stamped that time.
    pairs.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then_with(|| (a.2, &a.3).cmp(&(b.2, &b.3))));
    for (.., place, id) in pairs {
        if named[place].is_none() && !memory.taken.contains(&id) {
            let stranger = memory.load(&id, host);
            named[place] = stranger.map(|stranger| {
                memory.taken.insert(id.clone());
                Named { id, stranger, how: How::Looks }
            });
        }
    }
    postponed
}

/// Creates strangers for new faces of good quality whose tracks are old enough.
fn by_birth(
    memory: &mut Memory,
    frame: &Frame,
    faces: &[Face],
    named: &mut [Option<Named>],
    postponed: &BTreeSet<usize>,
    host: &mut dyn Host,
) {
    for (place, face) in faces.iter().enumerate() {
        let first_seen_at = face.track_started_at.min(memory.now);
        let is_flicker = elapsed(first_seen_at, memory.now) < memory.settings.confirm_after_ms;
        if named[place].is_some() || is_flicker || postponed.contains(&place) {
            continue;
        }
        let Some(embedding) = memory.trusted_embedding(face, host) else { continue };
        let Some(views) = Views::of(&embedding) else { continue };
        let id = id(&frame.camera, face.track, first_seen_at);
        if memory.taken.contains(&id) {
            continue;
        }
        // If a track's key expired, the track still belongs to the stranger that began with it.
        let (stranger, how) = match memory.load(&id, host) {
            Some(stranger) => (stranger, How::Track),
            None => {
                memory.make_room(host);
                memory.born += 1;
                (Stranger::new(first_seen_at, memory.now, views), How::Birth)
            }
        };
        memory.taken.insert(id.clone());
        named[place] = Some(Named { id, stranger, how });
    }
}

fn track_key(face: &Face) -> String {
    // Includes the track's start, because a restarted host may number its tracks from one again.
    format!("track/{}/{}", face.track, face.track_started_at)
}

fn stranger_key(id: &str) -> String {
    format!("stranger/{id}")
}

/// The remembered strangers. All are read when a face has to be compared, which is rare: a face with a known track costs
/// two reads.
struct Memory<'a> {
    settings: &'a Settings,
    now: Timestamp,
    all: Option<BTreeMap<String, Stranger>>,
    /// The strangers who are in this frame.
    taken: BTreeSet<String>,
    /// How many of them are new.
    born: usize,
    /// True if the state was too full for a stranger; logged once a frame.
    is_full: bool,
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
        // A comparison with NaN is false, so a NaN quality counts as too low.
        if face.quality >= self.settings.min_quality { host.embedding(face.index) } else { None }
    }

    /// Forgets strangers, the longest absent first, until there is room for one more.
    fn make_room(&mut self, host: &mut dyn Host) {
        let limit = self.settings.max_strangers as usize;
        while self.everybody(host).len() + self.born + 1 > limit {
            if !self.forget_oldest(host) {
                return;
            }
        }
    }

    /// Forgets the longest absent stranger who is not in this frame. Returns false if there is none.
    fn forget_oldest(&mut self, host: &mut dyn Host) -> bool {
        self.everybody(host);
        let now = self.now;
        let (all, taken) = (self.all.get_or_insert_default(), &self.taken);
        let candidates = all.iter().filter(|(id, _)| !taken.contains(*id));
        let age = |stranger: &Stranger| (!stranger.is_ahead(now), stranger.last_seen_at);
        let oldest = candidates.min_by_key(|(_, stranger)| age(stranger)).map(|(id, _)| id.clone());
        let Some(oldest) = oldest else { return false };
        host.delete(&stranger_key(&oldest));
        all.remove(&oldest);
        true
    }

    /// Records that the stranger is seen, writes the record if due, and returns the answer for the host.
    fn record(&mut self, face: &Face, named: Named, host: &mut dyn Host) -> types::Stranger {
        let Named { id, mut stranger, how } = named;
        let is_due = how != How::Track || stranger.is_due(self.settings, self.now);
        let doubts = stranger.doubts;
        let event = match how {
            How::Birth => Some(Event::FirstSeen),
            How::Track | How::Looks => stranger.is_seen(self.settings, face.track_started_at, self.now),
        };
        let has_learnt = stranger.views.wants_more()
            && self.trusted_embedding(face, host).is_some_and(|it| stranger.views.learn(&it));
        if is_due || has_learnt || event.is_some() || doubts != stranger.doubts {
            self.write(face, &id, &stranger, host);
        }
        types::Stranger {
            face: face.index,
            dwell: stranger.dwell(),
            id,
            event,
            first_seen_at: stranger.first_seen_at,
            visits: stranger.visits,
        }
    }

    fn write(&mut self, face: &Face, id: &str, stranger: &Stranger, host: &mut dyn Host) {
        let (key, value) = (stranger_key(id), stranger.to_bytes());
        let time_to_live = stranger.time_to_live(self.settings, self.now);
        // The host refuses such a long time to live; the clock must be wrong.
        if i64::try_from(time_to_live).is_err() {
            return;
        }
        while host.set_bytes(&key, &value, Some(time_to_live)).is_err() {
            // The state is full before `max_strangers` is reached: `state_bytes` is too small.
            let is_first = !std::mem::replace(&mut self.is_full, true);
            if !self.forget_oldest(host) {
                if is_first {
                    host.log(
                        Level::Warn,
                        "no room to remember a stranger: allow this rule more state, or fewer strangers",
                    );
                }
                return;
            }
            if is_first {
                host.log(
                    Level::Warn,
                    "no room for all strangers: the one who was away longest is forgotten; allow more state",
                );
            }
        }
        // If there is no room, the stranger is still recognised by the embedding.
        let time_to_live = TRACK_TTL_MS.saturating_add(elapsed(self.now, stranger.last_seen_at));
        let _ = host.set_bytes(&track_key(face), id.as_bytes(), Some(time_to_live));
    }
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
