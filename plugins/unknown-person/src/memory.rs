//! The strangers that this camera remembers, and those of the current frame.

use crate::settings::Settings;
use crate::stranger::{NEVER, Stranger, elapsed};
use everyframe_rule::{Face, Host, Level, StrangersHost, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How long a track that is not seen is remembered. Trackers end a track after seconds, but a face may be undecided for
/// longer in the middle of its track.
const TRACK_TTL_MS: u64 = 600_000;

/// The stranger of a face of this frame.
pub struct IdentifiedStranger {
    /// The stranger's present id.
    pub id: String,
    /// What this camera remembers.
    pub stranger: Stranger,
    /// How the face was matched with the stranger.
    pub matched_by: MatchedBy,
    /// Whether this camera knew the stranger under another id until now.
    pub is_renamed: bool,
}

/// How a face was matched with a stranger.
#[derive(Clone, Copy, PartialEq)]
pub enum MatchedBy {
    /// Its track.
    Track,
    /// Its embedding.
    Embedding,
    /// Nothing: the stranger is new.
    Nothing,
}

/// The state's key of a track.
pub fn track_key(face: &Face) -> String {
    // Includes the track's start, because a restarted host may number its tracks from one again.
    format!("track/{}/{}", face.track, face.track_started_at)
}

/// The state's key of a stranger.
fn stranger_key(id: &str) -> String {
    format!("stranger/{id}")
}

/// The remembered strangers. All are read when a face has to be compared, which is rare: a face with a known track costs
/// two reads.
pub struct Memory<'a> {
    /// The rule's settings.
    pub settings: &'a Settings,
    /// The frame's time.
    pub now: Timestamp,
    all: Option<BTreeMap<String, Stranger>>,
    /// The strangers who are in this frame.
    taken: BTreeSet<String>,
    /// How many of `taken` this camera did not remember before the frame.
    added: usize,
    /// True if the state was too full for a stranger; logged once a frame.
    is_full: bool,
}

impl<'a> Memory<'a> {
    /// The memory at the beginning of a frame.
    pub fn new(settings: &'a Settings, now: Timestamp) -> Self {
        Memory { settings, now, all: None, taken: BTreeSet::new(), added: 0, is_full: false }
    }

    /// True if another face of the frame is this stranger: one person appears only once in a frame.
    pub fn is_taken(&self, id: &str) -> bool {
        self.taken.contains(id)
    }

    /// The stranger with this id, for a face; none if it is not remembered or taken. A stranger that another camera has merged is
    /// renamed.
    pub fn take(
        &mut self,
        id: &str,
        matched_by: MatchedBy,
        host: &mut dyn StrangersHost,
    ) -> Option<IdentifiedStranger> {
        if self.is_taken(id) {
            return None;
        }
        let known = self.load(id, host);
        let (id, stranger, is_renamed) = match self.present_id(id, host) {
            None => (id.to_string(), known?, false),
            Some(present) => {
                let stranger = self.load_merged(&present, known, host)?;
                self.forget(id, host);
                (present, stranger, true)
            }
        };
        self.taken.insert(id.clone());
        Some(IdentifiedStranger { id, stranger, matched_by, is_renamed })
    }

    /// Adds a stranger that this camera does not remember, for a face.
    pub fn add(
        &mut self,
        id: String,
        mut stranger: Stranger,
        matched_by: MatchedBy,
        host: &mut dyn StrangersHost,
    ) -> IdentifiedStranger {
        self.make_room(host);
        stranger.changed_at = host.changed_at(&id).unwrap_or(NEVER);
        self.added += 1;
        self.taken.insert(id.clone());
        IdentifiedStranger { id, stranger, matched_by, is_renamed: false }
    }

    /// Marks a stranger as being in this frame, because a face got this id.
    pub fn mark_taken(&mut self, id: &str) {
        self.taken.insert(id.to_string());
    }

    /// The remembered stranger; none if somebody has changed it by hand since.
    pub fn load(&self, id: &str, host: &dyn StrangersHost) -> Option<Stranger> {
        let stranger = Stranger::from_bytes(&host.get_bytes(&stranger_key(id))?)?;
        let holds = !stranger.is_forgotten(self.settings, self.now)
            && stranger.changed_at == host.changed_at(id).unwrap_or(NEVER);
        holds.then_some(stranger)
    }

    /// The present id of a stranger who was merged; none if it was not. Two faces of one frame are two people, whatever other
    /// cameras say.
    fn present_id(&self, id: &str, host: &dyn StrangersHost) -> Option<String> {
        let present = if self.settings.across_cameras { host.merged_into(id) } else { None };
        present.filter(|present| !self.is_taken(present))
    }

    /// What this camera remembers of a stranger under its present id, and under the one that it had.
    fn load_merged(
        &self,
        present: &str,
        before: Option<Stranger>,
        host: &dyn StrangersHost,
    ) -> Option<Stranger> {
        match (self.load(present, host), before) {
            (Some(mut stranger), Some(before)) => {
                stranger.absorb(before);
                Some(stranger)
            }
            (stranger, before) => stranger.or(before),
        }
    }

    /// Forgets a stranger.
    pub fn forget(&mut self, id: &str, host: &mut dyn Host) {
        host.delete(&stranger_key(id));
        if let Some(all) = &mut self.all {
            all.remove(id);
        }
    }

    /// All remembered strangers, by id.
    pub fn everybody(&mut self, host: &dyn StrangersHost) -> &BTreeMap<String, Stranger> {
        if self.all.is_none() {
            let keys = host.keys("stranger/");
            let ids = keys.iter().filter_map(|key| key.strip_prefix("stranger/"));
            let remembered = ids.filter_map(|id| Some((id.to_string(), self.load(id, host)?)));
            self.all = Some(remembered.collect());
        }
        self.all.get_or_insert_default()
    }

    /// The embedding of a face that is good enough to be compared.
    pub fn trusted_embedding(&self, face: &Face, host: &dyn Host) -> Option<Vec<f32>> {
        // A comparison with NaN is false, so a NaN quality counts as too low.
        if face.quality >= self.settings.min_quality { host.embedding(face.index) } else { None }
    }

    /// Forgets strangers, the longest absent first, until there is room for one more.
    fn make_room(&mut self, host: &mut dyn StrangersHost) {
        let limit = self.settings.max_strangers as usize;
        while self.everybody(host).len() + self.added + 1 > limit {
            if !self.forget_oldest(host) {
                return;
            }
        }
    }

    /// Forgets the longest absent stranger who is not in this frame. Returns false if there is none.
    fn forget_oldest(&mut self, host: &mut dyn StrangersHost) -> bool {
        self.everybody(host);
        let now = self.now;
        let (all, taken) = (self.all.get_or_insert_default(), &self.taken);
        let candidates = all.iter().filter(|(id, _)| !taken.contains(*id));
        let age = |stranger: &Stranger| (!stranger.is_ahead(now), stranger.last_seen_at);
        let oldest = candidates.min_by_key(|(_, stranger)| age(stranger)).map(|(id, _)| id.clone());
        let Some(oldest) = oldest else { return false };
        self.forget(&oldest, host);
        true
    }

    /// Writes the record of a stranger, and that the face's track is the stranger's.
    pub fn write(&mut self, face: &Face, id: &str, stranger: &Stranger, host: &mut dyn StrangersHost) {
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
