//! The group's consumer: one thread that only polls, so that a slow frame never costs the host its membership.

use crate::back_pressure::{BackPressure, Flow};
use crate::client;
use crate::error::BrokerError;
use crate::log_once::LogOnce;
use crate::reader::Received;
use crate::secrets::redacted;
use crate::topics::partitions;
use crate::transaction::{Member, Membership};
use everyframe_config::{Config, KafkaSettings};
use everyframe_types::frame::Frame;
use everyframe_types::machine::unix_ms;
use everyframe_types::record;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// How long one poll waits for a frame; also how often paused partitions are checked when none comes. rdkafka spins through
/// the last millisecond of each wait, so short waits are expensive.
const POLL: Duration = Duration::from_millis(100);

/// This process, as the group knows it: tells members of one name apart.
static CLIENT_ID: LazyLock<String> =
    LazyLock::new(|| format!("everyframe-{}-{}", std::process::id(), unix_ms()));

/// What processes the records, as the consumer sees it: for frames, the lanes. All methods but `close` return at once.
pub trait Downstream<R>: Send + Sync + 'static {
    /// The partitions are assigned to this host.
    fn open(&self, partitions: &[i32]);
    /// The partitions are revoked: finish the frames that were begun, within the drain timeout. Returns the offsets to
    /// commit.
    fn close(&self, partitions: &[i32]) -> Vec<(i32, i64)>;
    /// The partitions are lost: they may have another owner already. Drop what is not committed.
    fn abandon(&self, partitions: &[i32]);
    /// Takes in a record: for frames, a frame or an agent's refusal notice.
    fn admit(&self, record: R);
    /// Bytes of records that the partition holds; none while it has too few to keep the workers busy.
    fn bytes(&self, partition: i32) -> usize;
    /// The partition is paused because its lane is full, or resumed.
    fn paused(&self, partition: i32, is_paused: bool);
    /// The offsets to commit, of the partitions that have a new one.
    fn committable(&self) -> Vec<(i32, i64)>;
    /// These offsets are committed.
    fn committed(&self, offsets: &[(i32, i64)]);
}

/// Why polling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// `stop` was set.
    Stopped,
    /// `interrupted` returned true: join the group again.
    Interrupted,
    /// The group gave this host's name to a request of this host's own, answered late: join the group again.
    Renamed,
}

/// What a member of a group reads, and how.
#[derive(Debug, Clone)]
pub struct GroupSource<'a, R> {
    /// How to reach Kafka, and the group.
    pub kafka: &'a KafkaSettings,
    /// The topic.
    pub topic: &'a str,
    /// Makes a record out of what was received from the topic.
    pub parse: fn(&Arc<str>, &Received<'_>) -> R,
    /// A partition that holds this many bytes is paused.
    pub lane_bytes: usize,
    /// How often offsets are committed.
    pub commit_interval: Duration,
}

/// The consumer group's member.
pub struct GroupConsumer<R: 'static> {
    consumer: Arc<BaseConsumer<Group<R>>>,
    topic: Arc<str>,
    settings: KafkaSettings,
    parse: fn(&Arc<str>, &Received<'_>) -> R,
    lane_bytes: usize,
    commit_interval: Duration,
    downstream: Arc<dyn Downstream<R>>,
    back_pressure: BackPressure,
}

impl GroupConsumer<Frame> {
    /// Joins the group that shares the frames.
    ///
    /// # Errors
    ///
    /// As [`GroupConsumer::join`].
    pub fn of_frames(config: &Config, downstream: Arc<dyn Downstream<Frame>>) -> Result<Self, BrokerError> {
        let source = GroupSource {
            kafka: &config.kafka,
            topic: &config.topics.frames,
            parse: |topic, record| record::parse_frame(topic, record),
            lane_bytes: config.intake.lane_bytes,
            commit_interval: Duration::from_millis(config.intake.commit_interval_ms),
        };
        Self::join(&source, downstream)
    }
}

