//! The line with a broker that does as it is told, and a clock that is set by hand.

use super::inbox::{Offered, Shared};
use super::send_queue::{Broker, DELAY, Ended, Line};
use super::spool::{Entry, What};
use everyframe_kafka::BrokerError;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What reached the fake broker, and how much its queue takes.
#[derive(Clone, Default)]
struct Fake {
    sent: Arc<Mutex<Vec<(u64, Entry)>>>,
    room: Arc<AtomicUsize>,
    renewed: Arc<AtomicUsize>,
}

impl Broker for Fake {
    fn send(&mut self, position: u64, entry: &Entry) -> bool {
        let mut sent = self.sent.lock().expect("no panic");
        let has_room = sent.len() < self.room.load(Ordering::Relaxed);
        if has_room {
            sent.push((position, entry.clone()));
        }
        has_room
    }
    fn is_ready(&self) -> bool {
        self.room.load(Ordering::Relaxed) > 0
    }
    fn renew(&mut self) {
        self.renewed.fetch_add(1, Ordering::Relaxed);
    }
    fn trouble(&self) -> Option<String> {
        None
    }
}

struct Bench {
    shared: Arc<Shared>,
    fake: Fake,
    line: Line<Fake>,
    now: Instant,
    session: Arc<str>,
    next: u64,
}

impl Bench {
    /// A line with room for so many bytes in its spool, and for so many entries in the producer's queue.
    fn new(folder: &Path, session: &str, spool_bytes: u64, room: usize) -> Self {
        let (shared, fake) = (Arc::new(Shared::new("gate", spool_bytes)), Fake::default());
        fake.room.store(room, Ordering::Relaxed);
        let session: Arc<str> = session.into();
        let line = Line::open(shared.clone(), fake.clone(), folder.to_owned(), "gate", session.clone())
            .expect("a line");
        Self { shared, fake, line, now: Instant::now(), session, next: 0 }
    }

    /// Offers so many frames of 10 kB (16 KiB in the spool); tells how many were taken.
    fn offer(&mut self, count: u64) -> u64 {
        let taken = (0..count).filter(|_| {
            let what =
                What::Frame { sequence: self.next, captured_at: 0, source: None, picture: vec![7; 10_000] };
            self.next += 1;
            let entry = Entry { session: self.session.clone(), what };
            self.shared.offer(entry, false, &AtomicBool::new(false)) == Offered::Taken
        });
        taken.count() as u64
    }

    /// What happens when it is so much later than now.
    fn step(&mut self, later: Duration) {
        self.now = Instant::now() + later;
        self.line.step(self.now);
    }

    /// What was sent since the last time.
    fn sent(&self) -> Vec<(u64, Entry)> {
        let mut sent = self.fake.sent.lock().expect("no panic");
        self.fake.room.fetch_sub(sent.len(), Ordering::Relaxed);
        std::mem::take(&mut *sent)
    }

    fn room(&self, room: usize) {
        self.fake.room.store(room, Ordering::Relaxed);
    }

    /// Acknowledges these.
    fn acknowledge(&self, sent: &[(u64, Entry)]) {
        sent.iter().for_each(|(position, _)| self.shared.settle(*position, Ok(())));
    }

    fn end(self) -> Ended {
        self.line.end(self.now)
    }
}

/// As short text: `0 1 2 3-9`.
fn words(sent: &[(u64, Entry)]) -> String {
    let words = sent.iter().map(|(_, entry)| match &entry.what {
        What::Frame { sequence, .. } => sequence.to_string(),
        What::Refused { first, last } => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn file_length(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("gate.redb")).expect("the spool is there").len()
}

fn refused() -> BrokerError {
    BrokerError::Refused { topic: "frames".into(), reason: "no right".into() }
}

#[test]
fn a_prompt_broker_costs_no_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::new(folder.path(), "s", 1 << 30, 1000);
    let before = std::fs::read(folder.path().join("gate.redb")).expect("the spool is there");
    for _ in 0..20 {
        bench.offer(3);
        bench.step(Duration::ZERO);
        bench.acknowledge(&bench.sent());
        bench.room(1000);
        bench.step(DELAY / 2);
    }
    assert!(bench.line.is_empty());
    assert!(std::fs::read(folder.path().join("gate.redb")).expect("the spool is there") == before);
    assert_eq!(bench.end(), Ended { acknowledged: 60, in_spool: 0, lost: 0 });
}

#[test]
fn what_is_not_acknowledged_in_time_is_in_the_spool_whatever_happens_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::new(folder.path(), "s", 1 << 30, 2);
    bench.offer(5);
    bench.step(DELAY);
    let crashed = tempfile::tempdir().expect("a folder");
    std::fs::copy(folder.path().join("gate.redb"), crashed.path().join("gate.redb")).expect("a copy");
    let mut next = Bench::new(crashed.path(), "t", 1 << 30, 100);
    next.offer(2);
    next.step(Duration::ZERO);
    let sent = next.sent();
    assert_eq!(words(&sent), "0 1 2 3 4 0 1", "all of the old session, then the new one");
    assert!(sent[..5].iter().all(|(_, entry)| &*entry.session == "s"));
    next.acknowledge(&sent);
    next.step(Duration::ZERO);
    assert!(next.line.is_empty());
    assert_eq!(next.end(), Ended { acknowledged: 2, in_spool: 0, lost: 0 });
    let mut last = Bench::new(crashed.path(), "u", 1 << 30, 100);
    last.step(Duration::ZERO);
    assert_eq!(words(&last.sent()), "", "what was acknowledged is not sent again");
}

