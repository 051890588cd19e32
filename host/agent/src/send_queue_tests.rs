//! The send queue with a fake broker and a manual clock.

use super::entry::{Entry, Payload};
use super::inbox::{OfferResult, SharedInbox};
use super::send_queue::{Broker, DELAY, SendQueue, SendSummary};
use everyframe_kafka::BrokerError;
use everyframe_privacy::KeyRing;
use everyframe_types::camera_notice::{CameraNotice, NoticeKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A fake broker: the entries that it got, and the room in its queue.
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

struct Fixture {
    shared: Arc<SharedInbox>,
    fake: Fake,
    queue: SendQueue<Fake>,
    now: Instant,
    session: Arc<str>,
    next: u64,
}

impl Fixture {
    /// A send queue with room for `spool_bytes` in its spool and for `room` entries in the producer's queue.
    fn new(folder: &Path, session: &str, spool_bytes: u64, room: usize) -> Self {
        let (shared, fake) = (Arc::new(SharedInbox::new("gate", spool_bytes)), Fake::default());
        fake.room.store(room, Ordering::Relaxed);
        let session: Arc<str> = session.into();
        let ring = Arc::new(KeyRing::empty());
        let queue =
            SendQueue::open(shared.clone(), fake.clone(), (folder.to_owned(), ring), "gate", session.clone())
                .expect("a line");
        Self { shared, fake, queue, now: Instant::now(), session, next: 0 }
    }

    /// Offers `count` frames of 10 kB (16 KiB in the spool), and returns how many were taken.
    fn offer(&mut self, count: u64) -> u64 {
        let taken = (0..count).filter(|_| {
            let payload = Payload::Frame {
                sequence: self.next,
                captured_at: 0,
                source: None,
                is_damaged: false,
                picture: vec![7; 10_000],
            };
            self.next += 1;
            let entry = Entry { session: self.session.clone(), payload };
            self.shared.offer(entry, false, &AtomicBool::new(false)) == OfferResult::Taken
        });
        taken.count() as u64
    }

    /// Runs a step at a time that is `later` than now.
    fn step(&mut self, later: Duration) {
        self.now = Instant::now() + later;
        self.queue.step(self.now);
    }

    /// The entries that were sent since the last call.
    fn sent(&self) -> Vec<(u64, Entry)> {
        let mut sent = self.fake.sent.lock().expect("no panic");
        self.fake.room.fetch_sub(sent.len(), Ordering::Relaxed);
        std::mem::take(&mut *sent)
    }

    fn room(&self, room: usize) {
        self.fake.room.store(room, Ordering::Relaxed);
    }

    /// Acknowledges these entries.
    fn acknowledge(&self, sent: &[(u64, Entry)]) {
        sent.iter().for_each(|(position, _)| self.shared.report_delivery(*position, Ok(())));
    }

    fn end(self) -> SendSummary {
        self.queue.finish(self.now)
    }
}

/// Sent entries as a short text: `0 1 2 3-9`.
fn sent_text(sent: &[(u64, Entry)]) -> String {
    let words = sent.iter().map(|(_, entry)| match &entry.payload {
        Payload::Frame { sequence, .. } => sequence.to_string(),
        Payload::Refused { first, last } => format!("{first}-{last}"),
        Payload::Notice(notice) => notice.kind.as_str().to_owned(),
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
fn a_fast_broker_needs_no_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fixture = Fixture::new(folder.path(), "s", 1 << 30, 1000);
    let before = std::fs::read(folder.path().join("gate.redb")).expect("the spool is there");
    for _ in 0..20 {
        fixture.offer(3);
        fixture.step(Duration::ZERO);
        fixture.acknowledge(&fixture.sent());
        fixture.room(1000);
        fixture.step(DELAY / 2);
    }
    assert!(fixture.queue.is_empty());
    assert!(std::fs::read(folder.path().join("gate.redb")).expect("the spool is there") == before);
    assert_eq!(fixture.end(), SendSummary { acknowledged: 60, in_spool: 0, lost: 0 });
}

#[test]
fn unacknowledged_frames_survive_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fixture = Fixture::new(folder.path(), "s", 1 << 30, 2);
    fixture.offer(5);
    fixture.step(DELAY);
    let crashed = tempfile::tempdir().expect("a folder");
    std::fs::copy(folder.path().join("gate.redb"), crashed.path().join("gate.redb")).expect("a copy");
    let mut next = Fixture::new(crashed.path(), "t", 1 << 30, 100);
    next.offer(2);
    next.step(Duration::ZERO);
    let sent = next.sent();
    assert_eq!(sent_text(&sent), "0 1 2 3 4 0 1", "all of the old session, then the new one");
    assert!(sent[..5].iter().all(|(_, entry)| &*entry.session == "s"));
    next.acknowledge(&sent);
    next.step(Duration::ZERO);
    assert!(next.queue.is_empty());
    assert_eq!(next.end(), SendSummary { acknowledged: 2, in_spool: 0, lost: 0 });
    let mut last = Fixture::new(crashed.path(), "u", 1 << 30, 100);
    last.step(Duration::ZERO);
    assert_eq!(sent_text(&last.sent()), "", "acknowledged frames are not sent again");
}

#[test]
fn order_is_kept_through_memory_and_spool() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fixture = Fixture::new(folder.path(), "s", 1 << 30, 3);
    fixture.offer(10);
    fixture.step(DELAY);
    fixture.offer(10);
    fixture.step(DELAY);
    fixture.offer(5);
    let mut all = fixture.sent();
    assert_eq!(sent_text(&all), "0 1 2");
    fixture.acknowledge(&all);
    for _ in 0..20 {
        fixture.room(2);
        fixture.step(DELAY / 3);
        let sent = fixture.sent();
        fixture.acknowledge(&sent);
        all.extend(sent);
    }
    let expected: Vec<String> = (0..25).map(|number| number.to_string()).collect();
    assert_eq!(sent_text(&all), expected.join(" "));
    assert_eq!(fixture.end(), SendSummary { acknowledged: 25, in_spool: 0, lost: 0 });
}

#[test]
fn a_full_spool_refuses_frames_in_their_place() {
    let folder = tempfile::tempdir().expect("a folder");
    // Ten frames.
    let mut fixture = Fixture::new(folder.path(), "s", 10 * 16_384, 2);
    assert_eq!(fixture.offer(14), 10);
    fixture.step(DELAY);
    assert_eq!(fixture.offer(3), 0);
    fixture.step(DELAY);
    assert_eq!(fixture.offer(3), 0);
    let first = fixture.sent();
    fixture.acknowledge(&first);
    fixture.step(DELAY);
    assert_eq!(fixture.offer(4), 2, "two are acknowledged");
    fixture.step(DELAY);
    assert!(file_length(folder.path()) < 4 << 20);
    // Killed and started again.
    drop(fixture);
    let mut fixture = Fixture::new(folder.path(), "t", 10 * 16_384, 100);
    assert_eq!(fixture.offer(2), 0, "its content counts");
    fixture.step(Duration::ZERO);
    assert_eq!(sent_text(&fixture.sent()), "2 3 4 5 6 7 8 9 10-19 20 21 22-23 0-1");
}

#[test]
fn refused_records_are_sent_again_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fixture = Fixture::new(folder.path(), "s", 1 << 30, 100);
    fixture.offer(4);
    fixture.step(Duration::ZERO);
    let sent = fixture.sent();
    fixture.acknowledge(&sent[..1]);
    fixture.shared.report_delivery(sent[1].0, Err(refused()));
    fixture.step(DELAY);
    fixture.offer(1);
    fixture.step(DELAY);
    assert_eq!(sent_text(&fixture.sent()), "", "no entry overtakes while others are in flight");
    sent[2..].iter().for_each(|(position, _)| fixture.shared.report_delivery(*position, Err(refused())));
    fixture.step(Duration::ZERO);
    assert_eq!(fixture.fake.renewed.load(Ordering::Relaxed), 1);
    fixture.step(Duration::from_secs(2));
    let again = fixture.sent();
    assert_eq!(sent_text(&again), "1 2 3 4");
    fixture.acknowledge(&again);
    fixture.step(Duration::ZERO);
    assert_eq!(fixture.end(), SendSummary { acknowledged: 5, in_spool: 0, lost: 0 });
}

