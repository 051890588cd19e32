//! A host that a test fills.

use crate::{Frame, Host, Level, Person, StateError, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// The longest key that the host takes, in bytes.
const KEY_BYTES: usize = 256;

/// What a rule may ask, from memory: its state is kept from frame to frame, by camera, and its times are obeyed.
pub struct FakeHost {
    /// How many bytes of keys and values are kept for a camera; 1 MiB unless set.
    pub capacity: usize,
    /// How often the rule has read a value.
    pub reads: Cell<usize>,
    /// How often the rule has kept one.
    pub writes: usize,
    /// What the rule told the operator.
    pub logged: RefCell<Vec<(Level, String)>>,
    people: BTreeMap<String, Person>,
    state: BTreeMap<(String, String), Kept>,
    camera: String,
    now: Timestamp,
    embeddings: Vec<Option<Vec<f32>>>,
}

struct Kept {
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
        }
    }
}

impl FakeHost {
    /// Puts somebody into the gallery.
    pub fn enrol(&mut self, id: &str, name: &str) {
        self.people.insert(id.into(), Person { id: id.into(), name: name.into(), samples: 1 });
    }

    /// Forgets all that the rule kept, at all cameras.
    pub fn forget(&mut self) {
        self.state.clear();
    }

    /// Puts the same bytes in the place of every value: state that is broken, or of another version.
    pub fn overwrite_all(&mut self, value: &[u8]) {
        self.state.values_mut().for_each(|kept| kept.value = value.into());
    }

    /// The frame that the rule sees from now on, and the embeddings of its faces. A [`Trial`](super::Trial) calls it.
    pub fn begin(&mut self, frame: &Frame, embeddings: Vec<Option<Vec<f32>>>) {
        (self.camera, self.now, self.embeddings) = (frame.camera.clone(), frame.captured_at, embeddings);
    }

    /// The present camera's living values.
    fn living(&self) -> impl Iterator<Item = (&str, &Kept)> {
        let here = |(camera, _): &&(String, String)| *camera == self.camera;
        let living = self.state.iter().filter(move |(key, _)| here(key));
        let living = living.filter(|(_, kept)| kept.until.is_none_or(|until| self.now < until));
        living.map(|((_, key), kept)| (key.as_str(), kept))
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
        self.living().find(|(other, _)| *other == key).map(|(_, kept)| kept.value.clone())
    }

    fn set_bytes(&mut self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), StateError> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(StateError::BadKey);
        }
        let others = self.living().filter(|(other, _)| *other != key);
        let others: usize = others.map(|(key, kept)| key.len() + kept.value.len()).sum();
        if others + key.len() + value.len() > self.capacity {
            return Err(StateError::Full(self.capacity as u64));
        }
        self.writes += 1;
        let until = ttl.map(|ttl| self.now.saturating_add_unsigned(ttl));
        self.state.insert((self.camera.clone(), key.into()), Kept { value: value.into(), until });
        Ok(())
    }

    fn delete(&mut self, key: &str) {
        self.state.remove(&(self.camera.clone(), key.into()));
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        self.living().filter(|(key, _)| key.starts_with(prefix)).map(|(key, _)| key.into()).collect()
    }

    fn log(&self, level: Level, message: &str) {
        self.logged.borrow_mut().push((level, message.into()));
    }
}
