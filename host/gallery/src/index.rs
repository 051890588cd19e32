//! The search index: the people and templates of one embedding model at one moment.

use crate::block::{Best, Block, Probe, ROWS};
use crate::sample::{Sample, Terms};
use crate::sign_code::{Rotation, Selection};
use everyframe_types::face::{Candidate, Embedding, People, Person};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// The most templates that every search compares completely. `docs/search.md` has the times.
const COMPARED_COMPLETELY: usize = 100_000;
/// Of more templates, those with the most similar sign codes are compared: at least so many. `docs/search.md` has the recall.
const SELECTED: usize = 8192;
/// Rows between the one that is compared and the one that is loaded into the caches.
const AHEAD: usize = 8;
/// Longer embeddings are not taken: the sums of their sign codes would not fit 16 bits.
const MAX_DIMENSION: usize = 4096;
/// People whom a search looks for beyond the wanted ones, in case negative samples leave some out.
const MOST_LEFT_OUT: usize = 8;
/// Parts of the list of people. A change copies one of them.
const SHARDS: usize = 1024;

/// The people and their templates at one moment. A clone shares its memory, and does not change when the original does.
#[derive(Clone)]
pub struct Index {
    blocks: Vec<Arc<Block>>,
    /// Each person is in the shard that their id selects.
    people: Vec<Arc<HashMap<Arc<str>, Listed>>>,
    people_count: usize,
    /// Templates; free rows of the blocks are not counted.
    templates: usize,
    /// Faces that are not a person's, by person.
    negatives: Arc<HashMap<Arc<str>, Vec<Negative>>>,
    /// Numbers of each template; 0 while there is none.
    dimension: usize,
    rotation: Arc<Rotation>,
    limits: Limits,
}

/// A face that is not a person's, and its record key.
type Negative = (Arc<str>, Embedding);

/// What the index says of a person.
#[derive(Clone)]
struct Listed {
    name: Arc<str>,
    samples: u32,
    terms: Arc<Terms>,
}

/// The limits of a search; tests use smaller ones.
#[derive(Clone, Copy)]
struct Limits {
    compared_completely: usize,
    selected: usize,
}

impl Index {
    fn empty(limits: Limits) -> Self {
        Self {
            blocks: Vec::new(),
            people: vec![Arc::default(); SHARDS],
            people_count: 0,
            templates: 0,
            negatives: Arc::default(),
            dimension: 0,
            rotation: Arc::new(Rotation::new(0)),
            limits,
        }
    }

