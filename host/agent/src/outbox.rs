//! The line, at work: a thread that moves it, and the frames topic at its end.

use super::inbox::{Offered, Shared};
use super::send_queue::{Broker, Ended, Line};
use super::spool::{Entry, SpoolError, What};
use everyframe_config::KafkaSettings;
use everyframe_kafka::{BrokerError, Producer, Record};
use everyframe_types::record::{CAPTURED_AT, REFUSED, SEQUENCE, SESSION, SOURCE};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between attempts to find or make the topic.
const AGAIN: Duration = Duration::from_secs(1);

/// Creates the topics where they are missing.
pub type Prepare = Box<dyn Fn() -> Result<(), BrokerError> + Send>;

/// Why an agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Its spool is in use or damaged.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Its settings for Kafka are wrong.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Where a camera's frames go, and where they wait.
pub struct Destination {
    /// The camera's id: the records' key.
    pub camera: String,
    /// The frames topic.
    pub topic: String,
    /// How to reach the broker.
    pub kafka: KafkaSettings,
    /// The folder of the spool.
    pub spool: PathBuf,
    /// How much the spool may hold, bytes.
    pub spool_bytes: u64,
}

/// Takes a camera's frames, and answers for each.
pub(super) struct Outbox {
    shared: Arc<Shared>,
    line: JoinHandle<(Ended, Option<PathBuf>)>,
}

/// How it all ended.
pub(super) struct Account {
    pub acknowledged: u64,
    pub in_spool: u64,
    pub refused: u64,
    pub spool: Option<PathBuf>,
}

impl Outbox {
    /// Opens the spool and begins to send. `prepare` is asked until it succeeds; before that, frames wait in the spool.
    pub fn open(to: &Destination, session: &Arc<str>, prepare: Prepare) -> Result<Self, OutboxError> {
        let shared = Arc::new(Shared::new(&to.camera, to.spool_bytes));
        let state = Arc::new(Readiness::default());
        let topic = Topic {
            producer: Producer::new(&to.kafka)?,
            kafka: to.kafka.clone(),
            name: to.topic.clone(),
            camera: to.camera.clone(),
            shared: shared.clone(),
            state: state.clone(),
        };
        let spool = to.spool.clone();
        let mut line = Line::open(shared.clone(), topic, spool, &to.camera, session.clone())?;
        let (topic, camera) = (to.topic.clone(), to.camera.clone());
        let state = Arc::downgrade(&state);
        // Nobody waits for it: an attempt may take a while.
        std::thread::Builder::new().name("topics".into()).spawn(move || {
            let mut told = String::new();
            while let Some(state) = state.upgrade() {
                state.look(&topic, &camera, &prepare, &mut told);
                drop(state);
                std::thread::sleep(AGAIN);
            }
        })?;
        let line = std::thread::Builder::new().name("line".into()).spawn({
            let shared = shared.clone();
            move || {
                loop {
                    shared.wait();
                    let closed = shared.lock().closed;
                    let now = Instant::now();
                    line.step(now);
                    if closed.is_some_and(|until| line.is_empty() || now >= until) {
                        let spool = line.spool();
                        return (line.end(now), spool);
                    }
                }
            }
        })?;
        Ok(Self { shared, line })
    }

    /// Puts an entry at the end of the line; see [`Shared::offer`].
    pub fn offer(&self, entry: Entry, patient: bool, stop: &AtomicBool) -> Offered {
        self.shared.offer(entry, patient, stop)
    }

    /// Waits for the acknowledgements, at most so long, and leaves what is without one in the spool.
    pub fn close(self, patience: Duration) -> Account {
        self.shared.close(Instant::now() + patience);
        let ended = self.line.join();
        let mut inbox = self.shared.lock();
        inbox.tell_refusals(Instant::now(), true);
        let refused = inbox.refused();
        match ended {
            Ok((ended, spool)) => {
                if ended.lost > 0 {
                    tracing::error!("{} frames had nowhere to go and count as refused", ended.lost);
                }
                let (acknowledged, in_spool) = (ended.acknowledged, ended.in_spool);
                Account { acknowledged, in_spool, refused: refused + ended.lost, spool }
            }
            Err(_) => {
                tracing::error!(
                    "a defect of Everyframe ended the line; what is in the spool is sent at the next start"
                );
                Account { acknowledged: 0, in_spool: 0, refused, spool: None }
            }
        }
    }
}

/// Whether the topic is there, and what keeps us from knowing.
#[derive(Default)]
struct Readiness {
    is_ready: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Readiness {
    /// Sees to the topic, if it is not known to be there; tells what is wrong unless it was told.
    fn look(&self, topic: &str, camera: &str, prepare: &Prepare, told: &mut String) {
        if self.is_ready.load(Ordering::Relaxed) {
            return;
        }
        let result = prepare();
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
            result.as_ref().err().map(ToString::to_string);
        match result {
            Ok(()) => self.is_ready.store(true, Ordering::Relaxed),
            // That the broker is away is told by the line.
            Err(BrokerError::Unreachable { .. }) => {}
            Err(error) => {
                let said = error.to_string();
                // The frames topic comes first: it is there, and the others are the host's affair.
                let is_others = matches!(&error, BrokerError::NotCreated { topic: of, .. } if of != topic);
                self.is_ready.store(is_others, Ordering::Relaxed);
                if said != *told {
                    let then = if is_others { "frames are sent all the same" } else { "trying again" };
                    tracing::warn!(camera, "{said}; {then}");
                    *told = said;
                }
            }
        }
    }
}

/// The frames topic.
struct Topic {
    producer: Producer,
    kafka: KafkaSettings,
    name: String,
    camera: String,
    shared: Arc<Shared>,
    state: Arc<Readiness>,
}

impl Broker for Topic {
    fn send(&mut self, position: u64, entry: &Entry) -> bool {
        let mut headers = vec![(SESSION, entry.session.to_string())];
        let value = match &entry.what {
            What::Frame { sequence, captured_at, source, picture } => {
                headers.push((SEQUENCE, sequence.to_string()));
                headers.push((CAPTURED_AT, captured_at.to_string()));
                headers.extend(source.map(|source| (SOURCE, source.as_str().to_owned())));
                Some(picture.as_slice())
            }
            What::Refused { first, last } => {
                headers.push((REFUSED, format!("{first}-{last}")));
                None
            }
        };
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let key = Some(self.camera.as_bytes());
        let record = Record { topic: &self.name, key, value, headers: &headers, ..Record::default() };
        let shared = self.shared.clone();
        let delivery = Box::new(move |result| shared.settle(position, result));
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
        let said = self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.producer.trouble().or(said)
    }
}