impl<R: 'static> GroupConsumer<R> {
    /// Joins the group.
    ///
    /// # Errors
    ///
    /// The topic does not exist, or the brokers do not answer or refuse this user: the operator must act.
    pub fn join(
        source: &GroupSource<'_, R>,
        downstream: Arc<dyn Downstream<R>>,
    ) -> Result<Self, BrokerError> {
        let kafka = source.kafka;
        let failed = |error| BrokerError::from_rdkafka(error, &kafka.brokers);
        let topic: Arc<str> = source.topic.into();
        let group = Group { topic: topic.clone(), downstream: downstream.clone() };
        let mut defaults = vec![
            ("group.id", kafka.group.as_str()),
            ("client.id", CLIENT_ID.as_str()),
            ("auto.offset.reset", "earliest"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            // Fetch little ahead of a lane: a pause drops it. A larger frame is fetched all the same.
            ("fetch.message.max.bytes", "2097152"),
            ("queued.max.messages.kbytes", "4096"),
            ("queued.min.messages", "1000"),
        ];
        defaults.extend(kafka.instance.as_deref().map(|instance| ("group.instance.id", instance)));
        let consumer: BaseConsumer<Group<R>> =
            client::consumer(kafka, &defaults).create_with_context(group).map_err(failed)?;
        partitions(&consumer, &topic, &kafka.brokers)?;
        consumer.subscribe(&[&topic]).map_err(failed)?;
        Ok(Self {
            consumer: Arc::new(consumer),
            topic,
            settings: kafka.clone(),
            parse: source.parse,
            lane_bytes: source.lane_bytes,
            commit_interval: source.commit_interval,
            downstream,
            back_pressure: BackPressure::default(),
        })
    }

    /// Returns this host's membership, for as long as this consumer exists.
    pub fn membership(&self) -> Membership {
        let consumer = Arc::downgrade(&self.consumer);
        Arc::new(move || consumer.upgrade()?.group_metadata().map(Member))
    }

    /// Polls until `stop` is set or `interrupted` returns true; then closes all partitions in good order.
    ///
    /// # Errors
    ///
    /// Another process took this host's name in the group, or librdkafka cannot go on: the operator must act.
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
                    log_once.recovered("records come again");
                    self.downstream.admit((self.parse)(&self.topic, &Received(message)));
                }
                Some(Err(error)) if is_final(&error) => {
                    self.downstream.abandon(&self.assigned());
                    return match BrokerError::from_rdkafka(error, &self.settings.brokers) {
                        BrokerError::Fenced(_) if !self.is_replaced(stop) => Ok(Ended::Renamed),
                        error => Err(error),
                    };
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
        let failed = |error| BrokerError::from_rdkafka(error, &self.settings.brokers);
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

    /// True if a member of another process holds this host's name in the group. Asks until the group's coordinator answers.
    ///
    /// Kafka takes a request to join again that is answered late, and so is sent twice, for two processes of one name.
    fn is_replaced(&self, stop: &AtomicBool) -> bool {
        let name = format!("{}-", self.settings.instance.as_deref().unwrap_or_default());
        let log_once = LogOnce::default();
        while !stop.load(Ordering::Relaxed) {
            match self.consumer.fetch_group_list(Some(&self.settings.group), client::CONNECT_TIMEOUT) {
                Ok(list) => {
                    let members = list.groups().iter().flat_map(|group| group.members());
                    return members
                        .into_iter()
                        .any(|member| member.id().starts_with(&name) && member.client_id() != *CLIENT_ID);
                }
                Err(error) => {
                    log_once.warn(&format!("asking who has this host's name in the group: {error}"))
                }
            }
            std::thread::sleep(POLL);
        }
        false
    }

    fn assigned(&self) -> Vec<i32> {
        self.consumer.assignment().map(|assignment| numbers(&assignment)).unwrap_or_default()
    }

    fn leave(&self) {
        let done = self.downstream.close(&self.assigned());
        commit(&self.consumer, &self.topic, &done, CommitMode::Sync);
    }
}

/// Handles the group's rebalances.
struct Group<R: 'static> {
    topic: Arc<str>,
    downstream: Arc<dyn Downstream<R>>,
}

impl<R: 'static> ClientContext for Group<R> {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "consumer: {reason}");
    }

    /// Drops the line to the debug log: what is important comes as an error, too.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka: {facility} {}", redacted(message));
    }
}

impl<R: 'static> ConsumerContext for Group<R> {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = numbers(list);
                let topic = &*self.topic;
                partitions
                    .iter()
                    .for_each(|partition| tracing::info!(topic, partition, "partition assigned"));
                self.downstream.open(&partitions);
            }
            Rebalance::Revoke(list) if consumer.assignment_lost() => {
                let partitions = numbers(list);
                tracing::warn!(?partitions, "partitions lost: the group went on without this host");
                self.downstream.abandon(&partitions);
            }
            Rebalance::Revoke(list) => {
                let partitions = numbers(list);
                tracing::info!(?partitions, "partitions revoked: finishing what was begun");
                // Commit now or never: a later commit could move the next owner's offset back.
                let done = self.downstream.close(&partitions);
                commit(consumer, &self.topic, &done, CommitMode::Sync);
            }
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance failed"),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // librdkafka keeps a partition paused that was paused when it was revoked.
        if let Rebalance::Assign(list) = rebalance
            && let Err(error) = consumer.resume(list)
        {
            tracing::warn!(%error, "partitions not resumed");
        }
    }

    fn commit_callback(&self, result: Result<(), KafkaError>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => self.downstream.committed(&pairs(offsets)),
            // A rebalance is under way. The next owner starts from the last commit; frames beyond it are published again
            // under the same ids.
            Err(error) => tracing::debug!(%error, "commit not taken; it is tried again"),
        }
    }
}

fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    done: &[(i32, i64)],
    mode: CommitMode,
) {
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

/// True for errors after which librdkafka does not go on: another process has this host's name in the group.
fn is_final(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId))
}
