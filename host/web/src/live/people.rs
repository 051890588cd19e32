//! The enrolled people with their samples. Pure.

use crate::views::Names;
use everyframe_gallery::{Sample, Terms};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What is shown of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleEntry {
    /// The name of its picture, or the frame that it is from.
    pub source: String,
    /// The face's quality, 0 to 1.
    pub quality: f32,
    /// When it was enrolled, Unix milliseconds.
    pub enrolled_at: i64,
    /// A small JPEG of the face; empty if there is none.
    pub thumbnail: Arc<[u8]>,
    /// The stranger whose picture this was.
    pub stranger: Option<String>,
    /// SHA-256 of the embedding model.
    pub model: String,
}

/// One person.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PersonEntry {
    /// The display name.
    pub name: String,
    /// What the person agreed to.
    pub terms: Terms,
    /// By the last part of the record key.
    pub samples: BTreeMap<String, SampleEntry>,
    /// Faces that are not this person's, in the same way.
    pub negatives: BTreeMap<String, SampleEntry>,
}

/// The people, by id.
#[derive(Default)]
pub struct People {
    people: BTreeMap<String, PersonEntry>,
    /// Person and sample, by record key.
    keys: HashMap<String, (String, String)>,
    /// The person as whom a stranger was enrolled, with the number of samples.
    strangers: HashMap<String, BTreeMap<String, usize>>,
}

impl People {
    /// Applies a record of the gallery topic.
    pub fn apply(&mut self, key: &str, sample: Option<&Sample>) {
        self.remove(key);
        let Some(sample) = sample else { return };
        let id = key.rsplit_once('/').map_or(key, |(_, id)| id).to_owned();
        if let Some(stranger) = sample.stranger.as_ref().filter(|_| !sample.negative) {
            *self.strangers.entry(stranger.clone()).or_default().entry(sample.person.clone()).or_insert(0) +=
                1;
        }
        let person = self.people.entry(sample.person.clone()).or_default();
        if !sample.negative {
            person.name.clone_from(&sample.name);
            person.terms.clone_from(&sample.terms);
        }
        let entry = SampleEntry {
            source: sample.source.clone(),
            quality: sample.quality,
            enrolled_at: sample.enrolled_at,
            thumbnail: sample.thumbnail.as_slice().into(),
            stranger: sample.stranger.clone(),
            model: sample.model.clone(),
        };
        let samples = if sample.negative { &mut person.negatives } else { &mut person.samples };
        samples.insert(id.clone(), entry);
        self.keys.insert(key.to_owned(), (sample.person.clone(), id));
    }

    fn remove(&mut self, key: &str) {
        let Some((id, sample)) = self.keys.remove(key) else { return };
        let Some(person) = self.people.get_mut(&id) else { return };
        let removed = person.samples.remove(&sample);
        person.negatives.remove(&sample);
        if person.samples.is_empty() && person.negatives.is_empty() {
            self.people.remove(&id);
        }
        if let Some(stranger) = removed.and_then(|removed| removed.stranger)
            && let Some(people) = self.strangers.get_mut(&stranger)
        {
            if let Some(count) = people.get_mut(&id) {
                *count -= 1;
            }
            people.retain(|_, count| *count > 0);
            if people.is_empty() {
                self.strangers.remove(&stranger);
            }
        }
    }

    /// A person.
    pub fn get(&self, id: &str) -> Option<&PersonEntry> {
        self.people.get(id).filter(|person| !person.samples.is_empty())
    }

    /// What a person agreed to; none if nobody has this id.
    pub fn terms(&self, id: &str) -> Option<Terms> {
        self.people.get(id).map(|person| person.terms.clone())
    }

    /// True if the person's consent is recorded.
    pub fn has_consent(&self, id: &str) -> bool {
        self.people.get(id).is_some_and(|person| person.terms.consent.is_some())
    }

    /// The people, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PersonEntry)> {
        let people = self.people.iter().filter(|(_, person)| !person.samples.is_empty());
        people.map(|(id, person)| (id.as_str(), person))
    }

    /// The number of people.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// The record key of a sample.
    pub fn key_of(&self, person: &str, sample: &str) -> Option<&str> {
        let found = self.keys.iter().find(|(_, (id, name))| id == person && name == sample);
        found.map(|(key, _)| key.as_str())
    }

    /// The strangers who were enrolled as this person.
    pub fn strangers_of(&self, person: &str) -> Vec<String> {
        let of = |people: &BTreeMap<String, usize>| people.contains_key(person);
        self.strangers.iter().filter(|(_, people)| of(people)).map(|(stranger, _)| stranger.clone()).collect()
    }
}

impl Names for People {
    fn name(&self, person: &str) -> Option<String> {
        self.get(person).map(|person| person.name.clone())
    }

    fn person_of(&self, stranger: &str) -> Option<String> {
        self.strangers.get(stranger)?.keys().next().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_types::face::Embedding;

    fn sample(person: &str, name: &str, stranger: Option<&str>) -> Sample {
        Sample {
            person: person.into(),
            name: name.into(),
            model: "m".into(),
            embedding: Embedding::from_raw(&[1.0, 0.0]).unwrap(),
            quality: 0.5,
            source: String::new(),
            enrolled_at: 1,
            thumbnail: vec![1],
            stranger: stranger.map(str::to_owned),
            negative: false,
            terms: Terms::default(),
        }
    }

    #[test]
    fn people_follow_the_topic() {
        let mut people = People::default();
        people.apply("ann/1", Some(&sample("ann", "Ann", None)));
        people.apply("ann/2", Some(&sample("ann", "Anne", Some("s-1"))));
        assert_eq!((people.name("ann"), people.person_of("s-1")), (Some("Anne".into()), Some("ann".into())));
        assert_eq!(people.key_of("ann", "2"), Some("ann/2"));
        assert_eq!(people.strangers_of("ann"), ["s-1"]);
        people.apply("ann/2", None);
        assert_eq!(
            (people.person_of("s-1"), people.get("ann").map(|ann| ann.samples.len())),
            (None, Some(1))
        );
        people.apply("ann/1", None);
        people.apply("ann/1", None);
        assert_eq!(people.count(), 0);
    }

    #[test]
    fn a_negative_sample_makes_nobody_known() {
        let mut people = People::default();
        let negative = Sample { negative: true, ..sample("ann", "", Some("s-1")) };
        people.apply("ann/2", Some(&negative));
        assert_eq!((people.count(), people.name("ann"), people.person_of("s-1")), (0, None, None));
        people.apply("ann/1", Some(&sample("ann", "Ann", None)));
        let ann = people.get("ann").unwrap();
        assert_eq!((ann.name.as_str(), ann.samples.len(), ann.negatives.len()), ("Ann", 1, 1));
        people.apply("ann/2", None);
        assert!(people.get("ann").unwrap().negatives.is_empty());
    }

    #[test]
    fn a_sample_that_is_replaced_counts_once() {
        let mut people = People::default();
        for _ in 0..2 {
            people.apply("ann/1", Some(&sample("ann", "Ann", Some("s-1"))));
        }
        people.apply("ann/1", Some(&sample("ann", "Ann", None)));
        assert_eq!(people.person_of("s-1"), None);
    }
}
