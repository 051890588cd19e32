//! A Kafka client for the tests. It uses librdkafka directly and shares no code with the product.

use crate::{WAIT_TIMEOUT, wait_for};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A record for the frames topic.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The key.
    pub camera: Option<String>,
    /// The value; `None` for a tombstone.
    pub picture: Option<Vec<u8>>,
    /// Session, sequence number and time of capture.
    pub stamp: Option<(String, u64, i64)>,
    /// The partition; without it, the key decides.
    pub partition: Option<i32>,
}

impl Frame {
    /// A frame of a camera, without headers.
    pub fn new(camera: &str, picture: &[u8]) -> Self {
        Self { camera: Some(camera.to_owned()), picture: Some(picture.to_owned()), ..Self::default() }
    }

    /// Frames of a camera with the headers of an agent, a tenth of a second apart.
    pub fn stream<'a>(camera: &str, pictures: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<Self> {
        let stamped = pictures.into_iter().zip(0u64..).map(|(picture, number)| Self {
            stamp: Some(("session-1".into(), number, 1_764_000_000_000 + 100 * number as i64)),
            ..Self::new(camera, picture)
        });
        stamped.collect()
    }

    /// The same frame, for this partition.
    pub fn to(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }
}

/// A record from a topic.
#[derive(Debug, Clone)]
pub struct Record {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key, as text.
    pub key: Option<String>,
    /// The headers by name, as text.
    pub headers: BTreeMap<String, String>,
    /// The value; none for a tombstone.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// The value as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.value.as_deref().unwrap_or_default()).expect("a record holds JSON")
    }

    /// A header's text, empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("message.max.bytes", "16777216");
    config
}

/// Settings of a consumer that reads committed records only.
fn reader(brokers: &str) -> ClientConfig {
    let mut config = client(brokers);
    config.set("isolation.level", "read_committed").set("enable.auto.commit", "false");
    config
}

/// The metadata of a cluster.
pub(crate) struct Metadata {
    pub(crate) brokers: Vec<i32>,
    /// Partitions by topic and number.
    pub(crate) partitions: BTreeMap<(String, i32), Partition>,
}

/// The replicas of a partition.
pub(crate) struct Partition {
    pub(crate) leader: Option<i32>,
    /// Number of replicas.
    pub(crate) replicas: usize,
    /// Number of replicas in sync.
    pub(crate) in_sync: usize,
}

/// Reads the metadata. `None` while no broker answers.
pub(crate) fn metadata(brokers: &str) -> Option<Metadata> {
    let consumer: BaseConsumer = reader(brokers).create().expect("a consumer");
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(5)).ok()?;
    let partitions = metadata.topics().iter().flat_map(|topic| {
        topic.partitions().iter().map(|at| {
            let leader = (at.leader() >= 0).then_some(at.leader());
            let known = Partition { leader, replicas: at.replicas().len(), in_sync: at.isr().len() };
            ((topic.name().to_owned(), at.id()), known)
        })
    });
    let partitions = partitions.collect();
    Some(Metadata { brokers: metadata.brokers().iter().map(|broker| broker.id()).collect(), partitions })
}

/// Creates the topic, for records of at most `max_bytes` bytes.
pub(crate) fn create(brokers: &str, topic: &str, partitions: i32, max_bytes: usize) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().expect("an admin client");
    let max_bytes = max_bytes.to_string();
    let new =
        NewTopic::new(topic, partitions, TopicReplication::Fixed(-1)).set("max.message.bytes", &max_bytes);
    let created = block_on(admin.create_topics(&[new], &AdminOptions::new()));
    created
        .expect("topics can be created")
        .into_iter()
        .for_each(|topic| drop(topic.expect("the topic is new")));
    // The node knows a topic a moment after it has created it.
    wait_for(&format!("the new topic {topic}"), || {
        metadata(brokers)?.partitions.keys().any(|(known, _)| known == topic).then_some(())
    });
}

/// Deletes the topics if possible. Errors are ignored, because a test may have left the cluster broken.
pub(crate) fn delete(brokers: &str, topics: &[&str]) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().expect("an admin client");
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
    drop(block_on(admin.delete_topics(topics, &options)));
}

