//! Takes the outcomes of frames and hands them to the batch sender.

use super::batch_sender::BatchSender;
use super::outbox::{Assignment, FrameOutput};
use super::outcome::Outcome;
use super::records;
use super::sender_state::{BatchLimits, Completion, SenderState};
use super::transport::{CurrentMembership, KafkaProducer, KafkaTransport, Transport};
use crate::observe::Metrics;
use everyframe_config::{Config, Delivery};
use everyframe_kafka::{BrokerError, LogOnce, Membership, OpeningError, Producer, TopicLimits, Transactions};
use everyframe_privacy::KeyRing;
use everyframe_telemetry::clock::{Clock, SystemClock};
use everyframe_types::dead_letter::Parked;
use everyframe_types::frame::Frame;
use everyframe_types::judgement::Judgement;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two attempts to find out whether the broker has transactions.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long [`Publisher`] waits for its thread when it is dropped. One that waits for a broker checks once a second.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Publishes outcomes.
pub(crate) struct Publisher {
    state: Arc<SenderState>,
    membership: CurrentMembership,
    thread: Option<JoinHandle<()>>,
    exactly_once: bool,
    /// Encrypts what is kept of people.
    ring: Arc<KeyRing>,
}

impl Publisher {
    /// Finds out what the broker can do, waiting for it if need be, and starts the sender's thread. `stop` ends the
    /// waiting.
    ///
    /// # Errors
    ///
    /// The configuration cannot work with this broker: the operator must change it, or a topic.
    pub fn start(
        config: &Config,
        ring: Arc<KeyRing>,
        metrics: Arc<Metrics>,
        stop: &AtomicBool,
    ) -> Result<Self, BrokerError> {
        let limits = TopicLimits::ask(config);
        limits.check(config)?.iter().for_each(|warning| tracing::warn!("{warning}"));
        let batch_bytes = limits.batch_bytes(&config.kafka);
        let membership = CurrentMembership::default();
        let producer = open_producer(config, batch_bytes, stop)?;
        let transport = KafkaTransport { producer, membership: membership.clone() };
        let (mut publisher, sender) =
            Self::with_transport(config, transport, batch_bytes, metrics, Arc::new(SystemClock));
        publisher.ring = ring;
        publisher.membership = membership;
        let thread = std::thread::Builder::new().name("batch-sender".into()).spawn(move || sender.run());
        publisher.thread =
            Some(thread.map_err(|error| BrokerError::Other(format!("cannot start a thread: {error}")))?);
        Ok(publisher)
    }

    /// A publisher and the sender that delivers for it; the caller makes the sender's steps.
    pub fn with_transport<T: Transport>(
        config: &Config,
        transport: T,
        batch_bytes: usize,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> (Self, BatchSender<T>) {
        let exactly_once = transport.is_transactional();
        metrics.set_delivery(exactly_once);
        let state = Arc::new(SenderState::new());
        let limits = (BatchLimits::new(config), config.topics.clone());
        let sender = BatchSender::new(state.clone(), transport, batch_bytes, limits, metrics, clock);
        let (membership, ring) = (CurrentMembership::default(), Arc::new(KeyRing::empty()));
        (Self { state, membership, thread: None, exactly_once, ring }, sender)
    }

    /// True if offsets are committed together with the records of their frames. Otherwise the caller commits an offset when
    /// all records of its frame are acknowledged.
    pub fn is_exactly_once(&self) -> bool {
        self.exactly_once
    }

    /// Sets the membership of the group that the host has just joined.
    pub fn set_membership(&self, membership: Membership) {
        *self.membership.lock().unwrap_or_else(PoisonError::into_inner) = Some(membership);
    }

    /// Hands an outcome over. Another thread calls `done` when all its records are acknowledged; with `Some` if the frame
    /// had to be parked, because a topic refused a record of it. It never calls `done` if the assignment ends before.
    /// Frames of one assignment come in order.
    pub fn publish(
        &self,
        frame: &Arc<Frame>,
        outcome: &Outcome,
        assignment: &Arc<Assignment>,
        done: impl FnOnce(Option<Parked>) + Send + 'static,
    ) {
        self.state.post(FrameOutput {
            assignment: assignment.clone(),
            offset: frame.position.offset,
            records: records::records(&self.ring, frame, outcome),
            urgent: frame.host_alert().is_some()
                || matches!(outcome, Outcome::Judged { judgement, .. } if is_urgent(judgement)),
            done: Completion::new(done),
        });
    }

    /// Publishes that retention deleted these frames unread.
    pub fn publish_deleted(&self, frames: std::ops::Range<i64>, assignment: &Arc<Assignment>) {
        self.state.post(FrameOutput {
            assignment: assignment.clone(),
            offset: frames.end - 1,
            records: vec![records::deleted(assignment.partition(), frames)],
            urgent: true,
            done: Completion::new(|_| ()),
        });
    }

    /// True, once, after partitions had to be given up: the group must be joined again.
    pub fn take_rejoin_request(&self) -> bool {
        self.state.take_rejoin_request()
    }

    /// Ends the sender. What was not delivered is not committed either.
    pub fn end(&self) {
        self.state.end();
    }
}

/// People wait for alerts, and other cameras for what is new about a stranger.
fn is_urgent(judgement: &Judgement) -> bool {
    let mut strangers = judgement.subjects.iter().filter_map(|subject| subject.stranger.as_ref());
    !judgement.alerts.is_empty() || strangers.any(|it| it.share.is_some() && it.event.is_some())
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.end();
        let deadline = Instant::now() + END_TIMEOUT;
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// A transactional producer where the broker has transactions and the configuration allows them.
fn open_producer(
    config: &Config,
    batch_bytes: usize,
    stop: &AtomicBool,
) -> Result<KafkaProducer, BrokerError> {
    let plain = || Ok(KafkaProducer::Plain(Producer::batching(&config.kafka, batch_bytes)?));
    if config.publish.delivery == Delivery::AtLeastOnce {
        return plain();
    }
    let log_once = LogOnce::default();
    loop {
        match Transactions::open(&config.kafka, &config.kafka.transactional_id(), batch_bytes) {
            Ok(transactions) => return Ok(KafkaProducer::Transactions(transactions)),
            Err(error @ OpeningError::Unsupported(_)) if config.publish.delivery == Delivery::Auto => {
                tracing::info!("{error}");
                return plain();
            }
            Err(OpeningError::Configuration(error)) => return Err(error),
            Err(error @ OpeningError::Unsupported(_)) => {
                return Err(BrokerError::Other(format!(
                    "{error}: set [publish] delivery to \"auto\" or \"at-least-once\""
                )));
            }
            Err(OpeningError::NotYet(reason)) if stop.load(Ordering::Relaxed) => {
                return Err(BrokerError::Other(reason));
            }
            Err(OpeningError::NotYet(reason)) => {
                log_once.warn(&format!("no transactions yet: {reason}; trying again"));
                std::thread::sleep(RETRY_PAUSE);
            }
        }
    }
}
