//! What all requests share.

use crate::access::Access;
use crate::live::Live;
use crate::pictures::Pictures;
use crate::problem::Problem;
use crate::recogniser::Recogniser;
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Producer, RecordReader};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::Semaphore;

/// Blocking requests that may run at the same time. Each has a thread and a connection to Kafka.
const MAX_BLOCKING: usize = 8;
/// Blocking requests that may wait for their turn.
const MAX_WAITING: usize = 256;

/// What all requests share.
pub struct App {
    /// The configuration.
    pub config: Config,
    /// What happened lately.
    pub live: Arc<Live>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// The frames' pictures.
    pub pictures: Pictures,
    /// Vision and rules.
    pub recogniser: Recogniser,
    /// Reads results by their place.
    pub results: Mutex<Option<RecordReader>>,
    /// Connected event streams.
    pub streams: Arc<Semaphore>,
    /// Only one audit runs at a time.
    pub audits: Semaphore,
    running: Semaphore,
    waiting: Semaphore,
    producer: OnceLock<Producer>,
    /// Held while the producer is made.
    making: Mutex<()>,
}

/// Event streams that may be connected at the same time.
const MAX_STREAMS: usize = 200;

impl App {
    /// What requests share.
    pub fn new(config: &Config, live: Arc<Live>, recogniser: Recogniser) -> Self {
        Self {
            config: config.clone(),
            live,
            access: Arc::new(Access::new(config.web.tokens.clone())),
            pictures: Pictures::new(config),
            recogniser,
            results: Mutex::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            audits: Semaphore::new(1),
            running: Semaphore::new(MAX_BLOCKING),
            waiting: Semaphore::new(MAX_WAITING),
            producer: OnceLock::new(),
            making: Mutex::default(),
        }
    }

    /// The producer of frames, people and acknowledgements.
    ///
    /// # Errors
    ///
    /// A property that librdkafka does not accept.
    pub fn producer(&self) -> Result<&Producer, BrokerError> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = self.producer.get() {
            return Ok(producer);
        }
        let made = Producer::new(&self.config.kafka)?;
        Ok(self.producer.get_or_init(|| made))
    }

    /// Runs `work`, which blocks, on a thread of its own.
    ///
    /// # Errors
    ///
    /// The problem of `work`; or too many requests wait already.
    pub async fn block<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = |_| Problem::unavailable("too many requests at once; try again");
        let waiting = self.waiting.try_acquire().map_err(busy)?;
        let running = self.running.acquire().await.map_err(Problem::internal)?;
        drop(waiting);
        let app = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&app)).await;
        drop(running);
        done.map_err(Problem::internal)?
    }
}