    /// Indexes the samples of the embedding model with this SHA-256. Others are left out: embeddings of different models cannot
    /// be compared. `samples` are record keys with their samples; the last key gives a person's name.
    pub fn new<'a>(samples: impl Iterator<Item = (&'a String, &'a Sample)>, model: &str) -> Self {
        let mut writer = IndexWriter::new(model);
        samples.for_each(|(key, sample)| writer.store(key, sample));
        writer.index
    }

    /// The `count` people most similar to a face, best first, equal ones by id. Each person counts by the most similar of their
    /// samples. Similarities are exact.
    ///
    /// Up to 100,000 templates the answer is that of comparing them all. Of more, the people may be missing whose sign codes
    /// hide their similarity. In both cases the answer depends on the templates alone, and not on the order in which they came.
    ///
    /// A person is left out if one of their negative samples is at least as similar to the face as their most similar sample.
    pub fn search(&self, probe: &Embedding, count: usize) -> Vec<Candidate> {
        let values = probe.values();
        if values.len() != self.dimension || self.dimension == 0 || count == 0 {
            return Vec::new();
        }
        // People who are left out make room for others, up to a limit.
        let mut best = Best::new(count + self.negatives.len().min(MOST_LEFT_OUT));
        let face = probe;
        let probe = Probe::new(values);
        if self.templates <= self.limits.compared_completely {
            self.blocks.iter().for_each(|block| block.compare_all(&probe, &mut best));
        } else {
            let places: Vec<(&Block, usize)> = self
                .select_by_sign_code(values)
                .map(|row| (&*self.blocks[row as usize / ROWS], row as usize % ROWS))
                .collect();
            for (place, (block, row)) in places.iter().enumerate() {
                if let Some((block, row)) = places.get(place + AHEAD) {
                    block.prefetch(*row);
                }
                block.compare_one(&probe, *row, &mut best);
            }
        }
        let candidate = |(person, similarity): (&Arc<str>, f32)| Candidate {
            person: (**person).into(),
            similarity: similarity.clamp(-1.0, 1.0),
        };
        let is_offered = |candidate: &Candidate| !self.is_negative(face, candidate);
        best.finish().map(candidate).filter(is_offered).take(count).collect()
    }

    /// Whether a face is at least as similar to a negative sample of the candidate as to the person.
    fn is_negative(&self, face: &Embedding, candidate: &Candidate) -> bool {
        let negatives = self.negatives.get(candidate.person.as_str()).map(Vec::as_slice).unwrap_or_default();
        negatives.iter().any(|(_, negative)| negative.similarity(face) >= candidate.similarity)
    }

    /// What a person agreed to.
    pub fn terms_of(&self, person: &str) -> Option<&Arc<Terms>> {
        self.people[shard(person)].get(person).map(|listed| &listed.terms)
    }

    /// The people, with what they agreed to.
    pub(crate) fn all_terms(&self) -> impl Iterator<Item = (&str, &Terms)> {
        let all = self.people.iter().flat_map(|people| people.iter());
        all.map(|(person, listed)| (&**person, &*listed.terms))
    }

    /// The rows whose sign codes are most like the probe's. They depend on the templates alone.
    fn select_by_sign_code(&self, values: &[f32]) -> impl Iterator<Item = u32> {
        /// Blocks that are looked at first.
        const SAMPLED: usize = 16;
        /// Rows that are compared first: their similarities are high, and fewer others have to be compared exactly.
        const FIRST: usize = 64;
        let tables = self.rotation.tables(values);
        let select = |step: usize, floor: i16| {
            let mut selection = Selection::new(floor);
            for (first, block) in (0..).step_by(ROWS).zip(&self.blocks).step_by(step) {
                block.select(&tables, first, &mut selection);
            }
            selection
        };
        // A part of the blocks shows which sum the wanted rows have at least, and half as many more.
        let wanted = self.limits.selected;
        let sample = select((self.blocks.len() / SAMPLED).max(1), 0);
        let floor = sample.nth_highest((wanted * 3 / 2 * sample.len()).div_ceil(self.templates));
        let selection = Some(select(1, floor)).filter(|selection| selection.len() >= wanted);
        selection.unwrap_or_else(|| select(1, 0)).finish(wanted, FIRST)
    }

    /// Finds a person by id.
    pub fn find(&self, person: &str) -> Option<Person> {
        let Listed { name, samples, .. } = self.people[shard(person)].get(person)?;
        Some(Person { id: person.to_owned(), name: (**name).to_owned(), samples: *samples })
    }

    /// Cosine similarity of a face to the most similar sample of a person, −1 to 1; none if the person has none.
    pub fn similarity_to(&self, person: &str, face: &Embedding) -> Option<f32> {
        let own = self
            .templates()
            .filter(|(owner, values)| *owner == person && values.len() == face.values().len());
        let similarity = |values: &[f32]| values.iter().zip(face.values()).map(|(a, b)| a * b).sum::<f32>();
        own.map(|(_, values)| similarity(values)).max_by(f32::total_cmp)
    }

    /// The number of people.
    pub fn people_count(&self) -> usize {
        self.people_count
    }

    /// The number of templates.
    pub fn template_count(&self) -> usize {
        self.templates
    }

    /// All templates, each with the id of its person.
    pub fn templates(&self) -> impl Iterator<Item = (&str, &[f32])> {
        let rows = self.blocks.iter().flat_map(|block| (0..block.len()).map(move |row| block.template(row)));
        rows.flatten().map(|(person, values)| (&**person, values))
    }
}

fn shard(person: &str) -> usize {
    // Its keys are fixed.
    let mut hasher = DefaultHasher::new();
    person.hash(&mut hasher);
    hasher.finish() as usize % SHARDS
}

impl People for Index {
    fn find(&self, person: &str) -> Option<Person> {
        self.find(person)
    }
}

/// Keeps an [`Index`] up to date, at a cost that hardly depends on its size.
pub struct IndexWriter {
    model: String,
    index: Index,
    /// For each person, their samples in the order of the keys.
    samples: HashMap<Arc<str>, Vec<Stored>>,
    /// Record key to person.
    persons: HashMap<Arc<str>, Arc<str>>,
    free_rows: Vec<u32>,
    /// Keys of samples that cannot be compared.
    left_out: HashSet<String>,
}

struct Stored {
    key: Arc<str>,
    name: Arc<str>,
    terms: Arc<Terms>,
    row: u32,
}

impl IndexWriter {
    /// An empty index for the embedding model with this SHA-256.
    pub fn new(model: &str) -> Self {
        let limits = Limits { compared_completely: COMPARED_COMPLETELY, selected: SELECTED };
        Self::with_limits(model, limits)
    }

    fn with_limits(model: &str, limits: Limits) -> Self {
        Self {
            model: model.to_owned(),
            index: Index::empty(limits),
            samples: HashMap::new(),
            persons: HashMap::new(),
            free_rows: Vec::new(),
            left_out: HashSet::new(),
        }
    }

    /// Stores the sample of a record key, in place of the one that it had. A sample is left out if it is of another model, or of
    /// another length than the first.
    pub fn store(&mut self, key: &str, sample: &Sample) {
        self.erase(key);
        let values = sample.embedding.values();
        if self.index.dimension == 0 && sample.model == self.model && values.len() <= MAX_DIMENSION {
            self.index.dimension = values.len();
            self.index.rotation = Arc::new(Rotation::new(values.len()));
        }
        if sample.model != self.model || values.len() != self.index.dimension {
            self.left_out.insert(key.to_owned());
            return;
        }
        let known = self.samples.get_key_value(&*sample.person).map(|(person, _)| person.clone());
        let person = known.unwrap_or_else(|| sample.person.as_str().into());
        if sample.negative {
            let negatives = Arc::make_mut(&mut self.index.negatives).entry(person.clone()).or_default();
            negatives.push((key.into(), sample.embedding.clone()));
            self.persons.insert(key.into(), person);
            return;
        }
        let row = self.add_row(&person, values);
        let key: Arc<str> = key.into();
        self.persons.insert(key.clone(), person.clone());
        let terms = Arc::new(sample.terms.clone());
        self.add_sample(&person, Stored { key, name: sample.name.as_str().into(), terms, row });
    }

