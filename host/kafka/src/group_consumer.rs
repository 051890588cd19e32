//! The group's consumer: one thread that only polls, so that no slow frame gets the host thrown out of its group.

use crate::back_pressure::{BackPressure, Flow};
use crate::client;
use crate::error::BrokerError;
use crate::log_once::LogOnce;
use crate::reader::Received;
use crate::topics::partitions;
use crate::transaction::{Member, Membership};
use everyframe_config::Config;
use everyframe_types::frame::Frame;
use everyframe_types::record;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long one poll waits for a frame; also how soon a paused partition is looked at again when none comes. rdkafka
/// spins through the last millisecond of each wait: short waits would cost more than they bring.
const POLL: Duration = Duration::from_millis(100);

/// Where frames go: the lanes, as intake sees them. All but `close` return at once.
pub trait Downstream: Send + Sync + 'static {
    /// The partitions are ours from now on.
    fn open(&self, partitions: &[i32]);
    /// The partitions are no longer ours: finish what was begun, in at most the time configured, and tell the
    /// offsets up to which everything is done, where they are not committed yet.
    fn close(&self, partitions: &[i32]) -> Vec<(i32, i64)>;
    /// The partitions are another's already: what is not committed is given up.
    fn abandon(&self, partitions: &[i32]);
    /// Takes a frame in, or an agent's word in the place of one.
    fn admit(&self, frame: Frame);
    /// Bytes of frames that the partition's lane holds; none while it has too few frames to keep the workers busy.
    fn bytes(&self, partition: i32) -> usize;
    /// The partition is paused because its lane is full, or goes on again.
    fn paused(&self, partition: i32, is_paused: bool);
    /// For each partition with news: the offset up to which everything is done.
    fn committable(&self) -> Vec<(i32, i64)>;
    /// These offsets are committed.
    fn committed(&self, offsets: &[(i32, i64)]);
}

/// Why polling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop.
    Stopped,
    /// It was interrupted, and is to be joined anew.
    Interrupted,
}

/// The consumer group's member.
pub struct GroupConsumer {
    consumer: Arc<BaseConsumer<Group>>,
    topic: Arc<str>,
    brokers: String,
    lane_bytes: usize,
    commit_interval: Duration,
    downstream: Arc<dyn Downstream>,
    back_pressure: BackPressure,
}

impl GroupConsumer {
    /// Joins the group. The topic must be there: a consumer of a topic that is not would wait in silence.
    pub fn join(config: &Config, downstream: Arc<dyn Downstream>) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &config.kafka.brokers);
        let topic: Arc<str> = config.topics.frames.as_str().into();
        let group = Group { topic: topic.clone(), downstream: downstream.clone() };
        let mut defaults = vec![
            ("group.id", config.kafka.group.as_str()),
            ("auto.offset.reset", "earliest"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            // What is fetched ahead of a lane: little, since a pause throws it away. A larger frame comes all the same.
            ("fetch.message.max.bytes", "2097152"),
            ("queued.max.messages.kbytes", "4096"),
            ("queued.min.messages", "1000"),
        ];
        defaults.extend(config.kafka.instance.as_deref().map(|instance| ("group.instance.id", instance)));
        let consumer: BaseConsumer<Group> =
            client::consumer(&config.kafka, &defaults).create_with_context(group).map_err(failed)?;
        partitions(&consumer, &topic, &config.kafka.brokers)?;
        consumer.subscribe(&[&topic]).map_err(failed)?;
        Ok(Self {
            consumer: Arc::new(consumer),
            topic,
            brokers: config.kafka.brokers.clone(),
            lane_bytes: config.intake.lane_bytes,
            commit_interval: Duration::from_millis(config.intake.commit_interval_ms),
            downstream,
            back_pressure: BackPressure::default(),
        })
    }

    /// Tells who we are in the group, for as long as this is there.
    pub fn membership(&self) -> Membership {
        let consumer = Arc::downgrade(&self.consumer);
        Arc::new(move || consumer.upgrade()?.group_metadata().map(Member))
    }

    /// Polls until `stop` is set or `interrupted` says so; then lets go of all partitions in good order.
    pub fn run(mut self, stop: &AtomicBool, interrupted: &dyn Fn() -> bool) -> Result<Ended, BrokerError> {
        let mut last_commit = Instant::now();
        let log_once = LogOnce::default();
        while !stop.load(Ordering::Relaxed) {
            if interrupted() {
                self.leave();
                return Ok(Ended::Interrupted);
            }
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    log_once.recovered("frames come again");
                    let record = Received(message);
                    self.downstream.admit(record::read(&self.topic, &record));
                }
                Some(Err(error)) if is_final(&error) => {
                    return Err(BrokerError::from_rdkafka(error, &self.brokers));
                }
                // librdkafka goes on trying by itself.
                Some(Err(error)) => log_once.warn(&format!("waiting for Kafka: {error}")),
                None => {}
            }
            self.apply_back_pressure()?;
            if last_commit.elapsed() >= self.commit_interval {
                commit(&self.consumer, &self.topic, &self.downstream.committable(), CommitMode::Async);
                last_commit = Instant::now();
            }
        }
        self.leave();
        Ok(Ended::Stopped)
    }

    /// Pauses the partitions whose lanes are full, and resumes those half empty again.
    fn apply_back_pressure(&mut self) -> Result<(), BrokerError> {
        let failed = |error| BrokerError::from_rdkafka(error, &self.brokers);
        let assignment = self.consumer.assignment().map_err(failed)?;
        let assigned: BTreeSet<i32> =
            assignment.elements().iter().map(|element| element.partition()).collect();
        self.back_pressure.retain(&assigned);
        for partition in assigned {
            let bytes = self.downstream.bytes(partition);
            let Some(flow) = self.back_pressure.update(partition, bytes, self.lane_bytes) else { continue };
            let mut only = TopicPartitionList::new();
            only.add_partition(&self.topic, partition);
            match flow {
                Flow::Pause => self.consumer.pause(&only),
                Flow::Resume => self.consumer.resume(&only),
            }
            .map_err(failed)?;
            self.downstream.paused(partition, flow == Flow::Pause);
        }
        Ok(())
    }

    fn leave(&self) {
        if let Ok(assignment) = self.consumer.assignment() {
            let done = self.downstream.close(&numbers(&assignment));
            commit(&self.consumer, &self.topic, &done, CommitMode::Sync);
        }
    }
}

