//! A host for tests.

use super::strangers::SharedStrangers;
use crate::{Frame, Host, Level, Person, RecentStranger, Sighting, StateError, StrangersHost, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// The longest key that the host accepts, bytes.
const KEY_BYTES: usize = 256;

/// A host in memory. State is kept from frame to frame, for each camera, and expires in frame time. Strangers are shared by all
/// cameras.
pub struct FakeHost {
    /// The most bytes of keys and values for each camera; 1 MiB by default.
    pub capacity: usize,
    /// How often the rule read a value.
    pub reads: Cell<usize>,
    /// How often the rule stored a value.
    pub writes: usize,
    /// The lines that the rule logged.
    pub logged: RefCell<Vec<(Level, String)>>,
    people: BTreeMap<String, Person>,
    state: BTreeMap<(String, String), StoredValue>,
    camera: String,
    now: Timestamp,
    embeddings: Vec<Option<Vec<f32>>>,
    strangers: SharedStrangers,
}

struct StoredValue {
    value: Vec<u8>,
    until: Option<Timestamp>,
}

impl Default for FakeHost {
    fn default() -> Self {
        FakeHost {
            capacity: 1 << 20,
            reads: Cell::new(0),
            writes: 0,
            logged: RefCell::default(),
            people: BTreeMap::new(),
            state: BTreeMap::new(),
            camera: String::new(),
            now: 0,
            embeddings: Vec::new(),
            strangers: SharedStrangers::default(),
        }
    }
}

impl FakeHost {
    /// Adds a person to the gallery.
    pub fn enrol(&mut self, id: &str, name: &str) {
        self.people.insert(id.into(), Person { id: id.into(), name: name.into(), samples: 1 });
    }

    /// Deletes the rule's state for all cameras.
    pub fn forget(&mut self) {
        self.state.clear();
    }

    /// Replaces every value by the same bytes, to test damaged state or state of another version.
    pub fn overwrite_all(&mut self, value: &[u8]) {
        self.state.values_mut().for_each(|kept| kept.value = value.into());
    }

    /// Sets the current frame and the embeddings of its faces. [`Trial`](super::Trial) calls it.
    pub fn begin(&mut self, frame: &Frame, embeddings: Vec<Option<Vec<f32>>>) {
        (self.camera, self.now, self.embeddings) = (frame.camera.clone(), frame.captured_at, embeddings);
    }

    /// Forgets a stranger by hand, as somebody at the dashboard does.
    pub fn forget_stranger(&mut self, stranger: &str) {
        self.strangers.forget(stranger, self.now);
    }

    /// Makes the faces that an answer to the current frame shares, and the strangers that it merges, known to all cameras.
    /// [`Trial`](super::Trial) calls it. A test calls it later to show what happens before another host has read them.
    pub fn publish(&mut self, sightings: &[Sighting]) {
        for sighting in sightings {
            let embedding = self.embedding(sighting.stranger.face);
            self.strangers.publish(&self.camera, self.now, sighting, embedding);
        }
    }

    /// The current camera's values that have not expired.
    fn current_values(&self) -> impl Iterator<Item = (&str, &StoredValue)> {
        let here = |(camera, _): &&(String, String)| *camera == self.camera;
        let values = self.state.iter().filter(move |(key, _)| here(key));
        let values = values.filter(|(_, kept)| kept.until.is_none_or(|until| self.now < until));
        values.map(|((_, key), kept)| (key.as_str(), kept))
    }
}

impl Host for FakeHost {
    fn embedding(&self, face: u32) -> Option<Vec<f32>> {
        self.embeddings.get(face as usize).cloned().flatten()
    }

    fn person(&self, id: &str) -> Option<Person> {
        self.people.get(id).cloned()
    }

    fn get_bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.reads.set(self.reads.get() + 1);
        self.current_values().find(|(other, _)| *other == key).map(|(_, kept)| kept.value.clone())
    }

    fn set_bytes(&mut self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), StateError> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(StateError::BadKey);
        }
        let others = self.current_values().filter(|(other, _)| *other != key);
        let others: usize = others.map(|(key, kept)| key.len() + kept.value.len()).sum();
        if others + key.len() + value.len() > self.capacity {
            return Err(StateError::Full(self.capacity as u64));
        }
        self.writes += 1;
        let until = ttl.map(|ttl| self.now.saturating_add_unsigned(ttl));
        self.state.insert((self.camera.clone(), key.into()), StoredValue { value: value.into(), until });
        Ok(())
    }

    fn delete(&mut self, key: &str) {
        self.state.remove(&(self.camera.clone(), key.into()));
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        self.current_values().filter(|(key, _)| key.starts_with(prefix)).map(|(key, _)| key.into()).collect()
    }

    fn log(&self, level: Level, message: &str) {
        self.logged.borrow_mut().push((level, message.into()));
    }
}

impl StrangersHost for FakeHost {
    fn recent_strangers(&self, face: u32, count: u32) -> Vec<RecentStranger> {
        let Some(face) = self.embedding(face) else { return Vec::new() };
        self.strangers.find(&face, count as usize, self.now)
    }

    fn merged_into(&self, stranger: &str) -> Option<String> {
        self.strangers.merged_into(stranger)
    }

    fn changed_at(&self, stranger: &str) -> Option<Timestamp> {
        self.strangers.changed_at(stranger)
    }
}