#[test]
fn order_is_kept_from_memory_by_way_of_the_spool_to_memory_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::new(folder.path(), "s", 1 << 30, 3);
    bench.offer(10);
    bench.step(DELAY);
    bench.offer(10);
    bench.step(DELAY);
    bench.offer(5);
    let mut all = bench.sent();
    assert_eq!(words(&all), "0 1 2");
    bench.acknowledge(&all);
    for _ in 0..20 {
        bench.room(2);
        bench.step(DELAY / 3);
        let sent = bench.sent();
        bench.acknowledge(&sent);
        all.extend(sent);
    }
    let expected: Vec<String> = (0..25).map(|number| number.to_string()).collect();
    assert_eq!(words(&all), expected.join(" "));
    assert_eq!(bench.end(), Ended { acknowledged: 25, in_spool: 0, lost: 0 });
}

#[test]
fn a_full_spool_refuses_and_says_so_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    // Ten frames.
    let mut bench = Bench::new(folder.path(), "s", 10 * 16_384, 2);
    assert_eq!(bench.offer(14), 10);
    bench.step(DELAY);
    assert_eq!(bench.offer(3), 0);
    bench.step(DELAY);
    assert_eq!(bench.offer(3), 0);
    let first = bench.sent();
    bench.acknowledge(&first);
    bench.step(DELAY);
    assert_eq!(bench.offer(4), 2, "two are acknowledged");
    bench.step(DELAY);
    assert!(file_length(folder.path()) < 4 << 20);
    // Killed, and begun again.
    drop(bench);
    let mut bench = Bench::new(folder.path(), "t", 10 * 16_384, 100);
    assert_eq!(bench.offer(2), 0, "what it holds counts");
    bench.step(Duration::ZERO);
    assert_eq!(words(&bench.sent()), "2 3 4 5 6 7 8 9 10-19 20 21 22-23 0-1");
}

#[test]
fn what_the_broker_refuses_is_sent_again_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::new(folder.path(), "s", 1 << 30, 100);
    bench.offer(4);
    bench.step(Duration::ZERO);
    let sent = bench.sent();
    bench.acknowledge(&sent[..1]);
    bench.shared.settle(sent[1].0, Err(refused()));
    bench.step(DELAY);
    bench.offer(1);
    bench.step(DELAY);
    assert_eq!(words(&bench.sent()), "", "nothing overtakes while others are under way");
    sent[2..].iter().for_each(|(position, _)| bench.shared.settle(*position, Err(refused())));
    bench.step(Duration::ZERO);
    assert_eq!(bench.fake.renewed.load(Ordering::Relaxed), 1);
    bench.step(Duration::from_secs(2));
    let again = bench.sent();
    assert_eq!(words(&again), "1 2 3 4");
    bench.acknowledge(&again);
    bench.step(Duration::ZERO);
    assert_eq!(bench.end(), Ended { acknowledged: 5, in_spool: 0, lost: 0 });
}

#[test]
fn a_frame_that_no_broker_would_take_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::new(folder.path(), "s", 1 << 30, 100);
    bench.offer(3);
    bench.step(Duration::ZERO);
    let sent = bench.sent();
    let unfit = BrokerError::Unfit { topic: "frames".into(), reason: "too large".into() };
    bench.shared.settle(sent[0].0, Ok(()));
    bench.shared.settle(sent[1].0, Err(unfit));
    bench.shared.settle(sent[2].0, Ok(()));
    bench.step(Duration::ZERO);
    let again = bench.sent();
    assert_eq!(words(&again), "1-1");
    bench.acknowledge(&again);
    bench.step(Duration::ZERO);
    assert!(bench.line.is_empty());
    assert_eq!(bench.shared.lock().refused(), 1);
    assert_eq!(bench.end(), Ended { acknowledged: 2, in_spool: 0, lost: 0 });
}

#[test]
fn without_a_spool_the_broker_gets_what_it_takes_and_memory_is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("taken");
    std::fs::write(&file, b"a file where the folder would be").expect("a file");
    let mut bench = Bench::new(&file, "s", 1 << 30, 100);
    assert_eq!(bench.offer(20), 20);
    bench.step(DELAY);
    let sent = bench.sent();
    assert_eq!(sent.len(), 20);
    bench.acknowledge(&sent);
    bench.room(0);
    let taken = bench.offer(2000);
    assert!((400..600).contains(&taken), "8 MiB: {taken}");
    bench.step(DELAY);
    assert_eq!(bench.offer(1), 0);
    let ended = bench.end();
    assert_eq!(ended, Ended { acknowledged: 20, in_spool: 0, lost: taken });
}
