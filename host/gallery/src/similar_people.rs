//! Finds people of the gallery who look alike. A matching policy leaves a face undecided if it resembles two people equally.

use super::kernels::dot_product;
use super::sample::Sample;
use everyframe_types::id::skeleton;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Cosine similarity from which two pictures show nearly the same face. With SFace, two people in one of the test pictures
/// reach 0.44; pictures of one person in the test footage stay above 0.9.
pub const NEARLY_THE_SAME: f32 = 0.5;

/// Two people of the gallery who are easily confused.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarPeople {
    /// Their ids.
    pub people: [String; 2],
    /// Cosine similarity of their most similar templates, −1 to 1; none if their ids look alike.
    pub similarity: Option<f32>,
}

impl fmt::Display for SimilarPeople {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = &self.people;
        match self.similarity {
            Some(similarity) => write!(
                f,
                "`{one}` and `{other}` have nearly the same face (similarity {similarity:.2}): if they are one person, this \
                 face stays undecided until `everyframe gallery erase` has removed one of the two"
            ),
            None => write!(
                f,
                "the ids `{one}` and `{other}` look alike: if they are one person, remove one with `everyframe gallery erase`"
            ),
        }
    }
}

/// What is compared of a sample.
#[derive(Debug, Clone, Copy)]
pub struct Template<'a> {
    /// The person's id.
    pub person: &'a str,
    /// SHA-256 of the embedding model, hexadecimal.
    pub model: &'a str,
    /// The template, a unit vector.
    pub values: &'a [f32],
}

impl Sample {
    /// The sample's person and template.
    pub fn template(&self) -> Template<'_> {
        Template { person: &self.person, model: &self.model, values: self.embedding.values() }
    }
}

/// The pairs of people who have nearly the same face, and those whose ids look alike, sorted by id. Templates of different
/// models are not compared. The time grows with the square of the number of samples: 0.1 s for 2,000.
pub fn find_similar_people<'a>(templates: impl Iterator<Item = Template<'a>>) -> Vec<SimilarPeople> {
    let templates: Vec<Template<'a>> = templates.collect();
    let mut best: BTreeMap<(&str, &str), f32> = BTreeMap::new();
    for (place, one) in templates.iter().enumerate() {
        for other in &templates[..place] {
            let (a, b) = (one.values, other.values);
            if one.person == other.person || one.model != other.model || a.len() != b.len() {
                continue;
            }
            let similarity = dot_product(a, b);
            if similarity >= NEARLY_THE_SAME {
                let pair = sort_pair(one.person, other.person);
                best.entry(pair).and_modify(|best| *best = best.max(similarity)).or_insert(similarity);
            }
        }
    }
    let mut alike: Vec<SimilarPeople> =
        best.into_iter().map(|(pair, similarity)| pair_of(pair, Some(similarity.min(1.0)))).collect();
    alike.extend(find_similar_id_pairs(&templates));
    alike
}

/// The first of the ids that looks like `person`, and is another one.
pub fn find_similar_id<'a>(mut ids: impl Iterator<Item = &'a str>, person: &str) -> Option<&'a str> {
    let shape = skeleton(person);
    ids.find(|other| *other != person && skeleton(other) == shape)
}

fn find_similar_id_pairs(templates: &[Template<'_>]) -> Vec<SimilarPeople> {
    let mut by_shape: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for template in templates {
        by_shape.entry(skeleton(template.person)).or_default().insert(template.person);
    }
    let pairs = by_shape.values().flat_map(|ids| ids.iter().zip(ids.iter().skip(1)));
    pairs.map(|(one, other)| pair_of((one, other), None)).collect()
}

fn sort_pair<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    if one <= other { (one, other) } else { (other, one) }
}

fn pair_of((one, other): (&str, &str), similarity: Option<f32>) -> SimilarPeople {
    SimilarPeople { people: [one.to_owned(), other.to_owned()], similarity }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_face_under_two_ids_is_found() {
        let samples = [
            Sample::for_test("bob", "m", &[0.0, 0.0, 1.0]),
            Sample::for_test("ann", "m", &[1.0, 0.0, 0.0]),
            Sample::for_test("ann", "m", &[0.0, 1.0, 0.0]),
            Sample::for_test("anna-2", "m", &[0.0, 0.9, 0.1]),
            Sample::for_test("old", "other", &[0.0, 1.0, 0.0]),
        ];
        let found = find_similar_people(samples.iter().map(Sample::template));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].people, ["ann", "anna-2"]);
        assert!(found[0].similarity.unwrap() > 0.98);
    }

    #[test]
    fn ids_that_look_alike_are_found() {
        let ids = ["ann lee", "bob", "Ann\u{a0}Lee", "ann lee"];
        let samples: Vec<Sample> = ids
            .iter()
            .zip(0..)
            .map(|(id, n)| Sample::for_test(id, "m", &[[1.0, 0.0], [0.0, 1.0]][n % 2]))
            .collect();
        let found =
            find_similar_people(samples.iter().filter(|sample| sample.person != "bob").map(Sample::template));
        let by_id: Vec<_> = found.iter().filter(|it| it.similarity.is_none()).collect();
        assert_eq!(by_id.len(), 1, "{found:?}");
        assert_eq!(by_id[0].people, ["Ann\u{a0}Lee", "ann lee"]);
        let ids = || samples.iter().map(|sample| sample.person.as_str());
        assert_eq!(find_similar_id(ids(), "ANN LEE"), Some("ann lee"));
        assert_eq!(find_similar_id(ids(), "bob"), None);
    }
}
