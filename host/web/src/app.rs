//! What all requests share.

use crate::access::Access;
use crate::live::Live;
use crate::pictures::Pictures;
use crate::problem::Problem;
use crate::recogniser::Recogniser;
use crate::replays::Replays;
use crate::rule_source::RuleSource;
use crate::trail::TrailWriter;
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Producer, Record, RecordReader};
use everyframe_notify::{Callbacks, ChannelStatus};
use everyframe_rules::RuleMeters;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long the brokers may take to acknowledge a record.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Blocking requests that may run at the same time. Each has a thread and a connection to Kafka.
const MAX_BLOCKING: usize = 8;
/// Blocking requests that may wait for their turn.
const MAX_WAITING: usize = 256;
/// Pictures that may be recognised at the same time: there is one recogniser.
const MAX_RECOGNISED: usize = 1;

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
    /// Who did what.
    pub trail: Arc<TrailWriter>,
    /// Vision and rules.
    pub recogniser: Recogniser,
    /// The rules of the configuration file.
    pub rule_source: RuleSource,
    /// Time, memory and log of the rules that run in this process; none if it runs none.
    pub rule_meters: Option<RuleMeters>,
    /// What past alerts would have been with other settings.
    pub replays: Replays,
    /// The addresses that frames may give, and what sends their results there.
    pub callbacks: Arc<Callbacks>,
    /// Reads results by their place.
    pub results: Mutex<Option<RecordReader>>,
    /// Connected event streams.
    pub streams: Arc<Semaphore>,
    /// Only one audit runs at a time.
    pub audits: Arc<Semaphore>,
    /// The channels, and when they were read. Held while they are read: others who ask wait for the same answer.
    pub channels: Mutex<Option<(Instant, Vec<ChannelStatus>)>>,
    /// Only one replay of undelivered messages runs at a time: two would deliver a message twice.
    pub message_replays: Arc<Semaphore>,
    /// People are changed one after the other, so that no change undoes another one of this process.
    gallery: Arc<Semaphore>,
    running: Arc<Semaphore>,
    recognising: Arc<Semaphore>,
    waiting: Semaphore,
    producer: OnceLock<Producer>,
    /// Held while the producer is made.
    making: Mutex<()>,
}

/// Event streams that may be connected at the same time.
const MAX_STREAMS: usize = 200;

impl App {
    /// What requests share.
    pub fn new(
        config: &Config,
        live: Arc<Live>,
        recogniser: Recogniser,
        rule_source: RuleSource,
        rule_meters: Option<RuleMeters>,
        callbacks: Arc<Callbacks>,
    ) -> Self {
        Self {
            config: config.clone(),
            live,
            access: Arc::new(Access::new(config.web.tokens.clone())),
            pictures: Pictures::new(config),
            trail: Arc::new(TrailWriter::new(config)),
            recogniser,
            rule_source,
            rule_meters,
            replays: Replays::default(),
            callbacks,
            results: Mutex::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            audits: Arc::new(Semaphore::new(1)),
            channels: Mutex::default(),
            message_replays: Arc::new(Semaphore::new(1)),
            gallery: Arc::new(Semaphore::new(1)),
            running: Arc::new(Semaphore::new(MAX_BLOCKING)),
            recognising: Arc::new(Semaphore::new(MAX_RECOGNISED)),
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

    /// Writes a record, or without a value a tombstone, and waits for the brokers. Blocks.
    ///
    /// # Errors
    ///
    /// The brokers do not acknowledge it: it may not be written.
    pub fn write(&self, topic: &str, key: &str, value: Option<&[u8]>) -> Result<(), Problem> {
        let record = Record { topic, key: Some(key.as_bytes()), value, ..Record::default() };
        Ok(self.producer()?.send_and_wait(record, ACKNOWLEDGED)?)
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
        self.block_within(&[&self.running], work).await
    }

    /// As [`App::block`], for changes of people. Those that wait for another change take no place.
    ///
    /// # Errors
    ///
    /// As [`App::block`].
    pub async fn change_people<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.block_within(&[&self.gallery, &self.running], work).await
    }

    /// As [`App::change_people`], for work that needs the recogniser.
    ///
    /// # Errors
    ///
    /// As [`App::block`].
    pub async fn enrol<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.block_within(&[&self.gallery, &self.recognising], work).await
    }

    /// As [`App::block`], for work that needs the recogniser: it does not take the place of other requests while it waits for it.
    ///
    /// # Errors
    ///
    /// As [`App::block`].
    pub async fn recognise<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.block_within(&[&self.recognising], work).await
    }

    async fn block_within<T: Send + 'static>(
        self: &Arc<Self>,
        places: &[&Arc<Semaphore>],
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = |_| Problem::unavailable("too many requests at once; try again");
        let waiting = self.waiting.try_acquire().map_err(busy)?;
        let mut taken = Vec::with_capacity(places.len());
        for place in places {
            taken.push((*place).clone().acquire_owned().await.map_err(Problem::internal)?);
        }
        drop(waiting);
        let app = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            // The work goes on when its client has gone, and keeps its places until it ends.
            let _places = taken;
            work(&app)
        });
        done.await.map_err(Problem::internal)?
    }
}
