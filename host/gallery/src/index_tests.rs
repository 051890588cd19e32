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
fn a_person_is_not_offered_for_a_face_that_is_not_theirs() {
    let negative = |values: &[f32]| Sample { negative: true, ..Sample::for_test("ann", "m", values) };
    let mut writer = IndexWriter::new("m");
    writer.store("ann/1", &Sample::for_test("ann", "m", &[1.0, 0.0, 0.0]));
    writer.store("bob/1", &Sample::for_test("bob", "m", &[0.0, 0.0, 1.0]));
    let found = |writer: &IndexWriter, values: &[f32], count: usize| {
        let found = writer.index().search(&probe(values), count).into_iter();
        found.map(|candidate| candidate.person).collect::<Vec<_>>()
    };
    let (hers, alike) = ([0.95, 0.3, 0.0], [0.7, 0.7, 0.0]);
    assert_eq!(found(&writer, &alike, 1), ["ann"]);
    writer.store("ann/2", &negative(&[0.6, 0.8, 0.0]));
    assert_eq!(
        (found(&writer, &alike, 1), found(&writer, &hers, 1)),
        (vec!["bob".into()], vec!["ann".into()])
    );
    assert_eq!(writer.index().find("ann").map(|ann| ann.samples), Some(1), "it is no sample of hers");
    writer.erase("ann/2");
    assert_eq!(found(&writer, &alike, 1), ["ann"]);
    writer.store("ann/2", &negative(&[0.6, 0.8, 0.0]));
    writer.store("ann/2", &Sample::for_test("ann", "m", &[0.6, 0.8, 0.0]));
    assert_eq!(found(&writer, &alike, 1), ["ann"], "the record was replaced");
    writer.erase("ann/1");
    writer.erase("ann/2");
    assert_eq!((writer.index().people_count(), writer.index().template_count()), (1, 1));
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