/// The names of all topics except internal ones.
pub(crate) fn topics(brokers: &str) -> Vec<String> {
    let consumer: BaseConsumer = reader(brokers).create().expect("a consumer");
    let metadata = consumer.fetch_metadata(None, WAIT_TIMEOUT).expect("the broker answers");
    let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
    names.filter(|name| !name.starts_with("__")).collect()
}

/// The sum of the end offsets of a topic's partitions; 0 if it does not exist. The markers of transactions count as
/// well.
pub(crate) fn end(brokers: &str, topic: &str) -> i64 {
    let consumer: BaseConsumer = reader(brokers).create().expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), WAIT_TIMEOUT).expect("the broker answers");
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let end =
        |partition: i32| consumer.fetch_watermarks(topic, partition, WAIT_TIMEOUT).map_or(0, |(_, end)| end);
    partitions.map(|partition| end(partition.id())).sum()
}

/// Waits for a future on this thread. librdkafka's own threads wake it.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park_timeout(Duration::from_millis(50)),
        }
    }
}

/// A frame as a record, with a number for its delivery report.
pub(crate) fn base_record<'a>(
    topic: &'a str,
    frame: &'a Frame,
    number: usize,
) -> BaseRecord<'a, str, [u8], usize> {
    let mut next: BaseRecord<'_, str, [u8], usize> = BaseRecord::with_opaque_to(topic, number);
    if let Some((session, sequence, at)) = &frame.stamp {
        let (sequence, at) = (sequence.to_string(), at.to_string());
        let mut headers = OwnedHeaders::new();
        for (key, value) in [
            ("everyframe-session", session),
            ("everyframe-sequence", &sequence),
            ("everyframe-captured-at", &at),
        ] {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        next = next.headers(headers);
    }
    next.key = frame.camera.as_deref();
    next.payload = frame.picture.as_deref();
    next.partition = frame.partition;
    next
}

/// A producer that never gives up a frame.
pub(crate) fn patient_producer(brokers: &str) -> ThreadedProducer<Unheard> {
    let mut config = client(brokers);
    config.set("acks", "all").set("enable.idempotence", "true").set("message.timeout.ms", "0");
    config.set("reconnect.backoff.max.ms", "1000");
    config.create_with_context(Unheard).expect("a producer")
}

/// Ignores delivery reports.
pub(crate) struct Unheard;

impl ClientContext for Unheard {}

impl ProducerContext for Unheard {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        if let Err((error, _)) = result {
            eprintln!("a frame was not taken: {error}");
        }
    }
}

/// Sends frames in order, and returns partition and offset of each.
pub(crate) fn send(brokers: &str, topic: &str, frames: &[Frame]) -> Vec<(i32, i64)> {
    let places: Places = Arc::new(Mutex::new(vec![None; frames.len()]));
    let producer: ThreadedProducer<Deliveries> = client(brokers)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .create_with_context(Deliveries(places.clone()))
        .expect("a producer");
    for (number, frame) in frames.iter().enumerate() {
        let mut waiting = Some(base_record(topic, frame, number));
        wait_for("room in the producer's queue", || match producer.send(waiting.take()?) {
            Ok(()) => Some(()),
            Err((_, back)) => {
                waiting = Some(back);
                None
            }
        });
    }
    producer.flush(WAIT_TIMEOUT).expect("every frame is acknowledged");
    let places = places.lock().expect("no delivery panicked");
    let place_of = |place: &Delivered| match place {
        Some(Ok(place)) => *place,
        Some(Err(error)) => panic!("a frame was not delivered: {error}"),
        None => panic!("a frame has no answer"),
    };
    places.iter().map(place_of).collect()
}

/// Partition and offset of a delivered frame, or why it was not delivered; none while there is no answer.
type Delivered = Option<Result<(i32, i64), KafkaError>>;
type Places = Arc<Mutex<Vec<Delivered>>>;

struct Deliveries(Places);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let delivered = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.lock().expect("no delivery panicked")[number] = Some(delivered);
    }
}

/// Follows every partition of a topic from its start.
pub(crate) struct Follower {
    consumer: BaseConsumer,
    topic: String,
    /// The next offset of each partition.
    next: BTreeMap<i32, i64>,
    pub(crate) records: Vec<Record>,
}

