//! Results, alerts, rule state and dead letters, into their topics; with transactions, the offsets too.

mod batch_sender;
pub mod changelog;
mod outbox;
mod records;
mod sending;
mod unfit;

pub use outbox::{Assignment, Batch, FrameOutput, Outbox};

use crate::observe::Metrics;
use batch_sender::{BatchSender, Done, Pace, SenderState, Transport};
use everyframe_config::{Config, Delivery};
use everyframe_kafka::{BrokerError, LogOnce, Membership, OpeningError, Producer, TopicLimits, Transactions};
use everyframe_types::dead_letter::Parked;
use everyframe_types::event::{JudgedBy, Timings};
use everyframe_types::frame::Frame;
use everyframe_types::judgement::Judgement;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Header of an alert whose texts were cut because the topic refused it: its original size, bytes.
pub const CUT: &str = "everyframe-cut";

/// What became of a frame.
#[derive(Debug)]
pub enum Outcome {
    /// It was processed.
    Judged {
        /// Width and height of the full-size frame, pixels.
        size: (u32, u32),
        /// What the rules made of it.
        judgement: Judgement,
        /// Where the time went.
        timings: Timings,
        /// Which models and rules made this.
        judged_by: Arc<JudgedBy>,
    },
    /// It could not be processed: it is parked, with its bytes.
    Parked(Parked),
    /// It is an agent's word that frames are missing: all that it causes is the host's alert.
    Noted,
}

/// Publishes outcomes.
pub struct Publisher {
    desk: Arc<SenderState>,
    batch_sender: Option<JoinHandle<()>>,
    exactly_once: bool,
}

/// After the broker could not say whether it has transactions.
const PAUSE: Duration = Duration::from_millis(500);

impl Publisher {
    /// Finds out what the broker can do, waiting for it if need be, and begins. `stop` ends the
    /// waiting.
    ///
    /// # Errors
    ///
    /// The configuration cannot work with this broker: the operator must change it, or a topic.
    pub fn start(config: &Config, metrics: Arc<Metrics>, stop: &AtomicBool) -> Result<Self, BrokerError> {
        let limits = TopicLimits::ask(config);
        limits.check(config)?.iter().for_each(|warning| tracing::warn!("{warning}"));
        let batch_bytes = limits.batch_bytes(&config.kafka);
        let transport = transport(config, batch_bytes, stop)?;
        let exactly_once = matches!(transport, Transport::Transactions(_));
        metrics.delivers(exactly_once);
        let desk = Arc::new(SenderState::new());
        let batch_sender = BatchSender {
            desk: desk.clone(),
            transport,
            batch_bytes,
            pace: Pace::new(config),
            topics: config.topics.clone(),
            metrics,
            log_once: LogOnce::default(),
        };
        let thread = std::thread::Builder::new().name("courier".into()).spawn(move || batch_sender.run());
        let batch_sender =
            Some(thread.map_err(|error| BrokerError::Other(format!("cannot start a thread: {error}")))?);
        Ok(Self { desk, batch_sender, exactly_once })
    }

    /// True if offsets are committed together with what their frames cause. Otherwise the caller commits them, when
    /// all of it is safe.
    pub fn is_exactly_once(&self) -> bool {
        self.exactly_once
    }

    /// The host has joined its group; `membership` tells who it is there.
    pub fn joined(&self, membership: Membership) {
        self.desk.joined(membership);
    }

    /// Hands an outcome over. Another thread calls `done` when everything that it causes is acknowledged; with `Some` if the frame
    /// had to be parked, because a topic refused a record of it. It never calls `done` if the tenure ends before. Frames of one
    /// tenure come in order.
    pub fn publish(
        &self,
        frame: &Arc<Frame>,
        outcome: &Outcome,
        assignment: &Arc<Assignment>,
        done: impl FnOnce(Option<Parked>) + Send + 'static,
    ) {
        self.desk.post(FrameOutput {
            assignment: assignment.clone(),
            offset: frame.position.offset,
            records: records::records(frame, outcome),
            urgent: frame.sequence_gap.is_some()
                || matches!(outcome, Outcome::Judged { judgement, .. } if !judgement.alerts.is_empty()),
            done: Done::new(done),
        });
    }

    /// Puts on record that retention deleted these frames unread, and passes over them.
    pub fn publish_deleted(&self, frames: std::ops::Range<i64>, assignment: &Arc<Assignment>) {
        self.desk.post(FrameOutput {
            assignment: assignment.clone(),
            offset: frames.end - 1,
            records: vec![records::deleted(assignment.partition(), frames)],
            urgent: true,
            done: Done::new(|_| ()),
        });
    }

    /// True, once, after partitions had to be given up: the group is to be joined anew.
    pub fn take_gave_up(&self) -> bool {
        self.desk.take_gave_up()
    }

    /// Ends. What was not delivered is not committed either.
    pub fn end(&self) {
        self.desk.end();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.end();
        // One that waits for a broker that is away looks up once a second.
        let deadline = Instant::now() + Duration::from_secs(2);
        if let Some(batch_sender) = self.batch_sender.take() {
            while !batch_sender.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// The text, cut to at most `bytes` bytes.
fn shortened(text: &str, bytes: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{}{MARK}", &text[..text.floor_char_boundary(bytes.saturating_sub(MARK.len()))])
}

/// With transactions where the broker has them.
fn transport(config: &Config, batch_bytes: usize, stop: &AtomicBool) -> Result<Transport, BrokerError> {
    let plain = || Ok(Transport::Plain(Producer::batching(&config.kafka, batch_bytes)?));
    if config.publish.delivery == Delivery::AtLeastOnce {
        return plain();
    }
    let log_once = LogOnce::default();
    loop {
        match Transactions::open(&config.kafka, &config.kafka.transactional_id(), batch_bytes) {
            Ok(transactions) => return Ok(Transport::Transactions(transactions)),
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
                log_once.say(&format!("no transactions yet: {reason}; trying again"));
                std::thread::sleep(PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use everyframe_types::dead_letter::Stage;

    #[test]
    fn the_documentation_names_every_stage() {
        let names = Stage::ALL.map(|stage| format!("`{}`", stage.as_str()));
        let [others @ .., last] = &names;
        let line = format!("| `everyframe-stage` | {} or {last} |", others.join(", "));
        let page = include_str!("../../../../docs/events.md");
        assert!(page.lines().any(|found| found == line), "docs/events.md lacks this line: {line}");
    }
}
