//! A steady flow of frames in the background.

use crate::kafka::{self, Frame};
use crate::{Site, Topic, wait_for};
use rdkafka::producer::Producer as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Sends frames at a steady rate on a separate thread, also while brokers are away.
pub struct Feed {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Feed {
    /// Starts to send. The frames topic must exist.
    pub fn start(site: &Site, per_second: u32, frames: impl Iterator<Item = Frame> + Send + 'static) -> Self {
        let (brokers, topic) = (site.address().to_owned(), site.name(Topic::Frames));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread =
            std::thread::spawn(move || run(&brokers, &topic, Pace::new(per_second), frames, &stopped));
        Self { stop, thread: Some(thread) }
    }

    /// Stops, waits until the brokers have acknowledged every frame, and returns the number of frames.
    pub fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).expect("every frame is acknowledged")
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Pace {
    next: Instant,
    step: Duration,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        Self { next: Instant::now(), step: Duration::from_secs(1) / per_second }
    }

    fn wait(&mut self) {
        self.next += self.step;
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
    }
}

fn run(
    brokers: &str,
    topic: &str,
    mut pace: Pace,
    frames: impl Iterator<Item = Frame>,
    stop: &AtomicBool,
) -> usize {
    let producer = kafka::patient_producer(brokers);
    let mut count = 0;
    for frame in frames {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut waiting = Some(kafka::base_record(topic, &frame, count));
        wait_for("room in the producer's queue", || match producer.send(waiting.take()?) {
            Ok(()) => Some(()),
            Err((_, back)) => {
                waiting = Some(back);
                None
            }
        });
        count += 1;
        pace.wait();
    }
    // The producer never gives up a frame, so after the flush all are acknowledged.
    producer.flush(2 * crate::WAIT_TIMEOUT).expect("every frame is acknowledged");
    count
}
