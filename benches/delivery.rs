//! What exactly once costs, and how soon an alert is there: on a cluster of three nodes on this machine.
//!
//! `cargo bench --workspace --bench delivery`: the same backlog in both modes in turns, so that what the machine
//! does meanwhile hits both alike; then frames as they come, at a part of what the host could do.
//!
//!   ROUNDS=N   of each mode (default 3)
//!   FRAMES=N   of the backlog (default 3000)
//!   SECONDS=N  of the frames as they come (default 60)

use everyframe_tests::{Cluster, Feed, Frame, Part, Site, Topic, pictures, shipped_rules, wait_for};
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
/// As many hosts as share the work at most.
const HOSTS: usize = 3;
/// For the host's models and the brokers' just-in-time compilers, and then for finding what the host can take.
const WARM_UP: Duration = Duration::from_secs(20);

fn main() {
    // `cargo bench` passes words of its own.
    let (rounds, frames, seconds) = (number("ROUNDS", 3), number("FRAMES", 3000), number("SECONDS", 60));
    let cluster = Cluster::start();
    let site = Site::on(&cluster, PARTITIONS);
    configure(&site, "auto", &shipped_rules(""));
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let evenly = |number| 1_764_000_000_000 + 100 * number as i64;
    site.send(&cameras("backlog", always(man.clone()), evenly).take(frames).collect::<Vec<_>>());

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
    growth(&site, frames);
    drop(site);

    let too_many = (1.2 * often.per_second).round() as u32;
    for mode in MODES {
        latency(&Site::on(&cluster, PARTITIONS), mode, too_many, seconds as u64, &man);
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn configure(site: &Site, mode: &str, rules: &str) {
    site.configure(&format!("[intake]\nworkers = 0\n\n[publish]\ndelivery = \"{mode}\"\n"), rules);
}

/// Four cameras in turns, taken when `at` says for the camera's frame of this number.
fn cameras(
    session: &'static str,
    picture: impl Fn(i32, usize) -> Vec<u8> + Send + 'static,
    at: impl Fn(usize) -> i64 + Send + 'static,
) -> impl Iterator<Item = Frame> + Send + 'static {
    (0usize..).map(move |turn| {
        let (number, camera) = (turn / PARTITIONS as usize, (turn % PARTITIONS as usize) as i32);
        let stamp = Some((session.into(), number as u64, at(number)));
        Frame { stamp, ..Frame::new(&format!("camera-{camera}"), &picture(camera, number)).to(camera) }
    })
}

/// The man all the time.
fn always(man: Vec<Vec<u8>>) -> impl Fn(i32, usize) -> Vec<u8> + Send + 'static {
    move |_, number| man[number % man.len()].clone()
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

/// How fast hosts of one worker each do the backlog together: from when the last of them has a partition until more
/// than half is done, while each still has some.
fn growth(site: &Site, frames: usize) {
    site.configure("[intake]\nworkers = 1\n", &shipped_rules(""));
    println!("| hosts of one worker | frames/s | their cores |");
    println!("| --- | --- | --- |");
    for count in 1..=HOSTS {
        (0..PARTITIONS).for_each(|partition| site.commit(partition, 0));
        let before = site.count(Topic::Results);
        let name = |number| format!("host-{number}-of-{count}");
        let mut hosts: Vec<Part> =
            (1..=count).map(|number| site.start_everyframe(&name(number), &["run"])).collect();
        hosts.iter_mut().for_each(|host| host.wait_for_word("partition assigned"));
        let cpu = || hosts.iter().map(Part::cpu_time).sum::<Duration>();
        site.wait_for_records(Topic::Results, before + frames / 10);
        let (from, began, cpu_before) = (site.count(Topic::Results), Instant::now(), cpu());
        let enough = before + frames * 6 / 10;
        wait_for("six tenths of the backlog", || (site.count(Topic::Results) >= enough).then_some(()));
        let seconds = began.elapsed().as_secs_f64();
        let per_second = (site.count(Topic::Results) - from) as f64 / seconds;
        println!("| {count} | {per_second:.1} | {:.2} |", (cpu() - cpu_before).as_secs_f64() / seconds);
        hosts.into_iter().for_each(|host| drop(host.terminate()));
    }
}

/// From a frame's record to its alert in the hands of a reader of what is committed.
fn latency(site: &Site, mode: &str, too_many: u32, seconds: u64, man: &[Vec<u8>]) {
    configure(site, mode, &shipped_rules(&format!("cooldown_ms = {COOLDOWN_MS}")));
    site.enrol("viktor", &[&man[0], &man[30]]);
    let host = site.host();
    // What it takes while frames come: their producer and the brokers that replicate them need the same cores.
    let feed = Feed::start(site, too_many, cameras("flood", always(man.to_vec()), |_| now()));
    std::thread::sleep(WARM_UP);
    let (before, began) = (site.count(Topic::Results), Instant::now());
    std::thread::sleep(WARM_UP);
    let capacity = (site.count(Topic::Results) - before) as f64 / began.elapsed().as_secs_f64();
    let flood = feed.stop();
    wait_for("the flood's results", || (site.count(Topic::Results) >= flood).then_some(()));

    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (brokers, topic, stop) = (site.address().to_owned(), site.name(Topic::Alerts), stop.clone());
        move || read_alerts(&brokers, &topic, &stop)
    });
    // Into each camera's sight in his turn, or the four alerts would come at once and wait for each other.
    let (began, of_man, nobody) = (now(), always(man.to_vec()), pictures::grey(640, 360));
    let in_turns = move |camera, number| {
        let comes = began + i64::from(camera) * i64::from(COOLDOWN_MS) / i64::from(PARTITIONS);
        if now() < comes { nobody.clone() } else { of_man(camera, number) }
    };
    // A frame is sent when it is taken: its record has the same time.
    let rate = (LOAD * capacity).round() as u32;
    let feed = Feed::start(site, rate, cameras("load", in_turns, |_| now()));
    // Its producer connects.
    std::thread::sleep(Duration::from_secs(3));
    let from = now();
    std::thread::sleep(Duration::from_secs(seconds));
    let sent = feed.stop();
    wait_for("the load's results", || (site.count(Topic::Results) >= flood + sent).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    stop.store(true, Ordering::Relaxed);
    let mut alerts = reader.join().expect("the reader reads");
    alerts.retain(|alert| alert.taken >= from);
    let percentiles = |latency: fn(&Alert) -> i64| {
        let mut values: Vec<i64> = alerts.iter().map(latency).collect();
        values.sort_unstable();
        let at = |part: f64| values.get((part * values.len() as f64) as usize).copied().unwrap_or(-1);
        format!("p50 {}, p90 {}, p99 {}, most {}", at(0.5), at(0.9), at(0.99), at(0.999_999))
    };
    println!("{mode}: {rate} frames/s, {LOAD} of {capacity:.0}; {} alerts, milliseconds:", alerts.len());
    println!("  from the frame to the alert's reader: {}", percentiles(|alert| alert.seen - alert.taken));
    println!("  of these, from its being sent: {}", percentiles(|alert| alert.seen - alert.sent));
    host.terminate();
}

/// Milliseconds since 1970.
struct Alert {
    taken: i64,
    sent: i64,
    seen: i64,
}

fn read_alerts(brokers: &str, topic: &str, stop: &AtomicBool) -> Vec<Alert> {
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
    let mut alerts = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let event: serde_json::Value =
            serde_json::from_slice(message.payload().unwrap_or_default()).expect("an alert is JSON");
        let taken = event["data"]["capturedAt"].as_i64().expect("an alert has its frame's time");
        let sent = message.timestamp().to_millis().expect("a record has its time");
        alerts.push(Alert { taken, sent, seen: now() });
    }
    alerts
}
