//! The search index: the people and templates of one embedding model at one moment.

use crate::block::{Best, Block, Probe, ROWS};
use crate::sample::Sample;
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
    /// Numbers of each template; 0 while there is none.
    dimension: usize,
    rotation: Arc<Rotation>,
    limits: Limits,
}

/// What the index says of a person.
#[derive(Clone)]
struct Listed {
    name: Arc<str>,
    samples: u32,
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
    pub fn search(&self, probe: &Embedding, count: usize) -> Vec<Candidate> {
        let values = probe.values();
        if values.len() != self.dimension || self.dimension == 0 || count == 0 {
            return Vec::new();
        }
        let mut best = Best::new(count);
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
        best.finish().map(candidate).collect()
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
        let Listed { name, samples } = self.people[shard(person)].get(person)?;
        Some(Person { id: person.to_owned(), name: (**name).to_owned(), samples: *samples })
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
        let row = self.add_row(&person, values);
        let key: Arc<str> = key.into();
        self.persons.insert(key.clone(), person.clone());
        self.add_sample(&person, Stored { key, name: sample.name.as_str().into(), row });
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
                people.insert(person.clone(), Listed { name: last.name.clone(), samples });
            }
            None => drop(people.remove(person)),
        }
        self.index.people_count += people.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn probe(values: &[f32]) -> Embedding {
        Embedding::from_raw(values).unwrap()
    }

    fn index(samples: &[Sample]) -> Index {
        let keys: Vec<String> = (0..samples.len()).map(|number| format!("{number:03}")).collect();
        Index::new(keys.iter().zip(samples), "m")
    }

    #[test]
    fn a_search_returns_each_person_once_best_first() {
        let index = index(&[
            Sample::for_test("ann", "m", &[1.0, 0.0, 0.1]),
            Sample::for_test("ann", "m", &[0.0, 1.0, 0.0]),
            Sample::for_test("bob", "m", &[0.7, 0.7, 0.0]),
            Sample::for_test("cy", "m", &[-1.0, 0.0, 0.0]),
        ]);
        let found = index.search(&probe(&[1.0, 0.0, 0.0]), 2);
        let people: Vec<_> = found.iter().map(|candidate| candidate.person.as_str()).collect();
        assert_eq!(people, ["ann", "bob"]);
        assert!(found[0].similarity > 0.99 && (found[1].similarity - 0.707).abs() < 0.01);
        assert_eq!(index.find("ann").map(|person| (person.samples, person.name)), Some((2, "ANN".into())));
        assert!(index.find("dan").is_none());
        assert_eq!((index.people_count(), index.template_count()), (3, 4));
    }

    #[test]
    fn embeddings_of_other_models_are_not_compared() {
        let index = index(&[Sample::for_test("ann", "old", &[1.0, 0.0])]);
        assert!(index.search(&probe(&[1.0, 0.0]), 5).is_empty());
        assert!(index.find("ann").is_none());
    }

    #[test]
    fn embeddings_of_other_lengths_are_not_compared() {
        let mut writer = IndexWriter::new("m");
        writer.store("1", &Sample::for_test("ann", "m", &[1.0, 0.0]));
        writer.store("2", &Sample::for_test("bob", "m", &[1.0, 0.0, 0.0]));
        writer.store("3", &Sample::for_test("cy", "m", &vec![1.0; MAX_DIMENSION + 1]));
        assert_eq!((writer.index().people_count(), writer.left_out_count()), (1, 2));
        assert!(writer.index().search(&probe(&[1.0, 0.0, 0.0]), 5).is_empty());
        writer.erase("2");
        assert_eq!(writer.left_out_count(), 1);
    }

    #[test]
    fn a_reassigned_sample_belongs_to_the_other_person() {
        let mut writer = IndexWriter::new("m");
        writer.store("1", &Sample::for_test("ann", "m", &[1.0, 0.0]));
        writer.store("2", &Sample::for_test("ann", "m", &[0.0, 1.0]));
        writer.store("3", &Sample::for_test("bob", "m", &[-1.0, 0.0]));
        let nearest =
            |writer: &IndexWriter, values: &[f32]| writer.index().search(&probe(values), 1).remove(0).person;
        writer.reassign("2", "bob");
        writer.reassign("absent", "bob");
        assert_eq!([nearest(&writer, &[1.0, 0.0]), nearest(&writer, &[0.0, 1.0])], ["ann", "bob"]);
        assert_eq!(writer.index().find("bob").map(|person| person.samples), Some(2));
        writer.reassign("1", "bob");
        assert!(writer.index().find("ann").is_none());
        writer.erase("1");
        assert_eq!((writer.index().template_count(), writer.index().people_count()), (2, 1));
    }

    #[test]
    fn equal_similarities_are_ordered_by_id() {
        let twins = ["cy", "ann", "dan", "bob"].map(|id| Sample::for_test(id, "m", &[0.6, 0.8]));
        let found = index(&twins).search(&probe(&[0.0, 1.0]), 3);
        assert_eq!(found.iter().map(|it| it.person.as_str()).collect::<Vec<_>>(), ["ann", "bob", "cy"]);
    }

    #[test]
    fn the_name_is_that_of_the_last_key() {
        let named = |name: &str| Sample { name: name.into(), ..Sample::for_test("ann", "m", &[1.0, 0.0]) };
        let mut writer = IndexWriter::new("m");
        writer.store("ann/2", &named("Anne"));
        writer.store("ann/1", &named("Ann"));
        let name = |writer: &IndexWriter| writer.index().find("ann").map(|person| person.name);
        assert_eq!(name(&writer).as_deref(), Some("Anne"));
        writer.store("ann/2", &named("Anna"));
        assert_eq!(name(&writer).as_deref(), Some("Anna"));
        writer.erase("ann/2");
        assert_eq!(name(&writer).as_deref(), Some("Ann"));
        writer.erase("ann/1");
        assert_eq!(name(&writer), None);
    }

    #[test]
    fn a_published_index_does_not_change() {
        let mut writer = IndexWriter::new("m");
        writer.store("1", &Sample::for_test("ann", "m", &[1.0, 0.0]));
        let published = writer.index().clone();
        writer.erase("1");
        writer.store("2", &Sample::for_test("bob", "m", &[1.0, 0.0]));
        assert!(published.find("ann").is_some() && published.find("bob").is_none());
        assert_eq!(published.search(&probe(&[1.0, 0.0]), 5)[0].person, "ann");
        assert_eq!(writer.index().search(&probe(&[1.0, 0.0]), 5)[0].person, "bob");
    }

    #[test]
    fn an_erased_template_is_overwritten() {
        let mut writer = IndexWriter::new("m");
        writer.store("1", &Sample::for_test("ann", "m", &[0.6, 0.8]));
        writer.store("2", &Sample::for_test("bob", "m", &[0.8, 0.6]));
        let block = writer.index.blocks[0].clone();
        assert!(block.holds_anything_of(0));
        let shared = Arc::downgrade(&block);
        writer.erase("1");
        // The copy of the published index keeps it until that index is dropped; the memory of blocks is overwritten then.
        assert!(block.holds_anything_of(0) && !writer.index.blocks[0].holds_anything_of(0));
        assert!(writer.index.blocks[0].holds_anything_of(1));
        drop(block);
        assert!(shared.upgrade().is_none());
        // Without a published copy, the row itself is overwritten.
        let place = Arc::as_ptr(&writer.index.blocks[0]);
        writer.store("3", &Sample::for_test("cy", "m", &[0.6, 0.8]));
        assert!(writer.index.blocks[0].holds_anything_of(0));
        writer.erase("3");
        assert_eq!(Arc::as_ptr(&writer.index.blocks[0]), place);
        assert!(!writer.index.blocks[0].holds_anything_of(0));
    }

    /// What a search must return: every template is compared.
    fn search_all(samples: &BTreeMap<String, Sample>, probe: &Embedding, count: usize) -> Vec<Candidate> {
        let mut best: BTreeMap<&str, f32> = BTreeMap::new();
        for sample in samples.values().filter(|sample| sample.model == "m") {
            let similarity = crate::kernels::dot_product(sample.embedding.values(), probe.values());
            let best = best.entry(&sample.person).or_insert(similarity);
            *best = best.max(similarity);
        }
        let mut order: Vec<(&str, f32)> = best.into_iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        let candidate = |(person, similarity): (&str, f32)| Candidate {
            person: person.into(),
            similarity: similarity.clamp(-1.0, 1.0),
        };
        order.into_iter().take(count).map(candidate).collect()
    }

    /// A vector of few different numbers, so that equal similarities are frequent.
    fn embedding(length: usize) -> impl Strategy<Value = Vec<f32>> {
        let number = prop_oneof![Just(-1.0f32), Just(0.0), Just(0.5), Just(1.0), -1.0f32..1.0];
        proptest::collection::vec(number, length)
            .prop_filter("no direction", |values| values.iter().any(|x| *x != 0.0))
    }

    #[derive(Debug, Clone)]
    enum Change {
        Enrol { sample: u8, person: u8, name: u8, model: bool, values: Vec<f32> },
        Erase { sample: u8 },
        Search { count: usize, values: Vec<f32> },
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => (0u8..40, 0u8..12, 0u8..3, prop::bool::weighted(0.9), embedding(20)).prop_map(
                |(sample, person, name, model, values)| Change::Enrol { sample, person, name, model, values }
            ),
            2 => (0u8..40).prop_map(|sample| Change::Erase { sample }),
            2 => (0usize..15, embedding(20)).prop_map(|(count, values)| Change::Search { count, values }),
        ]
    }

    proptest! {
        #[test]
        fn a_search_equals_comparing_all(changes in proptest::collection::vec(change(), 1..150)) {
            let mut writer = IndexWriter::new("m");
            // All rows are selected, so that this one must find the same by sign codes.
            let mut coded = IndexWriter::with_limits("m", Limits { compared_completely: 0, selected: 1000 });
            let mut samples = BTreeMap::new();
            let mut published = Vec::new();
            for change in changes {
                match change {
                    Change::Enrol { sample, person, name, model, values } => {
                        let (key, model) = (format!("{sample:02}"), if model { "m" } else { "other" });
                        let sample = Sample::for_test(&format!("p{person}"), model, &values);
                        let sample = Sample { name: format!("name {name}"), ..sample };
                        writer.store(&key, &sample);
                        coded.store(&key, &sample);
                        samples.insert(key, sample);
                    }
                    Change::Erase { sample } => {
                        let key = format!("{sample:02}");
                        writer.erase(&key);
                        coded.erase(&key);
                        samples.remove(&key);
                    }
                    Change::Search { count, values } => {
                        let probe = probe(&values);
                        let expected = search_all(&samples, &probe, count);
                        prop_assert_eq!(&writer.index().search(&probe, count), &expected);
                        prop_assert_eq!(&coded.index().search(&probe, count), &expected);
                        published.push((writer.index().clone(), probe, count, expected));
                    }
                }
                let known = samples.values().filter(|sample| sample.model == "m");
                let people: BTreeMap<&str, &str> = known.map(|it| (it.person.as_str(), it.name.as_str())).collect();
                prop_assert_eq!(writer.index().people_count(), people.len());
                for (id, name) in people {
                    prop_assert_eq!(writer.index().find(id).map(|person| person.name), Some(name.to_owned()));
                }
            }
            for (index, probe, count, expected) in published {
                prop_assert_eq!(index.search(&probe, count), expected);
            }
        }

        #[test]
        fn the_order_of_enrolment_changes_nothing(
            values in proptest::collection::vec(embedding(64), 100..400),
            erased in proptest::collection::vec(any::<prop::sample::Index>(), 0..50),
            asked in embedding(64),
        ) {
            let limits = Limits { compared_completely: 10, selected: 20 };
            let (mut one, mut other) = (IndexWriter::with_limits("m", limits), IndexWriter::with_limits("m", limits));
            let samples: Vec<(String, Sample)> = values
                .iter()
                .enumerate()
                .map(|(n, values)| (n.to_string(), Sample::for_test(&format!("p{}", n / 2), "m", values)))
                .collect();
            let erased: HashSet<usize> = erased.iter().map(|place| place.index(samples.len())).collect();
            samples.iter().for_each(|(key, sample)| one.store(key, sample));
            erased.iter().for_each(|place| one.erase(&samples[*place].0));
            for (place, (key, sample)) in samples.iter().enumerate().rev() {
                if !erased.contains(&place) {
                    other.store(key, sample);
                }
            }
            let probe = probe(&asked);
            prop_assert_eq!(one.index().search(&probe, 5), other.index().search(&probe, 5));
        }
    }

    #[test]
    fn sign_codes_find_at_least_99_of_100_faces() {
        // 20,000 people, a 120th of them selected, as 8,192 of a million are.
        let limits = Limits { compared_completely: 100, selected: 20_000 / 120 };
        let mut writer = IndexWriter::with_limits("m", limits);
        let mut samples = BTreeMap::new();
        let mut faces = crate::made_up::Faces::new(128);
        let people: Vec<Vec<f32>> = (0..20_000).map(|_| faces.person()).collect();
        for (number, person) in people.iter().enumerate() {
            let sample = Sample::for_test(&format!("p{number}"), "m", &faces.view(person));
            writer.store(&number.to_string(), &sample);
            samples.insert(number.to_string(), sample);
        }
        let mut found = 0;
        for person in people.iter().step_by(50) {
            let probe = probe(&faces.view(person));
            let (best, expected) = (writer.index().search(&probe, 1), search_all(&samples, &probe, 1));
            found += usize::from(best == expected);
        }
        assert!(found >= 396, "{found} of 400");
    }
}
