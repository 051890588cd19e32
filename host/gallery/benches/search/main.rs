//! Measures the search: build time, memory, time of a search on one core, recall, and the time until a change is visible.
//!
//!     cargo bench -p everyframe-gallery --bench search -- [PEOPLE DIMENSION]...
//!
//! Without arguments: 1,000 to 1,000,000 people × 128 and × 512. That needs 8 GB of memory. Times of searches are CPU times of
//! their thread, so that other programs disturb them less.
#![allow(clippy::unwrap_used, missing_docs)]

mod made_up;

use everyframe_gallery::{IndexWriter, Sample};
use everyframe_telemetry::cpu_timer::CpuTimer;
use everyframe_types::face::Embedding;
use made_up::Faces;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Probes of enrolled people, and as many of strangers.
const PROBES: usize = 500;
/// Candidates of a search: the default of `[gallery] candidates`.
const COUNT: usize = 5;

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let sizes: Vec<(usize, usize)> = if numbers.is_empty() {
        let sizes = |dimension| [1000, 10_000, 100_000, 1_000_000].map(|people| (people, dimension));
        [sizes(128), sizes(512)].concat()
    } else {
        numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
    };
    println!(
        "| people | numbers | search p50, ms | p99 | comparing all | memory, MB | build, s | one more, ms | erase, ms | recall: the enrolled person | their {COUNT} candidates | a stranger's {COUNT} |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (people, dimension) in sizes {
        measure(people, dimension);
    }
}

fn measure(people: usize, dimension: usize) {
    let mut faces = Faces::new(dimension);
    let mut writer = IndexWriter::new("m");
    let mut probes = Vec::new();
    let (before, mut build) = (resident_bytes(), Duration::ZERO);
    for number in 0..people {
        let person = faces.person();
        let sample = sample(number, &faces.view(&person));
        let timer = Instant::now();
        writer.store(&number.to_string(), &sample);
        build += timer.elapsed();
        if number % people.div_ceil(PROBES) == 0 {
            probes.push((true, Embedding::from_raw(&faces.view(&person)).unwrap()));
        }
    }
    let memory = resident_bytes() - before;
    for _ in 0..PROBES {
        let person = faces.person();
        probes.push((false, Embedding::from_raw(&faces.view(&person)).unwrap()));
    }

    let index = writer.index().clone();
    let mut times = Vec::new();
    for (_, probe) in probes.iter().cycle().take(2000) {
        let mut timer = CpuTimer::start();
        std::hint::black_box(index.search(probe, COUNT));
        times.push(timer.lap());
    }
    times.sort_unstable();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);

    let mut complete = Vec::new();
    let mut recall = HashMap::from([(true, Recall::default()), (false, Recall::default())]);
    for (is_enrolled, probe) in &probes {
        let mut timer = CpuTimer::start();
        let mut best: Vec<(f32, &str)> = Vec::new();
        for (person, values) in index.templates() {
            let similarity = dot(values, probe.values());
            if best.len() < COUNT || similarity > best[COUNT - 1].0 {
                let place = best.partition_point(|(known, _)| *known >= similarity);
                best.insert(place, (similarity, person));
                best.truncate(COUNT);
            }
        }
        complete.push(timer.lap());
        let found = index.search(probe, COUNT);
        let is_found = |wanted: &&(f32, &str)| found.iter().any(|it| it.person == wanted.1);
        let recall = recall.get_mut(is_enrolled).unwrap();
        recall.searches += 1;
        recall.first += usize::from(is_found(&&best[0]));
        recall.all += best.iter().filter(is_found).count();
    }
    complete.sort_unstable();

    // As the host does it: change, and publish a clone.
    let face = faces.person();
    let mut change = |change: &mut dyn FnMut(&mut IndexWriter, usize)| {
        let mut published = writer.index().clone();
        let times = (0..20).map(|round| {
            let began = Instant::now();
            change(&mut writer, round);
            published = writer.index().clone();
            began.elapsed()
        });
        let mut times: Vec<Duration> = times.collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    drop(index);
    let one_more = change(&mut |writer, round| {
        writer.store(&format!("more/{round}"), &sample(people + round, &faces.view(&face)));
    });
    let erase = change(&mut |writer, round| writer.erase(&(round * people / 20).to_string()));
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (known, strangers) = (&recall[&true], &recall[&false]);
    println!(
        "| {people} | {dimension} | {:.3} | {:.3} | {:.2} | {} | {:.1} | {:.2} | {:.2} | {:.3} | {:.3} | {:.3} |",
        ms(p50),
        ms(p99),
        ms(complete[complete.len() / 2]),
        memory / 1_000_000,
        build.as_secs_f64(),
        ms(one_more),
        ms(erase),
        known.first as f64 / known.searches as f64,
        known.all as f64 / (COUNT * known.searches) as f64,
        strangers.all as f64 / (COUNT * strangers.searches) as f64,
    );
}

#[derive(Default)]
struct Recall {
    searches: usize,
    first: usize,
    all: usize,
}

fn sample(number: usize, values: &[f32]) -> Sample {
    Sample {
        person: format!("person-{number}"),
        name: format!("Person {number}"),
        model: "m".into(),
        embedding: Embedding::from_raw(values).unwrap(),
        quality: 1.0,
        source: String::new(),
        enrolled_at: 0,
        thumbnail: Vec::new(),
        stranger: None,
        negative: false,
        terms: Default::default(),
    }
}

/// The exact loop that the flat search is compared with.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (x, y) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        (0..8).for_each(|lane| sums[lane] += x[lane] * y[lane]);
    }
    sums.iter().sum()
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
}
