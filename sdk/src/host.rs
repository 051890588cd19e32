//! The host's functions, as a rule calls them.

use crate::bindings::imports::{embeddings, gallery, log, state};
use crate::bindings::strangers::everyframe::rules::recent_strangers;
use crate::{Frame, Level, Person, RecentStranger, StateError, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// State, gallery, embeddings and log. A test uses a [`FakeHost`](crate::testing::FakeHost).
///
/// Each rule has its own state for each camera, and expiry is in frame time. `get` and `set` store values as JSON, `get_bytes`
/// and `set_bytes` as bytes.
pub trait Host {
    /// The embedding of a face of this frame (unit vector, 128 numbers with the shipped models), by `face.index`; none if the
    /// face could not be embedded.
    fn embedding(&self, face: u32) -> Option<Vec<f32>>;
    /// A person of the gallery, by id.
    fn person(&self, id: &str) -> Option<Person>;
    /// The value of a key, unless it has expired.
    fn get_bytes(&self, key: &str) -> Option<Vec<u8>>;
    /// Stores a value, for `ttl` ms if given.
    ///
    /// # Errors
    ///
    /// The rule's state for this camera is full (`limits.state_bytes`), or the key is empty or longer than 256 bytes.
    fn set_bytes(&mut self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), StateError>;
    /// Deletes a value.
    fn delete(&mut self, key: &str);
    /// The keys that begin with `prefix`, in order.
    fn keys(&self, prefix: &str) -> Vec<String>;
    /// Logs a line for the operator.
    fn log(&self, level: Level, message: &str);
}

/// A [`Host`] that also looks up strangers, for unknown-person rules. It knows the faces that rules shared on all cameras; what
/// another host has shared, usually within a second.
pub trait StrangersHost: Host {
    /// The `count` strangers most similar to a face of this frame, best first; none if the face could not be embedded.
    fn recent_strangers(&self, face: u32, count: u32) -> Vec<RecentStranger>;
    /// The stranger with whom this one was merged; none if it was not.
    fn merged_into(&self, stranger: &str) -> Option<String>;
    /// When somebody last forgot or split this stranger by hand; none if never. What the rule remembers of the stranger holds as
    /// long as this stays as it was when the rule began to remember.
    fn changed_at(&self, stranger: &str) -> Option<Timestamp>;
}

impl dyn Host + '_ {
    /// The value of a key; none if it has expired or is of another type. An older version of the rule may have stored it.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_slice(&self.get_bytes(key)?).ok()
    }

    /// Stores a value, for `ttl` ms if given. Returns true if it was stored; otherwise logs the reason for the operator.
    pub fn set<T: Serialize>(&mut self, key: &str, value: &T, ttl: impl Into<Option<u64>>) -> bool {
        let refused = match serde_json::to_vec(value) {
            Err(error) => error.to_string(),
            Ok(bytes) => match self.set_bytes(key, &bytes, ttl.into()) {
                Ok(()) => return true,
                Err(StateError::Full(limit)) => {
                    format!("the {limit} bytes of state are used up: allow this rule more")
                }
                Err(StateError::BadKey) => "a key has 1 to 256 bytes".into(),
            },
        };
        self.log(Level::Warn, &format!("`{key}` is not remembered: {refused}"));
        false
    }

    /// The display name of a person; the id if the person is not in the gallery.
    pub fn name_of(&self, person: &str) -> String {
        self.person(person).map_or_else(|| person.into(), |person| person.name)
    }

    /// True for the first call with a key, then false for `ms` of frame time. For alerts once an hour, once a person, once a
    /// visit.
    pub fn first_in(&mut self, ms: u64, key: &str) -> bool {
        let is_first = self.get_bytes(key).is_none();
        if is_first {
            self.set(key, &true, ms);
        }
        is_first
    }

    /// When the visit of a person who is in this frame began, Unix milliseconds: with this frame, if they were away for longer
    /// than `away_ms` or never here. `key` identifies the person.
    ///
    /// The visit is stored ten times in `away_ms`, not with every frame. So an absence is measured to a tenth of `away_ms`.
    pub fn visit(&mut self, frame: &Frame, key: &str, away_ms: u64) -> Timestamp {
        let now = frame.captured_at;
        let (began, kept_at) = self.present_visit(frame, key, away_ms).unwrap_or((now, Timestamp::MIN));
        if now.abs_diff(kept_at) >= away_ms / 10 {
            self.set(key, &(began, now), longest_pause(away_ms));
        }
        began
    }

    /// True if the visit of a person who is in this frame begins with this frame. See `visit`.
    pub fn begins_visit(&mut self, frame: &Frame, key: &str, away_ms: u64) -> bool {
        let was_here = self.present_visit(frame, key, away_ms).is_some();
        self.visit(frame, key, away_ms);
        !was_here
    }

    /// When the present visit began, and when that was stored, Unix milliseconds. A visit stored by a frame with a wrong time is
    /// ignored; otherwise no new visit could begin until that time.
    fn present_visit(&self, frame: &Frame, key: &str, away_ms: u64) -> Option<(Timestamp, Timestamp)> {
        let is_near = |at: Timestamp| frame.captured_at.abs_diff(at) <= longest_pause(away_ms);
        self.get(key).filter(|(_, kept_at)| is_near(*kept_at))
    }
}

/// The longest time after which a stored visit may still go on, ms.
fn longest_pause(away_ms: u64) -> u64 {
    away_ms.saturating_add(away_ms / 10)
}

/// The real host, called through the contract.
pub struct Contract;

impl Host for Contract {
    fn embedding(&self, face: u32) -> Option<Vec<f32>> {
        embeddings::get(face)
    }

    fn person(&self, id: &str) -> Option<Person> {
        gallery::find(id)
    }

    fn get_bytes(&self, key: &str) -> Option<Vec<u8>> {
        state::get(key)
    }

    fn set_bytes(&mut self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), StateError> {
        state::set(key, value, ttl)
    }

    fn delete(&mut self, key: &str) {
        state::delete(key);
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        state::keys(prefix)
    }

    fn log(&self, level: Level, message: &str) {
        log::write(level, message);
    }
}

impl StrangersHost for Contract {
    fn recent_strangers(&self, face: u32, count: u32) -> Vec<RecentStranger> {
        recent_strangers::find(face, count)
    }

    fn merged_into(&self, stranger: &str) -> Option<String> {
        recent_strangers::merged_into(stranger)
    }

    fn changed_at(&self, stranger: &str) -> Option<Timestamp> {
        recent_strangers::changed_at(stranger)
    }
}
