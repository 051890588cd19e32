//! Finds people of the gallery who look alike. Matching policies leave a face undecided if it resembles two people equally.

use super::Sample;
use super::index::dot;
use everyframe_types::id::skeleton;
use std::collections::BTreeMap;
use std::fmt;

/// Cosine similarity from which two pictures show nearly the same face. With SFace two people of a group picture reach
/// 0.44, and pictures of one person stay above 0.9 in the project's footage.
pub const NEARLY_THE_SAME: f32 = 0.5;

/// Two people of the gallery who are easily taken for each other.
#[derive(Debug, Clone, PartialEq)]
pub struct AlikePeople {
    /// Their ids.
    pub people: [String; 2],
    /// Cosine similarity of their most alike templates, −1 to 1; none if it is their ids that look alike.
    pub similarity: Option<f32>,
}

impl fmt::Display for AlikePeople {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = &self.people;
        match self.similarity {
            Some(similarity) => write!(
                f,
                "`{one}` and `{other}` have nearly the same face (similarity {similarity:.2}): if they are one person, faces \
                 like theirs stay undecided until `everyframe gallery remove` has removed one of them"
            ),
            None => write!(
                f,
                "the ids `{one}` and `{other}` look alike: if they are one person, remove one by `everyframe gallery remove`"
            ),
        }
    }
}

/// The people whose ids look alike or who have nearly the same face, by their ids. Templates of different models are not
/// compared. Takes time with the square of the samples: 0.1 s for 2,000.
pub fn find_alike_people<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<AlikePeople> {
    let samples: Vec<&Sample> = samples.collect();
    let mut best: BTreeMap<(&str, &str), f32> = BTreeMap::new();
    for (place, one) in samples.iter().enumerate() {
        for other in &samples[..place] {
            let (a, b) = (one.embedding.values(), other.embedding.values());
            if one.person == other.person || one.model != other.model || a.len() != b.len() {
                continue;
            }
            let similarity = dot(a, b);
            if similarity >= NEARLY_THE_SAME {
                let pair = ordered(&one.person, &other.person);
                best.entry(pair).and_modify(|best| *best = best.max(similarity)).or_insert(similarity);
            }
        }
    }
    let mut alike: Vec<AlikePeople> =
        best.into_iter().map(|(pair, similarity)| alike(pair, Some(similarity.min(1.0)))).collect();
    alike.extend(pairs_of_ids(&samples));
    alike
}

/// Another person of the gallery whose id looks like `person`.
pub fn find_alike_id<'a>(samples: impl Iterator<Item = &'a Sample>, person: &str) -> Option<&'a str> {
    let looks = skeleton(person);
    samples.map(|sample| sample.person.as_str()).find(|other| *other != person && skeleton(other) == looks)
}

fn pairs_of_ids(samples: &[&Sample]) -> Vec<AlikePeople> {
    let mut by_looks: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for sample in samples {
        let ids = by_looks.entry(skeleton(&sample.person)).or_default();
        if !ids.contains(&sample.person.as_str()) {
            ids.push(&sample.person);
        }
    }
    let pairs = by_looks.values().flat_map(|ids| ids.windows(2));
    pairs.map(|ids| alike(ordered(ids[0], ids[1]), None)).collect()
}

fn ordered<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    if one <= other { (one, other) } else { (other, one) }
}

fn alike((one, other): (&str, &str), similarity: Option<f32>) -> AlikePeople {
    AlikePeople { people: [one.to_owned(), other.to_owned()], similarity }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_types::face::Embedding;

    fn sample(person: &str, model: &str, values: &[f32]) -> Sample {
        Sample {
            person: person.into(),
            name: person.into(),
            model: model.into(),
            embedding: Embedding::from_raw(values).unwrap(),
            quality: 1.0,
            source: String::new(),
            enrolled_at: 0,
        }
    }

    #[test]
    fn one_face_under_two_ids_is_found_by_its_most_alike_pictures() {
        let samples = [
            sample("bob", "m", &[0.0, 0.0, 1.0]),
            sample("ann", "m", &[1.0, 0.0, 0.0]),
            sample("ann", "m", &[0.0, 1.0, 0.0]),
            sample("anna-2", "m", &[0.0, 0.9, 0.1]),
            sample("old", "other", &[0.0, 1.0, 0.0]),
        ];
        let found = find_alike_people(samples.iter());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].people, ["ann", "anna-2"]);
        assert!(found[0].similarity.unwrap() > 0.98);
    }

    #[test]
    fn ids_that_look_alike_are_found() {
        let ids = ["ann lee", "bob", "Ann\u{a0}Lee", "ann lee"];
        let samples: Vec<Sample> =
            ids.iter().zip(0..).map(|(id, n)| sample(id, "m", &[[1.0, 0.0], [0.0, 1.0]][n % 2])).collect();
        let found = find_alike_people(samples.iter().filter(|sample| sample.person != "bob"));
        let by_id: Vec<_> = found.iter().filter(|it| it.similarity.is_none()).collect();
        assert_eq!(by_id.len(), 1, "{found:?}");
        assert_eq!(by_id[0].people, ["Ann\u{a0}Lee", "ann lee"]);
        assert_eq!(find_alike_id(samples.iter(), "ANN LEE"), Some("ann lee"));
        assert_eq!(find_alike_id(samples.iter(), "bob"), None);
    }
}