    /// Adds a sample to those of its person.
    fn add_sample(&mut self, person: &Arc<str>, sample: Stored) {
        let samples = self.samples.entry(person.clone()).or_default();
        let place = samples.partition_point(|stored| stored.key < sample.key);
        samples.insert(place, sample);
        self.list(person);
    }

    /// Erases the sample of a record key. Its memory is overwritten with zeros: at once in this index, and in earlier clones of
    /// [`IndexWriter::index`] when the last of them is dropped.
    pub fn erase(&mut self, key: &str) {
        self.left_out.remove(key);
        let Some(person) = self.persons.remove(key) else { return };
        self.erase_negative(key, &person);
        if let Some(samples) = self.samples.get_mut(&person)
            && let Some(place) = samples.iter().position(|stored| &*stored.key == key)
        {
            let Stored { row, .. } = samples.remove(place);
            if samples.is_empty() {
                self.samples.remove(&person);
            }
            self.remove_row(row);
        }
        self.list(&person);
    }

    fn erase_negative(&mut self, key: &str, person: &str) {
        let is_it = |(stored, _): &Negative| &**stored == key;
        if self.index.negatives.get(person).is_none_or(|negatives| !negatives.iter().any(is_it)) {
            return;
        }
        let all = Arc::make_mut(&mut self.index.negatives);
        if let Some(negatives) = all.get_mut(person) {
            negatives.retain(|negative| !is_it(negative));
            if negatives.is_empty() {
                all.remove(person);
            }
        }
    }

    /// Gives the sample of a record key to another person, if there is one.
    pub fn reassign(&mut self, key: &str, person: &str) {
        let Some(before) = self.persons.get(key).filter(|before| &***before != person).cloned() else {
            return;
        };
        let samples = self.samples.get_mut(&before);
        let taken = samples.and_then(|samples| {
            let place = samples.iter().position(|stored| &*stored.key == key)?;
            Some((samples.remove(place), samples.is_empty()))
        });
        let Some((stored, is_last)) = taken else { return };
        if is_last {
            self.samples.remove(&before);
        }
        let known = self.samples.get_key_value(person).map(|(person, _)| person.clone());
        let person: Arc<str> = known.unwrap_or_else(|| person.into());
        let row = stored.row as usize;
        Arc::make_mut(&mut self.index.blocks[row / ROWS]).set_owner(row % ROWS, &person);
        self.persons.insert(stored.key.clone(), person.clone());
        self.add_sample(&person, stored);
        self.list(&before);
    }

    /// The index as it is now. A clone of it can be given to searches while this writer changes its own.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The number of samples that are left out.
    pub fn left_out_count(&self) -> usize {
        self.left_out.len()
    }

    fn add_row(&mut self, person: &Arc<str>, values: &[f32]) -> u32 {
        let Index { blocks, rotation, templates, .. } = &mut self.index;
        if self.free_rows.is_empty() && blocks.last().is_none_or(|block| block.len() == ROWS) {
            blocks.push(Arc::new(Block::new(values.len(), rotation)));
        }
        let next =
            || (blocks.len().saturating_sub(1) * ROWS + blocks.last().map_or(0, |block| block.len())) as u32;
        let row = self.free_rows.pop().unwrap_or_else(next);
        Arc::make_mut(&mut blocks[row as usize / ROWS]).set(row as usize % ROWS, person, values, rotation);
        *templates += 1;
        row
    }

    fn remove_row(&mut self, row: u32) {
        let Index { blocks, templates, dimension, .. } = &mut self.index;
        Arc::make_mut(&mut blocks[row as usize / ROWS]).clear(row as usize % ROWS);
        self.free_rows.push(row);
        *templates -= 1;
        if *templates == 0 {
            blocks.clear();
            self.free_rows.clear();
            *dimension = 0;
        }
    }

    /// Brings a person's entry in the list of people up to date.
    fn list(&mut self, person: &Arc<str>) {
        let people = Arc::make_mut(&mut self.index.people[shard(person)]);
        self.index.people_count -= people.len();
        match self.samples.get(person).and_then(|samples| Some((samples, samples.last()?))) {
            Some((samples, last)) => {
                let samples = u32::try_from(samples.len()).unwrap_or(u32::MAX);
                let (name, terms) = (last.name.clone(), last.terms.clone());
                people.insert(person.clone(), Listed { name, samples, terms });
            }
            None => drop(people.remove(person)),
        }
        self.index.people_count += people.len();
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