#[test]
fn a_frame_that_no_broker_takes_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fixture = Fixture::new(folder.path(), "s", 1 << 30, 100);
    fixture.offer(3);
    fixture.step(Duration::ZERO);
    let sent = fixture.sent();
    let unfit = BrokerError::Unfit { topic: "frames".into(), reason: "too large".into() };
    fixture.shared.report_delivery(sent[0].0, Ok(()));
    fixture.shared.report_delivery(sent[1].0, Err(unfit));
    fixture.shared.report_delivery(sent[2].0, Ok(()));
    fixture.step(Duration::ZERO);
    let again = fixture.sent();
    assert_eq!(sent_text(&again), "1-1");
    fixture.acknowledge(&again);
    fixture.step(Duration::ZERO);
    assert!(fixture.queue.is_empty());
    assert_eq!(fixture.shared.lock().refused(), 1);
    assert_eq!(fixture.end(), SendSummary { acknowledged: 2, in_spool: 0, lost: 0 });
}

#[test]
fn without_a_spool_memory_is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("taken");
    std::fs::write(&file, b"a file where the folder would be").expect("a file");
    let mut fixture = Fixture::new(&file, "s", 1 << 30, 100);
    assert_eq!(fixture.offer(20), 20);
    fixture.step(DELAY);
    let sent = fixture.sent();
    assert_eq!(sent.len(), 20);
    fixture.acknowledge(&sent);
    fixture.room(0);
    let taken = fixture.offer(2000);
    assert!((400..600).contains(&taken), "8 MiB: {taken}");
    fixture.step(DELAY);
    assert_eq!(fixture.offer(1), 0);
    let ended = fixture.end();
    assert_eq!(ended, SendSummary { acknowledged: 20, in_spool: 0, lost: taken });
}

#[test]
fn a_notice_keeps_its_place_also_when_the_spool_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fixture = Fixture::new(folder.path(), "s", 40_000, 100);
    assert_eq!(fixture.offer(9), 2);
    let notice = CameraNotice { kind: NoticeKind::Away, from: 0, to: None, frames: 0, reason: "off".into() };
    let entry = Entry { session: fixture.session.clone(), payload: Payload::Notice(notice) };
    assert_eq!(fixture.shared.offer(entry, false, &AtomicBool::new(false)), OfferResult::Taken);
    fixture.step(Duration::ZERO);
    assert_eq!(sent_text(&fixture.sent()), "0 1 2-8 away");
}
