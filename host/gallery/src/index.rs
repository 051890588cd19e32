//! The search index: exact search by cosine similarity over all samples of one embedding model.

use super::sample::Sample;
use everyframe_types::face::{Candidate, Embedding, People, Person};
use std::collections::BTreeMap;

/// The people and their embeddings at one moment. It is never changed, only replaced as a whole.
#[derive(Debug, Default)]
pub struct Index {
    /// Sorted by id.
    people: Vec<Person>,
    /// `[samples]`: for each row of `rows`, the index of its person in `people`.
    owners: Vec<u32>,
    /// `[samples, dimension]`, unit vectors.
    rows: Vec<f32>,
    dimension: usize,
}

impl Index {
    /// Indexes the samples of the embedding model with this SHA-256. Others are left out: embeddings of different models cannot
    /// be compared.
    pub fn new<'a>(samples: impl Iterator<Item = &'a Sample>, model: &str) -> Self {
        let mut by_person: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
        for sample in samples.filter(|sample| sample.model == model) {
            by_person.entry(&sample.person).or_default().push(sample);
        }
        let mut index = Self::default();
        for (place, (id, samples)) in by_person.into_iter().enumerate() {
            for sample in &samples {
                let values = sample.embedding.values();
                if index.dimension == 0 {
                    index.dimension = values.len();
                }
                if values.len() == index.dimension {
                    index.rows.extend_from_slice(values);
                    index.owners.push(u32::try_from(place).unwrap_or(u32::MAX));
                }
            }
            index.people.push(Person {
                id: id.to_owned(),
                name: samples.last().map_or(id, |sample| &sample.name).to_owned(),
                samples: u32::try_from(samples.len()).unwrap_or(u32::MAX),
            });
        }
        index
    }

    /// The `count` people most similar to a face, best first. Each person counts by the most similar of their samples.
    pub fn search(&self, probe: &Embedding, count: usize) -> Vec<Candidate> {
        if probe.values().len() != self.dimension || self.dimension == 0 {
            return Vec::new();
        }
        let mut best = vec![f32::NEG_INFINITY; self.people.len()];
        for (row, owner) in self.rows.chunks_exact(self.dimension).zip(&self.owners) {
            let best = &mut best[*owner as usize];
            *best = best.max(dot_product(row, probe.values()));
        }
        let mut order: Vec<usize> = (0..best.len()).collect();
        let better = |a: &usize, b: &usize| best[*b].total_cmp(&best[*a]).then(a.cmp(b));
        if count < order.len() {
            order.select_nth_unstable_by(count, better);
            order.truncate(count);
        }
        order.sort_unstable_by(better);
        order
            .into_iter()
            .map(|place| Candidate {
                person: self.people[place].id.clone(),
                similarity: best[place].clamp(-1.0, 1.0),
            })
            .collect()
    }

    /// Finds a person by id.
    pub fn find(&self, person: &str) -> Option<&Person> {
        self.people
            .binary_search_by(|known| known.id.as_str().cmp(person))
            .ok()
            .map(|place| &self.people[place])
    }

    /// All people, sorted by id.
    pub fn people(&self) -> &[Person] {
        &self.people
    }
}

/// The dot product, with eight sums side by side, so that the compiler can keep them in one register.
pub(super) fn dot_product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

impl People for Index {
    fn find(&self, person: &str) -> Option<Person> {
        self.find(person).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_returns_each_person_once_best_first() {
        let samples = [
            Sample::for_test("ann", "m", &[1.0, 0.0, 0.1]),
            Sample::for_test("ann", "m", &[0.0, 1.0, 0.0]),
            Sample::for_test("bob", "m", &[0.7, 0.7, 0.0]),
            Sample::for_test("cy", "m", &[-1.0, 0.0, 0.0]),
        ];
        let index = Index::new(samples.iter(), "m");
        let found = index.search(&Embedding::from_raw(&[1.0, 0.0, 0.0]).unwrap(), 2);
        let people: Vec<_> = found.iter().map(|candidate| candidate.person.as_str()).collect();
        assert_eq!(people, ["ann", "bob"]);
        assert!(found[0].similarity > 0.99 && (found[1].similarity - 0.707).abs() < 0.01);
        assert_eq!(index.find("ann").map(|person| (person.samples, person.name.as_str())), Some((2, "ANN")));
        assert!(index.find("dan").is_none());
    }

    #[test]
    fn embeddings_of_other_models_are_not_compared() {
        let samples = [Sample::for_test("ann", "old", &[1.0, 0.0])];
        let index = Index::new(samples.iter(), "new");
        assert!(index.search(&Embedding::from_raw(&[1.0, 0.0]).unwrap(), 5).is_empty());
    }

    #[test]
    fn a_dot_product_covers_every_element() {
        let values: Vec<f32> = (0..19).map(|i| i as f32).collect();
        assert_eq!(dot_product(&values, &values), (0..19).map(|i| (i * i) as f32).sum::<f32>());
    }
}