/// How long existing records may fail to arrive.
const SILENCE: Duration = Duration::from_secs(2);

impl Follower {
    /// Waits until the topic exists.
    pub(crate) fn new(brokers: &str, topic: &str) -> Self {
        let consumer: BaseConsumer = reader(brokers)
            .set("group.id", "tests")
            .set("fetch.message.max.bytes", "16777216")
            .set("fetch.wait.max.ms", "50")
            .set("enable.partition.eof", "true")
            // After a crash of the broker, librdkafka may reset the position. It then starts at the oldest record, so that none is left out.
            .set("auto.offset.reset", "earliest")
            .set("topic.metadata.refresh.interval.ms", "200")
            .create()
            .expect("a consumer");
        let partitions = wait_for(&format!("the topic {topic}"), || {
            let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
            let found =
                metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none())?;
            let partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
            (!partitions.is_empty()).then_some(partitions)
        });
        let mut assignment = TopicPartitionList::new();
        for partition in &partitions {
            let from_start = assignment.add_partition_offset(topic, *partition, Offset::Beginning);
            from_start.expect("a topic can be read from its start");
        }
        consumer.assign(&assignment).expect("partitions can be assigned");
        let next = partitions.into_iter().map(|partition| (partition, 0)).collect();
        Self { consumer, topic: topic.to_owned(), next, records: Vec::new() }
    }

    /// Reads all records that exist at this moment.
    pub(crate) fn update(&mut self) {
        // For each partition: its end, and whether the current read began after that end was known.
        let mut ends = BTreeMap::new();
        for (partition, next) in &self.next {
            let end = wait_for(&format!("the end of {}/{partition}", self.topic), || {
                Some(self.consumer.fetch_watermarks(&self.topic, *partition, Duration::from_secs(5)).ok()?.1)
            });
            if *next < end {
                ends.insert(*partition, (end, false));
            }
        }
        let mut heard_at = Instant::now();
        wait_for("records that are there", || {
            while !ends.is_empty()
                && let Some(message) = self.consumer.poll(Duration::from_millis(100))
            {
                heard_at = Instant::now();
                match message {
                    Ok(message) => {
                        let (partition, next) = (message.partition(), message.offset() + 1);
                        // After a reset (see `new`), records come again that were read before.
                        if next > self.next[&partition] {
                            self.next.insert(partition, next);
                            self.records.push(record(&message));
                        }
                        ends.retain(|of, (end, _)| *of != partition || next < *end);
                    }
                    Err(KafkaError::PartitionEOF(partition)) => self.came_to_an_end(partition, &mut ends),
                    Err(_) => {}
                }
            }
            // After a failed seek, no new end arrives.
            if heard_at.elapsed() > SILENCE {
                heard_at = Instant::now();
                for (partition, (_, again)) in &mut ends {
                    *again = self.seek(*partition);
                }
            }
            ends.is_empty().then_some(())
        });
    }

    fn seek(&self, partition: i32) -> bool {
        let next = Offset::Offset(self.next[&partition]);
        self.consumer.seek(&self.topic, partition, next, Duration::from_secs(5)).is_ok()
    }

    /// The last offsets may contain only the marker of a transaction. The reported end may be old, so the rest is read again:
    /// the end reported after that is new.
    fn came_to_an_end(&mut self, partition: i32, ends: &mut BTreeMap<i32, (i64, bool)>) {
        match ends.get_mut(&partition) {
            Some((_, again @ false)) => *again = self.seek(partition),
            Some((end, true)) => {
                self.next.insert(partition, *end);
                ends.remove(&partition);
            }
            None => {}
        }
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), text(header.value.unwrap_or(b"")))).collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(text),
        headers: headers.unwrap_or_default(),
        value: message.payload().map(<[u8]>::to_vec),
    }
}

/// Commits an offset for a group without members.
pub(crate) fn commit(brokers: &str, group: &str, topic: &str, partition: i32, offset: i64) {
    let consumer: BaseConsumer = reader(brokers).set("group.id", group).create().expect("a consumer");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
    wait_for("the broker to take a commit", || consumer.commit(&offsets, CommitMode::Sync).ok());
}
