//! Who may be recognised where and when.

use crate::index::Index;
use crate::sample::Terms;
use everyframe_config::Purposes;
use everyframe_types::face::{Candidate, Embedding};

/// Where and when a face is to be recognised: this decides which people may be.
#[derive(Clone, Copy)]
pub struct RecognitionContext<'a> {
    /// The camera; none for a picture that comes from no camera, which every purpose allows.
    pub camera: Option<&'a str>,
    /// When, Unix milliseconds of frame time.
    pub at: i64,
    /// The cameras of each purpose.
    pub purposes: &'a Purposes,
}

impl RecognitionContext<'_> {
    fn allows(&self, terms: &Terms) -> bool {
        !terms.have_expired(self.at)
            && self.camera.is_none_or(|camera| self.purposes.allow(&terms.purposes, camera))
    }
}

impl Index {
    /// As [`Index::search`], among the people who may be recognised in this context: their enrolment has not ended, and their
    /// purposes allow the camera.
    pub fn search_for(
        &self,
        probe: &Embedding,
        count: usize,
        context: &RecognitionContext<'_>,
    ) -> Vec<Candidate> {
        let mut wanted = count;
        loop {
            let candidates = self.search(probe, wanted);
            let is_all = candidates.len() < wanted || wanted == 0;
            let may_be = |candidate: &Candidate| {
                self.terms_of(&candidate.person).is_some_and(|terms| context.allows(terms))
            };
            let mut found: Vec<Candidate> = candidates.into_iter().filter(may_be).collect();
            if is_all || found.len() >= count {
                found.truncate(count);
                return found;
            }
            // People who may not be recognised took some places.
            wanted *= 2;
        }
    }

    /// The people whose enrolment has ended at a time, Unix milliseconds.
    pub fn expired_people(&self, at: i64) -> Vec<String> {
        let expired = self.all_terms().filter(|(_, terms)| terms.have_expired(at));
        expired.map(|(person, _)| person.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;
    use everyframe_config::{PrivacySettings, PurposeSettings};

    fn index(people: &[(&str, &[f32], Terms)]) -> Index {
        let sample = |(person, values, terms): &(&str, &[f32], Terms)| {
            let sample = Sample { terms: terms.clone(), ..Sample::for_test(person, "m", values) };
            (format!("{person}/1"), sample)
        };
        let samples: Vec<(String, Sample)> = people.iter().map(sample).collect();
        Index::new(samples.iter().map(|(key, sample)| (key, sample)), "m")
    }

    #[test]
    fn only_people_whose_terms_allow_it_are_found() {
        let access = Terms { purposes: vec!["access".into()], ..Terms::default() };
        let visitor = Terms { expires_at: Some(1000), ..Terms::default() };
        let index = index(&[
            ("ann", &[1.0, 0.0], access),
            ("bob", &[0.9, 0.1], visitor),
            ("eve", &[0.1, 0.9], Terms::default()),
        ]);
        let settings = PrivacySettings {
            purposes: vec![PurposeSettings { name: "access".into(), cameras: vec!["gate-*".into()] }],
            ..PrivacySettings::default()
        };
        let purposes = Purposes::new(&settings);
        let found = |camera: Option<&str>, at: i64, count: usize| {
            let probe = Embedding::from_raw(&[1.0, 0.0]).unwrap();
            let context = RecognitionContext { camera, at, purposes: &purposes };
            let found = index.search_for(&probe, count, &context);
            found.into_iter().map(|candidate| candidate.person).collect::<Vec<_>>()
        };
        assert_eq!(found(Some("gate-1"), 999, 3), ["ann", "bob", "eve"]);
        assert_eq!(found(Some("yard"), 999, 1), ["bob"]);
        assert_eq!(found(Some("yard"), 1000, 1), ["eve"]);
        assert_eq!(found(None, 1000, 5), ["ann", "eve"]);
        assert_eq!((index.expired_people(999), index.expired_people(1000)), (vec![], vec!["bob".to_owned()]));
    }
}