/// The group's life: partitions come and go.
struct Group {
    topic: Arc<str>,
    downstream: Arc<dyn Downstream>,
}

impl ClientContext for Group {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "consumer: {reason}");
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = numbers(list);
                partitions.iter().for_each(|partition| tracing::info!(partition, "partition assigned"));
                self.downstream.open(&partitions);
            }
            Rebalance::Revoke(list) if consumer.assignment_lost() => {
                let partitions = numbers(list);
                tracing::warn!(?partitions, "partitions lost: the group went on without this host");
                self.downstream.abandon(&partitions);
            }
            Rebalance::Revoke(list) => {
                let partitions = numbers(list);
                tracing::info!(?partitions, "partitions revoked: finishing the frames that were begun");
                // What is committed here is all: a later commit could move the next owner's offset back.
                let done = self.downstream.close(&partitions);
                commit(consumer, &self.topic, &done, CommitMode::Sync);
            }
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance failed"),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // A partition that was paused when it went is still paused for librdkafka when it comes back.
        if let Rebalance::Assign(list) = rebalance
            && let Err(error) = consumer.resume(list)
        {
            tracing::warn!(%error, "partitions not resumed");
        }
    }

    fn commit_callback(&self, result: Result<(), KafkaError>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => self.downstream.committed(&pairs(offsets)),
            // The group is being redistributed: who has the partition next starts from the last commit, and
            // what was published beyond it is recognisable by its ids.
            Err(error) => tracing::debug!(%error, "commit not taken; it is tried again"),
        }
    }
}

fn commit(consumer: &BaseConsumer<Group>, topic: &str, done: &[(i32, i64)], mode: CommitMode) {
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in done {
        if let Err(error) = offsets.add_partition_offset(topic, *partition, Offset::Offset(*offset)) {
            tracing::error!(%error, partition, offset, "offset not accepted");
        }
    }
    if offsets.count() == 0 {
        return;
    }
    if let Err(error) = consumer.commit(&offsets, mode) {
        tracing::debug!(%error, "commit not taken; what was not committed is delivered again");
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(|element| element.partition()).collect()
}

fn pairs(offsets: &TopicPartitionList) -> Vec<(i32, i64)> {
    offsets.elements().iter().filter_map(|e| Some((e.partition(), e.offset().to_raw()?))).collect()
}

/// Errors after which librdkafka does not go on by itself: another process has this one's name in the group.
fn is_final(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId))
}
