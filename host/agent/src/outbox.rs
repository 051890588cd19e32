//! The outbox: the thread of the send queue, and the producer for the frames topic.

use super::entry::{Entry, Payload};
use super::inbox::{OfferResult, SharedInbox};
use super::send_queue::{Broker, SendQueue, SendSummary};
use super::spool::SpoolError;
use everyframe_config::KafkaSettings;
use everyframe_kafka::{BrokerError, Producer, Record};
use everyframe_privacy::KeyRing;
use everyframe_types::camera_notice::CameraNotice;
use everyframe_types::record::{
    CAPTURED_AT, DAMAGED, NOTICE, NOTICE_FRAMES, NOTICE_FROM, NOTICE_REASON, NOTICE_TO, REFUSED, SEQUENCE,
    SESSION, SOURCE,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The pause between attempts to find or create the topics.
const PREPARE_PAUSE: Duration = Duration::from_secs(1);

/// Creates missing topics.
pub type Prepare = Box<dyn Fn() -> Result<(), BrokerError> + Send>;

/// Why an agent cannot start to send.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The spool is in use or damaged.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The Kafka settings are invalid.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The operating system cannot start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Where to send a camera's frames, and where to spool them.
pub struct Destination {
    /// The camera's id: the records' key.
    pub camera: String,
    /// The frames topic.
    pub topic: String,
    /// How to reach the broker.
    pub kafka: KafkaSettings,
    /// The folder of the spool.
    pub spool: PathBuf,
    /// The most that the spool may hold, bytes.
    pub spool_bytes: u64,
    /// Encrypts the pictures in the spool.
    pub ring: Arc<KeyRing>,
}

/// Sends a camera's frames, and accounts for each.
pub(super) struct Outbox {
    shared: Arc<SharedInbox>,
    queue: JoinHandle<(SendSummary, Option<PathBuf>)>,
}

/// The counts when the outbox is closed.
pub(super) struct OutboxSummary {
    pub acknowledged: u64,
    pub in_spool: u64,
    pub refused: u64,
    pub spool: Option<PathBuf>,
}

impl Outbox {
    /// Opens the spool and starts the threads. `prepare` is called until it succeeds; before that, frames wait in the spool.
    ///
    /// # Errors
    ///
    /// See [`OutboxError`]: nothing was sent; show the message.
    pub fn open(to: &Destination, session: &Arc<str>, prepare: Prepare) -> Result<Self, OutboxError> {
        let shared = Arc::new(SharedInbox::new(&to.camera, to.spool_bytes));
        let state = Arc::new(Readiness::default());
        let topic = Topic {
            producer: Producer::new(&to.kafka)?,
            kafka: to.kafka.clone(),
            name: to.topic.clone(),
            camera: to.camera.clone(),
            shared: shared.clone(),
            state: state.clone(),
        };
        let spool = (to.spool.clone(), to.ring.clone());
        let mut queue = SendQueue::open(shared.clone(), topic, spool, &to.camera, session.clone())?;
        let (topic, camera) = (to.topic.clone(), to.camera.clone());
        let state = Arc::downgrade(&state);
        // Not joined at the end, because an attempt may take a while.
        std::thread::Builder::new().name("topics".into()).spawn(move || {
            let mut last_logged = String::new();
            while let Some(state) = state.upgrade() {
                state.prepare_topics(&topic, &camera, &prepare, &mut last_logged);
                drop(state);
                std::thread::sleep(PREPARE_PAUSE);
            }
        })?;
        let queue = std::thread::Builder::new().name("send-queue".into()).spawn({
            let shared = shared.clone();
            move || {
                loop {
                    shared.wait();
                    let closed = shared.lock().closed;
                    let now = Instant::now();
                    queue.step(now);
                    if closed.is_some_and(|until| queue.is_empty() || now >= until) {
                        let spool = queue.spool();
                        return (queue.finish(now), spool);
                    }
                }
            }
        })?;
        Ok(Self { shared, queue })
    }

    /// Adds an entry to the queue; see [`SharedInbox::offer`].
    pub fn offer(&self, entry: Entry, patient: bool, stop: &AtomicBool) -> OfferResult {
        self.shared.offer(entry, patient, stop)
    }

    /// Waits for the acknowledgements, at most for `patience`. Entries without one stay in the spool.
    pub fn close(self, patience: Duration) -> OutboxSummary {
        self.shared.close(Instant::now() + patience);
        let ended = self.queue.join();
        let mut inbox = self.shared.lock();
        inbox.log_refusals(Instant::now(), true);
        let refused = inbox.refused();
        match ended {
            Ok((ended, spool)) => {
                if ended.lost > 0 {
                    tracing::error!(
                        "{} frames could be neither sent nor spooled; they count as refused",
                        ended.lost
                    );
                }
                let (acknowledged, in_spool) = (ended.acknowledged, ended.in_spool);
                OutboxSummary { acknowledged, in_spool, refused: refused + ended.lost, spool }
            }
            Err(_) => {
                tracing::error!(
                    "a defect of Everyframe ended the send queue; the next start sends the frames in the spool"
                );
                OutboxSummary { acknowledged: 0, in_spool: 0, refused, spool: None }
            }
        }
    }
}

/// Whether the frames topic exists, and the last error of preparing it.
#[derive(Default)]
struct Readiness {
    is_ready: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Readiness {
    /// Prepares the topics unless the frames topic is known to exist. An error is logged unless it was logged last time.
    fn prepare_topics(&self, topic: &str, camera: &str, prepare: &Prepare, last_logged: &mut String) {
        if self.is_ready.load(Ordering::Relaxed) {
            return;
        }
        let result = prepare();
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
            result.as_ref().err().map(ToString::to_string);
        match result {
            Ok(()) => self.is_ready.store(true, Ordering::Relaxed),
            // The send queue logs that the broker is away.
            Err(BrokerError::Unreachable { .. }) => {}
            Err(error) => {
                let message = error.to_string();
                // The frames topic is created first, so it exists. The host needs the others, the agent does not.
                let is_others = matches!(&error, BrokerError::NotCreated { topic: of, .. } if of != topic);
                self.is_ready.store(is_others, Ordering::Relaxed);
                if message != *last_logged {
                    let then = if is_others { "frames are sent nevertheless" } else { "trying again" };
                    tracing::warn!(camera, "{message}; {then}");
                    *last_logged = message;
                }
            }
        }
    }
}

/// The headers of a notice about the camera.
fn notice_headers(notice: &CameraNotice) -> impl Iterator<Item = (&'static str, String)> {
    let CameraNotice { kind, from, to, frames, reason } = notice;
    [
        (NOTICE, Some(kind.as_str().to_owned())),
        (NOTICE_FROM, Some(from.to_string())),
        (NOTICE_TO, to.map(|to| to.to_string())),
        (NOTICE_FRAMES, (*frames > 0).then(|| frames.to_string())),
        (NOTICE_REASON, (!reason.is_empty()).then(|| reason.clone())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

/// The frames topic, as the send queue's broker.
struct Topic {
    producer: Producer,
    kafka: KafkaSettings,
    name: String,
    camera: String,
    shared: Arc<SharedInbox>,
    state: Arc<Readiness>,
}

impl Broker for Topic {
    fn send(&mut self, position: u64, entry: &Entry) -> bool {
        let mut headers = vec![(SESSION, entry.session.to_string())];
        let value = match &entry.payload {
            Payload::Frame { sequence, captured_at, source, is_damaged, picture } => {
                headers.push((SEQUENCE, sequence.to_string()));
                headers.push((CAPTURED_AT, captured_at.to_string()));
                headers.extend(source.map(|source| (SOURCE, source.as_str().to_owned())));
                headers.extend(is_damaged.then(|| (DAMAGED, "1".to_owned())));
                Some(picture.as_slice())
            }
            Payload::Refused { first, last } => {
                headers.push((REFUSED, format!("{first}-{last}")));
                None
            }
            Payload::Notice(notice) => {
                headers.extend(notice_headers(notice));
                None
            }
        };
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let key = Some(self.camera.as_bytes());
        let record = Record { topic: &self.name, key, value, headers: &headers, ..Record::default() };
        let shared = self.shared.clone();
        let delivery = Box::new(move |result| shared.report_delivery(position, result));
        self.producer.try_send(record, delivery).is_ok()
    }

    fn is_ready(&self) -> bool {
        self.state.is_ready.load(Ordering::Relaxed)
    }

    fn renew(&mut self) {
        self.state.is_ready.store(false, Ordering::Relaxed);
        match Producer::new(&self.kafka) {
            Ok(producer) => self.producer = producer,
            Err(error) => tracing::warn!(camera = self.camera, "{error}"),
        }
    }

    fn trouble(&self) -> Option<String> {
        let of_topics = self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.producer.trouble().or(of_topics)
    }
}
