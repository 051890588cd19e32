//! Finds samples that look unlike the others of their person: a picture of somebody else that was enrolled by mistake, or a
//! face that the embedder does not recognise.

use super::index::Index;
use super::sample::Sample;
use everyframe_types::face::Embedding;
use everyframe_types::id::printable;
use std::collections::BTreeMap;
use std::fmt;

/// Two pictures below this cosine similarity, −1 to 1, hardly show one person: the threshold of SFace's authors.
const UNLIKE: f32 = 0.363;

/// A sample that looks unlike the others of its person.
#[derive(Debug, Clone, PartialEq)]
pub struct OddSample {
    /// The person's id.
    pub person: String,
    /// The picture's file name.
    pub source: String,
    /// Cosine similarity to the most similar of the person's other samples, −1 to 1.
    pub similarity: f32,
}

impl fmt::Display for OddSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { person, source, similarity } = self;
        write!(
            f,
            "the face of {source} looks unlike the other samples of `{person}` (similarity at most {similarity:.2}): if it shows \
             somebody else, remove the person with `everyframe gallery erase` and enrol the right pictures again",
            source = printable(source),
            person = printable(person)
        )
    }
}

impl OddSample {
    /// Of a face that is to be enrolled from `source`: whether it looks unlike the samples that the person has.
    pub fn find(index: &Index, person: &str, face: &Embedding, source: &str) -> Option<Self> {
        let similarity = index.similarity_to(person, face).filter(|similarity| *similarity < UNLIKE)?;
        Some(Self { person: person.to_owned(), source: source.to_owned(), similarity })
    }
}

/// The samples that look unlike all other samples of their person, sorted by person. Of two samples that look unlike each other,
/// either may be wrong, so both are returned. Samples of different models are not compared, and negative ones are none of their person.
pub fn find_odd_samples<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<OddSample> {
    let mut people: BTreeMap<(&str, &str), Vec<&Sample>> = BTreeMap::new();
    let samples = samples.filter(|sample| !sample.negative);
    samples.for_each(|sample| people.entry((&sample.person, &sample.model)).or_default().push(sample));
    let mut odd = Vec::new();
    for samples in people.values() {
        for (place, sample) in samples.iter().enumerate() {
            let others = samples.iter().enumerate().filter(|(other, _)| *other != place);
            let best = others.map(|(_, other)| sample.embedding.similarity(&other.embedding));
            let Some(similarity) = best.max_by(f32::total_cmp).filter(|best| *best < UNLIKE) else {
                continue;
            };
            let (person, source) = (sample.person.clone(), sample.source.clone());
            odd.push(OddSample { person, source, similarity });
        }
    }
    odd
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(person: &str, source: &str, values: &[f32]) -> Sample {
        Sample { source: source.into(), ..Sample::for_test(person, "m", values) }
    }

    #[test]
    fn the_picture_of_another_person_is_found() {
        let samples = [
            sample("ann", "1.jpg", &[1.0, 0.0]),
            sample("ann", "bob.jpg", &[0.1, 1.0]),
            sample("ann", "2.jpg", &[0.9, 0.1]),
            sample("bob", "3.jpg", &[0.0, 1.0]),
        ];
        let found = find_odd_samples(samples.iter());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].person.as_str(), found[0].source.as_str()), ("ann", "bob.jpg"));
        assert!((0.1..0.3).contains(&found[0].similarity), "{found:?}");
    }

    #[test]
    fn of_two_samples_either_may_be_wrong() {
        let samples = [sample("ann", "1.jpg", &[1.0, 0.0]), sample("ann", "2.jpg", &[0.0, 1.0])];
        assert_eq!(find_odd_samples(samples.iter()).len(), 2);
    }

    #[test]
    fn a_person_with_one_sample_or_alike_samples_has_none() {
        let mut samples = vec![sample("ann", "1.jpg", &[1.0, 0.0]), sample("bob", "1.jpg", &[1.0, 0.0])];
        samples.push(sample("bob", "2.jpg", &[0.5, 0.8]));
        // Templates of different models are not compared.
        samples.push(Sample::for_test("ann", "other", &[0.0, 1.0]));
        assert_eq!(find_odd_samples(samples.iter()), []);
    }

    #[test]
    fn a_new_face_is_compared_with_the_persons_own_samples() {
        let samples = [
            ("1".to_owned(), sample("ann", "a", &[1.0, 0.0])),
            ("2".to_owned(), sample("bob", "b", &[0.0, 1.0])),
        ];
        let index = Index::new(samples.iter().map(|(key, sample)| (key, sample)), "m");
        let face = |values: &[f32]| Embedding::from_raw(values).unwrap();
        assert_eq!(OddSample::find(&index, "ann", &face(&[1.0, 0.2]), "new"), None);
        assert_eq!(
            OddSample::find(&index, "cy", &face(&[0.0, 1.0]), "new"),
            None,
            "there is nothing to compare with"
        );
        let odd = OddSample::find(&index, "ann", &face(&[0.0, 1.0]), "new").unwrap();
        assert_eq!((odd.source.as_str(), odd.similarity), ("new", 0.0));
    }
}
