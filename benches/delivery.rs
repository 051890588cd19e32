//! What exactly once costs, and how soon an alert is there: on a cluster of three nodes on this machine.
//!
//! `cargo bench -p everyframe-tests --bench delivery`: the same backlog in both modes in turns, so that what the machine
//! does meanwhile hits both alike; then frames as they come, at a part of what the host could do.
//!
//!   ROUNDS=N   of each mode (default 3)
//!   FRAMES=N   of the backlog (default 3000)
//!   SECONDS=N  of the frames as they come (default 60)

use everyframe_tests::{Cluster, Feed, Frame, Site, Topic, pictures, shipped_rules, wait_for};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PARTITIONS: i32 = 4;
const MODES: [&str; 2] = ["exactly-once", "at-least-once"];
/// The part of the capacity that the frames take as they come.
const LOAD: f64 = 0.7;
/// How often one camera's man raises an alert, milliseconds.
const COOLDOWN_MS: u32 = 2000;

fn main() {
    // `cargo bench` passes words of its own.
    let (rounds, frames, seconds) = (number("ROUNDS", 3), number("FRAMES", 3000), number("SECONDS", 60));
    let cluster = Cluster::start();
    let site = Site::on(&cluster, PARTITIONS);
    configure(&site, "auto", &shipped_rules(""));
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let evenly = |number| 1_764_000_000_000 + 100 * number as i64;
    site.send(&cameras(man.clone(), evenly).take(frames).collect::<Vec<_>>());

    println!("| round | delivery | frames/s | host, CPU ms a frame | brokers, CPU ms a frame |");
    println!("| --- | --- | --- | --- | --- |");
    let mut speeds: [Vec<Speed>; 2] = Default::default();
    for round in 1..=rounds {
        // Each goes first in its turn.
        for turn in 0..2 {
            let mode = (round + turn) % 2;
            let speed = backlog(&cluster, &site, MODES[mode], round, frames);
            row(&round.to_string(), MODES[mode], speed);
            speeds[mode].push(speed);
        }
    }
    let [once, often] = speeds.map(median);
    row("median", MODES[0], once);
    row("median", MODES[1], often);
    println!(
        "exactly once against at least once: {:.3} x the frames/s, {:.3} x the host's CPU, {:.3} x the brokers'",
        once.per_second / often.per_second,
        once.host_ms / often.host_ms,
        once.brokers_ms / often.brokers_ms
    );
    drop(site);

    let rate = (LOAD * once.per_second).round() as u32;
    for mode in MODES {
        latency(&Site::on(&cluster, PARTITIONS), mode, rate, seconds as u64, &man);
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn configure(site: &Site, mode: &str, rules: &str) {
    site.configure(&format!("[publish]\ndelivery = \"{mode}\"\n"), rules);
}

/// The man at four cameras in turns, taken when `at` says for the camera's frame of this number.
fn cameras(
    man: Vec<Vec<u8>>,
    at: impl Fn(usize) -> i64 + Send + 'static,
) -> impl Iterator<Item = Frame> + Send + 'static {
    (0usize..).map(move |turn| {
        let (number, camera) = (turn / PARTITIONS as usize, (turn % PARTITIONS as usize) as i32);
        let stamp = Some(("session-1".into(), number as u64, at(number)));
        Frame { stamp, ..Frame::of(&format!("camera-{camera}"), &man[number % man.len()]).to(camera) }
    })
}

#[derive(Clone, Copy)]
struct Speed {
    per_second: f64,
    host_ms: f64,
    brokers_ms: f64,
}

fn median(speeds: Vec<Speed>) -> Speed {
    let of = |value: fn(&Speed) -> f64| {
        let mut values: Vec<f64> = speeds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Speed {
        per_second: of(|speed| speed.per_second),
        host_ms: of(|speed| speed.host_ms),
        brokers_ms: of(|speed| speed.brokers_ms),
    }
}

fn row(round: &str, mode: &str, Speed { per_second, host_ms, brokers_ms }: Speed) {
    println!("| {round} | {mode} | {per_second:.1} | {host_ms:.2} | {brokers_ms:.2} |");
}

/// A new host does the whole backlog: from its first results to its last.
fn backlog(cluster: &Cluster, site: &Site, mode: &str, round: usize, frames: usize) -> Speed {
    configure(site, mode, &shipped_rules(""));
    (0..PARTITIONS).for_each(|partition| site.commit(partition, 0));
    let before = site.count(Topic::Results);
    let host = site.host_called(&format!("host-{mode}-{round}"));
    // The models are warm by then.
    site.wait_for_records(Topic::Results, before + frames / 10);
    let (from, began) = (site.count(Topic::Results), Instant::now());
    let (host_before, brokers_before) = (host.cpu_time(), cluster.cpu_time());
    wait_for("the backlog's results", || (site.count(Topic::Results) >= before + frames).then_some(()));
    let done = (before + frames - from) as f64;
    let milliseconds = |time: Duration| 1e3 * time.as_secs_f64() / done;
    let speed = Speed {
        per_second: done / began.elapsed().as_secs_f64(),
        host_ms: milliseconds(host.cpu_time() - host_before),
        brokers_ms: milliseconds(cluster.cpu_time() - brokers_before),
    };
    host.terminate();
    speed
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}

/// From a frame's record to its alert in the hands of a reader of what is committed.
fn latency(site: &Site, mode: &str, rate: u32, seconds: u64, man: &[Vec<u8>]) {
    configure(site, mode, &shipped_rules(&format!("cooldown_ms = {COOLDOWN_MS}")));
    site.enrol("viktor", &[&man[0], &man[30]]);
    let host = site.host();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (brokers, topic, stop) = (site.address().to_owned(), site.name(Topic::Alerts), stop.clone());
        move || read_alerts(&brokers, &topic, &stop)
    });
    // A frame is sent when it is taken: its record has the same time.
    let feed = Feed::start(site, rate, cameras(man.to_vec(), |_| now()));
    std::thread::sleep(Duration::from_secs(seconds));
    let sent = feed.stop();
    site.settled_audit();
    std::thread::sleep(Duration::from_secs(1));
    stop.store(true, Ordering::Relaxed);
    let mut latencies = reader.join().expect("the reader reads");
    // What came while the host warmed up is left out.
    latencies.drain(..latencies.len() / 10);
    latencies.sort_unstable();
    let at = |part: f64| latencies.get((part * latencies.len() as f64) as usize).copied().unwrap_or(-1);
    println!(
        "{mode}: {sent} frames at {rate}/s, {} alerts: p50 {} ms, p90 {} ms, p99 {} ms, most {} ms",
        latencies.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        latencies.last().copied().unwrap_or(-1)
    );
    host.terminate();
}

/// Milliseconds from each alert's frame to now, in the order of the alerts.
fn read_alerts(brokers: &str, topic: &str, stop: &AtomicBool) -> Vec<i64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "alerts")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).expect("the brokers answer");
    let mut assignment = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let begin = assignment.add_partition_offset(topic, partition.id(), Offset::Beginning);
        begin.expect("a topic can be read from its start");
    }
    consumer.assign(&assignment).expect("partitions can be assigned");
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let event: serde_json::Value =
            serde_json::from_slice(message.payload().unwrap_or_default()).expect("an alert is JSON");
        latencies.push(now() - event["data"]["capturedAt"].as_i64().expect("an alert has its frame's time"));
    }
    latencies
}
